"""When which unit is looked at: at once when it is new, then less and less often. PURE."""

from heapq import heappop, heappush
from typing import Generic, TypeVar

from agent.model.timebase import MINUTE, S

Key = TypeVar("Key")

# A shell that prepares something executes the server some seconds later.
FIRST_NS = 1 * S
# A server may be executed after minutes of loading a model; a unit that serves none is looked at for ever.
LONGEST_NS = 10 * MINUTE
# What is known is compared with the processes that are there: one line of /proc each.
WATCH_NS = 30 * S


def distance_ns(looks: int, longest_ns: int) -> int:
    """The time to the next look after this many: 1 s, 2 s, 4 s up to the longest."""
    assert looks >= 1
    # A larger shift would make a number of many digits of what is cut off anyway.
    return min(longest_ns, FIRST_NS << min(looks - 1, 20))


class LookTimes(Generic[Key]):
    """The next look at each key; a key has one at most."""

    def __init__(self) -> None:
        # By time, and by number where that is the same. What was changed or dropped since is skipped.
        self._queue: list[tuple[int, int, Key]] = []
        self._numbers: dict[Key, int] = {}
        self._number = 0

    def put(self, key: Key, at_ns: int = 0) -> None:
        """Look then, and not when it was planned before; without a time before all others."""
        self._number += 1
        self._numbers[key] = self._number
        heappush(self._queue, (at_ns, self._number, key))

    def drop(self, key: Key) -> None:
        """Look no more."""
        self._numbers.pop(key, None)

    def take(self, now_ns: int, most: int) -> list[Key]:
        """What is due, the longest due first. It has no next look until `put`."""
        due: list[Key] = []
        while len(due) < most and self._queue and self._queue[0][0] <= now_ns:
            _, number, key = heappop(self._queue)
            if self._numbers.get(key) == number:
                del self._numbers[key]
                due.append(key)
        return due
