"""Where a stored batch stands in the order of everything that the writer has stored. PURE."""

from typing import NamedTuple

from agent.store.segment import generation_of


class Place(NamedTuple):
    """A place between two records: the id of the segment, and how many bytes of records lie before it there.

    *Units:* `offset` is counted from behind the segment's head. So a segment that was written again under another id, because
    somebody removed it, has its records at the same offsets. *Range:* `segment` "" is before everything.
    """

    segment: str
    offset: int

    @property
    def generation(self) -> int:
        """That of the segment; 0 before everything."""
        return generation_of(self.segment)

    def is_before(self, other: "Place") -> bool:
        """Whether it comes first. Segments are told apart by generation, which only grows, then by id."""
        return (self.generation, self.segment, self.offset) < (other.generation, other.segment, other.offset)


BEGINNING = Place("", 0)
# Longer than any segment can be: behind all of its records, so nothing of it is needed any more.
BEHIND_SEGMENT = 1 << 62
