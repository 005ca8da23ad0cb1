"""What a run gathered: the kernel's counts by the baseline, the stored rows, events, replacements. PURE.

Times are unix time in ns, CPU is in ns, memory and I/O in bytes.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scenarios.export_evidence import ExportEvidence
from scenarios.router_evidence import RouterEvidence
from scenarios.store_evidence import StoreEvidence

Series = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was set forward, by so much, when it showed this."""

    at_ns: int
    by_ns: int

    def steady(self, at_ns: int) -> int:
        """The time that a clock would show that was not set."""
        return at_ns - self.by_ns if at_ns >= self.at_ns + self.by_ns else at_ns


class NotRecorded(ValueError):
    """A moment for which there is no reading before and after."""


def value_at(series: Series, at_ns: int) -> float:
    """The value between two readings. *Raises:* NotRecorded outside of the record."""
    index = bisect_left(series, (at_ns, 0))
    if not 0 < index < len(series):
        raise NotRecorded("a tick outside of the baseline's record")
    (before_ns, before), (after_ns, after) = series[index - 1], series[index]
    return before + (after - before) * (at_ns - before_ns) / (after_ns - before_ns)


@dataclass(frozen=True, slots=True)
class Cost:
    """What the agent cost in the window. `reference_cpu_ns`: of the psutil loop beside it; `baseline_cpu_ns`: of the baseline.

    *Absent:* `reference_cpu_ns` None where no loop ran.
    """

    elapsed_ns: int
    agent_cpu_ns: int
    reference_cpu_ns: int | None
    baseline_cpu_ns: int
    pss_bytes: Sequence[int]
    rss_bytes: Sequence[int]
    processes: int
    by_part: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tick:
    """Sums of the stored rows of one tick: named processes, tail, dead."""

    at_ns: int
    named_cpu_ns: int
    tail_cpu_ns: int
    dead_cpu_ns: int
    named_rss_bytes: int
    rss_bytes: int
    named_io_bytes: int
    # Named, tail and dead of the load's unit.
    unit_cpu_ns: int = 0


@dataclass(frozen=True, slots=True)
class SketchRow:
    """A row of `process_sketch`, as it is stored."""

    window_start_ns: int
    window_ns: int
    unit: str | None
    command: str | None
    metric: str
    scale: int
    zero_count: int
    count: int
    first_bucket: int
    counts: Sequence[int]
    keys: int


@dataclass(frozen=True, slots=True)
class Exact:
    """The values of a command in a unit that are known without the sketch, and how; in any order."""

    unit: str | None
    command: str
    metric: str
    values: Sequence[int]
    known_by: str


@dataclass(frozen=True, slots=True)
class Event:
    """A condition or a happening that the agent tells. *Absent:* `end_ns` None: it has not ended, or has no end."""

    kind: str
    module: str
    begin_ns: int
    end_ns: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class GapRow:
    """Ticks that are missing as a whole, with the reason, noticed at a time.

    *Absent:* `ticks` None: unknown; then `between_ns` are the stored batches before and after the hole, as far as they are known.
    """

    at_ns: int
    worker: str
    reason: str
    ticks: int | None
    between_ns: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Replacement:
    """A part that was killed. *Absent:* `seconds` None: it did not come back in time."""

    part: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CommandCpu:
    """CPU of the children of a fork loop: by the kernel's counter of their parent, and by the rows."""

    command: str
    kernel_ns: int
    stored_ns: int


@dataclass(slots=True)
class Evidence:
    """Everything of one run. Lists are empty where something was not gathered."""

    begin_ns: int
    end_ns: int
    interval_ns: int
    # When the machine booted, by its wall clock: ticks are numbered from there.
    boot_at_ns: int = 0
    cost: Cost | None = None
    host_cpu: Series = ()
    unit_cpu: Series = ()
    host_rss: Series = ()
    host_io: Series = ()
    ticks: Sequence[Tick] = ()
    sketches: Sequence[SketchRow] = ()
    exact: Sequence[Exact] = ()
    events: Sequence[Event] = ()
    gaps: Sequence[GapRow] = ()
    replacements: Sequence[Replacement] = ()
    commands: Sequence[CommandCpu] = ()
    # By worker and count: at the window's beginning and end.
    counts: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    pss_by_worker: Mapping[str, Sequence[int]] = field(default_factory=dict)
    exports: ExportEvidence = field(default_factory=ExportEvidence)
    stores: StoreEvidence = field(default_factory=StoreEvidence)
    router: RouterEvidence = field(default_factory=RouterEvidence)

    @property
    def window(self) -> tuple[Tick | None, Sequence[Tick]]:
        """The last tick before the window, and all ticks up to the first one after its end."""
        before = [tick for tick in self.ticks if tick.at_ns <= self.begin_ns]
        after = [tick for tick in self.ticks if tick.at_ns > self.begin_ns]
        inside = [tick for tick in after if tick.at_ns <= self.end_ns]
        return (before[-1] if before else None), inside
