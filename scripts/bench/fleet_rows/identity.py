"""Identities of pods and containers, which are others on each node: a mark in each, which becomes the number of a node."""

import re
from collections.abc import Sequence

from agent.model.table import Row, Value

# As long as the number that takes its place, so that nothing else of a message changes; no name has it.
MARK = "~node-~~"
_DIGITS = 8
assert len(MARK) == _DIGITS
# Uids of pods end with twelve such digits, and identities of containers and runs have more.
_IDENTITY = re.compile(r"[0-9a-f]{12,}")


def marked(rows: Sequence[Row]) -> list[Row]:
    """Rows with the mark in place of the first digits of each identity."""
    known: dict[str, str] = {}
    return [tuple(_marked(value, known) if isinstance(value, str) else value for value in row) for row in rows]


def number_text(node: int) -> str:
    """What stands in the place of the mark."""
    return f"{node:0{_DIGITS}x}"


def _marked(text: str, known: dict[str, str]) -> Value:
    found = known.get(text)
    if found is None:
        found = known[text] = _IDENTITY.sub(lambda match: MARK + match[0][_DIGITS:], text)
    return found
