"""A whole message: head and value belong together."""

from zlib import crc32

import pytest
from msgspec.structs import replace

from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.topic.columns import columns_of, encode_columns
from agent.topic.head import MessageHead, encode_headers
from agent.topic.message import VALUE_BYTES_MAX, decode_message

ROWS = columns_of("unit", 2, ("x",), (DType.INT64,), [(1,), (2,)])
VALUE = encode_columns(ROWS)
HEAD = MessageHead("unit", 2, "node-1", "i", "r", "w", 1, 1, 1, 2, crc32(VALUE), 1, 1, True)


def test_a_message_is_read() -> None:
    """Whose rows they are, and the rows."""
    found = decode_message(encode_headers(HEAD), VALUE)
    assert (found.head, found.rows) == (HEAD, ROWS)


@pytest.mark.parametrize("head", [replace(HEAD, table="host"), replace(HEAD, version=1), replace(HEAD, rows=3)])
def test_headers_that_say_something_else_are_refused(head: MessageHead) -> None:
    """A reader may trust the headers without looking at the value."""
    with pytest.raises(FormatError, match="headers"):
        decode_message(encode_headers(head), VALUE)


@pytest.mark.parametrize("value", [None, b"", VALUE[:-1], bytes(VALUE_BYTES_MAX + 1)], ids=["none", "empty", "cut", "long"])
def test_another_value_is_refused(value: bytes | None) -> None:
    """Missing, cut or too long."""
    with pytest.raises(FormatError):
        decode_message(encode_headers(HEAD), value)
