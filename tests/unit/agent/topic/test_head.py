"""The headers of a message, written, read back and refused."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.model.errors import FormatError
from agent.topic.head import HEADERS_MAX, MessageHead, check_value, encode_headers, parse_headers, quoted, unquoted

VALUE = b"value"
HEAD = MessageHead(
    "process", 1, "node-1", "install-1", "run-1", "sampler/process", 3, 7, 9, 120, crc32(VALUE), 1_700_000_000_000_000_000,
    1_700_000_002_000_000_000, True,
)  # fmt: skip
NAMES = st.text(max_size=40).filter(lambda text: "\ud800" not in text)


@given(NAMES, NAMES, st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 9), st.integers(0, 9))
def test_a_head_is_read_back(host: str, worker: str, seq: int, crc: int, is_complete: bool, part: int, more: int) -> None:
    """Whatever names are in it; all headers are visible ASCII."""
    head = replace(HEAD, host=host, worker=worker, last_seq=seq, crc=crc, is_complete=is_complete, part=part, parts=part + more)
    headers = encode_headers(head)
    assert all(value.isascii() and value.decode().isprintable() for _, value in headers)
    assert parse_headers(headers) == head


def test_headers_are_those_that_documents_list() -> None:
    """In this order; `part` only where a batch is divided."""
    assert dict(encode_headers(HEAD)) == {
        "content-type": b"application/x-evergauge-columns",
        "schema": b"process/1",
        "host": b"node-1",
        "install": b"install-1",
        "run": b"run-1",
        "worker": b"sampler/process",
        "epoch": b"3",
        "first_seq": b"7",
        "last_seq": b"9",
        "rows": b"120",
        "crc": f"{crc32(VALUE):08x}".encode(),
        "first_stamp": b"1700000000000000000",
        "last_stamp": b"1700000002000000000",
        "behind": b"1",
    }
    assert dict(encode_headers(replace(HEAD, part=2, parts=3)))["part"] == b"2/3"


def test_other_headers_are_passed_over() -> None:
    """Clients and proxies add their own."""
    assert parse_headers([("traceparent", b"\xff"), *encode_headers(HEAD), ("x", None)]) == HEAD


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("content-type", b"application/json"),
        ("schema", b"process"),
        ("schema", b"/1"),
        ("schema", b"process/one"),
        ("epoch", b"-1"),
        ("epoch", b"1_0"),
        ("epoch", b""),
        ("epoch", b"9" * 19),
        ("epoch", b"1" * 20),
        ("rows", b" 1"),
        ("crc", b"0123"),
        ("crc", b"0123456G"),
        ("behind", b"yes"),
        ("host", b"\xff"),
        ("host", b"a" * 5000),
        ("host", b"%"),
        ("host", b"%4"),
        ("host", b"%  x"),
        ("host", b"%ff"),
        ("part", b"3/2"),
        ("part", b"0/2"),
        ("part", b"1"),
    ],
)
def test_a_wrong_header_is_refused(key: str, value: bytes) -> None:
    """With a sentence, whatever is wrong with it."""
    headers = [(name, found) for name, found in encode_headers(HEAD) if name != key]
    with pytest.raises(FormatError, match="message of a topic"):
        parse_headers([*headers, (key, value)])


@pytest.mark.parametrize("key", [key for key, _ in encode_headers(HEAD)])
def test_a_missing_or_doubled_header_is_refused(key: str) -> None:
    """Nothing is guessed."""
    headers = encode_headers(HEAD)
    with pytest.raises(FormatError):
        parse_headers([(name, value) for name, value in headers if name != key])
    with pytest.raises(FormatError, match="twice"):
        parse_headers([*headers, *[(name, value) for name, value in headers if name == key]])
    with pytest.raises(FormatError):
        parse_headers([(name, None if name == key else value) for name, value in headers])


def test_many_headers_are_refused() -> None:
    """A message of nothing but headers costs a reader nothing."""
    with pytest.raises(FormatError, match="headers"):
        parse_headers((str(number), b"") for number in range(HEADERS_MAX + 1))


def test_a_value_is_held_against_its_checksum() -> None:
    """One changed byte is found."""
    check_value(HEAD, VALUE)
    with pytest.raises(FormatError, match="checksum"):
        check_value(HEAD, b"Value")


@given(st.text(max_size=50))
def test_texts_are_quoted_and_read_back(text: str) -> None:
    """Visible letters stay as they are."""
    found = quoted(text)
    assert found.isascii()
    assert " " not in found
    assert unquoted(found) == text
