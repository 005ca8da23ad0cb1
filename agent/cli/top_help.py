"""The help pages of `agentctl top`, for a screen of 80 x 24. PURE."""

from collections.abc import Sequence

from agent.cli.top_style import STRONG, Line, Span, line_of

_SORTS = ("c r i n T a p", "by CPU, RSS, I/O, network, threads, latest start, pod")
_OCCUPANCY_SORTS = ("l b n", "by cache, bandwidth, name")
_CHOICES = (
    ("s S, Tab", "the next order, the one before"),
    ("/", "filter: word, pid, pod:X, label:K=V; Enter keeps, Esc clears"),
)
_TREE = ("t", "tree by parents; + makes its lines sums of all below")
_MOVES = (
    ("up down PgUp PgDn", "scroll; Home goes to the first line"),
    ("space", "pause; the agent goes on"),
    ("left right", "one tick back, forth; [ ] a minute, { } an hour; 0, End: now"),
    ("q, Ctrl-Z", "quit, stop until fg"),
)
_COLUMNS = (
    ("THR", "threads"),
    ("CPU%", "of one core; USR% in user mode, SYS% in the kernel"),
    ("RSS, PSS", "resident memory; PSS divides shared pages by their users"),
    ("READ/s WRITE/s", "bytes from and to storage, NET/s bytes over TCP both ways"),
    ("MAJFLT/s", "page faults that had to read storage"),
    ("-", "not known; `absent` in the data says why"),
)
_OCCUPANCY_COLUMNS = (
    ("LLC, LLC%", "last-level cache of the group, and its part of the whole"),
    ("BW, LOCAL", "memory bandwidth, in total and to the own socket"),
    ("TREND", "the sorted value over the last ticks, up to its own maximum"),
    ("WHY", "why a value is absent or less than the whole"),
)
_UNIT_SORTS = ("c m x i p n o a", "by CPU, memory, throttled, I/O, pressure, network, OOM, name")
_UNIT_TREE = ("t", "tree: slices, what lies in them, containers below pods")
_UNIT_COLUMNS = (
    ("CPU, LIM%", "cores in use, and their part of the lowest limit above it"),
    ("THR%", "of the time: its CPU limit held it back"),
    ("MEM, LIM%", "working set, and its part of the lowest limit above it"),
    ("pCPU pMEM pIO", "of the time: a thread waited for a CPU, memory, a disk"),
    ("OOM", "processes killed for lack of memory in the last minute"),
    ("LLC BW/s GPU%", "cache, bandwidth, GPUs: where they are measured"),
    ("-", "not known, or no limit; `absent` in the data says why"),
)
_TITLE_COLUMNS = 20


def process_help() -> list[Line]:
    """The page of processes."""
    return [
        *_page((_SORTS, *_CHOICES, _TREE, *_MOVES), _COLUMNS),
        line_of("The last line sums up all that has no other line: lines add up to the host."),
        line_of("! and a colour: the process causes what the head says is wrong."),
    ]


def occupancy_help() -> list[Line]:
    """The page of cache occupancy."""
    return [
        *_page((_OCCUPANCY_SORTS, *_CHOICES, *_MOVES), _OCCUPANCY_COLUMNS),
        line_of("Pods that share a group have one value, shown once."),
    ]


def unit_help() -> list[Line]:
    """The page of units."""
    return _page((_UNIT_SORTS, *_CHOICES, _UNIT_TREE, *_MOVES), _UNIT_COLUMNS)


def _page(keys: Sequence[tuple[str, str]], columns: Sequence[tuple[str, str]]) -> list[Line]:
    lines: list[Line] = [line_of(Span("agentctl top", STRONG), "   any key leads back"), ()]
    lines += [_line(key, about) for key, about in keys]
    lines += [(), *(_line(title, about) for title, about in columns), ()]
    return lines


def _line(title: str, about: str) -> Line:
    return line_of(Span(title.ljust(_TITLE_COLUMNS), STRONG), about)
