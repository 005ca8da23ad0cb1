"""What terminals send for keys, and what is passed over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.top_keys import (
    BACKSPACE,
    DOWN,
    END,
    ENTER,
    HELP,
    HOME,
    LEFT,
    PAGE_DOWN,
    PAGE_UP,
    RIGHT,
    UP,
    is_cut,
    is_cut_character,
    keys_of,
)


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("", []),
        ("crq", ["c", "r", "q"]),
        ("\x1b[D\x1bOD\x1b[C\x1bOC", [LEFT, LEFT, RIGHT, RIGHT]),
        ("\x1b[F\x1bOF\x1b[4~\x1b[8~", [END] * 4),
        ("[]{}0", ["[", "]", "{", "}", "0"]),
        ("c\x1b[Dq", ["c", LEFT, "q"]),
        ("\x1b[A\x1bOA\x1b[B\x1bOB", [UP, UP, DOWN, DOWN]),
        ("\x1b[5~\x1b[6~\x1b[H\x1b[1~\x1b[7~\x1bOP", [PAGE_UP, PAGE_DOWN, HOME, HOME, HOME, HELP]),
        ("\r\n\x08\x7f", [ENTER, ENTER, BACKSPACE, BACKSPACE]),
        # Delete, F5 and Ctrl with an arrow are none of ours, and no letter of them is.
        ("\x1b[3~c\x1b[15~c\x1b[1;5Dc", ["c"] * 3),
        ("\x1b[", []),
        ("\x1b", ["\x1b"]),
    ],
)
def test_sequences_are_keys_and_others_are_none(typed: str, keys: list[str]) -> None:
    """Arrow keys in both modes, End of several terminals; a letter within another sequence chooses nothing."""
    assert list(keys_of(typed)) == keys


@given(st.text(max_size=40))
def test_any_input_ends(typed: str) -> None:
    """No input stands still."""
    assert len(list(keys_of(typed))) <= len(typed)


@pytest.mark.parametrize(
    ("typed", "is_in_two"),
    [("", False), ("\x1b", True), ("\x1b[", True), ("\x1bO", True), ("\x1b[1;5", True), ("\x1b[D", False), ("\x1bOF", False),
     ("\x1b[4~", False), ("\x1b[D\x1b", True), ("a\x1bb", False), ("x", False)],
)  # fmt: skip
def test_a_sequence_that_goes_on_is_known(typed: str, is_in_two: bool) -> None:
    """Only what ends within a sequence has a rest to come."""
    assert is_cut(typed) is is_in_two


@pytest.mark.parametrize(
    ("typed", "is_in_two"), [(b"", False), (b"a", False), ("é".encode(), False), ("é".encode()[:1], True), (b"\xff", False)]
)
def test_a_character_that_goes_on_is_known(typed: bytes, is_in_two: bool) -> None:
    """A byte that begins none is complete as it is."""
    assert is_cut_character(typed) is is_in_two
