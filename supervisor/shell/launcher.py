"""Starts workers: by a standby process at once, else through the fork server in a thread of its own.

The fork server's answer is waited for in that thread: a fork server that is stopped or still importing delays starts, nothing
else.
"""

import signal
from collections.abc import Callable, Iterable
from contextlib import suppress

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.timebase import S
from agent.ports import Clock
from supervisor.shell.background_thread import BackgroundThread
from supervisor.shell.fork_server import ForkServer
from supervisor.shell.fork_server_start import ForkServerSettings
from supervisor.shell.runtime_names import RuntimeName
from supervisor.shell.standby import StandbyProcess, StartTask, assign, fork_standby
from supervisor.shell.standby_pool import StandbyPool
from supervisor.shell.started_worker import StartedWorker
from supervisor.shell.stray import OnKilled
from supervisor.shell.stray_sweeper import StraySweeper
from supervisor.shell.takeover import TakenOverServer
from supervisor.shell.takeover_record import TakeoverRecordFile

CLOSE_SECONDS_MAX = 1.0
# A new fork server imports for half a second, on an emulated processor for ten. Killed in the middle of that, the next one would
# begin from the start, and so on without an end.
IMPORT_NS_MAX = 60 * S


class NotStarted(Struct, frozen=True):
    """No process was started, and why."""

    child: str
    epoch: int
    problem: str


class Launcher:
    """Orders starts; the outcome of one that takes time comes through `thread`.

    `is_alone`: no other code in this process waits for children. `on_killed` is called with strays that were ended, from any
    thread.
    """

    def __init__(
        self,
        settings: ForkServerSettings,
        record: TakeoverRecordFile,
        clock: Clock,
        *,
        taken_over: TakenOverServer | None = None,
        is_alone: bool = False,
        on_killed: OnKilled | None = None,
    ) -> None:
        self._settings = settings
        self._record = record
        self._clock = clock
        self._starts_open = 0
        self._forks_standby = False
        # None: the server has made a process, or was taken over.
        self._importing_since_ns: int | None = None
        self.server = ForkServer(settings, record, taken_over)
        self._sweeper = StraySweeper(self.server, settings.run, is_alone=is_alone, on_killed=on_killed)
        self.pool = StandbyPool(settings.spares, on_discard=self._sweeper.forget)
        for worker in () if taken_over is None else taken_over.workers:
            self._sweeper.add(worker.pid)
        if settings.is_forked and taken_over is None:
            # Here and not in the thread, which a fork must come before.
            self._warm_up()
        self.thread: BackgroundThread[StartedWorker | NotStarted | None] = BackgroundThread("launcher")
        self.thread.send(self._warm_up)

    def change_record(self, fingerprint: bytes, names: Iterable[str]) -> None:
        """The agent has these workers and settings from now on. *Raises:* StorageError."""
        self._record.change(fingerprint, names)

    @property
    def names(self) -> tuple[RuntimeName, RuntimeName]:
        """The names that the next supervisor and a start need: the takeover record and the fork server's socket."""
        return (self._record, self.server)

    def launch(self, child: str, epoch: int, order: bytes) -> StartedWorker | None:
        """Start this generation with this launch order. *Absent:* its outcome comes through `thread`."""
        assert order, "an empty order tells a process that it is not needed"
        self._record.note_epoch(child, epoch)
        task = StartTask(self._settings.run, child, epoch, order)
        standby = self.pool.take()
        if standby is not None:
            failpoint("launcher.before_order")
            return assign(standby, task, self._clock.now_ns())
        self._starts_open += 1
        self.thread.send(lambda: self._launch(task))
        return None

    def reset(self) -> None:
        """The fork server does not answer: kill it. The start that waits for it fails and the next one makes a new server.

        One that is new is left alone as long as it may still import.
        """
        if not self.is_importing:
            self.server.kill()

    @property
    def is_importing(self) -> bool:
        """Whether the fork server is so new that it may still import, and has made no process."""
        since_ns = self._importing_since_ns
        return since_ns is not None and self._clock.now_ns() - since_ns < IMPORT_NS_MAX

    def note_gone(self, pid: int) -> None:
        """A worker's process has ended."""
        self._sweeper.note_gone(pid)

    def housekeep(self) -> None:
        """End what dead workers have left behind, until there is nothing, and keep the standby pool filled."""
        if self._sweeper.has_work:
            self._sweeper.has_work = False
            self.thread.send(self._sweeper.sweep)
        self._sweeper.reap()
        self.pool.drop_failed(self._clock.now_ns())
        # Not while workers are being started: they would wait for a process that no worker waits for.
        if self.pool.is_short and not self._starts_open and not self._forks_standby:
            self._forks_standby = True
            self.thread.send(self._refill_pool)

    def close(self) -> None:
        """End the fork server and all that is left below it, and wait for that, some seconds at most."""
        self.thread.close(timeout_seconds=CLOSE_SECONDS_MAX)
        self.pool.close()
        self._sweeper.sweep_to_the_end()
        self.server.end()

    # ---- in the background thread ----------------------------------------------------------------

    def _warm_up(self) -> None:
        # A failure here is met again, and reported, by the first start.
        with suppress(OSError):
            _masked(self._ensure_running)

    def _ensure_running(self) -> None:
        """*Raises:* OSError."""
        before = self.server.pid
        self.server.ensure_running()
        if self.server.pid != before:
            self._importing_since_ns = self._clock.now_ns()

    def _launch(self, task: StartTask) -> StartedWorker | NotStarted:
        outcome = self._fork()
        self._starts_open -= 1
        if isinstance(outcome, str):
            return NotStarted(task.child, task.epoch, outcome)
        return assign(outcome, task, self._clock.now_ns())

    def _refill_pool(self) -> None:
        # A failure here is met again, and reported, by the next start.
        outcome = self._fork()
        if not isinstance(outcome, str):
            self.pool.add(outcome)
        self._forks_standby = False

    def _fork(self) -> StandbyProcess | str:
        """A standby process, or why there is none."""
        try:
            failpoint("launcher.before_start")
            self._ensure_running()
            standby = self._fork_even_if_unnamed()
            self._importing_since_ns = None
        except (FileNotFoundError, ConnectionRefusedError) as failure:
            # The fork server lives and cannot be found, and did not listen again: only a new one can be reached.
            self.server.kill()
            return f"the fork server cannot be reached: {failure.strerror}"
        except EOFError:
            self._sweeper.note_unknown()
            return "the fork server could not make a process, or died; look at the limits on processes and memory"
        except OSError as failure:
            self._sweeper.note_unknown()
            return f"{type(failure).__name__}: {failure}"
        self._sweeper.add(standby.pid)
        return standby

    def _fork_even_if_unnamed(self) -> StandbyProcess:
        """*Raises:* as `fork_standby`."""
        try:
            return fork_standby(self._settings.entry, self._clock.now_ns)
        except FileNotFoundError:
            # Something cleans the runtime folder.
            self.server.wait_named()
            return fork_standby(self._settings.entry, self._clock.now_ns)


def _masked(call: Callable[[], object]) -> None:
    """Call with all signals blocked: what is started inherits that, and unblocks when it has its own handlers.

    Without it a Ctrl-C in the first milliseconds would end a new worker with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        call()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
