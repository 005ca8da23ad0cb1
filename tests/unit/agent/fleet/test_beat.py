"""The frame of a beat: its size, round trips, and whatever else comes as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.beat import (
    BEAT_BYTES,
    DIGEST_BYTES,
    PROGRESS_UNKNOWN,
    BeatProgress,
    NodeBeat,
    decode_beat,
    encode_beat,
    is_beat,
)
from agent.model.errors import ProtocolError

BEAT = NodeBeat("00112233445566aa", "ffeeddccbbaa9988", 7, 3, b"digest08", 1_700_000_000_000_000, 250)
IDS = st.binary(min_size=8, max_size=8).map(bytes.hex)
U32 = st.integers(0, (1 << 32) - 1)
BEATS = st.builds(
    NodeBeat,
    IDS,
    IDS,
    U32,
    U32,
    st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES),
    st.integers(0, (1 << 64) - 1),
    st.none() | st.integers(0, PROGRESS_UNKNOWN - 1),
    leaves=st.booleans(),
)


def test_a_beat_has_48_bytes() -> None:
    """It fits in one small packet, whatever it says."""
    assert (BEAT_BYTES, len(encode_beat(BEAT))) == (48, 48)
    assert is_beat(encode_beat(BEAT))
    assert not is_beat(b"U1")


@given(beat=BEATS)
def test_a_beat_comes_back_as_it_was(beat: NodeBeat) -> None:
    """All of its fields."""
    assert decode_beat(encode_beat(beat)) == beat


def test_numbers_beyond_their_field_are_cut_to_it() -> None:
    """A sequence wraps, an age stays at its limit, a time before 1970 is its beginning."""
    beat = NodeBeat(BEAT.install, BEAT.run, 1 << 32, (1 << 32) + 2, BEAT.digest, -5, 1 << 40)
    found = decode_beat(encode_beat(beat))
    assert (found.sequence, found.state_version, found.wall_us, found.progress_ms) == (0, 2, 0, PROGRESS_UNKNOWN - 1)
    assert decode_beat(encode_beat(NodeBeat(BEAT.install, BEAT.run, 1, 1, BEAT.digest, 0, -3))).progress_ms == 0


def test_every_prefix_of_a_beat_is_refused() -> None:
    """And what is longer."""
    frame = encode_beat(BEAT)
    for end in range(BEAT_BYTES):
        with pytest.raises(ProtocolError):
            decode_beat(frame[:end])
    with pytest.raises(ProtocolError, match="49 bytes are no beat"):
        decode_beat(frame + b"\0")


def test_every_byte_of_a_beat_altered_is_another_beat_or_refused() -> None:
    """Never another error."""
    frame = encode_beat(BEAT)
    refused = 0
    for place in range(BEAT_BYTES):
        for flipped in (0x01, 0x80, 0xFF):
            altered = bytearray(frame)
            altered[place] ^= flipped
            try:
                decode_beat(bytes(altered))
            except ProtocolError:
                refused += 1
    # The mark and the version.
    assert refused == 3 * 3


def test_another_version_is_named() -> None:
    """A person learns which side to upgrade."""
    frame = bytearray(encode_beat(BEAT))
    frame[2] = 9
    with pytest.raises(ProtocolError, match="version 9 is not known to this hub"):
        decode_beat(bytes(frame))


def test_progress_is_nothing_before_the_first_row() -> None:
    """What a beat says before the uplink has written anything."""
    assert BeatProgress() == BeatProgress(0, bytes(DIGEST_BYTES), None)
