"""What a person has chosen to see in `agentctl top`, and what each key makes of it. PURE.

Keys that go in time are none of these: `top_keys` has them.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from agent.cli.top_keys import BACK_TAB, BACKSPACE, CLEAR, DOWN, ENTER, ESCAPE, HELP, HOME, PAGE_DOWN, PAGE_UP, TAB, UP

QUIT_KEYS = ("q", "Q")
# Also while a filter is typed: end of input.
END_OF_INPUT = "\x04"
FILTER_CHARACTERS_MAX = 80
# The order whose lines are no tree: pods with their processes.
NO_TREE = "pod"


class KeyRules(Struct, frozen=True):
    """What keys mean in a view: its orders, the usual first, the keys that choose them, and whether it has a tree."""

    sorts: tuple[str, ...]
    sort_by_key: Mapping[str, str]
    has_tree: bool = True


class TopState(Struct, frozen=True):
    """What is to be seen.

    `offset` is how many lines are scrolled past. `is_typing`: keys go into the filter. `has_sums`: lines of the tree are sums over
    a process and all below it. `is_ended`: the screen is to be left.
    """

    sort: str
    filter: str = ""
    is_typing: bool = False
    is_tree: bool = False
    has_sums: bool = False
    is_paused: bool = False
    shows_help: bool = False
    is_ended: bool = False
    offset: int = 0


class Scroll(Struct, frozen=True):
    """How far the last screen could be scrolled: lines of one page, and the last offset there is."""

    page: int = 1
    offset_max: int = 0


def on_key(state: TopState, key: str, rules: KeyRules, scroll: Scroll) -> TopState | None:
    """The state after a key; None where the key means nothing here."""
    if key == END_OF_INPUT:
        return replace(state, is_ended=True)
    if state.shows_help:
        # Any key leads back.
        return replace(state, shows_help=False)
    scrolled = _scrolled(state, key, scroll)
    if scrolled is not None:
        return scrolled
    if state.is_typing:
        return _typed(state, key)
    return _chosen(state, key, rules)


def _scrolled(state: TopState, key: str, scroll: Scroll) -> TopState | None:
    steps = {UP: -1, DOWN: 1, PAGE_UP: -max(1, scroll.page - 1), PAGE_DOWN: max(1, scroll.page - 1), HOME: -state.offset}
    if key not in steps:
        return None
    return replace(state, offset=max(0, min(scroll.offset_max, state.offset + steps[key])))


def _typed(state: TopState, key: str) -> TopState:
    """A filter acts as it is typed. Enter keeps it, Esc clears it."""
    if key == ENTER:
        return replace(state, is_typing=False)
    if key == ESCAPE:
        return replace(state, is_typing=False, filter="", offset=0)
    if key == BACKSPACE:
        return replace(state, filter=state.filter[:-1], offset=0)
    if key == CLEAR:
        return replace(state, filter="", offset=0)
    if len(key) == 1 and key.isprintable() and len(state.filter) < FILTER_CHARACTERS_MAX:
        return replace(state, filter=state.filter + key, offset=0)
    return state


def _chosen(state: TopState, key: str, rules: KeyRules) -> TopState | None:
    if key in QUIT_KEYS:
        return replace(state, is_ended=True)
    if key in rules.sort_by_key:
        return replace(state, sort=rules.sort_by_key[key], offset=0)
    if key in (TAB, "s", BACK_TAB, "S"):
        step = 1 if key in (TAB, "s") else -1
        at = rules.sorts.index(state.sort) + step
        return replace(state, sort=rules.sorts[at % len(rules.sorts)], offset=0)
    if rules.has_tree and key == "t":
        # An order by pods has no tree.
        is_tree = not state.is_tree or state.sort == NO_TREE
        return replace(state, is_tree=is_tree, sort=rules.sorts[0] if state.sort == NO_TREE else state.sort, offset=0)
    if rules.has_tree and key == "+" and state.is_tree:
        return replace(state, has_sums=not state.has_sums)
    match key:
        case "/":
            return replace(state, is_typing=True)
        case " ":
            return replace(state, is_paused=not state.is_paused)
        case "?" | "h":
            return replace(state, shows_help=True)
        case _ if key == HELP:
            return replace(state, shows_help=True)
        case _ if key == ESCAPE:
            return replace(state, filter="", offset=0)
    return None
