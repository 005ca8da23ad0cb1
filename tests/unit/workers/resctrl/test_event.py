"""What event files may hold, and every failure of reading one."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.absence import Absence
from workers.resctrl.event import EVENT_BYTES_MAX, absence_of, parse_event

WORDS = {b"Unavailable\n": Absence.UNAVAILABLE, b"Error\n": Absence.ERROR, b"Unassigned\n": Absence.UNASSIGNED}


@given(st.integers(0, (1 << 64) - 1))
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    """All that 64 bits hold, and never longer than what is read of a file."""
    content = b"%d\n" % number
    assert parse_event(content) == number
    assert len(content) <= EVENT_BYTES_MAX


@pytest.mark.parametrize(("word", "reason"), WORDS.items())
def test_the_kernels_words_are_reasons(word: bytes, reason: Absence) -> None:
    """Each its own; none of them is a zero."""
    assert parse_event(word) is reason


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"12", b"12\n\n", b"12\r\n", b" 12\n", b"+12\n", b"-1\n", b"1_0\n", b"1.5\n", b"0x1\n", b"1e3\n", b"12\n34\n",
        b"nan\n", b"12\0\n", b"12\0", "١٢\n".encode(), b"Unavailable", b"unavailable\n", b"Unknown\n", b"18446744073709551616\n",
        b"0" * 21 + b"\n", b"9" * EVENT_BYTES_MAX,
    ],
)  # fmt: skip
def test_everything_else_is_malformed(content: bytes) -> None:
    """What Python would take for a number is none either, and half a number would be a wrong one."""
    assert parse_event(content) is Absence.MALFORMED


@given(st.binary(max_size=EVENT_BYTES_MAX))
def test_no_content_raises_and_none_becomes_a_number_that_it_does_not_spell(content: bytes) -> None:
    """Garbage of any form."""
    value = parse_event(content)
    assert value in (*WORDS.values(), Absence.MALFORMED) if isinstance(value, Absence) else int(content) == value


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 24))
def test_no_beginning_of_a_file_passes_for_the_whole(number: int, length: int) -> None:
    """A reading that was cut short has no value."""
    content = b"%d\n" % number
    assert parse_event(content[:length]) is Absence.MALFORMED or length >= len(content)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOENT, Absence.VANISHED),
        (errno.ENODEV, Absence.VANISHED),
        (errno.EACCES, Absence.NO_PERMISSION),
        (errno.EPERM, Absence.NO_PERMISSION),
        (errno.EIO, Absence.ERROR),
        (errno.ENOTCONN, Absence.UNREADABLE),
        (errno.ETIMEDOUT, Absence.UNREADABLE),
        (None, Absence.UNREADABLE),
    ],
)
def test_a_failure_to_read_has_a_reason(code: int | None, reason: Absence) -> None:
    """Whatever the errno."""
    assert absence_of(OSError() if code is None else OSError(code, "")) is reason
