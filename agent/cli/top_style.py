"""Lines of `agentctl top` as spans of text with a style each, cut to a width, as plain text or with colours. PURE."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent.cli.width import ELLIPSIS, cut, display_width

# Styles, and the parameters of their escape sequence (ECMA-48, SGR). A terminal with fewer colours shows the nearest.
CRITICAL, WARNING, NOTICE = "critical", "warning", "notice"
TITLE, SORTED, DIM, STRONG = "title", "sorted", "dim", "strong"
_SGR = {
    CRITICAL: "1;31",
    WARNING: "33",
    NOTICE: "36",
    TITLE: "7",
    SORTED: "1;7",
    DIM: "2",
    STRONG: "1",
}


class Span(NamedTuple):
    """A part of a line; an empty style is the terminal's own."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def line_of(*parts: str | Span) -> Line:
    """A line of parts, those without text left out."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts if part and (isinstance(part, str) or part.text))


def cut_line(line: Line, columns: int) -> Line:
    """The line cut to a number of columns; an ellipsis marks a cut."""
    if sum(display_width(span.text) for span in line) <= columns:
        return line
    kept = 0
    left = columns
    # The line is wider than that, so that a span that does not fit comes before its end. The ellipsis needs a column.
    while (width := display_width(line[kept].text)) < left:
        left -= width
        kept += 1
    span = line[kept]
    text = cut(span.text, left) if width > left else cut(span.text + ELLIPSIS, left)
    return tuple(filter(lambda each: each.text, (*line[:kept], Span(text if left > 0 else "", span.style))))


def fitted(lines: Sequence[Line], width: int | None, height: int) -> list[Line]:
    """The lines cut to a screen."""
    return [line if width is None else cut_line(line, width) for line in lines[:height]]


def plain(line: Line) -> str:
    """The text of a line."""
    return "".join(span.text for span in line)


def coloured(line: Line) -> str:
    """The text of a line with escape sequences around what has a style."""
    return "".join(f"\x1b[{_SGR[span.style]}m{span.text}\x1b[0m" if span.style else span.text for span in line)


def merged(spans: Iterable[Span]) -> Line:
    """Spans with neighbours of one style put together."""
    line: list[Span] = []
    for span in spans:
        if line and line[-1].style == span.style:
            line[-1] = Span(line[-1].text + span.text, span.style)
        else:
            line.append(span)
    return tuple(line)


def texts(lines: Sequence[Line], *, has_colour: bool) -> list[str]:
    """The lines as they are written."""
    return [coloured(line) if has_colour else plain(line) for line in lines]
