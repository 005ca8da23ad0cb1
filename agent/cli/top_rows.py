"""The lines of processes in `agentctl top`: which there are in an order, a tree or by pod, and what the last ones sum up. PURE.

The last line sums up everything that has no line of its own, so that the lines add up to the host.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from agent.cli.known_names import KnownNames
from agent.cli.render import ABSENT, counted, text_of
from agent.cli.top_columns import COMMAND, CONTAINER, PID, POD, USER
from agent.cli.top_filter import ProcessFilter
from agent.cli.top_load import Load, Part, io_of, load_of, network_of
from agent.cli.top_number import grouped
from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail
from agent.cli.top_state import TopState
from agent.cli.top_style import DIM, STRONG
from agent.cli.top_table import TableRow
from agent.cli.top_tree import TreeNode, branch, tree_of

SORTS = ("cpu", "rss", "io", "net", "threads", "age", "pod")
# Lines of a pod, its subtotal included, before the next pod gets any; then the remaining room is shared.
PROCESSES_OF_POD = 3
# Commands that a line about several processes names at most; a narrow screen cuts them.
COMMANDS_MAX = 8
ENDED_FROM_ROOM = 4
# The signals that end processes, by their numbers on x86 and Arm.
_SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM", 31: "SIGSYS"}


class RowView(Struct, frozen=True):
    """What rows are made with: what a person chose, the names that a sample lacks, and the styles of the guilty, by pid."""

    state: TopState
    names: KnownNames
    user_name: Callable[[int], str]
    guilty: Mapping[int, str] = {}
    has_letters: bool = True

    def pod(self, uid: str) -> str:
        """The displayed name of a pod."""
        return text_of(self.names.pods.get(uid, uid))

    def filter(self) -> ProcessFilter:
        """What the filter keeps."""
        return ProcessFilter(self.state.filter, self.names, self.user_name)


class RowPage(Struct, frozen=True):
    """The rows of one screen; `offset_max` is how far they can be scrolled, `matched` how many processes the filter keeps."""

    rows: list[TableRow]
    offset_max: int
    matched: int


class _Single(Struct, frozen=True):
    """A row, and the process or tail whose values it holds; None: a stub, which holds none."""

    row: TableRow
    origin: NamedProcess | Tail | None


def rows_of(sample: Sample, view: RowView, room: int) -> RowPage:
    """The rows that fit, the last ones about everything that has none."""
    kept = view.filter()
    parts: list[NamedProcess | Tail] = [*sample.processes, *sample.tail]
    matched = load_of(part for part in parts if kept.keeps(part)).processes
    if view.state.sort == "pod":
        rows, offset_max = _by_pod(sample, view, kept, room)
        return RowPage(rows, offset_max, matched)
    singles = _tree(sample, view, kept) if view.state.is_tree else _by_order(sample, view, kept)
    # On a very small screen what ended is in the last line.
    ended = _ended_row(sample.ended) if room >= ENDED_FROM_ROOM else []
    page = max(1, room - len(ended))
    # The last line is needed where something has no other.
    has_no_line = [*sample.ended] if not ended else []
    if has_no_line or len(singles) > page or sum(single.origin is not None for single in singles) < len(parts):
        page = max(1, page - 1)
    offset_max = max(0, len(singles) - page)
    offset = min(view.state.offset, offset_max)
    shown = singles[offset : offset + page]
    with_line = {id(single.origin) for single in shown}
    others = _others_row([*has_no_line, *(part for part in parts if id(part) not in with_line)], view)
    return RowPage([*(single.row for single in shown), *ended, *others], offset_max, matched)


# ---- singly ---------------------------------------------------------------------------------------


def _by_order(sample: Sample, view: RowView, kept: ProcessFilter) -> list[_Single]:
    """Processes by what they use; with a filter also the groups of those that have no name."""
    found: list[NamedProcess | Tail] = [process for process in sample.processes if kept.keeps(process)]
    if kept:
        found += [tail for tail in sample.tail if kept.keeps(tail)]
    return [_single(part, view) for part in sorted(found, key=order_by(view.state.sort))]


def _tree(sample: Sample, view: RowView, kept: ProcessFilter) -> list[_Single]:
    """Processes below their parents; with a filter those above a process that it keeps, too."""
    nodes = tree_of(_with_parents(sample.processes, kept), order_by(view.state.sort))
    singles = [_Single(_node_row(node, view), node.process) for node in nodes]
    if kept:
        singles += [_single(tail, view) for tail in sample.tail if kept.keeps(tail)]
    return singles


def _with_parents(processes: Sequence[NamedProcess], kept: ProcessFilter) -> list[NamedProcess]:
    """The processes that a filter keeps, and all above them."""
    by_pid = {process.pid: process for process in processes}
    wanted: set[int] = set()
    for process in processes:
        above: NamedProcess | None = process if kept.keeps(process) else None
        while above is not None and above.pid not in wanted:
            wanted.add(above.pid)
            above = by_pid.get(above.ppid or 0)
    return [process for process in processes if process.pid in wanted]


def _single(part: NamedProcess | Tail, view: RowView) -> _Single:
    if isinstance(part, NamedProcess):
        return _Single(_process_row(part, view), part)
    command = text_of(part.command) if part.command else "several commands"
    words = {COMMAND: f"{command}  ({counted(part.processes, 'process')} without a line)"}
    if part.pod_uid is not None:
        words[POD] = view.pod(part.pod_uid)
    return _Single(TableRow(part, words, style=DIM), part)


def _process_row(process: NamedProcess, view: RowView, begin: str = "", part: Part | None = None) -> TableRow:
    words = {
        PID: str(process.pid),
        USER: ABSENT if process.uid is None else text_of(view.user_name(process.uid)),
        POD: ABSENT if process.pod_uid is None else view.pod(process.pod_uid),
        CONTAINER: text_of(process.container_name),
        COMMAND: begin + text_of(process.command),
    }
    return TableRow(
        process if part is None else part, words, style=view.guilty.get(process.pid, ""), is_guilty=process.pid in view.guilty
    )


def _node_row(node: TreeNode, view: RowView) -> TableRow:
    begin = branch(node, has_letters=view.has_letters)
    part: Part | None = node.total if view.state.has_sums else None
    if node.process is not None:
        return _process_row(node.process, view, begin, part)
    words = {PID: str(node.pid), COMMAND: f"{begin}(not named)"}
    return TableRow(part or Load(), words, style=DIM)


# ---- by pod ---------------------------------------------------------------------------------------


def _by_pod(sample: Sample, view: RowView, kept: ProcessFilter, room: int) -> tuple[list[TableRow], int]:
    """Each pod's exact total, its named processes below it; what has no total shown is in the last line."""
    members: dict[str | None, list[NamedProcess | Tail | Ended]] = {}
    parts: list[NamedProcess | Tail | Ended] = [*sample.processes, *sample.tail, *sample.ended]
    for part in parts:
        members.setdefault(part.pod_uid, []).append(part)
    by_cpu = order_by("cpu")
    totals = {pod: load_of(of_pod) for pod, of_pod in members.items()}
    found = [pod for pod in sorted(totals, key=lambda pod: by_cpu(totals[pod])) if any(map(kept.keeps, members[pod]))]
    named: dict[str | None, list[NamedProcess]] = {}
    for pod in found:
        of_pod = (part for part in members[pod] if isinstance(part, NamedProcess) and kept.keeps(part))
        named[pod] = sorted(of_pod, key=by_cpu)
    # Whole pods are scrolled past, so that each that is shown has its total.
    offset_max = max(0, len(found) - 1)
    ordered = found[min(view.state.offset, offset_max) :]
    # The last line is needed where a pod has no other.
    counts = shares_of_room([len(named[pod]) for pod in ordered], room - 1, has_last=len(ordered) < len(members))
    rows: list[TableRow] = []
    for pod, count in zip(ordered, counts, strict=False):
        rows.append(_pod_row(pod, totals[pod], view))
        rows += [_process_row(process, view, "  ") for process in named[pod][:count]]
    with_line = set(ordered[: len(counts)])
    hidden = [part for pod in members if pod not in with_line for part in members[pod]]
    return [*rows, *_others_row(hidden, view)], offset_max


def _pod_row(pod: str | None, total: Load, view: RowView) -> TableRow:
    name = "no pod" if pod is None else view.pod(pod)
    ended = f", {grouped(total.ended)} ended" if total.ended else ""
    return TableRow(total, {COMMAND: name + ended}, counted(total.processes, "process"), STRONG)


def shares_of_room(sizes: Sequence[int], room: int, *, has_last: bool = False) -> list[int]:
    """How many processes each pod shows, for as many pods as have a line: `sizes` are how many it has, in order.

    *Range:* with a line for each pod's total they take `room` lines at most, one more where no last line is needed; `has_last`
    says that it is needed in any case.
    """
    counts: list[int] = []
    for size in sizes:
        if room < 1:
            break
        counts.append(min(size, PROCESSES_OF_POD, room - 1))
        room -= 1 + counts[-1]
    left = room + (len(counts) == len(sizes) and not has_last)
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


# ---- several in a line ----------------------------------------------------------------------------


def _others_row(parts: Sequence[NamedProcess | Tail | Ended], view: RowView) -> list[TableRow]:
    """The last line: everything that no line above it holds; none when that is nothing."""
    total = load_of(parts)
    if not total.processes and not total.ended:
        return []
    pods = len({part.pod_uid for part in parts if part.pod_uid is not None})
    lead = f"… {counted(total.processes, 'other')}" + (f" in {counted(pods, 'pod')}" if pods else "")
    ended = f"{grouped(total.ended)} ended" if total.ended else ""
    order = order_by("cpu" if view.state.sort == "pod" else view.state.sort)
    commands = _by_command((part for part in parts if not isinstance(part, Ended)), order)
    return [TableRow(total, {COMMAND: ", ".join(filter(None, (ended, *commands)))}, lead, DIM)]


def _by_command(parts: Iterable[NamedProcess | Tail], order: Callable[[Part], tuple[float, ...]]) -> list[str]:
    """The commands that use the most, each with its number of processes."""
    groups: dict[str, list[NamedProcess | Tail]] = {}
    for part in parts:
        name = part.name if isinstance(part, NamedProcess) else part.command
        if name:
            groups.setdefault(name, []).append(part)
    loads = {name: load_of(group) for name, group in groups.items()}
    heaviest = sorted(loads, key=lambda name: (order(loads[name]), name))[:COMMANDS_MAX]
    return [
        text_of(name) if loads[name].processes == 1 else f"{text_of(name)} {grouped(loads[name].processes)}" for name in heaviest
    ]


def _ended_row(ended: Sequence[Ended]) -> list[TableRow]:
    """The line of what ended within the tick: those killed by a signal first, then the commands with the most deaths."""
    if not ended:
        return []
    total = load_of(ended)
    killed = [each for each in ended if each.signal and each.deaths == 1]
    told = [f"{text_of(each.command)} ({each.pid}) by {_SIGNALS.get(each.signal or 0, f'signal {each.signal}')}" for each in killed]
    deaths: dict[str, int] = {}
    for each in ended:
        if each not in killed:
            deaths[each.command] = deaths.get(each.command, 0) + each.deaths
    most = sorted(deaths, key=lambda command: (-deaths[command], command))[:COMMANDS_MAX]
    told = told[:COMMANDS_MAX] + [f"{text_of(command)} {grouped(deaths[command])}" for command in most]
    return [TableRow(total, {COMMAND: ", ".join(told)}, f"{grouped(total.ended)} ended:", DIM, has_cpu_only=True)]


# ---- orders ---------------------------------------------------------------------------------------


def order_by(sort: str) -> Callable[[Part], tuple[float, ...]]:
    """The key of an order: the most first (of starts the latest), what is not known last; equals by CPU, then by memory."""
    return lambda part: (_least_of(sort, part), _most(part.cpu_share), _most(getattr(part, "rss_bytes", None)))


def _least_of(sort: str, part: Part) -> float:
    match sort:
        case "rss":
            return _most(getattr(part, "rss_bytes", None))
        case "io":
            return _most(io_of(part))
        case "net":
            return _most(network_of(part))
        case "threads":
            return _most(getattr(part, "threads", None))
        case "age":
            return _most(getattr(part, "started_wall_ns", None))
    return _most(part.cpu_share)


def _most(value: float | None) -> float:
    return 1.0 if value is None else -value
