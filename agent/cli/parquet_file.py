"""Whether a Parquet file is whole from end to end, told by a few of its bytes: one that is not would end a whole query."""

import os

from agent.cli.spool_reader import refusal

MAGIC = b"PAR1"
# The length of the footer, little-endian, and the magic behind it.
TRAILER_BYTES = 8


def is_whole(path: str) -> bool:
    """Whether the magic stands at both ends and the footer fits between them.

    *Raises:* FileNotFoundError when it is gone, PermissionRefused, StorageError.
    *Source:* the Parquet file format, "File format".
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            begin = os.pread(descriptor, len(MAGIC), 0)
            trailer = os.pread(descriptor, TRAILER_BYTES, max(0, size - TRAILER_BYTES))
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as cause:
        raise refusal(path, cause) from cause
    footer_bytes = int.from_bytes(trailer[:4], "little")
    return begin == MAGIC and trailer[4:] == MAGIC and 0 < footer_bytes <= size - len(MAGIC) - TRAILER_BYTES


def parted(paths: list[str]) -> tuple[list[str], list[str]]:
    """The whole files and the damaged ones, each in the given order; files that have gone meanwhile are in neither.

    *Raises:* PermissionRefused, StorageError.
    """
    whole: list[str] = []
    damaged: list[str] = []
    for path in paths:
        try:
            (whole if is_whole(path) else damaged).append(path)
        except FileNotFoundError:
            continue
    return whole, damaged
