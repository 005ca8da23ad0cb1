"""What the end of processes adds to a tick. PURE."""

from enum import StrEnum

from msgspec import Struct

from agent.model.table import Row
from workers.process.unit_command import UnitCommand


class ExitSourceName(StrEnum):
    """Where deaths are known from, best first; the words stand in tables."""

    TASKSTATS = "taskstats"
    CONNECTOR = "connector"
    CUTIME = "cutime"


class TickTimes(Struct, frozen=True):
    """When a tick is, by three clocks, and the time since the last one. *Absent:* `elapsed_ns` is None at the first tick."""

    wall_ns: int
    now_ns: int
    boot_ns: int
    elapsed_ns: int | None


class Deaths(Struct):
    """The deaths of one tick.

    `rows` are of table `process_exit`. `unseen` of `count` began and ended between two ticks. `cpu_ns`, `read_bytes` and
    `write_bytes` are what all of them used since their last sample; `by_key` is that CPU by unit and command, `parts` one
    value per dead process (bounded: further ones are only in the sums). `lost` are records that the kernel dropped.
    """

    source: str = ExitSourceName.CUTIME.value
    rows: list[Row] = []
    count: int = 0
    unseen: int = 0
    cpu_ns: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    by_key: dict[UnitCommand, int] = {}
    parts: list[tuple[UnitCommand, int]] = []
    lost: int = 0
