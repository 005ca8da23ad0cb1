"""How many columns of a terminal a text takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.render import TextColumn, pairs, table, text_of
from agent.cli.width import cut, display_width, padded, wrapped


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("web", 3),
        ("żółć", 4),
        ("\u65e5\u672c\u8a9e", 6),
        ("\uff77\uff9e", 2),
        ("e\u0301", 1),
        ("a\u20dd", 1),
        ("\U0001f680", 2),
        ("\u2764\ufe0f", 2),
        ("\ufe0f", 0),
        ("x\ufe0f", 1),
        ("\u1112\u1161\u11ab", 2),
        ("\uac00", 2),
        ("▁▂…", 3),
    ],
)
def test_columns_are_those_of_a_terminal(text: str, columns: int) -> None:
    """East Asian letters and emoji take two, marks none, ambiguous letters one."""
    assert display_width(text) == columns


@given(st.text(max_size=30), st.integers(1, 12))
def test_what_is_cut_fits(text: str, columns: int) -> None:
    """And is whole where it fitted before; an ellipsis says that something is missing."""
    shown = cut(text, columns)
    assert display_width(shown) <= columns
    assert shown == text if display_width(text) <= columns else shown.endswith("…")
    assert display_width(padded(shown, columns)) == display_width(padded(shown, columns, right=True)) == columns


def test_half_a_letter_is_not_shown() -> None:
    """A letter of two columns that has room for one is left out."""
    assert cut("\u65e5\u672c\u8a9e", 4) == "\u65e5…"
    assert cut("\u65e5\u672c\u8a9e", 1) == cut("ab", 1) == "…"


def test_columns_of_a_table_stand_below_each_other() -> None:
    """All lines have one width, whatever letters they have; blanks at the right end do not count."""
    rows = [(text_of(name), "1") for name in ("web", "\u65e5\u672c\u8a9e", "e\u0301te\u0301", "\U0001f680 go", "a\x1b[2Jb")]
    lines = table((TextColumn("NAME"), TextColumn("N", right=True)), rows)
    assert {display_width(line) for line in lines} == {display_width("a\\x1b[2Jb  1")}
    cut_lines = table((TextColumn("NAME", yields=True), TextColumn("N", right=True)), [("\u65e5" * 60, "1")], width=80)
    assert [display_width(line) for line in cut_lines] == [80, 80] or display_width(cut_lines[1]) == 80
    assert [display_width(line) for line in pairs([("\u65e5\u672c", "x"), ("abc", "x")])] == [7, 7]


def test_words_are_wrapped_by_their_columns() -> None:
    """As plain text is; a word that is too long stands alone."""
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("\u65e5\u672c \u8a9e\u8a9e \u65e5", 9) == ["\u65e5\u672c \u8a9e\u8a9e", "\u65e5"]
    assert wrapped("\u65e5\u672c\u8a9e a", 4) == ["\u65e5\u672c\u8a9e", "a"]
    assert wrapped("", 4) == []
