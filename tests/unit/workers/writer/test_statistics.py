"""What the writer counts."""

from workers.writer.statistics import WriterStatistics


def test_rows_are_counted_by_table_and_those_of_losses_apart() -> None:
    """Over all appends; two writers count apart."""
    counts = WriterStatistics()
    counts.count_rows(2, {"process": 7, "gap": 1})
    counts.count_rows(1, {"process": 3})
    assert (counts.batches, counts.rows, counts.gap_rows, counts.rows_by_table) == (3, 11, 1, {"process": 10, "gap": 1})
    assert WriterStatistics().rows_by_table == {}
