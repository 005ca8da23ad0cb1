"""Rows of `agentctl top` laid out as a table of a largest width. PURE."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.cli.top_columns import (
    COLUMNS_OF_SORT,
    COMMAND,
    CPU,
    GAP,
    PID,
    POD,
    POD_COLUMNS_LEAST,
    USER,
    ScreenColumn,
    columns_for,
    command_least,
)
from agent.cli.top_load import Part
from agent.cli.top_sample import NamedProcess
from agent.cli.top_style import SORTED, STRONG, TITLE, Line, Span, cut_line, merged
from agent.cli.width import cut, display_width, padded

GUILTY_MARK = "!"
USER_COLUMNS_MAX, POD_COLUMNS_MAX = 8, 30


class TableRow(Struct, frozen=True):
    """A row: its figures, and its words by column.

    `lead` stands over the empty columns at the beginning, where they have room for it, else before the words of COMMAND.
    `is_guilty`: it causes a problem, and has a mark at the beginning: not every eye and terminal tells colours apart.
    `has_cpu_only`: what has ended is no process any more, and its other columns are empty.
    """

    part: Part
    words: Mapping[str, str]
    lead: str = ""
    style: str = ""
    has_cpu_only: bool = False
    is_guilty: bool = False


class RowTable(Struct, frozen=True):
    """Rows that are to be laid out; `processes` are all of their sample, `at_wall_ns` is its time, `sort` the order."""

    rows: Sequence[TableRow]
    processes: Sequence[NamedProcess]
    sort: str
    at_wall_ns: int


def laid_out(table: RowTable, width: int | None) -> list[Line]:
    """Aligned lines, the titles first. *Range:* none is wider than `width`; None: nothing is cut."""
    pod_columns = min(POD_COLUMNS_MAX, max((display_width(row.words.get(POD, "")) for row in table.rows), default=0))
    shown = columns_for(table.processes, table.sort, width, pod_columns)
    cells = [_cells(row, shown, table.at_wall_ns) for row in table.rows]
    widths = _widths(shown, cells, width, table.sort)
    sorted_by = COLUMNS_OF_SORT[table.sort]
    titles = [(column.title, SORTED if column.name in sorted_by else TITLE) for column in shown]
    lines = [_line(titles, shown, widths)]
    for row, texts in zip(table.rows, cells, strict=True):
        styles = [row.style or (STRONG if column.name in sorted_by else "") for column in shown]
        lines.append(_line(list(zip(texts, styles, strict=True)), shown, widths, row.lead, is_guilty=row.is_guilty))
    return lines if width is None else [cut_line(line, width) for line in lines]


def _cells(row: TableRow, shown: Sequence[ScreenColumn], at_wall_ns: int) -> list[str]:
    """The texts of a row."""
    # The first column is that of the mark.
    words = {**row.words, PID: f" {row.words[PID]}"} if PID in row.words else row.words
    texts = [words.get(column.name, "") if column.figure is None else column.figure(row.part, at_wall_ns) for column in shown]
    if not row.has_cpu_only:
        return texts
    return [text if column.name in (CPU, COMMAND) else "" for column, text in zip(shown, texts, strict=True)]


def _widths(shown: Sequence[ScreenColumn], cells: Sequence[Sequence[str]], width: int | None, sort: str) -> dict[str, int]:
    """COMMAND has what the others leave. Where commands need less, names of pods and users have the rest."""
    natural = {column.name: max(len(column.title), column.least if column.is_right else 0) for column in shown}
    for row in cells:
        for column, text in zip(shown, row, strict=True):
            natural[column.name] = max(natural[column.name], display_width(text))
    if width is None:
        return natural
    widths = {**natural}
    for name, most in ((USER, USER_COLUMNS_MAX), (POD, POD_COLUMNS_MAX)):
        if name in widths:
            widths[name] = min(natural[name], most)
    others = sum(room for name, room in widths.items() if name != COMMAND) + len(GAP) * (len(shown) - 1)
    free = width - others
    needed = min(natural[COMMAND], command_least(width, sort))
    if POD in widths and free < needed:
        given = min(needed - free, max(0, widths[POD] - POD_COLUMNS_LEAST))
        widths[POD] -= given
        free += given
    for name in (POD, USER):
        if name in widths and free > natural[COMMAND]:
            more = min(natural[name] - widths[name], free - natural[COMMAND])
            widths[name] += more
            free -= more
    return {**widths, COMMAND: max(1, free)}


def _line(
    cells: Sequence[tuple[str, str]],
    shown: Sequence[ScreenColumn],
    widths: Mapping[str, int],
    lead: str = "",
    *,
    is_guilty: bool = False,
) -> Line:
    """A line of texts with their styles."""
    texts = [text for text, _ in cells]
    empty = next((place for place, text in enumerate(texts) if text), 0)
    room = sum(widths[column.name] for column in shown[:empty]) + len(GAP) * (empty - 1)
    spans: list[Span] = []
    if lead and display_width(lead) > room:
        texts[-1] = f"{lead}  {texts[-1]}".rstrip()
    elif lead:
        lead, texts[-1] = _divided(lead, texts[-1], room, widths[COMMAND])
        spans = [Span(padded(cut(lead, room), room) + GAP, cells[0][1])]
    begin = empty if spans else 0
    for place in range(begin, len(shown)):
        column, (_, style) = shown[place], cells[place]
        text = cut(texts[place], widths[column.name]) if column.name != COMMAND else texts[place]
        text = padded(text, widths[column.name], right=column.is_right)
        spans.append(Span(GUILTY_MARK + text[1:] if is_guilty and column.name == PID else text, style))
        # The titles are one bar.
        spans.append(Span(GAP, TITLE if style == SORTED else style))
    return merged(spans[:-1])


def _divided(lead: str, words: str, lead_room: int, room: int) -> tuple[str, str]:
    """The words of a line at its beginning and in COMMAND: where they would be cut, all at the beginning if more fits there."""
    divided = display_width(lead) + min(display_width(words), room)
    if display_width(words) <= room:
        return lead, words
    return (lead, words) if divided >= min(display_width(f"{lead} {words}"), lead_room) else (f"{lead} {words}", "")
