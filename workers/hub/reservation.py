"""Workers that are held for somebody who asked, so that two schedulers do not choose the same one. PURE.

Soft: a reservation keeps nobody from a worker. Until it ends, others see the worker with one request more, and with so much less
free memory of its GPU.
"""

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import Struct

from workers.hub.worker_index import Place

RESERVATIONS_MAX = 10_000


class Reservation(Struct, frozen=True):
    """One of them. *Units:* `until_ns` by the hub's monotonic clock."""

    name: str
    place: Place
    vram_mib: int
    until_ns: int


class Reservations:
    """All that hold. *Range:* RESERVATIONS_MAX; the one that was made first ends first then."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, Reservation] = OrderedDict()
        self._by_place: dict[Place, list[Reservation]] = {}
        # No reservation ends before: each turn of the hub's loop asks.
        self._first_end_ns = 0

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, reservation: Reservation) -> None:
        """Hold a worker."""
        if len(self._by_name) >= RESERVATIONS_MAX:
            self.end(next(iter(self._by_name)))
        self._first_end_ns = min(self._first_end_ns, reservation.until_ns) if self._by_name else reservation.until_ns
        self._by_name[reservation.name] = reservation
        self._by_place.setdefault(reservation.place, []).append(reservation)

    def end(self, name: str) -> bool:
        """Hold it no longer. False: there is none of this name."""
        found = self._by_name.pop(name, None)
        if found is None:
            return False
        held = self._by_place[found.place]
        held.remove(found)
        if not held:
            del self._by_place[found.place]
        return True

    def forget_old(self, now_ns: int) -> None:
        """End those whose time is over."""
        if now_ns < self._first_end_ns:
            return
        for name in [name for name, each in self._by_name.items() if each.until_ns <= now_ns]:
            self.end(name)
        self._first_end_ns = min((each.until_ns for each in self._by_name.values()), default=0)

    def places(self) -> Iterable[Place]:
        """The workers that are held."""
        return self._by_place

    def of(self, place: Place) -> tuple[int, int]:
        """How many hold a worker, and how many MiB of its GPU's memory they want."""
        held = self._by_place.get(place)
        return (len(held), sum(each.vram_mib for each in held)) if held else (0, 0)
