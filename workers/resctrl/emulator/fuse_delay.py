"""Requests whose answers are held back on purpose. PURE."""

from heapq import heapify, heappop, heappush
from typing import Protocol


class Delays(Protocol):
    """Decides which answers are held back."""

    delays: bool
    """Whether there is any such rule; usually there is none."""

    def delay_ns(self, operation: str, path: str, now_ns: int) -> int:
        """How long to hold an answer back, in nanoseconds; 0: no delay."""
        ...


class HeldRequests:
    """Requests in the order in which they are due."""

    def __init__(self) -> None:
        # When it is due, its unique number, and the request.
        self._held: list[tuple[int, int, bytes]] = []

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, due_ns: int, unique: int, request: bytes) -> None:
        """Keeps a request until `due_ns`."""
        heappush(self._held, (due_ns, unique, request))

    def next_due_ns(self) -> int | None:
        """When the next request is due. *Absent:* None without any."""
        return self._held[0][0] if self._held else None

    def take_due(self, now_ns: int) -> bytes | None:
        """A request that is due. *Absent:* None without any."""
        return heappop(self._held)[2] if self._held and self._held[0][0] <= now_ns else None

    def drop(self, unique: int) -> bool:
        """Drops a request by its number; False: there is none."""
        kept = [entry for entry in self._held if entry[1] != unique]
        found = len(kept) < len(self._held)
        heapify(kept)
        self._held = kept
        return found
