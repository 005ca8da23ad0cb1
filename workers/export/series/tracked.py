"""One entity of a view (a unit, a disk, a rank): its totals, its present values, and which of its series were sent. PURE."""

from operator import add
from typing import NamedTuple

from agent.model.sketch import SketchColumns
from agent.model.table import Value
from agent.model.timebase import S
from workers.export.series.identity import Key, SeriesLabels
from workers.export.series.metric import View

Number = int | float
# A unit that does nothing has its next row after 60 s at most.
LIFETIME_NS = 65 * S
# Rows that are farther apart than a minute, because a sampler was told so: twice their distance, and some for a late one.
_LATE_NS = 5 * S
_SPACINGS = 2


class SeriesPoint(NamedTuple):
    """The samples of one entity at one time: for each metric of the view its value, a sketch, or None; `stale` are the places of
    those whose series end there. `created_ns`: since when its counters count."""

    view: View
    labels: SeriesLabels
    at_ns: int
    created_ns: int
    values: tuple["Number | SketchColumns | None", ...]
    stale: tuple[int, ...]


class Tracked:
    """What is held of one entity. `counts` are sums of the metrics that grow, `values` the last row's of all others."""

    __slots__ = (
        "at_ns",
        "counts",
        "created_ns",
        "has_nulls",
        "key",
        "labels",
        "names_version",
        "sent",
        "size",
        "slot",
        "spacing_ns",
        "values",
    )

    def __init__(self, key: Key, labels: SeriesLabels, names_version: int, created_ns: int) -> None:
        self.key = key
        self.labels = labels
        self.names_version = names_version
        self.created_ns = created_ns
        self.at_ns = created_ns
        self.spacing_ns = 0
        self.counts: list[Number | None] = []
        self.values: tuple[Value | SketchColumns, ...] = ()
        self.size = 0
        self.slot = -1
        self.has_nulls = False
        # The places of the metrics whose series have a sample that is no end.
        self.sent: frozenset[int] = frozenset()

    def add(self, grown: tuple[Value, ...]) -> None:
        """Sum up what was added."""
        if not self.counts:
            self.counts = [part if isinstance(part, int | float) else None for part in grown]
            return
        if not self.has_nulls:
            try:
                # In C; it fails where one of the numbers is not known.
                self.counts = list(map(add, self.counts, grown))
            except TypeError:
                # A counter that a unit does not have is missing in each of its rows.
                self.has_nulls = True
            else:
                return
        # A counter that could not be read for a while goes on where it stood.
        self.counts = [
            held if part is None else part if held is None else held + part  # type: ignore[operator, misc]  # columns of numbers
            for held, part in zip(self.counts, grown, strict=True)
        ]

    def is_over(self, now_ns: int) -> bool:
        """Whether its next row should have come long ago."""
        spacing_ns = self.spacing_ns
        lifetime_ns = LIFETIME_NS if spacing_ns < LIFETIME_NS - _LATE_NS else _SPACINGS * spacing_ns + _LATE_NS
        return now_ns - self.at_ns > lifetime_ns
