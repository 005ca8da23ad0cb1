"""Questions to a child process: its answer, or none."""

import os
import select
import signal
from collections.abc import Callable

import psutil
import pytest
from harness.waiting import wait_until

from agent.child_check import check_in_child


def _fail() -> bool:
    os.close(2)
    raise ValueError


def _never() -> bool:
    select.select([], [], [])
    return True


@pytest.mark.parametrize(("question", "answer"), [(lambda: True, True), (lambda: False, False), (_fail, None)])
def test_the_answer_is_that_of_the_question(question: Callable[[], bool], answer: bool | None) -> None:
    """One that fails gives none."""
    assert check_in_child(question, seconds=10) is answer


def test_who_never_answers_is_ended() -> None:
    """It is waited for no longer than was said, and nobody is left behind."""
    wait_until(_leaves_nobody, "nobody is left at once")


def _leaves_nobody() -> bool:
    """One that is killed and gets no processor to end on is left for the next who waits for all children: here, for us."""
    before = {child.pid for child in psutil.Process().children()}
    assert check_in_child(_never, seconds=0.05) is None
    left = {child.pid for child in psutil.Process().children()} - before
    for pid in left:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    return not left
