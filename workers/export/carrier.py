"""The thread that waits, so that the loop does not: for the sink, and for the disk."""

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from agent.model.errors import EvergaugeError
from workers.framework.vital_thread import VitalThread, end_process

ResultT = TypeVar("ResultT")


class Carried(Generic[ResultT]):
    """The end of a job: what it gave or how it failed, and the CPU time that it took in its thread."""

    def __init__(self, result: ResultT | EvergaugeError, cpu_ns: int) -> None:
        self.result = result
        self.cpu_ns = cpu_ns


class Carrier(Generic[ResultT]):
    """One job at a time. `descriptor` is readable once its end can be taken. A bug in a job ends the process."""

    def __init__(self, on_bug: Callable[[], None] = end_process) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake = threading.Event()
        self._job: Callable[[], ResultT] | None = None
        self._end: Carried[ResultT] | None = None
        self._is_closing = False
        self._thread = VitalThread("carrier", self._run, on_bug)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """A job is under way, or its end was not taken yet."""
        return self._job is not None

    def start(self, job: Callable[[], ResultT]) -> None:
        """Begin. A job may raise EvergaugeError: that is its result then."""
        assert self._job is None
        self._job = job
        self._wake.set()

    def take(self) -> Carried[ResultT] | None:
        """The end of the job, once; None: it has not ended."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            # Also between the end of the job and its word: who does not wait for the descriptor may ask then.
            return None
        end, self._end, self._job = self._end, None, None
        assert end is not None
        return end

    def close(self, seconds: float) -> bool:
        """Let the thread end after its job, and wait no longer than this for it. False: it still waits for somebody."""
        self._is_closing = True
        self._wake.set()
        return self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._is_closing:
                return
            job = self._job
            assert job is not None
            begun_ns = time.thread_time_ns()
            result: ResultT | EvergaugeError
            try:
                result = job()
            except EvergaugeError as failure:
                result = failure
            self._end = Carried(result, time.thread_time_ns() - begun_ns)
            os.eventfd_write(self.descriptor, 1)
