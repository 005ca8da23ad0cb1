"""A collector in the hands of a test: it answers when it is told to, or never, like one in uninterruptible sleep."""

import json
from typing import Any

from workers.gpu.collector_process import Collector, Debris


class FakeCollector:
    """`workers.gpu.collector_process.Collector`; nothing ends it but the test."""

    def __init__(self, pid: int = 7) -> None:
        self.pid = pid
        self.asked = 0
        self.is_closed = False
        self.recorded: list[Debris] = []
        self.letter = "D"
        self.end: str | None = None
        self._lines: list[bytes] = []

    def answer(self, *devices: dict[str, Any], **more: Any) -> None:
        """Have an answer arrive."""
        self.answer_raw(json.dumps({"source": "nvml", "devices": devices, **more}).encode())

    def answer_raw(self, line: bytes) -> None:
        """Have this arrive."""
        self._lines.append(line)

    def ask(self) -> None:
        """Counted."""
        self.asked += 1

    def take(self) -> bytes | None:
        """The next line."""
        assert not self.is_closed
        return self._lines.pop(0) if self._lines else None

    def ended(self) -> str | None:
        """What the test says."""
        return self.end

    def state(self) -> str:
        """Uninterruptible, unless the test says otherwise."""
        return self.letter

    def record(self, debris: Debris) -> None:
        """Kept."""
        self.recorded.append(debris)

    def close(self) -> None:
        """Left alone."""
        self.is_closed = True


class FakeStarts:
    """Gives these collectors one after the other; then the last failure again and again."""

    def __init__(self, *given: Collector | Debris | OSError) -> None:
        self._given = list(given)
        self.count = 0

    def __call__(self, name: str) -> Collector | Debris:
        """One start."""
        self.count += 1
        found = self._given.pop(0) if len(self._given) > 1 else self._given[0]
        if isinstance(found, OSError):
            raise found
        return found
