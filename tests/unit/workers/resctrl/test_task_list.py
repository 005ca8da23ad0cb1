"""The text of `tasks`: read, and written in lists that fit."""

from errno import EINVAL
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.resctrl.task_list import COMMAND_BYTES_MAX, command_of, commands, failed_id, parse_tasks, says_foreign

IDS = st.frozensets(st.integers(1, 4_194_304), max_size=2000)


def test_ids_by_line() -> None:
    """One id to a line; blank lines, and threads that this namespace does not see, are left out."""
    assert parse_tasks(b"1\n42\n\n  7 \n0\n4194304\n") == {1, 42, 7, 4194304}
    assert parse_tasks(b"") == frozenset()


@pytest.mark.parametrize("line", [b"x", b"-1", b"+1", b"1_0", b"0x10", b"1.5", "١".encode(), b"\xff"])
def test_a_line_that_is_no_number_is_named(line: bytes) -> None:
    """What Python takes for a number and the kernel never writes is an error as well; the sentence names the line."""
    with pytest.raises(OSError, match="line 3 of the task list") as caught:
        parse_tasks(b"1\n\n" + line + b"\n2\n")
    assert caught.value.errno == EINVAL


@given(IDS)
def test_every_id_is_in_exactly_one_command_and_no_command_is_too_long(ids: frozenset[int]) -> None:
    """The commands together are the ids, in order; each but the last is as full as it can be."""
    batches = list(commands(ids))

    assert [thread_id for batch in batches for thread_id in batch] == sorted(ids)
    assert all(0 < len(command_of(batch)) <= COMMAND_BYTES_MAX for batch in batches)
    for batch, following in pairwise(batches):
        assert len(command_of([*batch, following[0]])) > COMMAND_BYTES_MAX


def test_a_command_is_at_most_a_page() -> None:
    """A whole page is used: the kernel refuses one byte more."""
    (full, rest) = commands(range(10_000_000, 10_000_000 + 456))

    assert len(command_of(full)) == 4094
    assert len(rest) == 1


@pytest.mark.parametrize("thread_id", [0, -1])
def test_an_id_that_would_move_the_writer_is_a_bug(thread_id: int) -> None:
    """0 stands for anyone who writes it, so it never reaches the kernel."""
    with pytest.raises(ValueError, match="no thread id"):
        list(commands([5, thread_id]))


def test_the_kernels_words_about_one_thread() -> None:
    """The named thread and the reason are found among the lines of a status."""
    assert failed_id("No task 17. Error while processing task 17") == 17
    assert failed_id("Task list parsing error pid 1,2") is None
    assert says_foreign("Can't move task to different control group. Error while processing task 3")
    assert says_foreign("")
    assert not says_foreign("Pseudo-locking in progress")
