"""What exit records do not show of a process's CPU time, measured on parents. PURE.

A record misses two parts. The exit itself comes after the record: a constant, the *tail*. And the scheduler brings the run time up
to date only at clock ticks and switches, so what ran since is *stale*. A process that never slept ran or waited for a CPU all its
life, so its stale part is known to the microsecond. Of one that slept only an upper bound is known, and a *share* of it is taken.

Parents know the truth: the time of all children that they have waited for (`cutime` and `cstime`), in steps of 10 ms.
"""

from collections import deque
from collections.abc import Iterable, Mapping

from msgspec import Struct

from agent.model.timebase import MS, S

US = 1_000
# Measured on Linux 6.18 in a virtual machine: 36 to 46 us. Until a parent has shown the value of this host.
TAIL_NS_START, TAIL_NS_MAX = 40 * US, 500 * US
SHARE_START = 0.5
# The stale part is shorter than a clock tick: 10 ms at 100 Hz. Of a process that slept, at most that of 250 Hz.
STALE_NS_MAX, STALE_SLEPT_NS_MAX = 10 * MS, 4 * MS
# The steps of two counters are an error of 20 ms at most: 20 us per process, and less in the middle of several estimates.
CHILDREN_LEAST = 1_000
# Children that ended are waited for later; over several ticks of a steady load this cancels.
TICKS_LEAST = 5
# The share of one parent's children is used from the first bound on, and counts for those of others from the second on.
SLACK_NS_USED, SLACK_NS_LEAST = S // 4, 2 * S
CHILDREN_MOST = 50_000
ESTIMATES_KEPT = 9
PARENTS_MAX = 1_024


class ChildSums(Struct):
    """Of one parent's children: how many ended, their time as records show it, and the upper bound of the stale parts of those
    that slept. `is_leaf`: it is all that the parent's counters take in with them."""

    children: int = 0
    known_ns: int = 0
    slack_ns: int = 0
    is_leaf: bool = True

    def fold(self, others: "ChildSums") -> None:
        """Add the children of a child, which has waited for them: its parent's counters take them in with it."""
        self.children += others.children
        self.known_ns += others.known_ns
        self.slack_ns += others.slack_ns
        self.is_leaf &= others.is_leaf


class _ChildrenWindow(Struct):
    children: int = 0
    known_ns: int = 0
    slack_ns: int = 0
    reaped_ns: int = 0
    ticks: int = 0


class ExitCalibration:
    """The tail and the share: of a parent whose children showed them, and for all others the median of the last estimates."""

    def __init__(self) -> None:
        self.tail_ns = TAIL_NS_START
        self.share = SHARE_START
        self.estimates = 0
        # Of single parents: how long an exit takes depends on how much memory there is to give back.
        self.tail_of: dict[int, int] = {}
        self.share_of: dict[int, float] = {}
        self._tails: deque[float] = deque(maxlen=ESTIMATES_KEPT)
        self._shares: deque[float] = deque(maxlen=ESTIMATES_KEPT)
        self._windows: dict[int, _ChildrenWindow] = {}

    def take(self, sums: Mapping[int, ChildSums], reaped: Mapping[int, int], *, is_whole: bool) -> None:
        """One tick: the children of each parent, and by how much the parents' counters grew. Not `is_whole`: records were lost."""
        if not is_whole:
            self._windows.clear()
            return
        for parent in [parent for parent in self._windows if parent not in reaped]:
            del self._windows[parent]
        for known in (self.tail_of, self.share_of):
            for parent in [parent for parent in known if parent not in reaped]:
                del known[parent]
        for parent, window in self._windows.items():
            window.ticks += 1
            window.reaped_ns += reaped[parent]
        for parent, children in sums.items():
            if parent in reaped:
                self._add(parent, children)

    def parents(self) -> set[int]:
        """Those that are or were measured: `take` forgets those that it is not given."""
        return {*self._windows, *self.tail_of, *self.share_of}

    def _add(self, parent: int, children: ChildSums) -> None:
        window = self._windows.get(parent)
        if not children.is_leaf:
            self._windows.pop(parent, None)
            return
        if window is None:
            if len(self._windows) >= PARENTS_MAX:
                return
            # From the next tick on: then the children whose parent has not waited yet are as many at its beginning as at its end.
            self._windows[parent] = _ChildrenWindow()
            return
        window.children += children.children
        window.known_ns += children.known_ns
        window.slack_ns += children.slack_ns
        if window.ticks >= TICKS_LEAST and self._conclude(parent, window):
            del self._windows[parent]

    def _conclude(self, parent: int, window: _ChildrenWindow) -> bool:
        """Whether the window has shown all it can."""
        missing_ns = window.reaped_ns - window.known_ns
        if not window.slack_ns:
            if window.children < CHILDREN_LEAST:
                return False
            tail_ns = missing_ns / window.children
            # Further away it is no tail: the parent waits for others' children, or for none.
            if -TAIL_NS_START <= tail_ns <= 2 * TAIL_NS_MAX:
                self._tails.append(tail_ns)
                self.tail_ns = _bounded(_median(self._tails))
                before_ns = self.tail_of.get(parent)
                self.tail_of[parent] = _bounded(tail_ns if before_ns is None else (before_ns + tail_ns) / 2)
                self.estimates += 1
            return True
        if window.slack_ns < SLACK_NS_USED:
            return window.children >= CHILDREN_MOST
        share = (missing_ns - window.children * self.tail_of.get(parent, self.tail_ns)) / window.slack_ns
        is_whole = window.slack_ns >= SLACK_NS_LEAST
        if -0.1 <= share <= 1.1:
            self.share_of[parent] = share = min(1.0, max(0.0, share))
            if is_whole or not self._shares:
                self._shares.append(share)
                self.share = _median(self._shares)
                self.estimates += 1
        return is_whole


def _bounded(tail_ns: float) -> int:
    return min(TAIL_NS_MAX, max(0, round(tail_ns)))


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
