"""What the writer counts."""

from fakes.foreign_node import ForeignNode

from workers.writer.foreign import ForeignBatches, ForeignCounts
from workers.writer.statistics import WriterStatistics


def test_rows_are_counted_by_table_and_those_of_losses_apart() -> None:
    """Over all appends; two writers count apart."""
    counts = WriterStatistics()
    counts.count_rows(2, {"process": 7, "gap": 1})
    counts.count_rows(1, {"process": 3})
    assert (counts.batches, counts.rows, counts.gap_rows, counts.rows_by_table) == (3, 11, 1, {"process": 10, "gap": 1})
    assert WriterStatistics().rows_by_table == {}


def test_other_hosts_are_told_once_there_are_any() -> None:
    """What was stored, what came twice and what was refused, by reason; beside it what is known of them."""
    counts, known = WriterStatistics(), ForeignBatches({})
    assert (counts.foreign(None), counts.foreign(known)) == ({}, {})
    turn = ForeignCounts()
    turn.batches, turn.rows, turn.duplicates = 2, 7, 1
    turn.refused.update(["foreign_table", "foreign_table", "malformed_rows"])
    for _ in range(2):
        counts.count_foreign(turn)
    known.take(ForeignNode(1).measure(5).origin)
    known.commit()
    assert counts.foreign(known) == {
        "batches": 4, "rows": 14, "duplicates": 2, "refused": {"foreign_table": 4, "malformed_rows": 2}, "refused_batches": 6,
        "hosts": 1, "marks": 1, "forgotten_marks": 0, "problem": "",
    }  # fmt: skip
