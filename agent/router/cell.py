"""The cells of a question: one window of one minute on one host. PURE.

The windows of a host are the bits of one whole number: bit `i` is window `i` of the question's grid. What is known of a host is
then a few such numbers, and a decision about all its windows is a few operations, however long the time is.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from agent.model.errors import MisuseError
from agent.model.timebase import MINUTE

# Sketches are windows of whole minutes of UTC.
WINDOW_NS = MINUTE
# Nearly two years. Each host has some numbers of so many bits.
WINDOWS_MAX = 1_000_000


class Grid(Struct, frozen=True):
    """`count` windows, of which `first` minutes after 1970 begins the first."""

    first: int
    count: int

    @property
    def every(self) -> int:
        """All windows."""
        return (1 << self.count) - 1

    @property
    def since_ns(self) -> int:
        """Where the first window begins."""
        return self.first * WINDOW_NS

    @property
    def until_ns(self) -> int:
        """Where the last window ends."""
        return (self.first + self.count) * WINDOW_NS

    def start_ns(self, index: int) -> int:
        """Where a window begins."""
        return (self.first + index) * WINDOW_NS

    def index_of(self, at_ns: int) -> int | None:
        """The window of a moment; None: it is in none of them."""
        index = at_ns // WINDOW_NS - self.first
        return index if 0 <= index < self.count else None

    def touched(self, first_ns: int, behind_ns: int) -> int:
        """The windows that share a moment with this time."""
        first = max(0, first_ns // WINDOW_NS - self.first)
        behind = min(self.count, -(-behind_ns // WINDOW_NS) - self.first)
        return ((1 << behind) - 1) >> first << first if first < behind else 0

    def over(self, until_ns: int) -> int:
        """The windows that have ended at a moment."""
        ended = max(0, min(self.count, until_ns // WINDOW_NS - self.first))
        return (1 << ended) - 1


def grid_of(since_ns: int, until_ns: int) -> Grid:
    """The windows that share a moment with this time. *Raises:* MisuseError where they are too many."""
    first = since_ns // WINDOW_NS
    count = max(0, -(-until_ns // WINDOW_NS) - first)
    if count > WINDOWS_MAX:
        raise MisuseError("--since", f"{count} minutes are more than the {WINDOWS_MAX} of one answer", "ask for a shorter time")
    return Grid(first, count)


def mask_of(indexes: Iterable[int]) -> int:
    """The windows with these numbers. One step each: a number of a million bits is not copied for every one of them."""
    found = list(indexes)
    if not found:
        return 0
    bits = bytearray((max(found) >> 3) + 1)
    for index in found:
        bits[index >> 3] |= 1 << (index & 7)
    return int.from_bytes(bits, "little")


def indexes_of(mask: int) -> Iterator[int]:
    """The numbers of these windows, ascending."""
    for first, behind in runs_of(mask):
        yield from range(first, behind)


def runs_of(mask: int) -> Iterator[tuple[int, int]]:
    """Windows without a gap between them, as the first and the one behind the last."""
    first = 0
    while mask:
        skipped = (mask & -mask).bit_length() - 1
        mask >>= skipped
        length = (~mask & (mask + 1)).bit_length() - 1
        yield first + skipped, first + skipped + length
        mask >>= length
        first += skipped + length
