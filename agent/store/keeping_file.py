"""The file `sinks/keeping`, which the writer alone replaces, as a whole."""

import os
from contextlib import suppress
from zlib import crc32

import msgspec

from agent.failpoint import failpoint
from agent.store.keeping import Keeping
from agent.store.layout import SINKS_FOLDER
from agent.store.state_file import create_unfinished, read_state_file, write_at

NAME = "keeping"
FILE_BYTES_MAX = 4 << 20

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Keeping)


def read_keeping(state_dir: str) -> Keeping | None:
    """What the writer says. *Absent:* None where it has said nothing, or what is there is damaged. *Raises:* OSError."""
    data = read_state_file(os.path.join(state_dir, SINKS_FOLDER, NAME), FILE_BYTES_MAX)
    if data is None or not 4 < len(data) <= FILE_BYTES_MAX or crc32(data[4:]).to_bytes(4, "little") != data[:4]:
        return None
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _DECODER.decode(data[4:])
    return None


def write_keeping(state_dir: str, keeping: Keeping) -> None:
    """Replace it, forced to the disk: a segment is removed only after what it held is written down. *Raises:* OSError."""
    folder = os.path.join(state_dir, SINKS_FOLDER)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    payload = _ENCODER.encode(keeping)
    unfinished = os.path.join(folder, f".{NAME}.new")
    descriptor = create_unfinished(unfinished)
    try:
        write_at(descriptor, crc32(payload).to_bytes(4, "little") + payload, 0)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    failpoint("keeping.written")
    os.rename(unfinished, os.path.join(folder, NAME))
    failpoint("keeping.named")
