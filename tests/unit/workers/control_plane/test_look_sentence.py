"""Sentences about what a look at the cgroup tree did not show."""

from errno import EACCES, ENOENT

import pytest

from agent.model.errors import UnavailableError
from workers.control_plane.cgroups import CgroupScan
from workers.control_plane.look_sentence import sentence_of_failure, truncated_sentence, unreadable_sentence


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (
            OSError(ENOENT, "No such file or directory", "/sys/\ncgroup"),
            "No such file or directory (/sys/\\ncgroup); mount it, or set ",
        ),
        (OSError(EACCES, "Permission denied"), "Permission denied (cgroup root); mount it"),
        (UnavailableError("cgroup root", "nothing is mounted", "mount one"), "cgroup root: nothing is mounted; mount one"),
    ],
)
def test_a_failed_look_says_where_and_what_to_do(problem: OSError | UnavailableError, sentence: str) -> None:
    """A path is foreign text and is made readable."""
    assert sentence_of_failure(problem).startswith(sentence)


def test_what_was_seen_whole_has_no_sentence() -> None:
    """Then the condition ends."""
    assert (unreadable_sentence(()), truncated_sentence(CgroupScan("v2", [], 7, False, ()), 0)) == ("", "")


def test_directories_that_cannot_be_listed_are_counted_and_the_first_is_named() -> None:
    """The others may be thousands."""
    assert unreadable_sentence(("/a", "/b")).startswith("2 cgroups cannot be listed, first /a;")


def test_a_sentence_about_too_much_stays_while_counts_move() -> None:
    """Counts have one digit, and only the worst places are named."""
    left_out = {"/a": 7, "/b": 4_711, "/c": 30, "": 20}
    look = CgroupScan("v2", [], 7, True, (), left_out=left_out, too_deep=3)
    sentence = truncated_sentence(look, 1_234)
    assert "1000 or more are left out" in sentence
    assert "4000 or more in /b, 30 or more in /c, 20 or more in / and some in 1 others" in sentence
    assert sentence.endswith("levels; the deepest are left out")
    assert sentence == truncated_sentence(look, 1_999)
