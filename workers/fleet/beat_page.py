"""One page of memory between the uplink and the beat: which state the hub should hold, and how new the node's rows are.

The uplink writes it, the beat reads it. It is a mapped file, so neither waits for the other, nor for the disk; and a beat goes on
with what it read last where the uplink has died.

    count u64 · run 8 · state version u32 · state digest 8 · newest row u64 (unix time, ns)        (little endian)

`count` is odd while the rest is written.
"""

import mmap
import os
from struct import Struct as Layout

from agent.fleet.beat import BeatProgress

PAGE_BYTES = 4096
SUFFIX = ".page"
_COUNT = Layout("<Q")
_BODY = Layout("<8sI8sQ")
TRIES = 3


class BeatPage:
    """The mapped page of one hub. *Raises:* OSError where the file cannot be made."""

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size < PAGE_BYTES:
                os.ftruncate(descriptor, PAGE_BYTES)
            self._page = mmap.mmap(descriptor, PAGE_BYTES)
        finally:
            os.close(descriptor)
        # One who died while it wrote has left it odd.
        self._count = _COUNT.unpack_from(self._page)[0] & ~1
        self._last = (b"", BeatProgress())

    def write(self, run: str, progress: BeatProgress) -> None:
        """Say what holds now."""
        body = _BODY.pack(bytes.fromhex(run), progress.state_version, progress.digest, progress.newest_row_ns or 0)
        _COUNT.pack_into(self._page, 0, self._count + 1)
        self._page[_COUNT.size : _COUNT.size + len(body)] = body
        self._count += 2
        _COUNT.pack_into(self._page, 0, self._count)

    def read(self, run: str) -> BeatProgress:
        """What was written last in this run of the agent; while somebody writes, what was read before."""
        for _ in range(TRIES):
            before = _COUNT.unpack_from(self._page)[0]
            found, version, digest, newest = _BODY.unpack_from(self._page, _COUNT.size)
            if before & 1 == 0 and before == _COUNT.unpack_from(self._page)[0]:
                self._last = (found, BeatProgress(version, digest, newest or None))
                break
        found, progress = self._last
        return progress if found == bytes.fromhex(run) else BeatProgress()

    def close(self) -> None:
        """Give it back."""
        self._page.close()
