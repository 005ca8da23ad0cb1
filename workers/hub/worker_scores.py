"""How much the workers of a node have to do, and how much room they have, as numbers that sort. PURE.

A score and the key of a worker are one number, a code, in the order of the scores: a sorted list of codes takes half of the time of
a list of pairs and a third of its memory, and where a span of scores begins and ends in it is found by halving.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping

from msgspec import Struct

from agent.fleet.live import UnitUse

# What a request that waits costs against one that runs, as vLLM's own router weighs them.
WAITING_WEIGHT = 4
# Behind every load, and every room, that is known.
UNKNOWN_SCORE = 1 << 60
# Keys of units have 31 bits.
_KEY_BITS = 31
KEY_MASK = (1 << _KEY_BITS) - 1


class WorkerScores(Struct, frozen=True, gc=False):
    """The workers of one node by their scores, as sorted codes.

    `loads`: the less, the less it has to do; 0: it is idle. `rooms`: the less, the more free memory one of its GPUs has; it is that
    in MiB below zero. *Range:* UNKNOWN_SCORE where its engine, or its GPU, says nothing. Both lists have the same keys.
    """

    loads: list[int]
    rooms: list[int]


def coded(score: int, key: int) -> int:
    """Score and key in one number."""
    return (score << _KEY_BITS) + key


def key_of(code: int) -> int:
    """The key of a code."""
    return code & KEY_MASK


def score_of(code: int) -> int:
    """The score of a code."""
    return code >> _KEY_BITS


def span_of(least: int, most: int) -> tuple[int, int]:
    """The first and the last code of the scores from `least` to `most`."""
    return coded(least, 0), coded(most, KEY_MASK)


def within(codes: list[int], least_code: int, most_code: int) -> tuple[int, int]:
    """Where a span of codes begins and ends in a sorted list."""
    return bisect_left(codes, least_code), bisect_right(codes, most_code)


def unknown_in(codes: list[int]) -> int:
    """How many of a sorted list have an unknown score."""
    return len(codes) - bisect_left(codes, UNKNOWN_SCORE << _KEY_BITS)


def scores_of(keys: Iterable[int], uses: Mapping[int, UnitUse]) -> WorkerScores:
    """The scores of these workers. Written out, because it is made for each node each second."""
    shift, unknown = _KEY_BITS, UNKNOWN_SCORE << _KEY_BITS
    loads, rooms = [], []
    for key in keys:
        use = uses[key]
        waiting, running, free = use.waiting, use.running, use.vram_free_mib
        if waiting is None and running is None:
            loads.append(unknown + key)
        else:
            loads.append((((waiting or 0) * WAITING_WEIGHT + (running or 0)) << shift) + key)
        rooms.append(unknown + key if free is None else (-free << shift) + key)
    loads.sort()
    rooms.sort()
    return WorkerScores(loads, rooms)
