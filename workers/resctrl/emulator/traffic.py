"""How much memory traffic each monitored id causes, and how much of it is in the caches. PURE.

Everything is linear between two changes and is computed on demand, so that nothing runs on a timer. Traffic is
kept in byte-nanoseconds, which makes a declared rate exact to the byte at any instant.

Occupancy: each byte that enters a cache replaces another one, chosen at random. With `filled` bytes come in, of which
the group brought the share `f`, a group that had `r` of the capacity `C` has `C*f + (r - C*f) * exp(-filled / C)`.
"""

from collections.abc import Iterable, Mapping
from math import exp
from typing import NamedTuple

from agent.model.glob import prepared

NS_PER_SECOND = 1_000_000_000
# Fractions are kept in millionths, so that the local rate is an integer, too.
PARTS = 1_000_000

VALID = 0
UNREAD = 1
"""The hardware has not counted this id before: its first answer is `Unavailable` (AMD)."""
UNASSIGNED = 2
"""No hardware counter."""


class DomainCache:
    """All bytes that have entered the cache of one monitoring domain."""

    __slots__ = ("cache_id", "capacity_bytes", "capacity_scaled", "fill_rate", "filled_scaled", "id", "online", "since_ns")

    def __init__(self, domain: int, cache_id: int, capacity_bytes: int, ambient_bytes_per_second: int, now_ns: int):
        self.id = domain
        self.cache_id = cache_id
        self.capacity_bytes = capacity_bytes
        self.capacity_scaled = capacity_bytes * NS_PER_SECOND
        self.fill_rate = ambient_bytes_per_second
        self.filled_scaled = 0
        self.since_ns = now_ns
        self.online = True

    def filled_at(self, now_ns: int) -> int:
        """Byte-nanoseconds that have come into the cache until an instant."""
        return self.filled_scaled + self.fill_rate * (now_ns - self.since_ns)

    def settle(self, now_ns: int) -> None:
        """Starts a new linear piece at this instant."""
        self.filled_scaled = self.filled_at(now_ns)
        self.since_ns = now_ns


class Cell:
    """One monitored id in one domain. `*_scaled` are byte-nanoseconds; `*_zero` is where the visible counter began."""

    __slots__ = (
        "cache",
        "fill_mark",
        "local_rate",
        "local_scaled",
        "local_state",
        "local_zero",
        "own_mark",
        "resident_bytes",
        "since_ns",
        "total_rate",
        "total_scaled",
        "total_state",
        "total_zero",
    )

    def __init__(self, cache: DomainCache, now_ns: int):
        self.cache = cache
        self.since_ns = now_ns
        self.total_rate = self.local_rate = 0
        self.total_scaled = self.local_scaled = 0
        self.total_zero = self.local_zero = 0
        self.total_state = self.local_state = VALID
        self.resident_bytes = 0.0
        self.fill_mark = cache.filled_at(now_ns)
        self.own_mark = 0

    def total_scaled_at(self, now_ns: int) -> int:
        """All traffic until an instant, in byte-nanoseconds."""
        return self.total_scaled + self.total_rate * (now_ns - self.since_ns)

    def local_scaled_at(self, now_ns: int) -> int:
        """Local traffic until an instant, in byte-nanoseconds."""
        return self.local_scaled + self.local_rate * (now_ns - self.since_ns)

    def resident_at(self, now_ns: int) -> float:
        """Bytes in the cache now."""
        cache = self.cache
        filled = cache.filled_scaled + cache.fill_rate * (now_ns - cache.since_ns) - self.fill_mark
        if filled <= 0:
            return self.resident_bytes
        own = self.total_scaled + self.total_rate * (now_ns - self.since_ns) - self.own_mark
        if own == 0 and self.resident_bytes == 0.0:
            return 0.0
        target = cache.capacity_bytes * own / filled
        return target + (self.resident_bytes - target) * exp(-filled / cache.capacity_scaled)

    def settle(self, now_ns: int) -> None:
        """Starts a new linear piece. The cache's own rate must not have changed since the last call."""
        self.resident_bytes = self.resident_at(now_ns)
        self.total_scaled = self.own_mark = self.total_scaled_at(now_ns)
        self.local_scaled = self.local_scaled_at(now_ns)
        self.fill_mark = self.cache.filled_at(now_ns)
        self.since_ns = now_ns

    def restart_total(self, now_ns: int, state: int) -> None:
        """The total counter begins again at 0."""
        self.total_zero = self.total_scaled_at(now_ns)
        self.total_state = state

    def restart_local(self, now_ns: int, state: int) -> None:
        """The local counter begins again at 0."""
        self.local_zero = self.local_scaled_at(now_ns)
        self.local_state = state

    def restart(self, now_ns: int, state: int) -> None:
        """The counters restart at 0."""
        self.restart_total(now_ns, state)
        self.restart_local(now_ns, state)

    def begin(self, now_ns: int, state: int) -> None:
        """Another group counts here from now on; the cache keeps its content."""
        self.settle(now_ns)
        self.total_scaled = self.local_scaled = self.own_mark = 0
        self.restart(now_ns, state)


class Monitor:
    """The counts of one RMID, in the order of the domains. It outlives its group, because the group's cache lines do."""

    __slots__ = ("cells",)

    def __init__(self, cells: tuple[Cell, ...]):
        self.cells = cells


class Declaration(NamedTuple):
    """Groups whose path matches have this traffic: total and local bytes per second by domain."""

    pattern: str
    rates: dict[int, tuple[int, int]]


class MemoryTraffic:
    """All caches and monitors."""

    def __init__(self, caches: Iterable[DomainCache]):
        self.caches = {cache.id: cache for cache in caches}
        self._positions = {domain: place for place, domain in enumerate(self.caches)}
        self._monitors: list[Monitor] = []
        self._declarations: list[Declaration] = []

    def position(self, domain: int) -> int:
        """The index of a domain in `Monitor.cells`."""
        return self._positions[domain]

    def watch(self, now_ns: int) -> Monitor:
        """A new monitor for an id that has no lines in any cache."""
        monitor = Monitor(tuple(Cell(cache, now_ns) for cache in self.caches.values()))
        self._monitors.append(monitor)
        return monitor

    def note(self, pattern: str, bytes_per_second: Mapping[int, int], local_fraction: float) -> None:
        """Adds a declaration, also for groups made later; of several that match the last one counts.

        *Raises:* ValueError for a negative rate, a fraction outside 0 to 1, or an unknown domain.
        """
        if not 0 <= local_fraction <= 1 or any(rate < 0 for rate in bytes_per_second.values()):
            raise ValueError("a rate is at least 0, a fraction from 0 to 1")
        unknown = bytes_per_second.keys() - self.caches.keys()
        if unknown:
            raise ValueError(f"there is no domain {min(unknown)}")
        parts = round(local_fraction * PARTS)
        rates = {domain: (rate, rate * parts // PARTS) for domain, rate in bytes_per_second.items()}
        declaration = Declaration(pattern, rates)
        self._declarations = [known for known in self._declarations if known.pattern != pattern]
        self._declarations.append(declaration)

    @property
    def latest_rates(self) -> dict[int, tuple[int, int]]:
        """The rates of the last declaration."""
        return self._declarations[-1].rates

    def rates_for(self, path: str) -> dict[int, tuple[int, int]]:
        """The declared rates of a group; none if nothing declares it."""
        for declaration in reversed(self._declarations):
            if matches(declaration.pattern, path):
                return declaration.rates
        return {}

    def drive(self, monitors: Iterable[Monitor], rates: Mapping[int, tuple[int, int]], now_ns: int) -> None:
        """From now on each of these monitors has exactly these rates."""
        driven = tuple(monitors)
        changed = [place for domain, place in self._positions.items() if self._differs(driven, place, rates.get(domain, (0, 0)))]
        for place in changed:
            # All monitors share the cache, so a change of one rate changes the occupancy of all.
            for monitor in self._monitors:
                monitor.cells[place].settle(now_ns)
        for domain, place in self._positions.items():
            if place not in changed:
                continue
            cache = self.caches[domain]
            cache.settle(now_ns)
            total_rate, local_rate = rates.get(domain, (0, 0))
            for monitor in driven:
                cell = monitor.cells[place]
                cache.fill_rate += total_rate - cell.total_rate
                cell.total_rate, cell.local_rate = total_rate, local_rate

    @staticmethod
    def _differs(monitors: tuple[Monitor, ...], place: int, rates: tuple[int, int]) -> bool:
        return any((monitor.cells[place].total_rate, monitor.cells[place].local_rate) != rates for monitor in monitors)

    def add(self, charges: Iterable[tuple[Monitor, int, int, int]], now_ns: int) -> None:
        """Adds traffic since the last change (monitor, domain, total, local); all of it counts as simultaneous."""
        charged: dict[Cell, None] = {}
        for monitor, domain, total_scaled, local_scaled in charges:
            cell = monitor.cells[self._positions[domain]]
            cell.total_scaled += total_scaled
            cell.local_scaled += local_scaled
            self.caches[domain].filled_scaled += total_scaled
            charged[cell] = None
        for cell in charged:
            cell.settle(now_ns)


def matches(pattern: str, path: str) -> bool:
    """Shell wildcards in each part of the path; no wildcard goes beyond a slash, and `""` is the root alone."""
    wanted, given = pattern.split("/"), path.split("/")
    return len(wanted) == len(given) and all(prepared(glob).matches(part) for glob, part in zip(wanted, given, strict=True))
