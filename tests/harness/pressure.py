"""How much of a span of time the machine took: a bound that the agent promises is judged fairly beside other tests.

*Source:* proc(5), /proc/PID/schedstat.
"""

import time
from contextlib import suppress
from pathlib import Path


class FairSpan:
    """The time since it was made, except when the caller or the main thread of one of these processes waited for a processor."""

    def __init__(self, *pids: int) -> None:
        self._files = [Path("/proc/thread-self/schedstat"), *(Path(f"/proc/{pid}/schedstat") for pid in pids)]
        self._began_at = time.monotonic()
        self._waited_before = self._waited()

    def seconds(self) -> float:
        """At most as long as it would have been on a free machine: where two waited at the same time, both are taken off."""
        taken = time.monotonic() - self._began_at
        # One that has gone says nothing any more: it is judged as if it had not waited.
        return taken - sum(max(0.0, now - before) for now, before in zip(self._waited(), self._waited_before, strict=True))

    def _waited(self) -> list[float]:
        return list(map(_waited_seconds, self._files))


def _waited_seconds(file: Path) -> float:
    with suppress(OSError):
        return int(file.read_text().split()[1]) / 1e9
    return 0.0
