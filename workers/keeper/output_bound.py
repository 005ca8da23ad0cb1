"""Keeps a file bounded into which a workload writes by itself: the head of it is dropped when it grows beyond its limit.

The file is opened for appending, so its writer goes on at the new end. What is written between two looks is on the disk until the
next one: a burst of N bytes needs room for N bytes.
"""

import ctypes
import os
from contextlib import suppress

# linux/falloc.h.
_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE_RANGE = 0x01, 0x02, 0x08
# Blocks of file systems are no larger; a range must be a multiple of theirs.
_ALIGNMENT = 64 << 10
# stat(2): st_blocks counts these, whatever the file system's own are.
_BLOCK_BYTES = 512
LOOK_NS = 250_000_000
# A file that has not grown is looked at less and less often.
LOOK_NS_MAX = 2_000_000_000

_LIBC = ctypes.PyDLL(None, use_errno=True)


class OutputBound:
    """Watches one output file. The descriptor is the bound's own."""

    def __init__(self, descriptor: int, bytes_max: int, now_ns: int, lost_bytes: int = 0) -> None:
        self._descriptor = descriptor
        self._bytes_max = bytes_max
        self._size = os.fstat(descriptor).st_size
        self._pause_ns = LOOK_NS
        self.lost_bytes = lost_bytes
        self.look_at_ns = now_ns + LOOK_NS

    def look(self, now_ns: int) -> None:
        """Drop the head where the file is too large, and say when to look again."""
        status = os.fstat(self._descriptor)
        has_grown = status.st_size != self._size
        self._pause_ns = LOOK_NS if has_grown else min(2 * self._pause_ns, LOOK_NS_MAX)
        self.look_at_ns = now_ns + self._pause_ns
        self._size = status.st_size
        held = min(status.st_size, status.st_blocks * _BLOCK_BYTES)
        if held > self._bytes_max:
            # A quarter of room, or each look would drop a little.
            self._drop(status.st_size, held - self._bytes_max * 3 // 4)
            self._size = os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _drop(self, size: int, excess: int) -> None:
        length = excess - excess % _ALIGNMENT
        if length > 0 and _allocate(self._descriptor, _COLLAPSE_RANGE, 0, length):
            self.lost_bytes += length
            return
        # Blocks before `size - held` are holes already.
        end = size - (self._bytes_max * 3 // 4)
        if end > 0 and _allocate(self._descriptor, _PUNCH_HOLE | _KEEP_SIZE, 0, end - end % _ALIGNMENT):
            self.lost_bytes += excess
            return
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            self.lost_bytes += size


def _allocate(descriptor: int, mode: int, offset: int, length: int) -> bool:
    """*Source:* fallocate(2)."""
    if length <= 0:
        return False
    result: int = _LIBC.fallocate(descriptor, mode, ctypes.c_longlong(offset), ctypes.c_longlong(length))
    return result == 0
