"""The kind of sink `otlp`: a collector of OpenTelemetry, or any other receiver of OTLP over HTTP."""

from workers.export.otlp.setup import ENDPOINT, OTLP_OPTIONS, check_otlp
from workers.export.sink import Sink, SinkContext, SinkKind

# As the conventions map them; written here, so that the supervisor need not import those.
OTLP_TABLES = (
    "gap",
    "export_gap",
    "diag",
    "process",
    "process_tail",
    "process_scan",
    "process_exit",
    "process_sketch",
    "unit",
    "unit_event",
    "unit_model",
    "unit_engine",
    "occupancy",
    "occupancy_domain",
    "host",
    "host_disk",
    "host_network",
    "gpu",
    "gpu_process",
)


def open_otlp(context: SinkContext) -> Sink:
    """The sink, in its worker."""
    from workers.export.otlp.otlp_sink import OtlpSink

    return OtlpSink(context)


SINK = SinkKind(
    name="otlp",
    about="OTLP over HTTP: metrics and log records to a collector of OpenTelemetry or another receiver.",
    options=OTLP_OPTIONS,
    identity=(ENDPOINT,),
    open=open_otlp,
    tables=OTLP_TABLES,
    context_tables=("pod_group", "container_name"),
    check=check_otlp,
)
