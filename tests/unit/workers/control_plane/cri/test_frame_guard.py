"""The look at the heads of frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from workers.control_plane.cri.frame_guard import FRAME_BYTES_MAX, FrameGuard

SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


def frame(length: int, kind: int = 0) -> bytes:
    """A frame with so many bytes."""
    return length.to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 1]) + b"x" * length


def feed(guard: FrameGuard, data: bytes, cut: int) -> None:
    """All of it, in pieces."""
    for place in range(0, len(data), cut):
        guard.check(data[place : place + cut])


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(1, 30))
def test_good_frames_pass_however_they_are_cut(lengths: list[int], cut: int) -> None:
    """Also the largest one."""
    guard = FrameGuard()
    data = SETTINGS + b"".join(frame(length) for length in lengths) + frame(FRAME_BYTES_MAX) + frame(0)
    feed(guard, data, cut)


@given(st.integers(FRAME_BYTES_MAX + 1, (1 << 24) - 1), st.integers(0, 40), st.integers(1, 60))
def test_a_frame_that_is_too_long_is_refused_at_its_head(length: int, before: int, cut: int) -> None:
    """Wherever it comes, before its first byte is kept."""
    guard = FrameGuard()
    data = SETTINGS + frame(before) + length.to_bytes(3, "big") + b"\0\0\0\0\0\1"
    with pytest.raises(ProtocolError, match=f"a frame of {length} bytes"):
        feed(guard, data, cut)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH", b"\xff" * 9, b"\0" * 9])
def test_another_protocol_is_known_by_its_first_bytes(greeting: bytes) -> None:
    """A runtime's first frame has its settings."""
    with pytest.raises(ProtocolError, match="does not speak HTTP/2"):
        FrameGuard().check(greeting)
