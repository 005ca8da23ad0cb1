"""Named processes as trees by their parents. PURE.

A parent that is not named is shown as a stub, so that processes of one parent stand together.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from agent.cli.top_load import Load, load_of
from agent.cli.top_sample import NamedProcess

# Levels beyond are drawn as this one: the name of a process needs the room more.
LEVELS_MAX = 12


class TreeNode(Struct):
    """A process, or a parent that is not named (`process` None), in its place of the tree.

    `is_last` is of each level whether nothing of it follows below; `total` is the sum over the process and all below it.
    """

    pid: int
    process: NamedProcess | None
    total: Load
    is_last: tuple[bool, ...] = ()


def tree_of(processes: Sequence[NamedProcess], order: Callable[[NamedProcess | Load], tuple[float, ...]]) -> list[TreeNode]:
    """The trees, line by line; siblings by the sums of what is below them, so that the heaviest tree comes first.

    *Range:* every process once, whatever the parents say: a cycle, which a reused pid can make, is cut open.
    """
    by_pid = {process.pid: process for process in processes}
    parents = {process.pid: _parent(process, by_pid) for process in processes}
    _cut_cycles(parents)
    children: dict[int | None, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    # A parent without a line of its own stands at the top.
    for stub in [parent for parent in children if parent is not None and parent not in by_pid]:
        children.setdefault(None, []).append(stub)
    totals = _totals(children, by_pid)
    nodes: list[TreeNode] = []
    waiting: list[tuple[int, tuple[bool, ...]]] = [(pid, ()) for pid in _heaviest_last(children.get(None, []), totals, order)]
    while waiting:
        pid, is_last = waiting.pop()
        nodes.append(TreeNode(pid, by_pid.get(pid), totals[pid], is_last))
        below = _heaviest_last(children.get(pid, []), totals, order)
        waiting += [(child, (*is_last, place == 0)) for place, child in enumerate(below)]
    return nodes


def branch(node: TreeNode, *, has_letters: bool) -> str:
    """What stands before the name of a process."""
    if not node.is_last:
        return ""
    line, gap, corner, fork = ("│ ", "  ", "└ ", "├ ") if has_letters else ("| ", "  ", "` ", "| ")
    levels = node.is_last[-LEVELS_MAX:]
    return "".join(gap if last else line for last in levels[:-1]) + (corner if levels[-1] else fork)


def _parent(process: NamedProcess, by_pid: dict[int, NamedProcess]) -> int | None:
    """*Absent:* None at the top: no parent, or one that is younger than its child and so another process of that pid."""
    if not process.ppid or process.ppid == process.pid:
        return None
    parent = by_pid.get(process.ppid)
    is_younger = (
        parent is not None
        and parent.start_ticks is not None
        and process.start_ticks is not None
        and parent.start_ticks > process.start_ticks
    )
    return None if is_younger else process.ppid


def _cut_cycles(parents: dict[int, int | None]) -> None:
    """Put one process of each cycle at the top."""
    done: set[int] = set()
    for begin in parents:
        path: set[int] = set()
        pid: int | None = begin
        while pid is not None and pid in parents and pid not in done:
            path.add(pid)
            if parents[pid] in path:
                parents[pid] = None
            pid = parents[pid]
        done |= path


def _totals(children: dict[int | None, list[int]], by_pid: dict[int, NamedProcess]) -> dict[int, Load]:
    """The sum of each process and all below it: from the leaves up, without recursion."""
    order: list[int] = []
    waiting = list(children.get(None, []))
    while waiting:
        pid = waiting.pop()
        order.append(pid)
        waiting += children.get(pid, [])
    totals: dict[int, Load] = {}
    for pid in reversed(order):
        own = [by_pid[pid]] if pid in by_pid else []
        totals[pid] = load_of([*own, *(totals[child] for child in children.get(pid, []))])
    return totals


def _heaviest_last(
    pids: Sequence[int], totals: dict[int, Load], order: Callable[[NamedProcess | Load], tuple[float, ...]]
) -> list[int]:
    """As a stack wants them."""
    return sorted(pids, key=lambda pid: (order(totals[pid]), pid), reverse=True)
