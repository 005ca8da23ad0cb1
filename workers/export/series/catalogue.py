"""Every metric of stored rows. PURE. `docs/metrics.md` is checked against it."""

from msgspec import Struct

from agent.model.timebase import S
from workers.export.series import catalogue_host, catalogue_unit
from workers.export.series.metric import View

VIEWS: tuple[View, ...] = tuple(sorted((*catalogue_host.VIEWS, *catalogue_unit.VIEWS), key=lambda view: view.rank))


class RankedFamily(Struct, frozen=True):
    """The commands that hold the most of something, by rank. `column` is summed over the processes of a command; a `mean` is one
    of the time since the last reading, in units of `per` a second; what is none stands as in the last row."""

    name: str
    resource: str
    columns: tuple[str, ...]
    about: str
    is_mean: bool
    per: int = 1


_RANKED = "Of the processes with rows of their own."
RANKS = 5
RANKED: tuple[RankedFamily, ...] = (
    RankedFamily("evergauge_top_command_cpu_cores", "cpu", ("cpu_ns",), f"The commands that used the most CPU. {_RANKED}", True, S),
    RankedFamily(
        "evergauge_top_command_memory_bytes", "memory", ("rss_bytes",), f"The commands that hold the most memory. {_RANKED}", False
    ),
    RankedFamily(
        "evergauge_top_command_io_bytes_per_second",
        "io",
        ("read_bytes", "write_bytes"),
        f"The commands that read and wrote the most. {_RANKED}",
        True,
    ),
)


class SketchFamily(Struct, frozen=True):
    """One metric of table `process_sketch`: as a native histogram, in the unit of its buckets, and as quantiles in `per` of it.

    The buckets keep the unit of the rows: any other unit would move their bounds and cost accuracy.
    """

    metric: str
    histogram: str
    about: str
    quantile: str
    quantile_about: str
    per: int = 1


QUANTILES = (0.5, 0.9, 0.99)
SKETCHED: tuple[SketchFamily, ...] = (
    SketchFamily(
        "cpu",
        "evergauge_process_cpu_nanoseconds",
        "CPU time of a process in one sampling interval, over all processes and intervals of the last window.",
        "evergauge_process_cpu_quantile_seconds",
        "Quantiles of the CPU time of a process in one sampling interval, over the last window.",
        S,
    ),
    SketchFamily(
        "rss",
        "evergauge_process_memory_bytes",
        "Resident memory of a process, over all processes and intervals of the last window.",
        "evergauge_process_memory_quantile_bytes",
        "Quantiles of the resident memory of a process, over the last window.",
    ),
)
SKETCH_TABLE, PROCESS_TABLE = "process_sketch", "process"
SKETCH_RANK, RANKED_RANK = 50, 30
TABLES: tuple[str, ...] = tuple(dict.fromkeys((*(view.table for view in VIEWS), PROCESS_TABLE, SKETCH_TABLE)))
NAME_TABLES = ("pod_group", "container_name")
