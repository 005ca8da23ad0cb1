"""A message of a topic as a reader gets it: head and columns, checked against each other. PURE."""

from collections.abc import Iterable

from msgspec import Struct

from agent.model.errors import FormatError
from agent.topic.column_reading import decode_columns
from agent.topic.columns import TopicRows
from agent.topic.head import WHERE, MessageHead, check_value, parse_headers

# A client may be set to take larger ones; ours are never sent so long.
VALUE_BYTES_MAX = 8 << 20


class TopicMessage(Struct, frozen=True):
    """Whose rows they are, and the rows."""

    head: MessageHead
    rows: TopicRows


def decode_message(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> TopicMessage:
    """*Raises:* FormatError for a message that no sink of ours has written, or that is damaged."""
    if value is None or len(value) > VALUE_BYTES_MAX:
        raise FormatError(WHERE, "it has no value, or one that is too long")
    head = parse_headers(headers)
    check_value(head, value)
    rows = decode_columns(value)
    if (rows.table, rows.version, rows.rows) != (head.table, head.version, head.rows):
        raise FormatError(WHERE, "its headers name another table, version or number of rows than its value")
    return TopicMessage(head, rows)
