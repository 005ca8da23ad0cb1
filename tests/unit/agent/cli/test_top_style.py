"""Lines of spans are cut by columns and keep their styles."""

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.top_style import CRITICAL, DIM, Span, coloured, cut_line, fitted, line_of, merged, plain, texts
from agent.cli.width import display_width

SPANS = st.lists(st.builds(Span, st.text("ab 漢e\u0301", max_size=9), st.sampled_from(["", CRITICAL])), max_size=6).map(tuple)


@given(SPANS, st.integers(0, 40))
def test_a_line_is_cut_to_its_columns(line: tuple[Span, ...], columns: int) -> None:
    """A line that fits is not changed; one that does not ends with an ellipsis."""
    shown = cut_line(line, columns)
    assert display_width(plain(shown)) <= columns
    if display_width(plain(line)) <= columns:
        assert shown == line
    elif columns:
        assert plain(shown).endswith("…")


def test_styles_are_escape_sequences_only_where_there_is_colour() -> None:
    """Text without a style has none."""
    line = line_of("a", Span("b", CRITICAL), "", Span("", DIM))
    assert len(line) == 2
    assert coloured(line) == "a\x1b[1;31mb\x1b[0m"
    assert texts([line], has_colour=False) == ["ab"]


def test_neighbours_of_one_style_are_put_together() -> None:
    """Fewer sequences for a slow terminal; a screen has no more lines than its height."""
    assert merged([Span("a"), Span("b"), Span("c", DIM)]) == (Span("ab"), Span("c", DIM))
    assert fitted([line_of("abc")] * 5, 2, 3) == [(Span("a…"),)] * 3
    assert fitted([line_of("abc")], None, 3) == [(Span("abc"),)]
