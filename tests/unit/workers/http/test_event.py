"""How events of a stream are written down."""

import pytest

from workers.http.event import encode_event, encode_retry, event_id, parse_event_id


@pytest.mark.parametrize(
    ("data", "event", "number", "expected"),
    [
        (b"{}", "", "", b"data: {}\n\n"),
        (b"{}", "tick", "e-1", b"id: e-1\nevent: tick\ndata: {}\n\n"),
        (b"a\nb\r\nc\rd", "", "", b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (b"", "x", "", b"event: x\ndata: \n\n"),
    ],
)
def test_an_event_is_its_fields_and_an_empty_line(data: bytes, event: str, number: str, expected: bytes) -> None:
    """A line end in the data cannot end the event."""
    assert encode_event(data, event, number) == expected


@pytest.mark.parametrize(("event", "number"), [("a\nb", ""), ("", "a\rb"), ("", "a\0")])
def test_no_field_holds_a_line_end(event: str, number: str) -> None:
    """A bug of the caller."""
    with pytest.raises(AssertionError):
        encode_event(b"", event, number)


def test_a_retry_is_in_milliseconds() -> None:
    """As the standard has it."""
    assert encode_retry(1500) == b"retry: 1500\n\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (event_id("ab-cd", 17), ("ab-cd", 17)),
        ("e-0", ("e", 0)),
        (None, None),
        ("", None),
        ("17", None),
        ("-17", None),
        ("e-", None),
        ("e-1x", None),
        ("e-" + "1" * 19, None),
        ("e f-1", None),
        ("e" * 65 + "-1", None),
    ],
)
def test_an_id_is_an_epoch_and_a_number(text: str | None, found: tuple[str, int] | None) -> None:
    """Anything else is no id of ours."""
    assert parse_event_id(text) == found
