"""Whole files of /proc and /sys. A read(2) of them gives a page at most, however large the buffer is.

That holds for all that the kernel writes record by record: mountinfo, cpuinfo, filesystems, net/tcp, cgroup.procs. A program that
reads once sees the first 4 KiB and takes them for all there is.
"""

import os

PART_BYTES = 64 << 10


def read_whole(path: str, bytes_max: int) -> bytes:
    """The file's content to its end, or its first `bytes_max` bytes. It never waits for a writer. *Raises:* OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        parts: list[bytes] = []
        left = bytes_max
        while left > 0 and (part := os.read(descriptor, min(left, PART_BYTES))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_text(path: str, bytes_max: int) -> str:
    """The same as text; bytes that are no UTF-8 become what Python's own paths have for them. *Raises:* OSError."""
    return read_whole(path, bytes_max).decode("utf-8", "surrogateescape")
