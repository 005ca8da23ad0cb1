"""Each word of a collector has a sentence with a remedy."""

import pytest

from workers.gpu import problem
from workers.gpu.problem import sentence_of, stuck_sentence

WORDS = [value for name, value in vars(problem).items() if name.isupper() and isinstance(value, str)]


@pytest.mark.parametrize("word", WORDS)
def test_every_word_says_what_is_wrong_and_what_to_do(word: str) -> None:
    """With what the driver said, where it said something."""
    plain, detailed = sentence_of(word, ""), sentence_of(word, "code 9")
    assert plain.problem
    assert plain.remedy
    assert detailed.problem == f"{plain.problem} (code 9)"


def test_words_have_different_sentences() -> None:
    """Otherwise one of them would do; an unknown one is a failure of the library."""
    assert len({sentence_of(word, "").problem for word in WORDS}) == len(WORDS)
    assert sentence_of("of a later version", "") == sentence_of(problem.FAILED, "")


def test_a_stuck_one_is_named_with_where_it_waits() -> None:
    """And with what a person must not do lightly."""
    assert "process 7 waits for it inside the kernel" in stuck_sentence(7, "D").problem
    assert "process 7 waits for it and is left alone" in stuck_sentence(7, "S").problem
    assert "process 7 of an earlier worker" in stuck_sentence(7, "").problem
    assert "freeze the GPU" in stuck_sentence(7, "D").remedy
