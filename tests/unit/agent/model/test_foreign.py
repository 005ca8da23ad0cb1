"""Names that others chose become text that any message, log line and row can carry."""

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.foreign import all_encodable, encodable, readable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("nginx.service", "nginx.service"),
        ("zażółć", "zażółć"),
        (b"x\xff", r"x\xff"),
        (os.fsdecode(b"/a\xff\xfe/b"), r"/a\xff\xfe/b"),
        ("a\nb\x1b[2J", r"a\nb\x1b[2J"),
        (b"\xc3", r"\xc3"),
        ("\ud800", r"\ud800"),
        ("‮gpj.exe", r"\u202egpj.exe"),
        ("", ""),
    ],
)
def test_a_foreign_name_is_shown_byte_for_byte(name: str | bytes, shown: str) -> None:
    """What is no text is written as its escape, all else stays."""
    assert readable(name) == shown


@given(st.binary(max_size=64))
def test_any_bytes_become_one_line_that_utf8_can_carry(name: bytes) -> None:
    """Bytes and the surrogates that a directory listing makes of them are shown alike."""
    shown = readable(name)
    assert shown == readable(os.fsdecode(name))
    assert shown.isprintable()
    assert msgspec.json.decode(msgspec.json.encode(shown)) == shown


@pytest.mark.parametrize("name", ["x" * 20, b"\xff" * 20, "\n" * 20])
def test_a_long_name_is_cut_and_says_so(name: str | bytes) -> None:
    """Nobody's name makes a line longer than it may be."""
    shown = readable(name, characters_max=10)
    assert len(shown) == 10
    assert shown.endswith("…")


@pytest.mark.parametrize(
    ("text", "carried"),
    [("a\nb", "a\nb"), ("x\udcff", r"x\xff"), (b"x\xff\n", "x\\xff\n"), ("\ud800é", r"\ud800é"), ("é", "é")],
)
def test_only_what_utf8_cannot_carry_is_escaped_in_a_row(text: str | bytes, carried: str) -> None:
    """A path in a row stays the path, control characters included."""
    assert encodable(text) == carried


def test_every_text_of_a_plain_value_becomes_encodable() -> None:
    """Keys and values, in lists, tuples and mappings; numbers, bytes and nothing stay."""
    value = {"k\udcff": ["\udcfe", ("\udcfd", 1, None, b"\xff", True)]}
    assert all_encodable(value) == {r"k\xff": [r"\xfe", [r"\xfd", 1, None, b"\xff", True]]}


def test_what_is_too_deep_is_described() -> None:
    """A body of a hundred thousand nested lists costs no stack."""
    value: list[object] = ["\udcff"]
    for _ in range(100):
        value = [value]
    assert msgspec.json.encode(all_encodable(value))
