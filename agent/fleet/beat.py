"""The beat of a node: a frame of fixed size, once a second, by a process of its own. PURE.

    mark 2 · version u8 · flags u8 · install 8 · run 8 · sequence u32 · state version u32 · state digest 8 · wall clock u64 (us) ·
    progress u32 (ms)                                                                                       (little endian)

The digest is that of the live state which the node's uplink sent last: a hub that holds another one asks for the whole state.
"""

from struct import Struct as Layout

from msgspec import Struct

from agent.model.errors import ProtocolError

MARK = b"EB"
VERSION = 1
_LAYOUT = Layout("<2sBB8s8sII8sQI")
BEAT_BYTES = _LAYOUT.size
DIGEST_BYTES = 8
NO_DIGEST = bytes(DIGEST_BYTES)
# The node leaves on purpose and does not come back by itself.
LEAVES = 1
# How old the newest row of the node's own is; at the limit of the field: not known.
PROGRESS_UNKNOWN = 0xFFFFFFFF


class NodeBeat(Struct, frozen=True):
    """One beat. `install` and `run` are hexadecimal, as everywhere else.

    *Units:* `wall_us` is the node's clock, microseconds of unix time; `progress_ms` the age of the newest row that its samplers
    have stored, in milliseconds. *Absent:* `progress_ms` None: not known. `digest` NO_DIGEST: the uplink has sent nothing yet.
    """

    install: str
    run: str
    sequence: int
    state_version: int
    digest: bytes
    wall_us: int
    progress_ms: int | None
    leaves: bool = False


class BeatProgress(Struct, frozen=True):
    """What a beat says of the node's state. *Absent:* `newest_row_ns` None: no row was seen yet."""

    state_version: int = 0
    digest: bytes = NO_DIGEST
    newest_row_ns: int | None = None


def encode_beat(beat: NodeBeat) -> bytes:
    """The frame of a beat. *Range:* numbers beyond their field are cut to it: a sequence wraps, an age stays at its limit."""
    progress = PROGRESS_UNKNOWN if beat.progress_ms is None else min(max(0, beat.progress_ms), PROGRESS_UNKNOWN - 1)
    return _LAYOUT.pack(
        MARK,
        VERSION,
        LEAVES if beat.leaves else 0,
        bytes.fromhex(beat.install),
        bytes.fromhex(beat.run),
        beat.sequence & 0xFFFFFFFF,
        beat.state_version & 0xFFFFFFFF,
        beat.digest,
        max(0, beat.wall_us) & 0xFFFFFFFFFFFFFFFF,
        progress,
    )


def decode_beat(frame: bytes) -> NodeBeat:
    """*Raises:* ProtocolError for a frame that is none."""
    if len(frame) != BEAT_BYTES or frame[:2] != MARK:
        raise ProtocolError("beat", f"{len(frame)} bytes are no beat")
    _, version, flags, install, run, sequence, state_version, digest, wall_us, progress = _LAYOUT.unpack(frame)
    if version != VERSION:
        raise ProtocolError("beat", f"version {version} is not known to this hub, which reads {VERSION}", "upgrade the hub")
    progress_ms = None if progress == PROGRESS_UNKNOWN else progress
    return NodeBeat(install.hex(), run.hex(), sequence, state_version, digest, wall_us, progress_ms, leaves=bool(flags & LEAVES))


def is_beat(frame: bytes) -> bool:
    """Whether a frame says that it is a beat."""
    return frame[:2] == MARK
