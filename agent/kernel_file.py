"""Reads whole files of /proc and /sys, where one read(2) returns at most a page, however large the buffer is.

This is so for every file that the kernel writes record by record: mountinfo, cpuinfo, filesystems, net/tcp, cgroup.procs. A program
that reads only once sees the first 4 KiB and takes them for the whole file.
"""

import os

# Directory `tasks` of 5,000 threads in a resctrl group has 40 KB: most files need one read and the one that finds the end.
PART_BYTES = 64 << 10


def read_to_end(descriptor: int, bytes_max: int) -> bytes:
    """What an open file has from its position on, or the first `bytes_max` bytes of that. *Raises:* OSError.

    *Source:* read(2); fs/seq_file.c returns at most one page for each read.
    """
    assert bytes_max >= 0
    parts: list[bytes] = []
    left = bytes_max
    while left > 0 and (part := os.read(descriptor, min(left, PART_BYTES))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def read_whole(path: str, bytes_max: int) -> bytes:
    """The whole content of a file, or its first `bytes_max` bytes. It never waits for a writer of a pipe. *Raises:* OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return read_to_end(descriptor, bytes_max)
    finally:
        os.close(descriptor)


def read_text(path: str, bytes_max: int) -> str:
    """The same as text; bytes that are not UTF-8 become lone surrogates, as in Python's own paths. *Raises:* OSError."""
    return read_whole(path, bytes_max).decode("utf-8", "surrogateescape")
