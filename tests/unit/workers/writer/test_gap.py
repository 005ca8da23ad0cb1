"""Rows of table `gap`."""

from fakes.row_problem import problem_of_row

from agent.model.message import Identity
from agent.model.tables import GAP
from agent.store.record import Entry
from workers.writer.gap import REASON_CHARACTERS_MAX, Gap, Reason, bad_rows_gap

WHO = Identity("run-1", "process", 3)


def test_row_fits_the_table() -> None:
    """The values stand in the order of the columns, unknown ones as None."""
    row = Gap(WHO, 4, 5, 6, "sample", 7, 8, Reason.SEQUENCE_HOLE).row(9)
    assert row == (9, "process", "run-1", 3, "sample", 4, 5, 6, 7, 8, "sequence_hole", None, None)
    assert problem_of_row(GAP, Gap(WHO, 4, None, None, None, None, None, "buffer_full").row(9)) is None


def test_long_reason_is_cut() -> None:
    """A sender's word is no place for prose."""
    assert Gap(WHO, 1, 1, 1, None, None, None, "x" * 1000).row(9)[GAP.column_names.index("reason")] == "x" * REASON_CHARACTERS_MAX


def test_rows_that_do_not_fit_are_a_gap_of_their_one_batch() -> None:
    """From its number to its number, at its time."""
    gap = bad_rows_gap(Entry("run-1", "process", 3, 7, "sample", 99, 5), 2)
    assert gap == Gap(WHO, 7, 7, 2, "sample", 99, 99, Reason.BAD_ROW)
