"""Documents whose last field is a list that may be long: told row by row, so that others have their turn meanwhile. PURE.

A row of a large fleet takes some 50 us, and ten thousand of them half a second, in which no beat and no question would be taken.
"""

from collections.abc import Iterator
from typing import TypeVar

from agent.model.control.document import Document, members
from agent.model.json_text import json_bytes

# First a document whose last field is an empty list, then the rows of that list. None: nothing to tell yet.
Listing = Iterator[Document | None]
D = TypeVar("D", bound=Document)


def whole(listing: Listing, form: type[D]) -> D:
    """The document with all of its rows."""
    head, *rows = (each for each in listing if each is not None)
    fields = members(head)
    return form(**{**fields, list(fields)[-1]: rows})


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
