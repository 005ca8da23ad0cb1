"""Values and tables as people read them."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.output import Output
from agent.cli.render import (
    ABSENT,
    COLUMN_LEAST,
    TextColumn,
    bytes_of,
    counted,
    is_colourful,
    pairs,
    percent_of,
    seconds_of,
    table,
    text_of,
)
from agent.cli.width import cut


def test_units_are_those_that_people_read() -> None:
    """Sizes, shares and spans have the largest unit that fits."""
    sizes = [bytes_of(value) for value in (0, 1023, 1024, 12_900_000, 5 << 40)]
    assert sizes == ["0 B", "1023 B", "1.0 KiB", "12.3 MiB", "5.0 TiB"]
    assert percent_of(1.234) == "1.2 %"
    spans = [seconds_of(value) for value in (0, 0.349, 42.9, 60, 185, 7_620, 1_051_200)]
    assert spans == ["0 s", "0.35 s", "42 s", "1 min", "3 min 5 s", "2 h 7 min", "12 d 4 h"]


def test_what_is_absent_is_a_dash_and_never_zero() -> None:
    """None, and values of a foreign type, are shown as absent."""
    values: list[object] = [None, "x", True, []]
    assert {f(value) for f in (bytes_of, percent_of, seconds_of) for value in values} == {ABSENT}
    assert text_of(None) == text_of("") == ABSENT


def test_things_are_counted_in_words() -> None:
    """One thing is one, and a number that is not known is a dash."""
    assert [counted(number, "batch") for number in (0, 1, 2, None)] == ["0 batches", "1 batch", "2 batches", "- batches"]
    assert [counted(2, noun) for noun in ("process", "row")] == ["2 processes", "2 rows"]


def test_without_a_width_nothing_is_cut() -> None:
    """A table for a pipe is as wide as its values."""
    assert table((TextColumn("A", yields=True),), [("x" * 1_000,)])[1] == "x" * 1_000


@given(st.text())
def test_no_text_of_the_host_moves_the_cursor(text: str) -> None:
    """Control characters are written as escapes."""
    assert text_of(text).isprintable()


def test_escapes_are_readable() -> None:
    """An escape keeps what it stands for."""
    assert text_of("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"


CELLS = st.text(st.characters(categories=["L", "N"]), max_size=60)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_a_table_fits_where_a_column_yields(rows: list[tuple[str, str]]) -> None:
    """Columns that yield are cut until the table fits; the others are whole."""
    lines = table((TextColumn("KEPT"), TextColumn("CUT", yields=True)), rows, width=80)
    longest = max([4, *(len(kept) for kept, _ in rows)])
    assert all(len(line) <= max(80, longest + 2 + COLUMN_LEAST) for line in lines)
    assert all(line.startswith(kept.rstrip()) for line, (kept, _) in zip(lines[1:], rows, strict=True))


def test_columns_stand_below_each_other() -> None:
    """Numbers stand right, words left, and no line ends in blanks."""
    lines = table((TextColumn("NAME"), TextColumn("N", right=True), TextColumn("X")), [("a", "1", "-"), ("bcd-ef", "22", "")])
    assert lines == ["NAME     N  X", "a        1  -", "bcd-ef  22"]


def test_colours_do_not_count_for_the_width() -> None:
    """A painted cell is padded like the plain one."""
    plain, painted = (table((TextColumn("S"), TextColumn("T")), [("up", "1")], paint=paint)[1] for paint in ({}, {"up": "green"}))
    assert painted == plain.replace("up", "\x1b[32mup\x1b[0m")


def test_a_cut_text_says_so() -> None:
    """An ellipsis stands for what is missing."""
    assert (cut("abcdef", 6), cut("abcdef", 5)) == ("abcdef", "abcd…")


def test_the_widest_columns_yield_first_and_no_title_is_cut() -> None:
    """A table of columns that cannot yield any more is rather too wide."""
    columns = (TextColumn("A", yields=True), TextColumn("B", yields=True), TextColumn("KEPT"))
    row = ("a" * 40, "b" * 30, "kept")
    assert [len(word) for word in table(columns, [row], width=50)[1].split()] == [21, 21, 4]
    assert [len(word) for word in table(columns, [row], width=1)[1].split()] == [COLUMN_LEAST, COLUMN_LEAST, 4]
    titled = table((TextColumn("T" * 20, yields=True),), [("x" * 40,)], width=5)
    assert titled == ["T" * 20, "x" * 19 + "…"]


def test_pairs_have_their_values_below_each_other() -> None:
    """None at all is no line."""
    assert pairs([("a", "1"), ("long", "2")]) == ["a     1", "long  2"]
    assert pairs([]) == []


class TerminalText(StringIO):
    """An output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "has_colours"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
)
def test_colours_are_for_terminals_that_have_them(environment: dict[str, str], has_colours: bool) -> None:
    """A pipe never gets any."""
    assert is_colourful(Output(TerminalText(), "stdout"), environment) is has_colours
    assert not is_colourful(Output(StringIO(), "stdout"), environment)
