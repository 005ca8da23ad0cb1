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
        self._works: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_started = False

    def begin(self, work: Callable[[], None]) -> None:
        """Have this done, which raises nothing. *Raises:* MemoryError where there is no room for a stack."""
        if not self._is_started:
            try:
                threading.Thread(target=self._run, name="query", daemon=True).start()
            except RuntimeError as cause:
                raise MemoryError("no thread can be started") from cause
            self._is_started = True
        self._works.put(work)

    def close(self) -> None:
        """End the thread after what it does now."""
        self._works.put(None)

    def _run(self) -> None:
        while (work := self._works.get()) is not None:
            work()
            # It holds the rows that it gave.
            del work
