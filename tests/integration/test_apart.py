"""Questions to a child process: its answer, or none."""

import os
import select

import pytest

from agent.apart import ask_apart


def _fail() -> bool:
    os.close(2)
    raise ValueError


def _never() -> bool:
    select.select([], [], [])
    return True


@pytest.mark.parametrize(("question", "answer"), [(lambda: True, True), (lambda: False, False), (_fail, None)])
def test_the_answer_is_that_of_the_question(question, answer) -> None:
    """One that fails gives none."""
    assert ask_apart(question, seconds=10) is answer


def test_who_never_answers_is_ended() -> None:
    """It is waited for no longer than was said, and nobody is left behind."""
    assert ask_apart(_never, seconds=0.05) is None
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
