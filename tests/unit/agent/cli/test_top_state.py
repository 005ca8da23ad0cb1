"""What each key makes of what is to be seen."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.cli.top_keys import (
    BACK_TAB,
    BACKSPACE,
    CLEAR,
    DOWN,
    END,
    ENTER,
    ESCAPE,
    HELP,
    HOME,
    LEFT,
    PAGE_DOWN,
    PAGE_UP,
    RIGHT,
    TAB,
    UP,
)
from agent.cli.top_rows import SORTS
from agent.cli.top_state import END_OF_INPUT, FILTER_CHARACTERS_MAX, KeyRules, Scroll, TopState, on_key

RULES = KeyRules(SORTS, dict(zip("crinTap", SORTS, strict=True)))
FLAT = KeyRules(("llc", "bw"), {"l": "llc", "b": "bw"}, has_tree=False)
NAMED = (BACK_TAB, BACKSPACE, CLEAR, DOWN, END, ENTER, ESCAPE, HELP, HOME, LEFT, PAGE_DOWN, PAGE_UP, RIGHT, TAB, UP, END_OF_INPUT)
KEYS = st.sampled_from(NAMED) | st.characters()


def after(keys: Sequence[str], state: TopState = TopState("cpu"), *, rules: KeyRules = RULES) -> TopState:  # noqa: B008 - it is frozen
    """The state after some keys, on a screen of ten lines of thirty."""
    for key in keys:
        state = on_key(state, key, rules, Scroll(page=10, offset_max=20)) or state
    return state


@pytest.mark.parametrize(
    ("key", "sort"), [*zip("crinTap", SORTS, strict=True), (TAB, "rss"), ("s", "rss"), (BACK_TAB, "pod"), ("S", "pod")]
)
def test_keys_choose_an_order(key: str, sort: str) -> None:
    """Each by its own, or the next and the one before, round and round; from the first line on."""
    assert after([DOWN, key]) == TopState(sort)


def test_lines_are_scrolled_within_what_there_is() -> None:
    """By line and by page, a line of which stays in sight; never beyond the ends."""
    assert after([DOWN, DOWN, UP]).offset == 1
    assert after([UP]).offset == 0
    assert after([PAGE_DOWN]).offset == 9
    assert after([PAGE_DOWN] * 5).offset == 20
    assert after([PAGE_DOWN, PAGE_DOWN, PAGE_UP]).offset == 9
    assert after([PAGE_DOWN, HOME]).offset == 0


def test_a_filter_is_typed_kept_and_cleared() -> None:
    """Keys of other meanings are letters meanwhile; Backspace takes the last, Esc all."""
    typing = after(["/", *"crq 0[?"])
    assert (typing.filter, typing.is_typing, typing.sort, typing.is_ended) == ("crq 0[?", True, "cpu", False)
    assert after([BACKSPACE, BACKSPACE], typing).filter == "crq 0"
    assert after([CLEAR], typing) == replace(typing, filter="")
    kept = after([ENTER], typing)
    assert (kept.filter, kept.is_typing) == ("crq 0[?", False)
    assert after([ESCAPE], typing) == after([ESCAPE], kept) == TopState("cpu")
    assert len(after(["/", *("x" * 200)]).filter) == FILTER_CHARACTERS_MAX
    assert after(["/", "\x01", LEFT, HELP, "漢"]).filter == "漢"


def test_a_tree_is_of_processes_only() -> None:
    """An order by pods is none, and ends with it; sums are of a tree; a view without one takes no such key."""
    assert after(["t"]).is_tree
    assert not after(["t", "t"]).is_tree
    assert after(["p", "t"]) == TopState("cpu", is_tree=True)
    assert after(["t", "+"]).has_sums
    assert not after(["+"]).has_sums
    assert after(["t", "+"], TopState("llc"), rules=FLAT) == TopState("llc")


@pytest.mark.parametrize("key", ["?", "h", HELP])
def test_any_key_leads_back_from_the_help(key: str) -> None:
    """Also the one that would quit."""
    assert after([key]).shows_help
    assert after([key, "q"]) == TopState("cpu")


def test_a_screen_is_paused_and_left() -> None:
    """Space stops and starts; end of input ends it even in a filter."""
    assert (after([" "]).is_paused, after([" ", " "]).is_paused) == (True, False)
    assert after(["q"]).is_ended
    assert after(["/", END_OF_INPUT]).is_ended
    assert on_key(TopState("cpu"), "x", RULES, Scroll()) is None


@given(st.lists(KEYS, max_size=60), st.sampled_from([RULES, FLAT]))
def test_any_keys_leave_a_state_that_can_be_shown(keys: list[str], rules: KeyRules) -> None:
    """Its order is one of the view's, it is scrolled no farther than there are lines, and its filter has a limit."""
    state = after(keys, TopState(rules.sorts[0]), rules=rules)
    assert state.sort in rules.sorts
    assert 0 <= state.offset <= 20
    assert len(state.filter) <= FILTER_CHARACTERS_MAX
    assert state.filter.isprintable()
    assert rules.has_tree or not state.is_tree
