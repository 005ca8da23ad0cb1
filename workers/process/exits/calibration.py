"""What exit records do not show of a process's CPU time, and how its parent's counters correct the estimate. PURE.

A record misses two parts. The exit itself comes after the record: the *tail*, most of which gives memory back. And the scheduler
brings the run time up to date only at clock ticks and switches, so what ran since is *stale*. A process that never slept ran or
waited for a CPU all its life, so its stale part is known to the microsecond. Of one that slept its last run is
missing; it is taken for a share of its mean run, the *slack*.

Parents know the truth: the time of all children that they have waited for (`cutime` and `cstime`), in steps of 10 ms. The estimates
for the children of one parent are scaled so that their sum follows its counters, from the first tick on. The steps do not add up:
what one tick gave too much the next gives less.
"""

import math
from collections.abc import Mapping

from msgspec import Struct

from agent.model.timebase import MS, S

US = 1_000
# Measured on Linux 6.18 in a virtual machine. Of commands that were executed (1 to 10 MiB) 18 us, and 86 ns for each KiB of their
# largest memory. A child that was only forked shares the memory of its parent: 36 to 46 us of 1 MiB, 130 to 180 us of 40 MiB.
TAIL_NS, TAIL_NS_PER_KIB, TAIL_NS_MAX = 20 * US, 80, 20 * MS
FORKED_TAIL_NS, FORKED_TAIL_NS_PER_KIB = 40 * US, 3
SHARE_START = 0.5
# The stale part is shorter than a clock tick: 10 ms at 100 Hz. Of a process that slept, at most that of 250 Hz.
STALE_NS_MAX, STALE_SLEPT_NS_MAX = 10 * MS, 4 * MS
# By so much the growth of a parent's counters is off: steps of two counters, and children that ended and are waited for later.
NOISE_NS = 15 * MS
# No exit takes longer than this many times the tail that its memory lets expect.
FACTOR_LEAST, FACTOR_MOST = 0.02, 5.0
# So much must be estimated before a parent's counters show anything.
_SHOWN_NS = NOISE_NS // 3
# So much of a parent's estimates is remembered. From `_TOLD_NS` on they count for the children of others, slower than for its own.
WINDOW_NS, _TOLD_NS, _LEARN_NS = 1 * S, 5 * NOISE_NS, 200 * MS
# A correction that is smaller is left for the next tick: part of what is known, one in so many.
CORRECTION_NS_LEAST, CORRECTION_PART = 50 * US, 500
PARENTS_MAX = 1_024


def tail_ns_of(rss_max_kib: int, *, is_forked: bool = False) -> int:
    """What the end of a process takes, by the largest memory that it had; `is_forked`: it executed no program of its own."""
    if is_forked:
        return min(TAIL_NS_MAX, FORKED_TAIL_NS + FORKED_TAIL_NS_PER_KIB * rss_max_kib)
    return min(TAIL_NS_MAX, TAIL_NS + TAIL_NS_PER_KIB * rss_max_kib)


class ChildSums(Struct):
    """Of one parent's children that ended in a tick.

    `known_ns` is their time as far as it is certain, of their whole lives and with all that they had waited for. `tail_ns` and
    `slack_ns` are the tails and stale parts that are expected, `limit_ns` the longest that the latter can be. `estimated_ns` was
    added to what is certain.
    """

    known_ns: int = 0
    tail_ns: int = 0
    slack_ns: int = 0
    limit_ns: int = 0
    estimated_ns: int = 0

    def fold(self, others: "ChildSums") -> None:
        """Add the children of a child, which has waited for them: its parent's counters take them in with it."""
        self.known_ns += others.known_ns
        self.tail_ns += others.tail_ns
        self.slack_ns += others.slack_ns
        self.limit_ns += others.limit_ns
        self.estimated_ns += others.estimated_ns

    @property
    def base_ns(self) -> float:
        """What would be added if all of this host were as measured elsewhere."""
        return self.tail_ns + SHARE_START * self.slack_ns

    @property
    def most_ns(self) -> float:
        """What can have been missing at most."""
        return self.tail_ns * FACTOR_MOST + self.limit_ns


class _Account(Struct):
    """Of one parent, over a window: by how much its counters grew, its children, what was expected and what was given."""

    sums: ChildSums
    reaped_ns: float = 0.0
    prior_ns: float = 0.0
    given_ns: float = 0.0

    def halve(self) -> None:
        """Forget: what is long ago counts less."""
        sums = self.sums
        sums.known_ns, sums.tail_ns = sums.known_ns // 2, sums.tail_ns // 2
        sums.slack_ns, sums.limit_ns = sums.slack_ns // 2, sums.limit_ns // 2
        self.reaped_ns, self.prior_ns, self.given_ns = self.reaped_ns / 2, self.prior_ns / 2, self.given_ns / 2


class ExitCalibration:
    """How the estimates of a parent's children are scaled, and those of children whose parent shows nothing."""

    def __init__(self) -> None:
        # For all parents that have shown nothing: of the expected tails, and of slack.
        self.tail_factor = 1.0
        self.share = SHARE_START
        self.corrections = 0
        # Of single parents: by so much `ChildSums.base_ns` is scaled.
        self.factor_of: dict[int, float] = {}
        self._accounts: dict[int, _Account] = {}

    def estimate_ns(self, parent: int, tail_ns: int, slack_ns: int) -> int:
        """What is added for one process, before its parent's counters are compared."""
        factor = self.factor_of.get(parent)
        if factor is None:
            return int(tail_ns * self.tail_factor + slack_ns * self.share)
        return int((tail_ns + SHARE_START * slack_ns) * factor)

    def take(self, sums: Mapping[int, ChildSums], reaped: Mapping[int, int], *, is_whole: bool) -> dict[int, float]:
        """One tick: the children of each parent, and by how much the parents' counters grew. Not `is_whole`: records were lost.

        The result says for each parent by what the estimates of its children are to be multiplied; who needs no correction is
        not in it.
        """
        if not is_whole:
            self._forget_all()
            return {}
        for parent in [parent for parent in self._accounts if parent not in reaped]:
            self._forget(parent)
        for parent, account in self._accounts.items():
            account.reaped_ns += reaped[parent]
        scales: dict[int, float] = {}
        for parent, children in sums.items():
            if parent not in reaped:
                continue
            if parent not in self._accounts:
                if len(self._accounts) >= PARENTS_MAX:
                    continue
                self._accounts[parent] = _Account(ChildSums(), float(reaped[parent]))
            given_ns = self._given_ns(parent, self._accounts[parent], children)
            if given_ns is not None and children.estimated_ns:
                scales[parent] = given_ns / children.estimated_ns
        self.corrections += len(scales)
        return scales

    def parents(self) -> set[int]:
        """Those that are measured: `take` forgets those that it is not given."""
        return set(self._accounts)

    def _forget(self, parent: int) -> None:
        self._accounts.pop(parent, None)
        self.factor_of.pop(parent, None)

    def _forget_all(self) -> None:
        self._accounts.clear()
        self.factor_of.clear()

    def _given_ns(self, parent: int, account: _Account, children: ChildSums) -> float | None:
        """The estimate for all of this tick's children together; None: as it is.

        The factor is a mean of what was expected and what the counters show: they count the more, the more is to be explained.
        """
        base_ns, whole = children.base_ns, account.sums
        whole.fold(children)
        account.prior_ns += children.tail_ns * self.tail_factor + children.slack_ns * self.share
        missing_ns = account.reaped_ns - whole.known_ns
        margin_ns = 2 * NOISE_NS + whole.known_ns // 20
        if not -margin_ns <= missing_ns <= whole.most_ns + margin_ns:
            # It waits for none, for all of them at the end, or for others' children too.
            self._forget(parent)
            return None
        noise, whole_ns = NOISE_NS**2, whole.base_ns
        if whole_ns < _SHOWN_NS:
            account.given_ns += children.estimated_ns
            return None
        factor = (noise * account.prior_ns / whole_ns + whole_ns * missing_ns) / (noise + whole_ns**2)
        factor = self.factor_of[parent] = min(whole.most_ns / whole_ns, max(FACTOR_LEAST, factor))
        # Of children whose time is known to the end nothing can be learnt.
        if whole_ns > _TOLD_NS and base_ns > 0:
            self._learn(factor, children)
        expected_ns = factor * base_ns
        weight = base_ns**2 / (base_ns**2 + noise)
        off_ns = missing_ns - account.given_ns - expected_ns
        # However few children there are: what is further off than noise can be is no noise.
        beyond_ns = max(0.0, abs(off_ns) - 2 * NOISE_NS)
        given_ns = expected_ns + math.copysign(max(weight * abs(off_ns), beyond_ns), off_ns)
        given_ns = min(children.most_ns, max(FACTOR_LEAST * base_ns, given_ns))
        is_small = abs(given_ns - children.estimated_ns) < CORRECTION_NS_LEAST + children.known_ns // CORRECTION_PART
        account.given_ns += children.estimated_ns if is_small else given_ns
        if whole_ns > WINDOW_NS:
            account.halve()
        return None if is_small else given_ns

    def _learn(self, factor: float, children: ChildSums) -> None:
        """What this parent's children show counts for those of others: for tails and for slack, as far as they consist of it."""
        gain, of_tails = children.base_ns / (children.base_ns + _LEARN_NS), children.tail_ns / children.base_ns
        self.tail_factor += gain * of_tails * (min(FACTOR_MOST, factor) - self.tail_factor)
        self.share += gain * (1.0 - of_tails) * (min(1.0, factor * SHARE_START) - self.share)
