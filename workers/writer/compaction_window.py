"""How the row groups of many files are merged in pieces of time that fit into memory. PURE.

Each row group says between which times its rows are. A window is a span of time with the row groups that reach into it; one
that may hold too many rows is halved until it fits. So memory is bounded whatever the size of the day, and rows come out in
order although every source was in an order of its own.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.timebase import HOUR

# As large as DuckDB's own row groups: one thread reads one of them.
ROWS_MAX = 122_880
# Decoded. Sorting holds two copies of it, and the writer a compressed one.
BYTES_MAX = 32 << 20
# A row group with fewer rows than this is not divided by the hour: its footer would cost more than it saves.
ROWS_MIN = 4096


class RowGroup(Struct, frozen=True, gc=False):
    """One row group: its source, its number there, the first and last time of its rows, how many, their bytes."""

    source: int
    index: int
    first_ns: int
    last_ns: int
    rows: int
    bytes: int


class Window(Struct, frozen=True):
    """The times from `begin_ns` to before `end_ns`, and the row groups that have rows of them."""

    begin_ns: int
    end_ns: int
    groups: tuple[RowGroup, ...]

    @property
    def is_divisible(self) -> bool:
        """Whether it spans more than one instant."""
        return self.end_ns - self.begin_ns > 1

    def holds_whole(self, group: RowGroup) -> bool:
        """Whether all rows of a row group are of this window."""
        return self.begin_ns <= group.first_ns and group.last_ns < self.end_ns


def whole(groups: Sequence[RowGroup]) -> Window:
    """All of them, in the order of their sources, so that rows of one instant keep the order in which they were stored."""
    assert groups
    assert all(group.first_ns <= group.last_ns for group in groups)
    ordered = tuple(sorted(groups, key=lambda group: (group.source, group.index)))
    return Window(min(group.first_ns for group in groups), max(group.last_ns for group in groups) + 1, ordered)


def is_too_large(window: Window, decoded_per_byte: float = 1.0) -> bool:
    """Whether it is to be halved before it is read, as far as one can tell: as if rows were spread evenly over each group.

    `decoded_per_byte`: how much larger rows have been than the bytes that their row groups say.
    """
    rows = sum(group.rows * _share(window, group) for group in window.groups)
    size_bytes = decoded_per_byte * sum(group.bytes * _share(window, group) for group in window.groups)
    is_long = window.end_ns - window.begin_ns > HOUR and rows > ROWS_MIN
    return window.is_divisible and (is_long or rows > ROWS_MAX or size_bytes > BYTES_MAX)


def halves(window: Window) -> list[Window]:
    """Its two halves, the later first, as a stack wants them; without those that hold nothing. Hours are not cut apart."""
    assert window.is_divisible
    middle_ns = (window.begin_ns + window.end_ns) // 2
    hour_ns = middle_ns // HOUR * HOUR
    if window.begin_ns < hour_ns:
        middle_ns = hour_ns
    spans = ((middle_ns, window.end_ns), (window.begin_ns, middle_ns))
    found = (Window(begin, end, tuple(g for g in window.groups if g.first_ns < end and begin <= g.last_ns)) for begin, end in spans)
    return [half for half in found if half.groups]


def _share(window: Window, group: RowGroup) -> float:
    """The part of a row group's time that is in the window."""
    span_ns = group.last_ns - group.first_ns + 1
    common_ns = min(window.end_ns, group.last_ns + 1) - max(window.begin_ns, group.first_ns)
    return max(0, common_ns) / span_ns
