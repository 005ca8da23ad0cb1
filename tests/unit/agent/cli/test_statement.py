"""What a failure of the database becomes, in the words of the person who asked."""

import duckdb
import pytest

from agent.cli.statement import failure_of_opening
from agent.model.errors import FormatError, MisuseError

STREAM = "Invalid Input Error: exporting a stream from the object registered as 'decoded' failed: MemoryError:"


@pytest.mark.parametrize(
    "cause",
    [
        duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block"),
        MemoryError("there is no room"),
        duckdb.Error("std::bad_alloc: bad allocation"),
        duckdb.InvalidInputException(STREAM),
        duckdb.InvalidInputException(STREAM.removesuffix(":")),
    ],
    ids=["database", "python", "C++", "python inside the database", "without words"],
)
def test_memory_that_is_refused_is_named_wherever_it_was_refused(cause: Exception) -> None:
    """Also where Python runs out of it while the database reads rows from it."""
    failure = failure_of_opening(cause, "/state", 160 << 20)
    assert isinstance(failure, MisuseError)
    assert "needs more memory than its limit of 160MiB; `agentctl rotate`" in failure.sentence


def test_what_is_no_matter_of_memory_is_a_damaged_file() -> None:
    """With what the database says of it."""
    failure = failure_of_opening(duckdb.InvalidInputException("Invalid Input Error: no magic bytes"), "/state", None)
    assert isinstance(failure, FormatError)
    assert "no magic bytes" in failure.sentence
