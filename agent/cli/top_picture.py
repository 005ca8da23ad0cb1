"""What `agentctl top` shows of a sample, as lines of text. PURE.

Whatever is not shown by name stands in the last line, so that the lines sum up to the host.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from agent.cli.render import ABSENT, bytes_of, cut, seconds_of, text_of
from agent.cli.top_sample import Process, Sample, Tail

SORTS = ("cpu", "rss", "pod")
HEADER_LINES = 4
# With its sub-total first, a pod shows so many of its processes: a screen has room for several pods.
PROCESSES_OF_POD = 3
POD_COLUMNS_MAX = 30
# A tick comes every second; what is older than this is no longer live.
LIVE_SECONDS = 5.0


class View(Struct, frozen=True):
    """How a sample is to be shown: room, order, and the names that are not in it."""

    width: int
    height: int
    sort: str
    now_wall_ns: int
    is_running: bool
    pod_names: Mapping[str, str]
    user_name: Callable[[int], str]
    keys: str = ""


class Load(Struct, frozen=True):
    """What some processes use together; None where not one value is known."""

    processes: int
    cpu_share: float | None
    rss_bytes: int | None


def load_of(parts: Iterable[Process | Tail | Load]) -> Load:
    """The sum over processes, tails and sums. *Absent:* unknown values are left out; with none known the sum is None."""
    known = list(parts)
    cpu = [part.cpu_share for part in known if part.cpu_share is not None]
    rss = [part.rss_bytes for part in known if part.rss_bytes is not None]
    count = sum(1 if isinstance(part, Process) else part.processes for part in known)
    return Load(count, sum(cpu) if cpu else None, sum(rss) if rss else None)


def picture(sample: Sample, view: View) -> list[str]:
    """The lines of the screen: at most `view.height`, none longer than `view.width`."""
    room = max(1, view.height - HEADER_LINES - 1)
    rows = _rows_by_pod(sample, view, room) if view.sort == "pod" else _rows_by_process(sample, view, room)
    lines = [*_header(sample, view), *_laid_out(rows, view.width)]
    return [cut(line, view.width) for line in lines[: view.height]]


def _header(sample: Sample, view: View) -> list[str]:
    total = load_of([*sample.processes, *sample.tail])
    age_seconds = max(0.0, (view.now_wall_ns - sample.at_wall_ns) / 1e9)
    age = seconds_of(round(age_seconds, 1))
    told = f"data is {age} old" if view.is_running else f"agent not running: data is {age} old"
    if view.is_running and age_seconds > LIVE_SECONDS:
        told = f"no new samples: data is {age} old"
    clock = view.now_wall_ns // 1_000_000_000 % 86_400
    at = f"{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d} UTC"
    sums = f"{total.processes} processes   CPU {_cpu(total)} %   RSS {bytes_of(total.rss_bytes)}   by {view.sort}"
    return [f"{text_of(sample.host)}   {at}   {told}", f"{sums}   {view.keys}".rstrip(), ""]


# A line of the table: PID, USER, POD, COMMAND, STATE, THREADS, CPU%, RSS. A line about several processes has its own words
# in the first four.
Cells = tuple[str, str, str, str, str, str, str, str]
TITLES: Cells = ("PID", "USER", "POD", "COMMAND", "STATE", "THREADS", "CPU%", "RSS")
_RIGHT = (True, False, False, False, False, True, True, True)
_WORDS = 4


def _rows_by_process(sample: Sample, view: View, room: int) -> list[Cells]:
    ordered = sorted(sample.processes, key=_heaviest_by(view.sort))
    shown, hidden = ordered[:room], ordered[room:]
    rows = [_process_cells(process, view) for process in shown]
    return [*rows, *_others([*hidden, *sample.tail])]


def _rows_by_pod(sample: Sample, view: View, room: int) -> list[Cells]:
    """Each pod's exact total, its named processes below it; what has no total shown is in the last line."""
    members: dict[str | None, list[Process | Tail]] = {}
    parts: list[Process | Tail] = [*sample.processes, *sample.tail]
    for part in parts:
        members.setdefault(part.pod_uid, []).append(part)
    totals = {pod: load_of(of_pod) for pod, of_pod in members.items()}
    pending = sorted(totals, key=lambda pod: _by_cpu(totals[pod]))
    rows: list[Cells] = []
    while pending and len(rows) < room:
        pod = pending.pop(0)
        name = "no pod" if pod is None else _pod_name(pod, view)
        rows.append(_sum_cells(f"{name}: {_counted(totals[pod].processes, 'process')}", totals[pod]))
        named = sorted((part for part in members[pod] if isinstance(part, Process)), key=_by_cpu)
        rows += [_process_cells(process, view) for process in named[: min(PROCESSES_OF_POD, room - len(rows))]]
    return [*rows, *_others([part for pod in pending for part in members[pod]])]


def _others(parts: Sequence[Process | Tail]) -> list[Cells]:
    """The last line: everything that no line above it holds; none when that is nothing."""
    total = load_of(parts)
    if not total.processes:
        return []
    pods = len({part.pod_uid for part in parts if part.pod_uid is not None})
    return [_sum_cells(f"… {_counted(total.processes, 'other')} in {_counted(pods, 'pod')}", total)]


def _counted(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _process_cells(process: Process, view: View) -> Cells:
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


def _pod_name(uid: str, view: View) -> str:
    return text_of(view.pod_names.get(uid, uid))


def _cpu(part: Process | Load) -> str:
    return ABSENT if part.cpu_share is None else f"{part.cpu_share * 100:.1f}"


def _by_cpu(part: Process | Load) -> tuple[float, int]:
    return (-(part.cpu_share if part.cpu_share is not None else -1.0), -(part.rss_bytes or 0))


def _by_rss(part: Process | Load) -> tuple[float, int]:
    return (-(part.rss_bytes if part.rss_bytes is not None else -1), 0)


def _heaviest_by(sort: str) -> Callable[[Process | Load], tuple[float, int]]:
    return _by_rss if sort == "rss" else _by_cpu


def _laid_out(rows: Sequence[Cells], width: int) -> list[str]:
    """Aligned lines; POD is as wide as its names up to a limit, COMMAND takes what is left."""
    # A line about several processes has no user: its words do not count for the width of PID.
    processes = [row for row in rows if row[1]]
    widths = [max([len(title), *(len(row[index]) for row in processes)]) for index, title in enumerate(TITLES)]
    for index in range(_WORDS, len(TITLES)):
        widths[index] = max([len(TITLES[index]), *(len(row[index]) for row in rows)])
    widths[1] = min(widths[1], 8)
    # At 80 columns a pod's name and a command share what is left.
    left = width - sum(widths) + widths[2] + widths[3] - (len(TITLES) - 1)
    widths[2] = max(len(TITLES[2]), min(widths[2], POD_COLUMNS_MAX, left * 3 // 5))
    widths[3] = max(len(TITLES[3]), left - widths[2])
    return [_line(row, widths) for row in (TITLES, *rows)]


def _line(row: Cells, widths: Sequence[int]) -> str:
    cells = [
        cut(text, size).rjust(size) if right else cut(text, size).ljust(size)
        for text, size, right in zip(row, widths, _RIGHT, strict=True)
    ]
    if row is not TITLES and not row[1]:
        room = sum(widths[:_WORDS]) + _WORDS - 1
        cells[:_WORDS] = [cut(row[0], room).ljust(room)]
    return " ".join(cells)
