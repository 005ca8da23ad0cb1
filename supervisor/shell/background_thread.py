"""One thread that runs slow calls one after another, so that the loop never waits for a disk or a fork server."""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundThread(Generic[T]):
    """Runs calls in order; each result is waited for on `descriptor` and taken with `results`.

    A call must not raise: it turns its failures into results. The thread ends with `close`.
    """

    def __init__(self, name: str) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._calls: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._results: deque[T] = deque()
        # A daemon thread: a call that hangs in the kernel must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def send(self, call: Callable[[], T]) -> None:
        """Run this call after those before it."""
        self._calls.put(call)

    def results(self) -> list[T]:
        """The results since the last time, in the order of the calls."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return []
        return [self._results.popleft() for _ in range(len(self._results))]

    def close(self, timeout_seconds: float) -> bool:
        """End the thread after the calls that are queued. False when it did not end in time."""
        self._calls.put(None)
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            self._results.append(call())
            os.eventfd_write(self.descriptor, 1)
