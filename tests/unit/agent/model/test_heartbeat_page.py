"""The heartbeat page: whole beats only."""

from hypothesis import given
from hypothesis import strategies as st

from agent.model.heartbeat_page import (
    BODY_BYTES,
    BODY_OFFSET,
    CERTIFICATE_BYTES_MAX,
    CERTIFICATE_LENGTH,
    CERTIFICATE_OFFSET,
    MEMORY,
    MEMORY_OFFSET,
    PAGE_BYTES,
    VERSION,
    Beat,
    pack_body,
    parse_certificate,
    parse_page,
)

uint64 = st.integers(min_value=0, max_value=2**64 - 1)
beats = st.builds(Beat, turns=uint64, at_ns=uint64, revision=uint64, digest=st.binary(min_size=32, max_size=32))


def version(number: int) -> bytes:
    """The version field of a page."""
    return VERSION.pack(number)


@given(beats, st.integers(min_value=1, max_value=2**62))
def test_a_beat_is_read_as_it_was_written(beat: Beat, writes: int) -> None:
    """An even version, the same before and after the copy, is a whole page."""
    assert parse_page(version(2 * writes), pack_body(beat), version(2 * writes)) == beat


@given(beats, uint64, uint64)
def test_a_torn_page_is_no_beat(beat: Beat, first: int, second: int) -> None:
    """An odd version is in the middle of a write, two versions are two writes, zero is none at all."""
    whole = first == second and first % 2 == 0 and first > 0
    assert (parse_page(version(first), pack_body(beat), version(second)) is not None) == whole


def test_an_untouched_page_is_no_beat() -> None:
    """A page of zeros is what a worker has before its first turn."""
    assert parse_page(bytes(VERSION.size), bytes(BODY_BYTES), bytes(VERSION.size)) is None


def test_the_page_has_room_for_the_body() -> None:
    """The layout fits, and the body begins on a border of eight bytes."""
    assert BODY_OFFSET + BODY_BYTES <= PAGE_BYTES
    assert BODY_OFFSET % 8 == 0
    assert BODY_OFFSET + BODY_BYTES <= MEMORY_OFFSET
    assert MEMORY_OFFSET % 8 == 0
    assert MEMORY_OFFSET + MEMORY.size <= CERTIFICATE_OFFSET


@given(st.binary(min_size=1, max_size=CERTIFICATE_BYTES_MAX))
def test_a_certificate_is_read_as_it_was_written(certificate: bytes) -> None:
    """What stands behind it on the page is no part of it."""
    area = (CERTIFICATE_LENGTH.pack(len(certificate)) + certificate).ljust(PAGE_BYTES - CERTIFICATE_OFFSET, b"\xff")
    assert parse_certificate(area) == certificate


def test_a_page_without_a_certificate_has_none() -> None:
    """Nothing written yet, or a length that the page cannot hold."""
    for length in (0, CERTIFICATE_BYTES_MAX + 1):
        assert parse_certificate(CERTIFICATE_LENGTH.pack(length).ljust(PAGE_BYTES - CERTIFICATE_OFFSET, b"\xff")) is None
