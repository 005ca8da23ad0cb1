"""Which segment is sealed next, and when one that failed is tried again. PURE."""

from collections import deque
from collections.abc import Iterable

from agent.model.timebase import S

RETRY_FIRST_NS = 1 * S
RETRY_MOST_NS = 60 * S


class SealQueue:
    """Segments by name, one at a time. A failed one goes to the end, so that it keeps no other from being sealed."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._failures = 0
        self._not_before_ns = 0
        self.active: str | None = None

    def __len__(self) -> int:
        return len(self._waiting) + (self.active is not None)

    def names(self) -> frozenset[str]:
        """Every segment that is not sealed yet, the one under way included."""
        return frozenset(self._waiting) | ({self.active} if self.active is not None else frozenset())

    def add(self, names: Iterable[str]) -> None:
        """More segments, the oldest first."""
        self._waiting.extend(names)

    def take(self, now_ns: int) -> str | None:
        """The segment to seal now; it is under way until `on_sealed` or `on_failed`. None: nothing, or not yet."""
        if self.active is not None or not self._waiting or now_ns < self._not_before_ns:
            return None
        self.active = self._waiting.popleft()
        return self.active

    def on_sealed(self) -> None:
        """The one under way is done."""
        assert self.active is not None
        self.active = None
        self._failures = 0
        self._not_before_ns = 0

    def on_failed(self, now_ns: int) -> None:
        """The one under way is kept; the next attempt waits 1 s, then twice as long each time, at most 60 s."""
        assert self.active is not None
        self._waiting.append(self.active)
        self.active = None
        self._not_before_ns = now_ns + min(RETRY_FIRST_NS << min(self._failures, 16), RETRY_MOST_NS)
        self._failures += 1

    def next_deadline_ns(self) -> int | None:
        """When `take` gives the next one; None: when something else happens first."""
        return self._not_before_ns if self._waiting and self.active is None else None
