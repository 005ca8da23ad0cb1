"""The order in which directories of a tree are scanned when there may be too many to scan all. PURE.

Directories of pods come first, wherever they are found. All others share: what lies below a directory takes turns with what
lies below its neighbours, so that a subtree with too many groups, however deep or wide, hides only its own; and among neighbours
the kinds have weights, so that thousands of leaked scopes do not hide the service or slice beside them.
"""

from collections import Counter, deque
from collections.abc import Sequence
from enum import IntEnum
from heapq import heapify, heappop, heappush

# So many names wait at most, save that every single listing may leave its first ones.
NAMES_MAX = 50_000
NAMES_LEAST = 1000


class Value(IntEnum):
    """What a directory's name promises, the most valuable first."""

    PODS = 0
    CONTAINERS = 1
    SLICE = 2
    SERVICE = 3
    SCOPE = 4
    OTHER = 5


# Turns of neighbours of one kind against those of another while both wait: what people ask about against what tools leak.
_WEIGHTS = {Value.PODS: 16, Value.CONTAINERS: 16, Value.SLICE: 8, Value.SERVICE: 8, Value.SCOPE: 1, Value.OTHER: 1}


class Directory:
    """One directory on the way; `path` begins at its hierarchy `root`. `is_first`: it lies among pods, which come before all."""

    __slots__ = ("depth", "is_first", "path", "root", "served", "turns", "waiting")

    def __init__(self, root: str, path: str, depth: int, *, is_first: bool) -> None:
        self.root = root
        self.path = path
        self.depth = depth
        self.is_first = is_first
        # How many directories at and below this one had their turn.
        self.served = 0
        # By kind: the names (or directories with something below that waits) directly below, and how many turns they had.
        self.waiting: dict[Value, list[tuple[int, int, str | Directory]]] = {}
        self.turns: dict[Value, int] = {}

    def next_kind(self) -> Value:
        """Of which kind the next one is; something has to wait."""
        return min(self.waiting, key=lambda kind: (self.turns.get(kind, 0) / _WEIGHTS[kind], kind))


class Frontier:
    """The directories that wait. Each that `take` gives is settled, with the names in it, before the next is taken."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._top = Directory("", "", -1, is_first=False)
        hierarchies = [Directory(root, "", 0, is_first=False) for root in roots]
        self._top.waiting[Value.OTHER] = [(0, order, each) for order, each in enumerate(hierarchies)]
        self._first: deque[Directory] = deque()
        self._waiting = 0
        # The way to the directory taken last: above, kind, order among the neighbours, the directory.
        self._way: list[tuple[Directory, Value, int, Directory]] = []
        self.left_out: Counter[str] = Counter()
        """By path, how many of its directories had no turn (yet)."""

    def take(self) -> Directory | None:
        """Whose turn it is; None when nothing waits."""
        if self._first:
            self._count_out(taken := self._first.popleft())
            return taken
        directory = self._top
        while directory.waiting:
            kind = directory.next_kind()
            _served, order, inner = heappop(directory.waiting[kind])
            if not directory.waiting[kind]:
                del directory.waiting[kind]
            directory.turns[kind] = directory.turns.get(kind, 0) + 1
            if isinstance(inner, str):
                inner = Directory(directory.root, f"{directory.path}/{inner}", directory.depth + 1, is_first=False)
                self._count_out(inner)
            self._way.append((directory, kind, order, inner))
            directory = inner
        return None if directory is self._top else directory

    def settle(self, taken: Directory, names: Sequence[tuple[Value, str]] = (), are_first: bool = False) -> None:
        """What is in the directory taken last, in the order in which neighbours of one kind have their turn.

        `are_first`: those among the names that hold pods, or all where the directory itself is among pods, come before all others.
        """
        kept = names[: max(NAMES_LEAST, NAMES_MAX - self._waiting)]
        self._waiting += len(kept)
        if names:
            self.left_out[taken.path] += len(names)
        for order, (kind, name) in enumerate(kept):
            if taken.is_first or (are_first and kind is Value.PODS):
                self._first.append(Directory(taken.root, f"{taken.path}/{name}", taken.depth + 1, is_first=True))
            else:
                taken.waiting.setdefault(kind, []).append((0, order, name))
        for waiting in taken.waiting.values():
            heapify(waiting)
        while self._way:
            above, kind, order, inner = self._way.pop()
            inner.served += 1
            if inner.waiting:
                heappush(above.waiting.setdefault(kind, []), (inner.served, order, inner))

    def _count_out(self, directory: Directory) -> None:
        self._waiting -= 1
        above = directory.path.rpartition("/")[0]
        self.left_out[above] -= 1
        if not self.left_out[above]:
            del self.left_out[above]
