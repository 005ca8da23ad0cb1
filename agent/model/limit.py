"""What a worker may use, and what it leaves out, one step after the other, when it uses more. PURE."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

# *Units:* a limit of the processor is in thousandths of a percent of one core: 100 is a tenth of a percent.
CPU_PER_CORE = 100_000


class Resource(StrEnum):
    """What is limited. The words are those of `agentctl set-limit`, and the subjects of condition `module_over_limit`."""

    CPU = "cpu"
    """Processor time of the process, by its own clock. *Units:* thousandths of a percent of one core."""
    MEMORY = "memory"
    """Resident memory (RSS). *Units:* bytes."""
    DESCRIPTORS = "descriptors"
    """Open files."""
    QUEUE = "queue"
    """Rows that the writer has not acknowledged. *Units:* bytes."""


class WorkerLimits(Struct, frozen=True):
    """The limits of one worker. *Units:* those of `Resource`. *Range:* 0 and more; 0: no limit."""

    cpu: int = 0
    memory: int = 0
    descriptors: int = 0
    queue: int = 0

    def of(self, resource: Resource) -> int:
        """The limit of a resource; 0: none."""
        limit = getattr(self, resource.value)
        assert isinstance(limit, int)
        return limit


# What the operator has set for a worker: only these limits differ from those of the settings.
SetLimits = Mapping[Resource, int]


def effective_limits(by_settings: WorkerLimits, by_operator: SetLimits) -> WorkerLimits:
    """The limits that hold."""
    return replace(by_settings, **{resource.value: value for resource, value in by_operator.items()})


class LadderStep(StrEnum):
    """What a worker leaves out. Steps add up; the words stand in events and are what a worker is told."""

    LONGER_INTERVAL = "longer_interval"
    """Every second tick is taken."""
    MUCH_LONGER_INTERVAL = "much_longer_interval"
    """Every fifth tick is taken."""
    DEAR_FILES_OFF = "dear_files_off"
    """Files that cost much a process are not read: `io`, `smaps_rollup`, `fd` and the threads of a process."""
    LOWER_CAP = "lower_cap"
    """A quarter of the rows are allowed for each metric."""
    COARSER_SKETCH = "coarser_sketch"
    """Sketches have a quarter of the buckets for each doubling, and an error four times as large, which their rows say."""
    SKETCH_ONLY = "sketch_only"
    """No process has a row of its own: all are in the remainder, and in the sketches."""
    BACKLOG_SLOWED = "backlog_slowed"
    """What has waited is sent with a tenth of the processor time that it may take otherwise; what is new is sent at once."""
    MEASURED_METRICS_OFF = "measured_metrics_off"
    """/metrics shows the agent itself only."""


class Ladder(Struct, frozen=True):
    """The steps of one kind of worker in the order in which they are taken, and whether it can be switched off behind the last.

    *Range:* level 0 leaves nothing out, level n the first n steps; `off_level` is where it does nothing.
    """

    steps: tuple[LadderStep, ...] = ()
    is_dispensable: bool = False

    @property
    def lowest(self) -> int:
        """The level with all steps, at which the worker still works."""
        return len(self.steps)

    @property
    def off_level(self) -> int:
        """The level at which it does nothing."""
        return len(self.steps) + 1

    def words(self, level: int) -> tuple[str, ...]:
        """What is left out at a level."""
        return tuple(step.value for step in self.steps[:level])

    def name(self, level: int) -> str:
        """What a person calls a level: its last step, `off`, or `full`."""
        if level > self.lowest:
            return "off"
        return self.steps[level - 1].value if level else "full"


def shown_limit(resource: Resource, value: int) -> str:
    """A limit or a measured value as a person writes it."""
    if resource is Resource.CPU:
        return f"{value / 1000:.3g} %"
    if resource is Resource.DESCRIPTORS:
        return str(value)
    return f"{value / (1 << 20):.4g} MiB"


def strides(steps: Sequence[str]) -> int:
    """One of so many ticks is taken when these steps are left out. *Range:* 1, 2 or 5."""
    if LadderStep.MUCH_LONGER_INTERVAL.value in steps:
        return 5
    return 2 if LadderStep.LONGER_INTERVAL.value in steps else 1
