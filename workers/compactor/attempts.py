"""Which day a compactor was at when it was killed: a day that ends it each time comes last, and keeps no other waiting."""

import os
from contextlib import suppress

import msgspec

from agent.store.state_file import read_state_file, replace_state_file

ATTEMPTS_FILE = "attempts.json"
TRIES_MAX = 3
_BYTES_MAX = 1 << 20
_DAYS_MAX = 100


class CompactionAttempts:
    """The days that were begun and not ended, in a file of this host. *Raises:* OSError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._begun = self._read()

    def has_failed(self, day: str) -> bool:
        """Whether it ended its compactor so often that it comes last."""
        return self._begun.get(day, 0) >= TRIES_MAX

    def failed(self) -> list[str]:
        """All such days."""
        return sorted(filter(self.has_failed, self._begun))

    def begin(self, day: str) -> None:
        """Note it before its first byte is read."""
        self._begun[day] = self._begun.get(day, 0) + 1
        self._write()

    def end(self, day: str) -> None:
        """It ended in whatever way, but without the end of the process."""
        self._begun.pop(day, None)
        self._write()

    def _read(self) -> dict[str, int]:
        data = read_state_file(self._path, _BYTES_MAX)
        if data is not None:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                return msgspec.json.decode(data, type=dict[str, int])
        return {}

    def _write(self) -> None:
        while len(self._begun) > _DAYS_MAX:
            del self._begun[next(iter(self._begun))]
        if self._begun:
            replace_state_file(self._path, msgspec.json.encode(self._begun))
        else:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
