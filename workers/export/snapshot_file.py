"""What a sink builds on, kept beside its cursor: totals and names as they were at one place of the spool.

It is never ahead of the cursor: what follows its place up to the cursor is read again at a start, and not sent.
"""

import os
from zlib import crc32

import msgspec
from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.store.place import Place
from agent.store.state_file import create_unfinished, read_state_file, write_at

NAME = "snapshot"
BYTES_MAX = 64 << 20


class SinkSnapshot(Struct, frozen=True):
    """`content` is the sink's own, after every batch before `place`; `identity` says of which sink."""

    identity: str
    place: Place
    content: bytes


_DECODER = msgspec.msgpack.Decoder(SinkSnapshot)


def read_snapshot(folder: str) -> SinkSnapshot | None:
    """*Absent:* None where there is none, or it is damaged. *Raises:* StorageError."""
    path = os.path.join(folder, NAME)
    try:
        data = read_state_file(path, BYTES_MAX + 4)
    except OSError as cause:
        raise _error(path, cause) from cause
    if data is None or not 4 < len(data) <= BYTES_MAX + 4 or crc32(data[4:]).to_bytes(4, "little") != data[:4]:
        return None
    try:
        return _DECODER.decode(data[4:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def write_snapshot(folder: str, snapshot: SinkSnapshot) -> None:
    """Replace it as a whole, and wait for the disk. *Raises:* StorageError."""
    payload = msgspec.msgpack.encode(snapshot)
    path = os.path.join(folder, NAME)
    unfinished = os.path.join(folder, f".{NAME}.new")
    try:
        descriptor = create_unfinished(unfinished)
        try:
            write_at(descriptor, crc32(payload).to_bytes(4, "little") + payload, 0)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        failpoint("snapshot.written")
        os.rename(unfinished, path)
        failpoint("snapshot.named")
    except OSError as cause:
        raise _error(path, cause) from cause


def _error(path: str, cause: OSError) -> StorageError:
    problem = f"the totals of this sink cannot be kept ({cause.strerror})"
    return StorageError(readable(path), problem, "free space there, or let the agent's user write there")
