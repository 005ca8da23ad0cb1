"""What the keeper has to tell people: kept for those who ask, and written to its standard error."""

import os
from collections import deque
from contextlib import suppress

from agent.model.foreign import readable

NOTES_MAX = 100


class KeeperNotes:
    """The latest sentences."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._latest: deque[str] = deque(maxlen=NOTES_MAX)

    def add(self, sentence: str) -> None:
        """Tell it. It is never waited for a reader of the standard error, which is a file or the journal."""
        self._latest.append(readable(sentence))
        with suppress(OSError):
            os.write(self._descriptor, f"keeper: {readable(sentence)}\n".encode())

    def latest(self) -> tuple[str, ...]:
        """The latest of them, the last one last."""
        return tuple(self._latest)
