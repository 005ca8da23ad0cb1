"""Names that others chose become text that any message, log line and row can carry."""

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.foreign import readable


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
def test_a_foreign_name_is_shown_byte_for_byte(name: str | bytes, shown: str):
    """What is no text is written as its escape, all else stays."""
    assert readable(name) == shown


@given(st.binary(max_size=64))
def test_any_bytes_become_one_line_that_utf8_can_carry(name: bytes):
    """Bytes and the surrogates that a directory listing makes of them are shown alike."""
    shown = readable(name)
    assert shown == readable(os.fsdecode(name))
    assert shown.isprintable()
    assert msgspec.json.decode(msgspec.json.encode(shown)) == shown


@pytest.mark.parametrize("name", ["x" * 20, b"\xff" * 20, "\n" * 20])
def test_a_long_name_is_cut_and_says_so(name: str | bytes):
    """Nobody's name makes a line longer than it may be."""
    shown = readable(name, characters_max=10)
    assert len(shown) == 10
    assert shown.endswith("…")
