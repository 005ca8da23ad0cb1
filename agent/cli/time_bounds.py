"""A range of time, and how two are put together. PURE."""

from msgspec import Struct

# Unix nanoseconds as a column holds them.
FIRST_NS, BEHIND_LAST_NS = -(1 << 63), 1 << 63


class TimeBounds(Struct, frozen=True):
    """The moments from `since_ns` on and before `until_ns`, in unix nanoseconds. *Absent:* as `EVERYTHING` where nothing bounds."""

    since_ns: int = FIRST_NS
    until_ns: int = BEHIND_LAST_NS

    @property
    def is_empty(self) -> bool:
        """Whether no moment is in it."""
        return self.since_ns >= self.until_ns

    def both(self, other: "TimeBounds") -> "TimeBounds":
        """The moments that are in both."""
        return TimeBounds(max(self.since_ns, other.since_ns), min(self.until_ns, other.until_ns))

    def hull(self, other: "TimeBounds") -> "TimeBounds":
        """The smallest range that has the moments of either."""
        if self.is_empty:
            return other
        if other.is_empty:
            return self
        return TimeBounds(min(self.since_ns, other.since_ns), max(self.until_ns, other.until_ns))

    def overlaps(self, first_ns: int, behind_ns: int) -> bool:
        """Whether a moment from `first_ns` on and before `behind_ns` is in it."""
        return not self.is_empty and first_ns < self.until_ns and behind_ns > self.since_ns


EVERYTHING = TimeBounds()
NOTHING = TimeBounds(0, 0)
