"""Every table of the agent by version 1.44.0 of the semantic conventions of OpenTelemetry. PURE.

Another version is another module beside this one: a name that moved in the conventions must not move for who pinned them.
*Source:* open-telemetry/semantic-conventions, tag v1.44.0, folder model.
"""

from agent.model.event_catalogue import KINDS
from agent.model.event_kind import EventSeverity
from workers.export.otlp import conventions_1_44_host, conventions_1_44_process, conventions_1_44_unit
from workers.export.otlp.column_map import Conventions, Dimension, Logged, RecordMap, Role, TableMap
from workers.export.otlp.words import added

_GAP, _EXPORT_GAP, _EVENT = "evergauge.gap", "evergauge.export.gap", "evergauge.event"

GAP = TableMap(
    table="gap",
    record=RecordMap(_GAP, is_warning=True),
    columns={
        "timestamp": Role.TIME,
        "worker": (Dimension(f"{_GAP}.worker"), Logged(f"{_GAP}.worker")),
        "run": Logged(f"{_GAP}.run"),
        "epoch": Logged(f"{_GAP}.epoch"),
        "table": (Dimension("evergauge.table"), Logged("evergauge.table")),
        "first_seq": Logged(f"{_GAP}.first_seq"),
        "last_seq": Logged(f"{_GAP}.last_seq"),
        "rows": (added(f"{_GAP}.rows", unit="{row}"), Logged(f"{_GAP}.rows")),
        "from_timestamp": Logged(f"{_GAP}.from_timestamp"),
        "until_timestamp": Logged(f"{_GAP}.until_timestamp"),
        "reason": (Dimension(f"{_GAP}.reason"), Logged(f"{_GAP}.reason")),
        "ticks": (added(f"{_GAP}.ticks", unit="{tick}"), Logged(f"{_GAP}.ticks")),
        "last_tick": Logged(f"{_GAP}.last_tick"),
    },
)

EXPORT_GAP = TableMap(
    table="export_gap",
    record=RecordMap(_EXPORT_GAP, is_warning=True),
    columns={
        "timestamp": Role.TIME,
        "sink": (Dimension(f"{_EXPORT_GAP}.sink"), Logged(f"{_EXPORT_GAP}.sink")),
        "kind": Logged(f"{_EXPORT_GAP}.kind"),
        "rows": (added(f"{_EXPORT_GAP}.rows", unit="{row}"), Logged(f"{_EXPORT_GAP}.rows")),
        "from_timestamp": Logged(f"{_EXPORT_GAP}.from_timestamp"),
        "until_timestamp": Logged(f"{_EXPORT_GAP}.until_timestamp"),
        "reason": (Dimension(f"{_EXPORT_GAP}.reason"), Logged(f"{_EXPORT_GAP}.reason")),
    },
)

DIAG = TableMap(
    table="diag",
    record=RecordMap(
        _EVENT,
        column="kind",
        warnings=frozenset(kind.name for kind in KINDS.values() if kind.severity is not EventSeverity.INFO),
    ),
    columns={
        "timestamp": Role.TIME,
        "run": Logged(f"{_EVENT}.run"),
        "seq": Logged(f"{_EVENT}.seq"),
        "kind": Logged(f"{_EVENT}.kind"),
        "subject": Logged(f"{_EVENT}.subject"),
        "phase": Logged(f"{_EVENT}.phase"),
        "module": Logged(f"{_EVENT}.module"),
        "severity": Logged(f"{_EVENT}.severity"),
        "detail": Logged(f"{_EVENT}.detail"),
        "fields": Logged(f"{_EVENT}.fields"),
        "since": Logged(f"{_EVENT}.since"),
        "count": Logged(f"{_EVENT}.count"),
    },
)

_ALL = (
    GAP,
    EXPORT_GAP,
    DIAG,
    *conventions_1_44_process.TABLES,
    *conventions_1_44_unit.TABLES,
    *conventions_1_44_host.TABLES,
)

CONVENTIONS = Conventions(
    version="1.44.0",
    schema_url="https://opentelemetry.io/schemas/1.44.0",
    tables={each.table: each for each in _ALL},
    left_out={
        "process_raw": "values of windows without a sketch: no histogram is made of them",
        "unit_minute": "only a hub holds it, of its nodes; the rows of ticks are mapped",
        "host_minute": "only a hub holds it, of its nodes; the rows of ticks are mapped",
    },
    context={
        "pod_group": "names and namespaces of pods are attributes of their metrics",
        "container_name": "names of containers are attributes of their metrics",
    },
)
