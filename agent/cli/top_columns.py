"""The columns of `agentctl top`: what each holds, and which of them a width has room for. PURE."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from agent.cli.top_load import Part, network_of
from agent.cli.top_number import percent, short_age, short_bytes, short_count, start_time
from agent.cli.top_sample import NamedProcess

POD_COLUMNS_LEAST = 12
# As long as the kernel's names of processes; wider screens leave arguments some room before further columns come.
COMMAND_COLUMNS_LEAST = 15
# From this width on COMMAND has at least a quarter of it.
_WIDE_FROM = 4 * COMMAND_COLUMNS_LEAST
# What stands for the pod of a process that is in none.
_NO_POD = "-"
# From this rank on columns are for special questions: a whole name of a pod comes first.
SPECIAL_FROM_RANK = 12
GAP = " "


class ScreenColumn(Struct, frozen=True):
    """A column. `figure` gives its text of a process or a sum; None: it has words, which a row brings along.

    `least` is the width without which it is not shown. Columns of a smaller `rank` come first where room is short; those of rank 0
    are always shown, also on a screen where they are cut.
    """

    name: str
    title: str
    least: int
    rank: float
    figure: Callable[[Part, int], str] | None = None
    is_right: bool = True


def _number(field: str, text: Callable[[float | None], str]) -> Callable[[Part, int], str]:
    return lambda part, _at: text(getattr(part, field, None))


def _age(part: Part, at_wall_ns: int) -> str:
    started = part.started_wall_ns if isinstance(part, NamedProcess) else None
    return short_age(None if started is None else at_wall_ns - started) if isinstance(part, NamedProcess) else ""


def _start(part: Part, at_wall_ns: int) -> str:
    return start_time(part.started_wall_ns, at_wall_ns) if isinstance(part, NamedProcess) else ""


def _of_process(field: str) -> Callable[[Part, int], str]:
    def text(part: Part, _at: int) -> str:
        if not isinstance(part, NamedProcess):
            return ""
        value = getattr(part, field)
        return "-" if value is None else str(value)

    return text


PID, USER, POD, CONTAINER, CPU, COMMAND = "pid", "user", "pod", "container", "cpu", "command"
# In their order on the screen.
COLUMNS = (
    ScreenColumn(PID, "PID", 3, 1),
    ScreenColumn(USER, "USER", 4, 5, is_right=False),
    ScreenColumn(POD, "POD/UNIT", POD_COLUMNS_LEAST, 7, is_right=False),
    ScreenColumn(CONTAINER, "CONTAINER", 10, 9.5, is_right=False),
    ScreenColumn("ppid", "PPID", 5, 21, _of_process("ppid")),
    ScreenColumn("state", "S", 1, 3, _of_process("state"), is_right=False),
    ScreenColumn("threads", "THR", 3, 4, _number("threads", short_count)),
    ScreenColumn(CPU, "CPU%", 5, 0, _number("cpu_share", percent)),
    ScreenColumn("user_cpu", "USR%", 5, 12, _number("user_share", percent)),
    ScreenColumn("system_cpu", "SYS%", 5, 13, _number("system_share", percent)),
    ScreenColumn("rss", "RSS", 5, 2, _number("rss_bytes", short_bytes)),
    ScreenColumn("pss", "PSS", 5, 19, _number("pss_bytes", short_bytes)),
    ScreenColumn("read", "READ/s", 6, 8, _number("read_bytes_per_second", short_bytes)),
    ScreenColumn("write", "WRITE/s", 7, 6, _number("write_bytes_per_second", short_bytes)),
    ScreenColumn("net", "NET/s", 5, 9, lambda part, _at: short_bytes(network_of(part))),
    ScreenColumn("sent", "SENT/s", 6, 17, _number("sent_bytes_per_second", short_bytes)),
    ScreenColumn("received", "RECV/s", 6, 18, _number("received_bytes_per_second", short_bytes)),
    ScreenColumn("minor", "FAULT/s", 7, 14, _number("minor_faults_per_second", short_count)),
    ScreenColumn("major", "MAJFLT/s", 8, 11, _number("major_faults_per_second", short_count)),
    ScreenColumn("switches", "SWITCH/s", 8, 15, _number("switches_per_second", short_count)),
    ScreenColumn("start", "START", 10, 16, _start),
    ScreenColumn("age", "AGE", 5, 10, _age),
    ScreenColumn(COMMAND, "COMMAND", COMMAND_COLUMNS_LEAST, 0, is_right=False),
)
# What an order sorts by; these are shown wherever there is room for any.
COLUMNS_OF_SORT: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpu",),
    "rss": ("rss",),
    "io": ("write", "read"),
    "net": ("net",),
    "threads": ("threads",),
    "age": ("age",),
    "pod": (),
}
# Always there, whatever the sample has.
_BASIC = frozenset((PID, "cpu", "rss", COMMAND))
_FIELDS: Mapping[str, tuple[str, ...]] = {
    USER: ("uid",),
    POD: ("pod_uid",),
    CONTAINER: ("container_name",),
    "ppid": ("ppid",),
    "state": ("state",),
    "threads": ("threads",),
    "user_cpu": ("user_share",),
    "system_cpu": ("system_share",),
    "pss": ("pss_bytes",),
    "read": ("read_bytes_per_second",),
    "write": ("write_bytes_per_second",),
    "net": ("sent_bytes_per_second", "received_bytes_per_second"),
    "sent": ("sent_bytes_per_second",),
    "received": ("received_bytes_per_second",),
    "minor": ("minor_faults_per_second",),
    "major": ("major_faults_per_second",),
    "switches": ("switches_per_second",),
    "start": ("started_wall_ns",),
    "age": ("started_wall_ns",),
}
_ALL_FIELDS = frozenset(field for fields in _FIELDS.values() for field in fields)


def command_least(width: int, sort: str) -> int:
    """The columns that COMMAND has at least on a screen of a width; by pods their names are in it."""
    part = width // 3 if sort == POD else width // 4
    return max(COMMAND_COLUMNS_LEAST, part if width >= _WIDE_FROM else 0)


def columns_for(processes: Sequence[NamedProcess], sort: str, width: int | None, pod_columns: int = 0) -> list[ScreenColumn]:
    """The columns that a width has room for and that hold anything, in their order; None: all that hold anything.

    In an order by pods these have lines of their own, and no column. `pod_columns` is what the names of pods take, also those of
    sums over processes: they have that before any column that few people look for.
    """
    known = _with_values(processes) | {*COLUMNS_OF_SORT[sort]}
    if pod_columns > len(_NO_POD):
        known.add(POD)
    columns = [column for column in COLUMNS if column.name in known and (column.name, sort) != (POD, "pod")]
    if width is None:
        return columns
    wanted = {COMMAND: command_least(width, sort), PID: _pid_columns(processes)}
    # The columns of the order come right behind those that are always there.
    ranked = sorted(columns, key=lambda column: min(column.rank, 0.5) if column.name in COLUMNS_OF_SORT[sort] else column.rank)
    chosen: set[str] = set()
    left = width + len(GAP)
    for column in ranked:
        least = wanted.get(column.name, column.least) + len(GAP)
        is_held = POD in chosen and column.rank >= SPECIAL_FROM_RANK and column.name not in COLUMNS_OF_SORT[sort]
        if column.rank == 0 or least + (max(0, pod_columns - POD_COLUMNS_LEAST) if is_held else 0) <= left:
            chosen.add(column.name)
            left -= least
    return [column for column in columns if column.name in chosen]


def _pid_columns(processes: Sequence[NamedProcess]) -> int:
    """The columns of the largest pid and of a mark before it."""
    return max(3, 1 + len(str(max((process.pid for process in processes), default=0))))


def _with_values(processes: Sequence[NamedProcess]) -> set[str]:
    """The columns that hold a value of any process: data of an earlier build lack some."""
    present = {field for field in _ALL_FIELDS if any(getattr(process, field) is not None for process in processes)}
    return {name for name, fields in _FIELDS.items() if not present.isdisjoint(fields)} | _BASIC
