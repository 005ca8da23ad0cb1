"""Reads whole files of /proc and /sys, where one read(2) returns at most a page, however large the buffer is.

This is so for every file that the kernel writes record by record: mountinfo, cpuinfo, filesystems, net/tcp, cgroup.procs. A program
that reads only once sees the first 4 KiB and takes them for the whole file.
"""

import os

PART_BYTES = 64 << 10


def read_whole(path: str, bytes_max: int) -> bytes:
    """The whole content of a file, or its first `bytes_max` bytes. It never waits for a writer of a pipe. *Raises:* OSError."""
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
    """The same as text; bytes that are not UTF-8 become lone surrogates, as in Python's own paths. *Raises:* OSError."""
    return read_whole(path, bytes_max).decode("utf-8", "surrogateescape")
