"""Documents that people write: what is wrong is told by place."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ConfigError
from agent.model.toml import decode_document, parse_toml, quoted


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("a = 1\nb = = 2\n", "f.toml: not TOML: line 2, column 5: Invalid value: b = = 2; "),
        ("a = 1\r\n\r\n[x\r\n", "f.toml: not TOML: line 3, column 3: Expected ']' at the end of a table declaration: [x; "),
        ("port =", "f.toml: not TOML: line 1, column 7: Invalid value: port =; "),
        ("\n\na = 'x\n\n", "f.toml: not TOML: line 3, column 7: "),
        ('a = "x\n', "f.toml: not TOML: line 1, column 7: Illegal character '\\n': a = \"x; "),
        ("a = 1\nb = \x1b[2J\n", "line 2, column 5: Invalid value: b = \\x1b[2J; "),
        ("a = 1\na = 2\n", "line 2, column 6: Cannot overwrite a value: a = 2; "),
        ('a = """x\n\n', 'line 1, column 9: Unterminated string: a = """x; '),
        ("a = " + "1" * 5000, "f.toml: not TOML: Exceeds the limit"),
        ("a = " + "[" * 5000, "f.toml: not TOML: "),
    ],
)
def test_a_document_that_is_no_toml_is_told_by_line_and_column(document: str, told: str) -> None:
    """With the line itself, on one line of text, and with the remedy."""
    with pytest.raises(ConfigError) as refused:
        parse_toml(document, origin="f.toml")
    assert told in refused.value.sentence
    assert refused.value.sentence.endswith("correct the file; `agentd --check-config` checks it")
    assert refused.value.sentence.isprintable()


def test_of_a_long_line_what_is_around_the_place_is_shown() -> None:
    """A screen of text says nothing more."""
    with pytest.raises(ConfigError) as refused:
        parse_toml("a = [" + "1, " * 1000 + "x" + ", 1" * 1000 + "]", origin="f")
    assert ": …1, " in refused.value.sentence
    assert " x, 1" in refused.value.sentence
    assert "…; correct" in refused.value.sentence
    assert len(refused.value.sentence) < 300


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    """Some editors write one; the columns count without it."""
    assert decode_document(b"\xef\xbb\xbfa = 1\n", origin="f") == "a = 1\n"
    assert decode_document(b"a = 1\n", origin="f") == "a = 1\n"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"a = 1\n\nb = '\xff'\n", "f.toml: not UTF-8 text in line 3; correct the file; `agentd --check-config` checks it"),
        ("a = 1".encode("utf-16"), "f.toml: UTF-16 text; save it as UTF-8"),
    ],
)
def test_another_encoding_is_told(data: bytes, sentence: str) -> None:
    """The line, or what it is."""
    with pytest.raises(ConfigError) as refused:
        decode_document(data, origin="f.toml")
    assert refused.value.sentence == sentence


@given(st.text())
def test_a_quoted_text_is_read_back(text: str) -> None:
    """What can be printed comes back as it was; the rest is written readably, and is TOML too."""
    found = tomllib.loads(f"a = {quoted(text)}")["a"]
    assert found == text or not text.isprintable()
    assert "\n" not in quoted(text)
    assert tomllib.loads(f"a = {quoted(chr(0xDCFF))}")["a"] == "\\xff"


def test_an_empty_document_is_an_empty_table() -> None:
    """An agent without a configuration file."""
    assert parse_toml("", origin="f") == {}
