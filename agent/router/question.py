"""What may be asked: kinds of questions, metrics with the columns they are in, and one question as options name it. PURE."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from agent.model.glob import prepared


class Kind(StrEnum):
    """What is wanted of the values."""

    PERCENTILE = "percentile"
    SUM = "sum"
    AVG = "avg"
    MAX = "max"
    COUNT = "count"
    TOP = "top"
    ROWS = "rows"


class AskedMetric(Struct, frozen=True):
    """One metric. A value of it is of one process in one tick, or of one pod where `occupancy` is its column in that table.

    `sketch`: its word in process_sketch; `process`, `tail` and `largest`: its columns in process and process_tail; `exit`: in
    process_exit. Empty: there is none.
    """

    name: str
    unit: str
    about: str
    process: str = ""
    tail: str = ""
    largest: str = ""
    exit: str = ""
    sketch: str = ""
    occupancy: str = ""


METRICS = {
    metric.name: metric
    for metric in (
        AskedMetric(
            "cpu", "ns", "CPU time of a process in a tick",
            process="cpu_ns", tail="cpu_ns", largest="cpu_largest_ns", exit="cpu_ns", sketch="cpu",
        ),
        AskedMetric(
            "rss", "bytes", "resident memory of a process at a tick",
            process="rss_bytes", tail="rss_bytes", largest="rss_largest_bytes", sketch="rss",
        ),
        AskedMetric(
            "read", "bytes", "bytes that a process read from storage in a tick",
            process="read_bytes", tail="read_bytes", exit="read_bytes",
        ),
        AskedMetric(
            "write", "bytes", "bytes that a process wrote to storage in a tick",
            process="write_bytes", tail="write_bytes", exit="write_bytes",
        ),
        AskedMetric("llc", "bytes", "last-level cache that a pod holds at a tick", occupancy="llc_occupancy_bytes"),
        AskedMetric(
            "bandwidth", "bytes/s", "memory bandwidth of a pod at a tick", occupancy="mbm_total_bytes_per_second"
        ),
    )
}  # fmt: skip

# The parts by which an answer may be split.
BY = ("pod", "command", "namespace", "host")


class RoutedQuestion(Struct, frozen=True):
    """What is asked. `percents` are as they were written, with their parts of 1; `pods` are uids or names, `hosts` patterns.

    *Units:* unix nanoseconds.
    """

    kind: Kind
    metric: AskedMetric
    since_ns: int
    until_ns: int
    percents: tuple[tuple[str, float], ...] = ()
    by: tuple[str, ...] = ()
    pods: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    lines: int = 30

    @property
    def is_chosen(self) -> bool:
        """Whether some of the units and commands are asked for."""
        return bool(self.pods or self.commands or self.namespaces)

    def wants_host(self, host: str) -> bool:
        """Whether rows of this host count."""
        return not self.hosts or any(prepared(pattern).matches(host) for pattern in self.hosts)


class PodNames(Struct, frozen=True):
    """Names of pods by uid: `namespace/name`; and their namespaces alone."""

    names: Mapping[str, str] = {}
    namespaces: Mapping[str, str] = {}

    def uids(self, pods: frozenset[str]) -> frozenset[str]:
        """The uids that are meant by uids or names."""
        return pods | {uid for uid, name in self.names.items() if name in pods}
