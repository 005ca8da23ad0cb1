"""Event files: a number, or the kernel's word for why there is none. PURE.

This is the hot path: a collector reads thousands of these files a second, so a read looks up nothing by name.
"""

from collections.abc import Callable
from errno import EINVAL, ENODEV, ENOENT
from random import Random
from typing import Protocol

from workers.resctrl.emulator.command import refusal
from workers.resctrl.emulator.group import EmulatedGroup
from workers.resctrl.emulator.ports import Caller, Faults
from workers.resctrl.emulator.profile import LOCAL, OCCUPANCY, TOTAL
from workers.resctrl.emulator.traffic import NS_PER_SECOND, UNASSIGNED, UNREAD, VALID, Cell

UNAVAILABLE_WORD = b"Unavailable\n"
UNASSIGNED_WORD = b"Unassigned\n"

# Readings are never negative; these stand for the words and cost no exception.
_NO_COUNT_YET = -UNREAD
_NO_COUNTER = -UNASSIGNED
_WORDS = {_NO_COUNT_YET: UNAVAILABLE_WORD, _NO_COUNTER: UNASSIGNED_WORD}


class Gauges:
    """How counts become visible numbers; its settings apply to all groups."""

    __slots__ = ("_chance", "modulus", "over_report_percent", "unit_bytes")

    def __init__(self, unit_bytes: int, over_report_percent: int, chance: Random):
        self._chance = chance
        self.unit_bytes = unit_bytes
        self.over_report_percent = over_report_percent
        self.modulus = 0

    def wrap_at(self, bits: int | None, unit_bytes: int = 1) -> None:
        """From now on bandwidth counters are `bits` wide and count units of `unit_bytes`; None: they never wrap."""
        self.modulus = 0 if bits is None else unit_bytes << bits

    def occupancy(self, cell: Cell, now_ns: int) -> int:
        """Bytes in the cache, in the hardware's steps."""
        resident = int(cell.resident_at(now_ns))
        if self.over_report_percent:
            resident += resident * self._chance.randint(0, self.over_report_percent) // 100
        return resident - resident % self.unit_bytes

    def total(self, cell: Cell, now_ns: int) -> int:
        """Bytes moved to and from memory, or minus a state that is not VALID. Reading clears the state UNREAD."""
        state = cell.total_state
        if state:
            if state == UNREAD:
                cell.total_state = VALID
            return -state
        value = (cell.total_scaled - cell.total_zero + cell.total_rate * (now_ns - cell.since_ns)) // NS_PER_SECOND
        return value % self.modulus if self.modulus else value

    def local(self, cell: Cell, now_ns: int) -> int:
        """As `total`, for local memory."""
        state = cell.local_state
        if state:
            if state == UNREAD:
                cell.local_state = VALID
            return -state
        value = (cell.local_scaled - cell.local_zero + cell.local_rate * (now_ns - cell.since_ns)) // NS_PER_SECOND
        return value % self.modulus if self.modulus else value

    def measure(self, event: str) -> Callable[[Cell, int], int]:
        """The method that reads an event."""
        return {OCCUPANCY: self.occupancy, TOTAL: self.total, LOCAL: self.local}[event]


class Host(Protocol):
    """What a file needs from the emulation."""

    faults: Faults | None


class EmulatedEventFile:
    """One event of one group in one domain, or in all nodes of one cache."""

    __slots__ = ("_group", "_host", "_measure", "_places", "_rest")

    def __init__(self, host: Host, group: EmulatedGroup, rest: str, places: tuple[int, ...], measure: Callable[[Cell, int], int]):
        self._host = host
        self._group = group
        self._rest = rest
        self._places = places
        self._measure = measure

    def read(self, now_ns: int) -> bytes:
        """The value or the kernel's word. *Raises:* OSError: ENODEV for a removed group, ENOENT for a domain that is offline."""
        group = self._group
        if group.removed:
            raise refusal(ENODEV)
        faults = self._host.faults
        if faults is not None:
            path = f"{group.path}/{self._rest}".lstrip("/")
            faults.check("read", path, now_ns)
            replaced = faults.value(path, now_ns)
            if replaced is not None:
                return replaced
        measure = self._measure
        if len(self._places) == 1 and not group.children:
            cell = group.monitor.cells[self._places[0]]
            if not cell.cache.online:
                raise refusal(ENOENT)
            value = measure(cell, now_ns)
            return b"%d\n" % value if value >= 0 else _WORDS[value]
        return self._sum(group, now_ns)

    def _sum(self, group: EmulatedGroup, now_ns: int) -> bytes:
        """The sum over the group, its children and all nodes of the cache; one value that is a number is enough."""
        total, found, word = 0, False, UNAVAILABLE_WORD
        places = [place for place in self._places if group.monitor.cells[place].cache.online]
        if not places:
            raise refusal(ENOENT)
        for member in (group, *group.children.values()):
            for place in places:
                value = self._measure(member.monitor.cells[place], now_ns)
                if value >= 0:
                    total += value
                    found = True
                else:
                    word = _WORDS[value]
        return b"%d\n" % total if found else word

    def write(self, content: bytes, caller: Caller, now_ns: int) -> None:
        """*Raises:* OSError(EINVAL) always."""
        raise refusal(EINVAL)
