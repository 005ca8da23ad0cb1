"""What is wrong with one row, in words for the message of a failed test."""

from agent.model.row_check import check_of
from agent.model.table import Row, Table


def problem_of_row(table: Table, row: Row) -> str | None:
    """What makes a row unfit for its table, as the end of a sentence; None: nothing does."""
    bad = check_of(table).problem(row)
    if bad is None:
        return None
    return f"{bad.problem} of {table.name}" if not bad.column else f"{table.name}.{bad.column} is {bad.problem}"
