"""A whole segment as one batch for each table and date."""

from fakes.export_world import batch_at

from agent.model.timebase import DAY
from agent.store.place import BEHIND_SEGMENT, Place
from workers.export.segment_parts import segment_parts

FIRST, SECOND = "0000000100000000", "0000000200000000"
END = Place(FIRST, 100_000)


def test_batches_of_one_table_and_date_become_one() -> None:
    """With their rows together and without their bytes, from the first to behind the whole segment."""
    batches = [batch_at(FIRST, number, rows=10, stamp=DAY + number) for number in range(3)]
    (part,) = segment_parts(batches, FIRST, END) or []
    assert (part.entry.rows, part.rows, part.table) == (30, b"", "unit")
    assert (part.place, part.behind) == (batches[0].place, Place(FIRST, BEHIND_SEGMENT))
    assert part.identity == batches[-1].identity


def test_the_part_that_ends_last_is_the_last_one() -> None:
    """Only it ends behind the segment, and its last batch is the last one that was settled."""
    tables = ["unit", "gap", "unit"]
    batches = [batch_at(FIRST, number, table=table) for number, table in enumerate(tables)]
    parts = segment_parts(batches, FIRST, END) or []
    assert [(part.table, part.behind.offset) for part in parts] == [("gap", 200), ("unit", BEHIND_SEGMENT)]


def test_a_segment_over_midnight_has_two_parts_of_a_table() -> None:
    """Each date is a file of its own."""
    batches = [batch_at(FIRST, number, rows=number, stamp=DAY - 2 + number) for number in range(1, 4)]
    assert [part.entry.rows for part in segment_parts(batches, FIRST, END) or []] == [1, 5]


def test_what_comes_after_the_segment_is_not_looked_at() -> None:
    """Batches of the next one are another delivery."""
    batches = [batch_at(FIRST, 0), batch_at(SECOND, 0), batch_at(SECOND, 1)]
    (part,) = segment_parts(batches, FIRST, Place(SECOND, 100)) or []
    assert part.entry.rows == 10


def test_a_segment_that_is_not_counted_in_whole_waits() -> None:
    """What was appended since the last look would be in the file, and not in the account."""
    batches = [batch_at(FIRST, 0), batch_at(FIRST, 1)]
    assert segment_parts(batches, FIRST, batches[1].place) is None


def test_nothing_is_no_part() -> None:
    """A segment without rows for this sink."""
    assert segment_parts([], FIRST, END) == []
