"""What `agentctl top` shows of a sample, as lines of text. PURE.

The last line sums up everything that has no line of its own, so that the lines add up to the host.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile

from msgspec import Struct

from agent.cli.render import ABSENT, bytes_of, counted, text_of
from agent.cli.top_heading import HistoryMoment, heading
from agent.cli.top_sample import NamedProcess, Sample, Tail
from agent.cli.width import cut, display_width, padded

SORTS = ("cpu", "rss", "pod")
HEADER_LINES = 4
# Lines of a pod, its subtotal included, before the next pod gets any; then the remaining room is shared.
PROCESSES_OF_POD = 3
POD_COLUMNS_LEAST, POD_COLUMNS_MAX = 10, 30
USER_COLUMNS_MAX = 8
# As long as the kernel's names of processes.
COMMAND_COLUMNS_LEAST = 15


class ProcessView(Struct, frozen=True):
    """How a sample is to be shown: room, order, and the names that are not in it.

    `width` None is room without end, `trouble` says why the agent tells no names; empty: it does.
    """

    width: int | None
    height: int
    sort: str
    now_wall_ns: int
    trouble: str
    pod_names: Mapping[str, str]
    user_name: Callable[[int], str]
    keys: str = ""
    time_keys: str = ""
    moment: HistoryMoment | None = None


class Load(Struct, frozen=True):
    """What some processes use together; None where not one value is known."""

    processes: int
    cpu_share: float | None
    rss_bytes: int | None


def load_of(parts: Iterable[NamedProcess | Tail | Load]) -> Load:
    """The sum over processes, tails and sums. *Absent:* unknown values are left out; with none known the sum is None."""
    known = list(parts)
    cpu = [part.cpu_share for part in known if part.cpu_share is not None]
    rss = [part.rss_bytes for part in known if part.rss_bytes is not None]
    count = sum(1 if isinstance(part, NamedProcess) else part.processes for part in known)
    return Load(count, sum(cpu) if cpu else None, sum(rss) if rss else None)


def render(sample: Sample, view: ProcessView) -> list[str]:
    """The lines of the screen: at most `view.height`, none longer than `view.width` where that is given."""
    room = max(1, view.height - HEADER_LINES - 1)
    rows = _rows_by_pod(sample, view, room) if view.sort == "pod" else _rows_by_process(sample, view, room)
    lines = [*_header(sample, view), *_laid_out(rows, view.width)][: view.height]
    return lines if view.width is None else [cut(line, view.width) for line in lines]


def _header(sample: Sample, view: ProcessView) -> list[str]:
    total = load_of([*sample.processes, *sample.tail])
    cpu = ABSENT if total.cpu_share is None else f"{_cpu(total)} %"
    sums = f"{counted(total.processes, 'process')}   CPU {cpu}   RSS {bytes_of(total.rss_bytes)}   by {view.sort}"
    left_out = f"   {counted(sample.bad_rows, 'bad row')} left out" if sample.bad_rows else ""
    first = heading(sample.host, sample.at_wall_ns, view.now_wall_ns, view.trouble, view.moment)
    return [first, f"{sums}{left_out}   {view.keys}".rstrip(), view.time_keys]


# A line of the table: PID, USER, POD, COMMAND, STATE, THREADS, CPU%, RSS. A line about several processes has its own words
# in the first four.
Cells = tuple[str, str, str, str, str, str, str, str]
TITLES: Cells = ("PID", "USER", "POD", "COMMAND", "STATE", "THREADS", "CPU%", "RSS")
_PID, _USER, _POD, _COMMAND, _STATE, _THREADS, _CPU, _RSS = range(8)
_RIGHT = (True, False, False, False, False, True, True, True)
_WORDS = (_PID, _USER, _POD, _COMMAND)
# Without an end of the line the one column of any length is the last.
_ENDLESS = (_PID, _USER, _POD, _STATE, _THREADS, _CPU, _RSS, _COMMAND)
# Columns that a narrow screen drops, in this order; names and usage always stay.
_DROPPED = (_POD, _USER, _THREADS, _STATE)


def _rows_by_process(sample: Sample, view: ProcessView, room: int) -> list[Cells]:
    ordered = sorted(sample.processes, key=_heaviest_by(view.sort))
    shown, hidden = ordered[:room], ordered[room:]
    rows = [_process_cells(process, view) for process in shown]
    return [*rows, *_others([*hidden, *sample.tail])]


def _rows_by_pod(sample: Sample, view: ProcessView, room: int) -> list[Cells]:
    """Each pod's exact total, its named processes below it; what has no total shown is in the last line."""
    members: dict[str | None, list[NamedProcess | Tail]] = {}
    parts: list[NamedProcess | Tail] = [*sample.processes, *sample.tail]
    for part in parts:
        members.setdefault(part.pod_uid, []).append(part)
    totals = {pod: load_of(of_pod) for pod, of_pod in members.items()}
    ordered = sorted(totals, key=lambda pod: _by_cpu(totals[pod]))
    named = {pod: sorted((part for part in members[pod] if isinstance(part, NamedProcess)), key=_by_cpu) for pod in ordered}
    counts = shares_of_room([len(named[pod]) for pod in ordered], room)
    rows: list[Cells] = []
    for pod, count in zip(ordered, counts, strict=False):
        name = "no pod" if pod is None else _pod_name(pod, view)
        rows.append(_sum_cells(f"{name}: {counted(totals[pod].processes, 'process')}", totals[pod]))
        rows += [_process_cells(process, view) for process in named[pod][:count]]
    return [*rows, *_others([part for pod in ordered[len(counts) :] for part in members[pod]])]


def shares_of_room(sizes: Sequence[int], room: int) -> list[int]:
    """How many processes each pod shows, for as many pods as have a line: `sizes` are how many it has, in order.

    *Range:* with a line for each pod's total they take `room` lines at most, one more where no last line is needed.
    """
    counts: list[int] = []
    for size in sizes:
        if room < 1:
            break
        counts.append(min(size, PROCESSES_OF_POD, room - 1))
        room -= 1 + counts[-1]
    left = room + (len(counts) == len(sizes))
    hungry = [index for index, count in enumerate(counts) if count < sizes[index]]
    # Every pass hands out a line to each, or ends.
    while left > 0 and hungry:
        each = max(1, left // len(hungry))
        for index in hungry:
            more = min(each, sizes[index] - counts[index], left)
            counts[index] += more
            left -= more
        hungry = [index for index in hungry if counts[index] < sizes[index]]
    return counts


def _others(parts: Sequence[NamedProcess | Tail]) -> list[Cells]:
    """The last line: everything that no line above it holds; none when that is nothing."""
    total = load_of(parts)
    if not total.processes:
        return []
    pods = len({part.pod_uid for part in parts if part.pod_uid is not None})
    words = f"… {counted(total.processes, 'other')}"
    return [_sum_cells(f"{words} in {counted(pods, 'pod')}" if pods else words, total)]


def _process_cells(process: NamedProcess, view: ProcessView) -> Cells:
    return (
        str(process.pid),
        ABSENT if process.uid is None else text_of(view.user_name(process.uid)),
        ABSENT if process.pod_uid is None else _pod_name(process.pod_uid, view),
        text_of(process.command),
        text_of(process.state),
        text_of(process.threads),
        _cpu(process),
        bytes_of(process.rss_bytes),
    )


def _sum_cells(words: str, load: Load) -> Cells:
    return (words, "", "", "", "", "", _cpu(load), bytes_of(load.rss_bytes))


def _pod_name(uid: str, view: ProcessView) -> str:
    return text_of(view.pod_names.get(uid, uid))


def _cpu(part: NamedProcess | Load) -> str:
    return ABSENT if part.cpu_share is None else f"{part.cpu_share * 100:.1f}"


def _by_cpu(part: NamedProcess | Load) -> tuple[float, int]:
    return (-(part.cpu_share if part.cpu_share is not None else -1.0), -(part.rss_bytes or 0))


def _by_rss(part: NamedProcess | Load) -> tuple[float, int]:
    return (-(part.rss_bytes if part.rss_bytes is not None else -1), 0)


def _heaviest_by(sort: str) -> Callable[[NamedProcess | Load], tuple[float, int]]:
    return _by_rss if sort == "rss" else _by_cpu


def _laid_out(rows: Sequence[Cells], width: int | None) -> list[str]:
    """Aligned lines. On a screen COMMAND takes what is left; without an end nothing is cut and it comes last."""
    widths = _natural_widths(rows)
    if width is None:
        shown: Sequence[int] = _ENDLESS
        # The words of a line about several processes stand before its figures.
        words = max((display_width(row[_PID]) for row in rows if _is_sum(row)), default=0)
        widths[_POD] = max(widths[_POD], words - widths[_PID] - widths[_USER] - 2)
    else:
        widths[_USER] = min(widths[_USER], USER_COLUMNS_MAX)
        shown = _columns_that_fit(widths, width)
        _share(widths, shown, width)
    return [_line(row, widths, shown) for row in (TITLES, *rows)]


def _is_sum(row: Cells) -> bool:
    """Whether a row is about several processes: these have no user."""
    return not row[_USER]


def _natural_widths(rows: Sequence[Cells]) -> list[int]:
    """What each column needs; words about several processes do not count for that of PID."""
    widths = [len(title) for title in TITLES]
    for row in rows:
        for index, text in enumerate(row):
            if index not in _WORDS or not _is_sum(row):
                widths[index] = max(widths[index], display_width(text))
    return widths


def _columns_that_fit(widths: Sequence[int], width: int) -> list[int]:
    least = [*widths]
    least[_POD] = min(widths[_POD], POD_COLUMNS_LEAST)
    least[_COMMAND] = COMMAND_COLUMNS_LEAST
    shown = list(range(len(TITLES)))
    for dropped in _DROPPED:
        if sum(least[index] for index in shown) + len(shown) - 1 <= width:
            break
        shown.remove(dropped)
    return shown


def _share(widths: list[int], shown: Sequence[int], width: int) -> None:
    """Divide what the other columns leave: a pod's name has its part of it up to a limit, the command the rest."""
    left = width - sum(widths[index] for index in shown if index not in (_POD, _COMMAND)) - (len(shown) - 1)
    if _POD in shown:
        widths[_POD] = max(len(TITLES[_POD]), min(widths[_POD], POD_COLUMNS_MAX, left * 3 // 5))
        left -= widths[_POD]
    widths[_COMMAND] = max(len(TITLES[_COMMAND]), left)


def _line(row: Cells, widths: Sequence[int], shown: Sequence[int]) -> str:
    cells = {}
    for index in shown:
        cells[index] = padded(cut(row[index], widths[index]), widths[index], right=_RIGHT[index])
    if not _is_sum(row):
        return " ".join(cells.values())
    leading = list(takewhile(lambda index: index in _WORDS, shown))
    room = sum(widths[index] for index in leading) + len(leading) - 1
    return " ".join([padded(cut(row[_PID], room), room), *(cells[index] for index in shown if index not in leading)])
