"""The thread `start`: it places starting containers, one after another, so that a call that hangs holds up only itself.

The thread that answers the runtime offers tasks and is woken at their ends; it never waits here. However many containers start,
there is one thread and a short queue: with resctrl stuck, nothing gathers.
"""

from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from workers.control_plane.container_runtime.start_assignment import ContainerStart
from workers.framework.vital_thread import VitalThread, end_process

# Runtimes ask for one start at a time; only after deadlines that passed are there more.
WAITING_MAX = 16
IDLE_SECONDS = 1.0
# The end of the worker does not wait for a call that hangs.
STOP_SECONDS = 0.2


class StartWork(Protocol):
    """What is done in this thread; `StartAssignment` does it."""

    def carry_out(self, task: ContainerStart) -> None:
        """Place one container; `task.outcome` says what came of it."""
        ...

    def on_idle(self) -> None:
        """About once a second without a task."""
        ...


class StartThread:
    """Carries out tasks in the order in which they were offered; what is late when its turn comes is left out."""

    def __init__(
        self,
        work: StartWork,
        on_done: Callable[[], None],
        now_ns: Callable[[], int],
        on_bug: Callable[[], None] = end_process,
    ) -> None:
        """`on_done` is called in this thread when `take_done` has something."""
        self._work = work
        self._on_done = on_done
        self._now_ns = now_ns
        # None ends the thread.
        self._waiting: SimpleQueue[ContainerStart | None] = SimpleQueue()
        self._done: deque[ContainerStart] = deque()
        self._current: ContainerStart | None = None
        self._has_worked = False
        self._thread = VitalThread("start", self._run, on_bug)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> bool:
        """End after the tasks that were offered, and wait a moment for that. False: it has not ended."""
        self._waiting.put(None)
        return self._thread.join(STOP_SECONDS)

    def offer(self, task: ContainerStart) -> bool:
        """Have a task carried out. False: too many wait already. Only one thread may offer."""
        if self._waiting.qsize() >= WAITING_MAX:
            return False
        self._waiting.put(task)
        return True

    def take_done(self) -> list[ContainerStart]:
        """The tasks that are over, since this was asked last; late ones too."""
        done = []
        # What comes in meanwhile is announced once more.
        for _task in range(len(self._done)):
            done.append(self._done.popleft())
        return done

    def late_ns(self) -> int:
        """For how long the current task has been going on after its deadline; 0: it has not."""
        current = self._current
        return 0 if current is None else max(0, self._now_ns() - current.deadline_ns)

    def _run(self) -> None:
        while True:
            try:
                # Before the first task nothing is held that would have to be let go of.
                task = self._waiting.get(timeout=IDLE_SECONDS if self._has_worked else None)
            except Empty:
                self._work.on_idle()
                continue
            if task is None:
                return
            self._has_worked = True
            self._current = task
            if self._now_ns() < task.deadline_ns:
                self._work.carry_out(task)
            self._current = None
            self._done.append(task)
            self._on_done()
