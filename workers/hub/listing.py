"""Documents whose last field is a list that may be long: told row by row, so that others have their turn meanwhile. PURE.

A row of a large fleet takes some 50 us, and ten thousand of them half a second, in which no beat and no question would be taken.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from agent.model.control.document import Document, plain
from agent.model.json_text import json_bytes

# In a turn of the loop so many rows are made, a few milliseconds' worth, however many wait for them.
PARTS_PER_TURN = 64
# First a document whose last field is an empty list, then the rows of that list. None: nothing to tell yet.
Listing = Iterator[Document | None]


class Gathering:
    """A document that is being made for a message, as `plain` gives it. `number` is that of the operation which asked for it."""

    def __init__(self, number: int, listing: Listing) -> None:
        self.number = number
        self._listing = listing
        self._rows: list[dict[str, object]] = []
        self._head: dict[str, object] = {}

    @property
    def document(self) -> dict[str, Any]:
        """As far as it is made."""
        return {**self._head, list(self._head)[-1]: self._rows}

    def go_on(self, parts: int) -> int:
        """Take at most so many parts of the listing; how many fewer it took. 0: it is not whole yet."""
        for each in islice(self._listing, parts):
            parts -= 1
            if each is None:
                continue
            if self._head:
                self._rows.append(plain(each))
            else:
                self._head = plain(each)
        return parts


def in_parts(listing: Listing) -> Iterator[bytes]:
    """The bytes of the document as JSON. Between two parts, each of which may be empty, others may have their turn."""
    close = b""
    separator = b""
    for each in listing:
        if each is None:
            yield b""
            continue
        text = json_bytes(each)
        if close:
            yield separator + text
            separator = b","
        else:
            begin, close = text[:-2], text[-2:]
            assert close == b"]}", "the last field is no empty list"
            yield begin
    yield close
