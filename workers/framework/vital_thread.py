"""A thread without which its worker is of no use: a bug in it ends the whole process, as one in the main thread does.

A thread that ends by an exception leaves a process that looks healthy and does half of its work.
"""

import os
import sys
import threading
import traceback
from collections.abc import Callable

from agent.model.errors import ExitCode


def end_process() -> None:
    """End like `workers.runtime.worker_main` after a bug: nothing that a library left for the interpreter's end may delay it."""
    sys.stderr.flush()
    os._exit(int(ExitCode.BUG))


class VitalThread:
    """One thread, started at most once. Its death is its process's death unless a test hands in another `on_bug`."""

    def __init__(self, name: str, run: Callable[[], None], on_bug: Callable[[], None] = end_process) -> None:
        self._run = run
        self._on_bug = on_bug
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for its end, no longer than this. False: it has not ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException:  # noqa: BLE001  the broad handler of this thread: report, then end as the worker's own does
            traceback.print_exc()
            self._on_bug()
