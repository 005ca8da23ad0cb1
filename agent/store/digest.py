"""A digest of a whole Parquet file, inside it: what no checksum of the format covers is covered too.

Page checksums cover the pages, but neither their heads nor the footer, where a flipped bit moves a page, renames a
column or bends a count. So a block lies between the last page and the footer: a magic word and a digest of all other
bytes. Readers find the footer from the end and pages by their offsets, and never look at what lies between.
"""

import os
from enum import Enum

from agent.model.checksum import blake2b

MAGIC = b"evgblk2b"
DIGEST_BYTES = 16
BLOCK_BYTES = len(MAGIC) + DIGEST_BYTES
# The length of the footer, little-endian, and Parquet's magic word.
TRAILER_BYTES = 8
_CHUNK_BYTES = 1 << 20
# A footer that is added to is read into memory; the agent's have some 10 KiB.
_FOOTER_BYTES_MAX = 64 << 20


class DigestVerdict(Enum):
    """What a file's digest says."""

    GOOD = "good"
    DAMAGED = "damaged"
    # Written before there were digests, or no Parquet file of the agent.
    NONE = "none"


def add_digest(path: str) -> None:
    """Put the block into a finished file. *Raises:* OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        footer_at = _footer_at(descriptor, size)
        assert footer_at is not None
        assert size - footer_at <= _FOOTER_BYTES_MAX
        footer = read_range(descriptor, footer_at, size)
        digest = _digest_of(descriptor, footer_at, footer)
        _write(descriptor, MAGIC + digest + footer, footer_at)
    finally:
        os.close(descriptor)


def check_digest(descriptor: int) -> DigestVerdict:
    """Whether all bytes of a file are those that were written. *Raises:* OSError."""
    size = os.fstat(descriptor).st_size
    footer_at = _footer_at(descriptor, size)
    if footer_at is None or footer_at < BLOCK_BYTES or size - footer_at > _FOOTER_BYTES_MAX:
        return DigestVerdict.NONE
    block = read_range(descriptor, footer_at - BLOCK_BYTES, footer_at)
    if not block.startswith(MAGIC):
        return DigestVerdict.NONE
    digest = _digest_of(descriptor, footer_at - BLOCK_BYTES, read_range(descriptor, footer_at, size))
    return DigestVerdict.GOOD if digest == block[len(MAGIC) :] else DigestVerdict.DAMAGED


def check_digest_of(data: bytes) -> DigestVerdict:
    """As `check_digest`, of a file that was read into memory."""
    footer_at = len(data) - TRAILER_BYTES - int.from_bytes(data[-TRAILER_BYTES:-4], "little")
    if footer_at < BLOCK_BYTES:
        return DigestVerdict.NONE
    pages_end = footer_at - BLOCK_BYTES
    block = data[pages_end:footer_at]
    if not block.startswith(MAGIC):
        return DigestVerdict.NONE
    view = memoryview(data)
    state = blake2b(view[:pages_end], digest_size=DIGEST_BYTES)
    state.update(view[footer_at:])
    return DigestVerdict.GOOD if state.digest() == block[len(MAGIC) :] else DigestVerdict.DAMAGED


def _footer_at(descriptor: int, size: int) -> int | None:
    """Where the footer begins; None where it cannot lie in the file."""
    trailer = os.pread(descriptor, TRAILER_BYTES, max(0, size - TRAILER_BYTES))
    begin = size - TRAILER_BYTES - int.from_bytes(trailer[:4], "little")
    return begin if begin >= 0 else None


def _digest_of(descriptor: int, pages_end: int, footer: bytes) -> bytes:
    """The digest of the bytes before `pages_end` and of the footer with its trailer."""
    state = blake2b(digest_size=DIGEST_BYTES)
    for offset in range(0, pages_end, _CHUNK_BYTES):
        state.update(read_range(descriptor, offset, min(pages_end, offset + _CHUNK_BYTES)))
    state.update(footer)
    return state.digest()


def read_range(descriptor: int, begin: int, end: int) -> bytes:
    """The bytes between two offsets, fewer where the file ends. *Raises:* OSError."""
    parts: list[bytes] = []
    while begin < end and (part := os.pread(descriptor, end - begin, begin)):
        parts.append(part)
        begin += len(part)
    return b"".join(parts)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
