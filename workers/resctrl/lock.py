"""The lock that programs which change resctrl take in turn: flock(2) on the root directory.

It is held for single changes and never for a scan: others (pqos) give up after 100 ms.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.model.timebase import MS, S
from workers.resctrl.ports import RootLock
from workers.resctrl.problem import ProblemKind, ResctrlError

# As long as pqos waits; the loop that waits here has a heartbeat to send every 250 ms.
WAIT_NS = 100 * MS
RETRY_NS = 5 * MS


class ChangeLock:
    """The lock of one mount, for one thread; its holder may take it again."""

    def __init__(
        self,
        filesystem: RootLock,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep_seconds: Callable[[float], object] = time.sleep,
        wait_ns: int = WAIT_NS,
    ) -> None:
        self._filesystem = filesystem
        self._now_ns = now_ns
        self._sleep_seconds = sleep_seconds
        self._wait_ns = wait_ns
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock is ours inside. *Raises:* ResctrlError LOCKED after the longest wait, OSError when it cannot be asked for."""
        if not self._depth:
            self._acquire()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._filesystem.unlock()

    def _acquire(self) -> None:
        end_ns = self._now_ns() + self._wait_ns
        while not self._filesystem.try_lock():
            left_ns = end_ns - self._now_ns()
            if left_ns <= 0:
                raise ResctrlError(
                    ProblemKind.LOCKED,
                    self._filesystem.root,
                    f"another program has held the lock of this directory for more than {self._wait_ns // MS} ms",
                    "try again; `flock` holders are listed in /proc/locks",
                )
            self._sleep_seconds(min(RETRY_NS, left_ns) / S)
