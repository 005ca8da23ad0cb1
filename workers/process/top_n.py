"""The smallest set that holds a share of a whole, one that stays the same while the load does. PURE.

A fixed number of rows holds nearly all of a steep load and next to nothing of a flat one, so the number follows the load.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, nsmallest
from operator import attrgetter, itemgetter
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

# More than the smallest possible number is taken for the sake of stability, up to this many tenths of it.
LIMIT_TENTHS = 11
# By how many hundredths a newcomer must exceed the recent high of what it takes the place of. The first holds with which as many
# items as are allowed reach the target; where even the largest ones do not, with which they hold this part of what those hold.
CAPPED_QUARTERS = 3
LEADS = (50, 25, 10, 5, 0)
# An item that is not needed stays for this many ticks, as far as the limit allows. A high is remembered for one to two times this.
PATIENCE_TICKS = 10


class Item(Protocol):
    """What can be chosen; `pid` decides between equal values."""

    @property
    def pid(self) -> int:
        """Its number, the same from tick to tick."""
        ...


ItemT = TypeVar("ItemT", bound=Item)


class Limits(Struct, frozen=True):
    """What is asked for: a share of the whole in thousandths, and how many items at least and at most."""

    capture: int
    least: int
    most: int


class TopSet(Struct, Generic[ItemT]):
    """The choice of a tick, largest first, and what it holds.

    `smallest` is the number of items that the largest-first set needs; `is_reached`: the choice holds what was asked for.
    """

    items: list[ItemT]
    held: int
    smallest: int
    is_reached: bool


class Need(Struct, frozen=True):
    """The smallest set that is large enough: how many items, and the value of its last one."""

    count: int
    threshold: int
    is_reached: bool


def need_of(values: Iterable[int], target: int, least: int, most: int) -> Need:
    """How many of the largest values reach `target`: O(k + N log k), because only the chosen ones leave the heap.

    *Range:* at least `least` as far as there are so many, at most `most`. Beyond the least a value of 0 is never needed.
    """
    heap = [-value for value in values]
    heapify(heap)
    count = held = threshold = 0
    while heap and count < most and (held < target or count < least):
        value = -heappop(heap)
        if value <= 0 and count >= least:
            break
        threshold = value
        held += value
        count += 1
    return Need(count, threshold, held >= target)


class _Memory(Struct):
    """What is remembered of a chosen item: ticks without need, and its largest values of this span of ticks and the last one."""

    spare_ticks: int = 0
    high: int = 0
    high_before: int = 0


class TopN(Generic[ItemT]):
    """The choice for one metric, tick after tick. `value_of` gives an item's value of this tick."""

    def __init__(self, limits: Limits, value_of: Callable[[ItemT], int]) -> None:
        self._limits = limits
        self._value_of = value_of
        self._chosen: dict[ItemT, _Memory] = {}
        self._tick = 0

    def set_limits(self, limits: Limits) -> None:
        """Other limits hold from the next choice on."""
        self._limits = limits

    def need(self, items: Iterable[ItemT], target: int) -> Need:
        """How many of these items hold `target`."""
        return need_of(map(self._value_of, items), target, self._limits.least, self._limits.most)

    def choose(
        self, items: Sequence[ItemT], target: int, is_alive: Callable[[ItemT], bool], need: Need | None = None
    ) -> TopSet[ItemT]:
        """The items of this tick that hold `target`. `need` is that of these items, where it is known already.

        `is_alive` is asked of those chosen last: one that is gone is not kept.
        """
        need = need or self.need(items, target)
        best = self._largest(items, need)
        self._chosen = {item: memory for item, memory in self._chosen.items() if is_alive(item)}
        limit = min(self._limits.most, max(need.count, need.count * LIMIT_TENTHS // 10))
        is_new = not self._chosen or self._chosen.keys() == set(best)
        self._keep(best if is_new else self._prefer(best, need, target, limit), limit)
        chosen = self._ordered(self._chosen)
        held = sum(map(self._value_of, chosen))
        return TopSet(chosen, held, need.count, held >= target)

    def _largest(self, items: Sequence[ItemT], need: Need) -> list[ItemT]:
        """The needed number of items. Many can have the value of the last one: only as many of them as needed are ordered."""
        value_of, threshold = self._value_of, need.threshold
        best = self._ordered([item for item in items if value_of(item) > threshold])
        room = need.count - len(best)
        return best + nsmallest(room, (item for item in items if value_of(item) == threshold), key=attrgetter("pid"))

    def _ordered(self, items: Iterable[ItemT]) -> list[ItemT]:
        return _ranked({item: self._value_of(item) for item in items})

    def _prefer(self, best: list[ItemT], need: Need, target: int, limit: int) -> list[ItemT]:
        """The items that are needed, where those of the last tick stay unless they are clearly overtaken."""
        value_of, old = self._value_of, self._chosen
        values = {item: value_of(item) for item in (*best, *old)}
        enough = target if need.is_reached else sum(map(value_of, best)) * CAPPED_QUARTERS // 4
        # One without any value now is not preferred to others for what it was: it may stay as long as there is room.
        highs = {item: max(values[item], memory.high, memory.high_before) for item, memory in old.items() if values[item]}
        for lead in LEADS:
            ranked = _ranked(values | {item: high * (100 + lead) // 100 for item, high in highs.items()})
            held = count = 0
            for item in ranked[:limit]:
                if count >= need.count and (held >= target or not need.is_reached):
                    break
                held += values[item]
                count += 1
            if held >= enough:
                return ranked[:count]
        return best

    def _keep(self, needed: list[ItemT], limit: int) -> None:
        """Take over those needed, and the largest of those that were needed a short while ago."""
        old, is_new_span = self._chosen, self._tick % PATIENCE_TICKS == 0
        self._tick += 1
        kept = dict.fromkeys(needed)
        room = limit - len(kept)
        if room > 0:
            spare = [item for item, memory in old.items() if item not in kept and memory.spare_ticks < PATIENCE_TICKS]
            kept |= dict.fromkeys(self._ordered(spare)[:room])
        wanted = set(needed)
        self._chosen = {}
        for item in kept:
            memory = self._chosen[item] = old.get(item) or _Memory()
            memory.spare_ticks = 0 if item in wanted else memory.spare_ticks + 1
            if is_new_span:
                memory.high_before, memory.high = memory.high, 0
            memory.high = max(memory.high, self._value_of(item))


def _ranked(scores: dict[ItemT, int]) -> list[ItemT]:
    """Largest first. Tuples are compared faster than a key function is called; no two items have one `pid`."""
    ranked = [(-score, item.pid, item) for item, score in scores.items()]
    ranked.sort(key=itemgetter(0, 1))
    return [item for _score, _pid, item in ranked]
