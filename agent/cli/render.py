"""Values and tables as people read them: aligned, with units, `-` for what is absent. PURE.

Nothing is printed here. Whatever comes from the host is escaped first: a process may name itself with the bytes that
move a terminal's cursor.
"""

from collections.abc import Iterable, Mapping, Sequence

from agent.cli.width import cut, display_width, padded
from agent.model.foreign import readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.output import Output

ABSENT = "-"
# Running text is wrapped at this where no terminal says its width: narrow enough for two terminals side by side.
TEXT_COLUMNS = 100
# Narrower terminals wrap: a table cut to less is of no use.
WIDTH_LEAST = 80
COLUMN_LEAST = 6
GAP = "  "

_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_TIME_UNITS = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1))
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
COLOUR_OF_STATE = {
    "up": "green",
    "asleep": "dim",
    "starting": "yellow",
    "stopping": "yellow",
    "backoff": "red",
    "failed": "red",
    "usable": "green",
    "limited": "yellow",
    "missing": "red",
}


def text_of(value: object) -> str:
    """Any value on one line without control characters."""
    if value is None or value == "":
        return ABSENT
    text = value if isinstance(value, str) else str(value)
    return escape(text)


def escape(text: str) -> str:
    """The text, whole, with every character that is not printable written as its escape."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else readable(letter, 16) for letter in text)


def counted(number: object, noun: str) -> str:
    """A number of things: `1 row`, `2 batches`, `- rows` where it is not known."""
    plural = f"{noun}es" if noun.endswith(("s", "ch")) else f"{noun}s"
    return f"{text_of(number)} {noun if number == 1 else plural}"


def number_of(value: object) -> float | None:
    """The value where it is a number, None otherwise."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def bytes_of(value: object) -> str:
    """A size in the largest binary unit that leaves at least 1: `12.3 MiB`."""
    size = number_of(value)
    if size is None:
        return ABSENT
    unit = 0
    while abs(size) >= 1024 and unit < len(_BYTE_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.0f} B" if unit == 0 else f"{size:.1f} {_BYTE_UNITS[unit]}"


def percent_of(value: object) -> str:
    """A number of percents: `1.2 %`."""
    number = number_of(value)
    return ABSENT if number is None else f"{number:.1f} %"


def rate_of(value: object) -> str:
    """A rate of bytes: `1.5 GiB/s`."""
    return ABSENT if number_of(value) is None else f"{bytes_of(value)}/s"


def seconds_of(value: object) -> str:
    """A span of seconds by its two largest units: `0.35 s`, `42 s`, `3 min 5 s`, `2 h 7 min`, `12 d 4 h`."""
    seconds = number_of(value)
    if seconds is None:
        return ABSENT
    if abs(seconds) < 10:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    whole = int(seconds)
    for larger, larger_seconds, smaller, smaller_seconds in _TIME_UNITS:
        if whole >= larger_seconds:
            rest = whole % larger_seconds // smaller_seconds
            return f"{whole // larger_seconds} {larger}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


class TextColumn:
    """One column of a table: its title, whether its values are aligned right, whether it may be cut when room is short."""

    __slots__ = ("right", "title", "yields")

    def __init__(self, title: str, *, right: bool = False, yields: bool = False) -> None:
        self.title = title
        self.right = right
        self.yields = yields


def table(
    columns: Sequence[TextColumn],
    rows: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    paint: Mapping[str, str] | None = None,
) -> list[str]:
    """The lines of an aligned table, title first.

    *Range:* columns that yield are cut, the widest first, until the table fits `width`; None: nothing is cut. `paint`
    maps a cell's whole text to its colour.
    """
    cells = [tuple(row) for row in rows]
    titles = tuple(column.title for column in columns)
    widths = [max(map(display_width, column)) for column in zip(titles, *cells, strict=True)]
    if width is not None:
        _narrow(widths, columns, width)
    return [_line(row, columns, widths, paint or {}) for row in (titles, *cells)]


def _narrow(widths: list[int], columns: Sequence[TextColumn], width: int) -> None:
    yielding = [index for index, column in enumerate(columns) if column.yields]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    while excess > 0 and yielding:
        widest = max(yielding, key=lambda index: widths[index])
        # A title that is cut names nothing: rather too wide a table.
        if widths[widest] <= max(COLUMN_LEAST, display_width(columns[widest].title)):
            yielding.remove(widest)
            continue
        widths[widest] -= 1
        excess -= 1


def _line(row: Sequence[str], columns: Sequence[TextColumn], widths: Sequence[int], paint: Mapping[str, str]) -> str:
    cells = []
    for value, column, width in zip(row, columns, widths, strict=True):
        shown = padded(cut(value, width), width, right=column.right)
        colour = paint.get(value)
        cells.append(shown if colour is None else f"\x1b[{_COLOURS[colour]}m{shown}\x1b[0m")
    return GAP.join(cells).rstrip()


def pairs(items: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of a name and its value, the values below each other."""
    known = list(items)
    width = max((display_width(name) for name, _ in known), default=0)
    return [f"{padded(name, width)}  {value}" for name, value in known]


def is_colourful(output: "Output", environment: Mapping[str, str]) -> bool:
    """Colours are for terminals, and never where NO_COLOR is set (no-color.org)."""
    return output.isatty() and not environment.get("NO_COLOR") and environment.get("TERM", "") not in ("", "dumb")
