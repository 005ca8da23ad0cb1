"""When the pods are listed: at each interval, early after an event of the runtime, and after a lost connection. PURE."""

from agent.model.timebase import MINUTE, MS, S

# A burst of pods is listed together; and the runtime shows a container in its list some milliseconds after its start.
EVENT_DELAY_NS = 50 * MS
# containerd shows a sandbox in its list only when all plugins have answered, so what an early list misses is in this one.
SETTLED_NS = 700 * MS
EARLY_SPACING_NS = 250 * MS
# Early lists take at most this part of one CPU, also while pods start without an end.
EARLY_SHARE = 20

RETRY_FIRST_NS, RETRY_MAX_NS = 1 * S, 30 * S
# A connection that lived so long was a good one.
STABLE_NS = 1 * MINUTE


def retry_delay_ns(failures: int, interval_ns: int) -> int:
    """The wait before the next connection, after so many failures in a row. *Range:* at most the interval between lists."""
    assert failures > 0
    return min(interval_ns, RETRY_MAX_NS, RETRY_FIRST_NS << min(failures - 1, 16))


class ListSchedule:
    """The times of one connection. *Units:* nanoseconds of one monotonic clock."""

    def __init__(self, interval_ns: int, now_ns: int) -> None:
        self._interval_ns = interval_ns
        self._due_ns = now_ns
        self._early_from_ns = now_ns
        self._event_ns: int | None = None
        """The last event that no settled list has followed."""

    @property
    def due_ns(self) -> int:
        """When to list next."""
        return self._due_ns

    def on_event(self, now_ns: int) -> None:
        """The runtime reported something."""
        self._event_ns = now_ns
        self._due_ns = min(self._due_ns, max(now_ns + EVENT_DELAY_NS, self._early_from_ns))

    def on_listed(self, began_ns: int, now_ns: int) -> None:
        """A list that was begun then has come."""
        spacing_ns = max(EARLY_SPACING_NS, EARLY_SHARE * (now_ns - began_ns))
        self._early_from_ns = now_ns + min(spacing_ns, self._interval_ns)
        self._due_ns = now_ns + self._interval_ns
        if self._event_ns is None:
            return
        if began_ns >= self._event_ns + SETTLED_NS:
            self._event_ns = None
        else:
            self._due_ns = min(self._due_ns, max(self._event_ns + SETTLED_NS, self._early_from_ns))
