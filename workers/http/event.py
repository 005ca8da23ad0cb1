"""How events of a stream are written down. PURE. *Source:* WHATWG HTML, 9.2 (server-sent events)."""

import re

KEEP_ALIVE = b":\n\n"

_LINE_END = re.compile(rb"\r\n|\r|\n")
_ID = re.compile(r"([!-~]{1,64})-([0-9]{1,18})")


def encode_event(data: bytes, event: str = "", event_id: str = "") -> bytes:
    """One event: its fields, one `data` line for each line of the data, and the empty line that ends it."""
    assert {"\r", "\n", "\0"}.isdisjoint(event + event_id), (event, event_id)
    head = (f"id: {event_id}\n" if event_id else "") + (f"event: {event}\n" if event else "")
    lines = _LINE_END.split(data) if b"\n" in data or b"\r" in data else (data,)
    return head.encode() + b"".join(b"data: %b\n" % line for line in lines) + b"\n"


def encode_retry(retry_ms: int) -> bytes:
    """After which time a client that lost its connection asks again."""
    return b"retry: %d\n\n" % retry_ms


def event_id(epoch: str, number: int) -> str:
    """The id of an event: the life of the server that counted it, and its number there."""
    return f"{epoch}-{number}"


def parse_event_id(text: str | None) -> tuple[str, int] | None:
    """Epoch and number of an id. *Absent:* None for text that is none of ours."""
    found = _ID.fullmatch(text or "")
    return None if found is None else (found[1], int(found[2]))
