"""Whether ticks are missing between those that are known, from each tick's own word for the time since the one before. PURE.

A tick without that word is the first after a start: nobody measured right before it. Ticks come as segments, in each of which none
is missing, so that batches of rows can be looked at one by one in any order.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent.model.timebase import MS
from agent.router.fact import Stretch

# The wall clock is slewed by up to 8.3 % (chrony), and the two clocks are not read at once. A lost tick is a whole interval.
SLACK_PER_MILLE = 100
SLACK_NS = 10 * MS
# Outside of all times of rows.
_BEFORE, _BEHIND = -(1 << 62), 1 << 62


class Segment(NamedTuple):
    """Ticks of one host of which none is missing. `elapsed_ns`: from the one before to the first; None: that is the first after a
    start."""

    first_ns: int
    last_ns: int
    elapsed_ns: int | None


def slack_of(elapsed_ns: int) -> int:
    """By how much the two clocks may disagree about a time that long."""
    return elapsed_ns * SLACK_PER_MILLE // 1000 + SLACK_NS


class Gaps(NamedTuple):
    """`holes`: times in which ticks may have been taken that are not known. `twice`: those of them that the clock passed twice."""

    holes: list[Stretch]
    twice: list[Stretch]


def gaps_of(segments: Iterable[Segment], losses: Sequence[Stretch]) -> Gaps:
    """The times in which ticks may have been taken that are not known, from before the first to behind the last.

    Between a stop and a start there were none, unless a loss is recorded in that time. Where a tick stands less behind the one
    before than its own word says, the clock was set back: ticks of both passes lie between each other, and none proves that no
    other is missing.
    """
    found: list[Stretch] = []
    twice: list[Stretch] = []
    last_ns: int | None = None
    for segment in sorted(segments, key=lambda each: each[:2]):
        before_ns = _BEFORE if last_ns is None else last_ns
        if segment.elapsed_ns is None:
            found += _lost_between(before_ns, segment.first_ns, losses)
        else:
            slack_ns, expected_ns = slack_of(segment.elapsed_ns), segment.first_ns - segment.elapsed_ns
            if expected_ns - before_ns > slack_ns:
                # The last of the missing ones was about then.
                found.append(Stretch(before_ns + 1, expected_ns + slack_ns))
            elif before_ns - expected_ns > slack_ns:
                twice.append(Stretch(expected_ns - slack_ns, segment.first_ns + 1))
        last_ns = segment.last_ns if last_ns is None else max(last_ns, segment.last_ns)
    return Gaps([*found, *twice, Stretch(_BEFORE if last_ns is None else last_ns + 1, _BEHIND)], twice)


def _lost_between(before_ns: int, at_ns: int, losses: Sequence[Stretch]) -> list[Stretch]:
    both = ((max(before_ns + 1, loss.since_ns), min(at_ns, loss.until_ns)) for loss in losses)
    return [Stretch(since_ns, until_ns) for since_ns, until_ns in both if since_ns < until_ns]
