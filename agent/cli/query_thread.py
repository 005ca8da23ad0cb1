"""The thread in which DuckDB runs: one for all that is asked of a database."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class QueryThread:
    """Does one piece of work after the other; it starts with the first.

    A thread of its own for each would keep its stack, which counts as memory, for a moment after its end: on a busy machine the
    next one was refused its stack under a small limit, or was not, as it happened.
    """

    def __init__(self) -> None:
        self._works: SimpleQueue[tuple[Callable[[], None], threading.Event] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._done = threading.Event()

    def begin(self, work: Callable[[], None]) -> threading.Event:
        """Have this done, which raises nothing; what is set at its end.

        *Raises:* MemoryError where there is no room for a stack.
        """
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="query", daemon=True)
            try:
                thread.start()
            except RuntimeError as cause:
                raise MemoryError("no thread can be started") from cause
            self._thread = thread
        # An event: Python 3.11 takes a thread whose join was interrupted for ended.
        done = self._done = threading.Event()
        self._works.put((work, done))
        return done

    def close(self) -> None:
        """End the thread, and wait for that, unless it does what nothing could interrupt: then after it."""
        self._works.put(None)
        if self._thread is not None and self._done.is_set():
            self._thread.join()

    def _run(self) -> None:
        while (next_one := self._works.get()) is not None:
            work, done = next_one
            try:
                work()
            finally:
                # It holds the rows that it gave.
                del next_one, work
                done.set()
