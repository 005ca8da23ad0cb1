"""The bytes of a file as records are read from it: window by window, so that what nobody wants is never read."""

import os

# A record seldom is larger. A reader of one table of ten reads this much at a time, and seeks over the rest.
WINDOW_BYTES = 256 << 10


class FileBytes:
    """A ByteSource (`agent.store.record`) of an open file. One window of it is in memory, and one record beyond that.

    *Range:* `size` bounds what is read, whatever is appended meanwhile. *Raises:* OSError, from any of its functions. A file that
    became shorter gives fewer bytes, which no record survives.
    """

    def __init__(self, descriptor: int, size: int, begin: int = 0, *, window_bytes: int = WINDOW_BYTES) -> None:
        self._window_bytes = window_bytes
        self._descriptor = descriptor
        self._begin = begin
        self._size = max(0, size - begin)
        self._window = b""
        self._window_at = 0
        # How many bytes were read, for measurements.
        self.read_bytes = 0

    def __len__(self) -> int:
        return self._size

    def at(self, position: int, size: int) -> memoryview:
        """See ByteSource."""
        wanted = max(0, min(size, self._size - position))
        start = position - self._window_at
        if not 0 <= start <= start + wanted <= len(self._window):
            self._read(position, max(wanted, min(self._window_bytes, self._size - position)))
            start = 0
        return memoryview(self._window)[start : start + wanted]

    def find(self, word: bytes, position: int) -> int:
        """See ByteSource."""
        while position + len(word) <= self._size:
            window = bytes(self.at(position, max(len(word), self._window_bytes)))
            found = window.find(word)
            if found >= 0:
                return position + found
            if len(window) < len(word):
                return -1
            # The word may begin in one window and end in the next.
            position += len(window) - len(word) + 1
        return -1

    def _read(self, position: int, size: int) -> None:
        parts = []
        left = size
        while left > 0 and (part := os.pread(self._descriptor, left, self._begin + position + size - left)):
            parts.append(part)
            left -= len(part)
        self._window = parts[0] if len(parts) == 1 else b"".join(parts)
        self._window_at = position
        self.read_bytes += len(self._window)
