"""The range of time that a filter of DuckDB's plan leaves, read from the filter's text. PURE.

The text is for people and may change with any version of DuckDB. So this is a parser of the few forms that bound the columns
`timestamp` and `at` by a constant; everything else bounds nothing, and anything that it does not understand as a whole
bounds nothing at all. `OR` of two ranges is the range around both.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate

from agent.cli.time_bounds import BEHIND_LAST_NS, EVERYTHING, FIRST_NS, TimeBounds

# Longer filters come of lists of values, which bound no time.
TEXT_CHARACTERS_MAX = 20_000
DEPTH_MAX = 30
# A number with a point is compared as a double, of which two neighbours are 256 ns apart in our days; DuckDB writes it with
# as many digits as tell it from them.
_ROUNDING_NS = 1_000_000
_TOKEN = re.compile(
    r"\s*(?:('(?:[^']|'')*')|(\"(?:[^\"]|\"\")*\")|(optional:)|([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|([A-Za-z_][A-Za-z0-9_]*)"
    r"|(::|<=|>=|!=|<>|[-+*/%<>=(),.\[\]{}:|&~^#@!?$]))"
)
_STAMP = re.compile(r"'([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?\+00'")
_STAMP_TYPE = ("::", "TIMESTAMP", "WITH", "TIME", "ZONE")
_OPERATORS = ("=", "<", "<=", ">", ">=")
# `5 < timestamp` is `timestamp > 5`.
_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NUMBER_TYPES = ("DOUBLE", "DECIMAL", "HUGEINT")

Tokens = Sequence[str]


def bounds_of_filter(text: str) -> TimeBounds:
    """The range outside of which no row passes the filter.

    *Range:* never smaller than the filter's own; `EVERYTHING` for a text that is not understood, or that is too long.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        return EVERYTHING
    tokens = _tokens(text)
    return EVERYTHING if tokens is None else _of_expression(tokens, 0)


def _tokens(text: str) -> list[str] | None:
    """The words of a filter; None where a character is part of none, or a parenthesis has no other."""
    found: list[str] = []
    position = 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        found.append(match[match.lastindex or 0])
        position = match.end()
    depth = 0
    for token in found:
        depth += (token == "(") - (token == ")")
        if depth < 0:
            return None
    return found if depth == 0 else None


def _of_expression(tokens: Tokens, depth: int) -> TimeBounds:
    if depth > DEPTH_MAX:
        return EVERYTHING
    while tokens and tokens[0] == "optional:":
        # Rows that fail an optional filter are thrown away above it at the latest.
        tokens = tokens[1:]
    while len(tokens) > 1 and tokens[0] == "(" and _closing(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
        if tokens and tokens[0] == "optional:":
            break
    words = set(_top_level(tokens))
    if words & {"BETWEEN", "CASE", "NOT"} or {"AND", "OR"} <= words:
        return EVERYTHING
    if "AND" in words or "OR" in words:
        parts = [_of_expression(part, depth + 1) for part in _split(tokens, "AND" if "AND" in words else "OR")]
        bounds = parts[0]
        for part in parts[1:]:
            bounds = bounds.both(part) if "AND" in words else bounds.hull(part)
        return bounds
    if tokens and tokens[0] == "optional:":
        return _of_expression(tokens[1:], depth + 1)
    return _of_comparison(tokens)


def _closing(tokens: Tokens) -> int:
    """Where the parenthesis that opens first is closed."""
    depths = accumulate((token == "(") - (token == ")") for token in tokens)
    return next(index for index, depth in enumerate(depths) if depth == 0)


def _top_level(tokens: Tokens) -> Iterator[str]:
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if depth == 0:
            yield token


def _split(tokens: Tokens, word: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if depth == 0 and token == word:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _of_comparison(tokens: Tokens) -> TimeBounds:
    """The range of `column operator constant`, of the same turned around, and of `column IN (constants)`."""
    column, rest = _column(tokens)
    if column is not None:
        if len(rest) > 2 and rest[0] == "IN" and rest[1] == "(" and rest[-1] == ")":
            return _of_list(column, _split(rest[2:-1], ","))
        return _of_constant(column, rest[0], rest[1:]) if rest and rest[0] in _OPERATORS else EVERYTHING
    # The column may stand behind.
    places = [index for index, token in enumerate(tokens) if token in _OPERATORS]
    if len(places) != 1:
        return EVERYTHING
    column, rest = _column(tokens[places[0] + 1 :])
    return EVERYTHING if column is None or rest else _of_constant(column, _TURNED[tokens[places[0]]], tokens[: places[0]])


def _of_list(column: str, constants: Sequence[Tokens]) -> TimeBounds:
    ranges = [_of_constant(column, "=", constant) for constant in constants]
    bounds = ranges[0]
    for other in ranges[1:]:
        bounds = bounds.hull(other)
    return bounds


def _column(tokens: Tokens) -> tuple[str | None, Tokens]:
    """`timestamp` or `at` at the beginning, as itself or as a number with a point, and what follows; None: another thing."""
    if tokens and tokens[0] in ("timestamp", "at"):
        return tokens[0], tokens[1:]
    if len(tokens) > 4 and tuple(tokens[:4]) == ("CAST", "(", "timestamp", "AS") and tokens[4] in _NUMBER_TYPES:
        return "number", tokens[_closing(tokens[1:]) + 2 :]
    return None, tokens


def _of_constant(column: str, operator: str, constant: Tokens) -> TimeBounds:
    value = _stamp_ns(constant) if column == "at" else _number_ns(constant)
    if value is None:
        return EVERYTHING
    # `at` is `timestamp` without the nanoseconds of its last microsecond, which it rounds towards zero.
    width_ns = 1_000 if column == "at" else 1
    slack_ns = _ROUNDING_NS if column == "number" else 1_000 if column == "at" and value <= 0 else 0
    if operator == ">":
        value += width_ns
    since_ns = value - slack_ns if operator in ("=", ">=", ">") else FIRST_NS
    until_ns = value + width_ns + slack_ns if operator in ("=", "<=") else BEHIND_LAST_NS
    return TimeBounds(since_ns, value + slack_ns if operator == "<" else until_ns)


def _number_ns(constant: Tokens) -> int | None:
    """A number, rounded down; None: another constant, or one beyond all times."""
    sign, digits = (-1, constant[1:]) if constant and constant[0] == "-" else (1, constant)
    if len(digits) != 1 or not digits[0][0].isdecimal():
        return None
    if digits[0].isdecimal():
        number = int(digits[0])
    else:
        as_float = float(digits[0])
        # Not a number that has a whole part of a sane size.
        if as_float >= 2.0**63:
            return None
        number = int(as_float)
    return sign * number if number < 1 << 63 else None


def _stamp_ns(constant: Tokens) -> int | None:
    """A moment as DuckDB writes it, always in UTC; None: another constant, an infinity, a year that Python has not."""
    if tuple(constant[1:]) != _STAMP_TYPE or (found := _STAMP.fullmatch(constant[0])) is None:
        return None
    try:
        civil = datetime(*(int(found[group]) for group in range(1, 7)), tzinfo=UTC)  # type: ignore[misc,arg-type]  # year to second
    except ValueError:
        return None
    span = civil - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = int((found[7] or "").ljust(6, "0"))
    return ((span.days * 86_400 + span.seconds) * 1_000_000 + microseconds) * 1_000
