"""Questions to a child process: its answer, or none."""

import os
import select
from collections.abc import Callable

import psutil
import pytest

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
    before = {child.pid for child in psutil.Process().children()}
    assert check_in_child(_never, seconds=0.05) is None
    assert {child.pid for child in psutil.Process().children()} <= before
