"""The rows of an answer as text: an aligned table, CSV, a JSON array, JSON lines.

To a pipe or file the data goes as it is. On a terminal every character that is not printable is escaped, in names of
columns too: a process may name itself with the bytes that move a cursor.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from agent.cli.render import TextColumn, escape, text_of
from agent.cli.width import cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.cli.call import Call
    from agent.cli.statement import QueryAnswer

    class TextSink(Protocol):
        """Where text goes."""

        def write(self, text: str) -> object:
            """Take text."""
            ...


# Wider values are cut on a terminal; pipes and files get them whole.
CELL_COLUMNS = 60


def show_table(call: "Call", answered: "QueryAnswer", rows_max: int) -> None:
    """Print a bounded number of rows, and whether there are more."""
    rows = answered.rows()
    shown = list(islice(rows, rows_max))
    is_cut = next(rows, None) is not None
    answered.progress.end()
    # Numbers are aligned right; a column is numeric when its first known value is.
    firsts = [next((row[index] for row in shown if row[index] is not None), None) for index in range(len(answered.names))]
    columns = [
        TextColumn(text_of(name), right=_is_number(first), yields=not _is_number(first))
        for name, first in zip(answered.names, firsts, strict=True)
    ]
    columns_max = CELL_COLUMNS if call.output.isatty() else None
    call.show_table(columns, [[_cell(value, columns_max) for value in row] for row in shown])
    if is_cut:
        call.show([f"… more than {rows_max} rows; --max-rows N shows more of them, --format csv all"])


def _is_number(value: object) -> bool:
    return type(value).__name__ in ("int", "float", "Decimal")


def _cell(value: object, columns_max: int | None) -> str:
    # Six digits behind the point are finer than anything that is measured here.
    text = f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else text_of(value)
    return text if columns_max is None else cut(text, columns_max)


def write_csv(answered: "QueryAnswer", sink: "TextSink", *, is_terminal: bool) -> None:
    """All rows as CSV with a line of names; absent values are empty."""
    import csv

    writer = csv.writer(sink, lineterminator="\n")
    if not is_terminal:
        writer.writerow(answered.names)
        writer.writerows(answered.rows())
        return
    writer.writerow(map(_on_terminal, answered.names))
    writer.writerows(map(_on_terminal, row) for row in answered.rows())


def _on_terminal(value: object) -> object:
    """The value as it may be written to a terminal. Lists and structures become text that way, as the writer would make it."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return escape(str(value))


def write_json(answered: "QueryAnswer", sink: "TextSink") -> None:
    """All rows as one JSON array of objects, row by row."""
    separator = "["
    for line in _json_lines(answered):
        sink.write(separator + line)
        separator = ",\n"
    sink.write("[]\n" if separator == "[" else "]\n")


def write_json_lines(answered: "QueryAnswer", sink: "TextSink") -> None:
    """Each row as one JSON object on a line of its own."""
    for line in _json_lines(answered):
        sink.write(line + "\n")


def _json_lines(answered: "QueryAnswer") -> Iterable[str]:
    import json

    names = unique(answered.names)
    for row in answered.rows():
        document = dict(zip(names, map(_json_value, row), strict=True))
        # JSON escapes all that is not ASCII and every control character but this one.
        yield json.dumps(document, default=_json_default).replace("\x7f", "\\u007f")


def _json_default(value: object) -> str:
    """What JSON has no type for, as text: bytes in base64, times and all else as SQL shows them."""
    from base64 import b64encode

    return b64encode(value).decode() if isinstance(value, bytes | bytearray) else str(value)


def unique(names: Iterable[str]) -> Sequence[str]:
    """The names, equal ones numbered: a JSON object holds each once, and a file's column is found by its name."""
    seen: dict[str, int] = {}
    given = list(names)
    taken = set(given)
    made = []
    for name in given:
        seen[name] = seen.get(name, 0) + 1
        candidate = name
        while seen[name] > 1 and candidate in taken:
            candidate = f"{name}_{seen[name]}"
            seen[name] += candidate in taken
        taken.add(candidate)
        made.append(candidate)
    return made


def _json_value(value: object) -> object:
    """The value as JSON can hold it: exact numbers as numbers; what is not finite has no number in JSON and is null."""
    from decimal import Decimal

    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
