"""Starts workers through the fork server of `multiprocess`, in a thread of its own.

The fork server imports what every worker needs once and freezes it; a start is a fork of it, some milliseconds. Its
answer is waited for in an background thread: a fork server that is stopped or still importing delays starts, nothing else.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.timebase import S
from agent.ports import Clock
from supervisor.shell.background_thread import BackgroundThread
from supervisor.shell.descendants import mark_of_run
from supervisor.shell.fork_server import ForkServerSettings, do_without_tracker, hide_main_module, prefix_commands
from supervisor.shell.orphan_guard import LISTEN_AGAIN, become_subreaper, children_of
from supervisor.shell.runtime_names import RuntimeName
from supervisor.shell.standby import StandbyProcess, bear, employ, give_up, has_ended
from supervisor.shell.takeover import (
    LATE,
    OnKilled,
    Started,
    Stray,
    TakenOverServer,
    end_strays,
    kill,
    process_start_ticks,
    wait_ended,
)
from supervisor.shell.takeover_record import ServerRecord, TakeoverRecordFile
from supervisor.shell.worker_start import WorkerStart

# Behind `multiprocess_bootstrap`, which must come before it.
from multiprocess import forkserver, process  # isort: skip

# A killed fork server is gone within a millisecond.
SERVER_END_MS = 1000
STRAYS_PER_LOOK_MAX = 64
# It takes milliseconds, on a starved machine a second or two.
SPARE_BIRTH_NS_MAX = 5 * S
SWEEPS_MAX = 100
# All sweeps of the end together wait a second at most, for strays that hang inside the kernel.
STRAY_END_MS = 10
# The fork server hears at once, unless it is importing or the machine is starved; to give it up ends every worker. Less than
# the end of the agent waits for a start that is under way.
LISTEN_AGAIN_SECONDS = 0.9
LISTEN_AGAIN_TRIES = 90
ERRAND_SECONDS_MAX = 1.0


class NotStarted(Struct, frozen=True):
    """No process came to be, and why."""

    child: str
    epoch: int
    problem: str


class Launcher:
    """`launch` orders a start; its outcome comes through `background`. `is_alone`: nobody else in this process waits for children.
    `on_killed` hears, in any thread, of the strays that were ended."""

    def __init__(
        self,
        place: ForkServerSettings,
        record: TakeoverRecordFile,
        clock: Clock,
        *,
        former: TakenOverServer | None = None,
        is_alone: bool = False,
        on_killed: OnKilled | None = None,
    ) -> None:
        self._place = place
        self._record = record
        self._clock = clock
        self._is_alone = is_alone
        self._on_killed = on_killed
        self._server_pidfd = -1
        self._alive = -1
        self._living: set[int] = set()
        self._has_deaths = False
        self._orders_open = 0
        self._bears_spare = False
        self._spares: deque[StandbyProcess] = deque()
        # Killed already, and perhaps still there at the next sweep: nobody is told of them twice.
        self._told: set[int] = set()
        # What every standby passes through is imported before it is born.
        forkserver.set_forkserver_preload([WorkerStart.__module__, *place.preload])
        # The fork server's socket belongs beside ours, where a later start finds and removes it after a SIGKILL.
        process.current_process()._config["tempdir"] = place.socket_dir
        do_without_tracker()
        prefix_commands(place)
        hide_main_module()
        if is_alone:
            # What the fork server leaves behind when it is killed comes to us.
            become_subreaper()
        # Whoever was our child before we were the agent is nobody's stray.
        self._strangers = frozenset(children_of(os.getpid()))
        self._server = forkserver._forkserver
        self._start_server = type(self._server).ensure_running.__get__(self._server)
        self._server.ensure_running = self._ensure_server
        if former is not None:
            self._take_over(former)
        self.background: BackgroundThread[Started | NotStarted | None] = BackgroundThread("launcher")
        self.background.send(self._warm_up)

    def launch(self, child: str, epoch: int, order: bytes) -> Started | None:
        """Start this generation with this launch order; None: its outcome comes through `background`."""
        self._record.note_epoch(child, epoch)
        spare = self._next_spare()
        if spare is not None:
            failpoint("launcher.before_order")
            return employ(spare, self._place.run, child, epoch, order, self._clock.now_ns())
        self._orders_open += 1
        self.background.send(lambda: self._launch(child, epoch, order))
        return None

    def reset(self) -> None:
        """The fork server does not answer: end it. The start that waits for it fails and the next one makes a new server."""
        if self._server_pidfd >= 0:
            kill(self._server_pidfd)

    @property
    def places(self) -> tuple[RuntimeName, RuntimeName]:
        """The names that a successor and a start need: the takeover record, and the fork server's socket, which is this object."""
        return (self._record, self)

    @property
    def path(self) -> str:
        """The fork server's socket; empty while there is none."""
        return self._server._forkserver_address or ""

    def is_there(self) -> bool:
        """Whether a start finds the fork server."""
        return os.path.lexists(self.path)

    def make_again(self) -> None:
        """Somebody removed the socket: the fork server is asked to listen at another of the same name, and soon does."""
        os.makedirs(self._place.socket_dir, mode=0o700, exist_ok=True)
        if self._server_pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._server_pidfd, LISTEN_AGAIN)

    def note_gone(self, pid: int) -> None:
        """A worker's process has ended: what it leaves behind is looked for at the next sweep."""
        self._living.discard(pid)
        self._has_deaths = True

    def sweep(self) -> None:
        """End what dead workers have left behind, until there is nothing, and keep spares ready; called at every look."""
        if self._has_deaths:
            self._has_deaths = False
            self.background.send(self._sweep)
        self._reap_strays()
        late_ns = self._clock.now_ns() - SPARE_BIRTH_NS_MAX
        for spare in list(self._spares):
            # One that has not come to where it waits hangs on its way there; as a worker it would be found, here it is too.
            if has_ended(spare) or (not spare.is_waiting and spare.born_at_ns < late_ns):
                self._spares.remove(spare)
                self._discard(spare)
        # Not while workers are being started: they would wait for one that nobody waits for.
        if len(self._spares) < self._place.spares and not self._orders_open and not self._bears_spare:
            self._bears_spare = True
            self.background.send(self._bear_spare)

    def close(self) -> None:
        """End the fork server and all that is left below it, and wait for that."""
        self.background.close(timeout_seconds=ERRAND_SECONDS_MAX)
        while self._spares:
            self._discard(self._spares.popleft())
        self._server.ensure_running = self._start_server
        if self._server._forkserver_pid is None:
            return
        for _ in range(SWEEPS_MAX):
            strays = end_strays(self._server._forkserver_pid, frozenset(self._living), reason=LATE, wait_ms=STRAY_END_MS)
            self._tell(strays)
            if not strays:
                break
        self.reset()
        if self._server_pidfd >= 0:
            wait_ended(self._server_pidfd, SERVER_END_MS)
        self._forget_server()

    # ---- the fork server -------------------------------------------------------------------------

    def _warm_up(self) -> None:
        # A failure here is met again, and reported, by the first start.
        with suppress(OSError):
            _masked(self._ensure_server)

    def _ensure_server(self) -> None:
        """In the place of the package's own: that knows only servers which are its children, and gives every worker the
        end of the pipe that keeps the server alive. Only the supervisor may hold it, or it would not be missed."""
        if self._server_pidfd >= 0:
            if not wait_ended(self._server_pidfd, 0):
                return
            self._forget_server()
        self._start_server()
        pid = self._server._forkserver_pid
        self._alive, self._server._forkserver_alive_fd = self._server._forkserver_alive_fd, _null_device()
        self._server_pidfd = os.pidfd_open(pid)
        failpoint("launcher.server_started")
        record = ServerRecord(pid, process_start_ticks(pid) or 0, os.fstat(self._alive).st_ino, self._server._forkserver_address)
        self._record.note_server(record)
        failpoint("launcher.server_noted")

    def _take_over(self, former: TakenOverServer) -> None:
        self._server._forkserver_pid = former.server.pid
        self._server._forkserver_address = former.server.address
        self._server._forkserver_alive_fd = _null_device()
        self._alive, self._server_pidfd = former.alive, former.server_pidfd
        self._living = {worker.pid for worker in former.workers}

    def _forget_server(self) -> None:
        """It has ended."""
        for descriptor in (self._server_pidfd, self._alive, self._server._forkserver_alive_fd):
            os.close(descriptor)
        with suppress(ChildProcessError):
            # Not our child when it was taken over.
            os.waitpid(self._server._forkserver_pid, os.WNOHANG)
        self._server_pidfd = self._alive = -1
        self._server._forkserver_pid = self._server._forkserver_alive_fd = self._server._forkserver_address = None

    # ---- what is left behind ---------------------------------------------------------------------

    def _sweep(self) -> None:
        strays: list[Stray] = []
        is_whole = True
        try:
            if self._server._forkserver_pid is not None:
                # It is given the orphans of its workers alone.
                strays += end_strays(self._server._forkserver_pid, frozenset(self._living))
            if self._is_alone:
                # What a dead fork server left; as the first process of a container we are given everybody's orphans.
                known = self._strangers | {self._server._forkserver_pid or 0}
                strays += end_strays(os.getpid(), known, mark=mark_of_run(self._place.run))
        except OSError:
            # No descriptor left, perhaps: a call that raises would end the thread that all starts need.
            is_whole = False
        self._tell(strays)
        # What they leave behind in their turn is met by the next one.
        self._has_deaths = self._has_deaths or bool(strays) or not is_whole

    def _tell(self, strays: Sequence[Stray]) -> None:
        # One that takes its time to die (or never does, in the kernel) is met by each sweep; it is told once.
        fresh = [stray for stray in strays if stray.pid not in self._told]
        self._told = {stray.pid for stray in strays}
        if fresh and self._on_killed is not None:
            self._on_killed(fresh)

    def _reap_strays(self) -> None:
        """Wait for the orphans that the kernel gave to this process."""
        if not self._is_alone:
            return
        for _ in range(STRAYS_PER_LOOK_MAX):
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            # The fork server's end is waited for elsewhere.
            if ended is None or ended.si_pid == self._server._forkserver_pid:
                return
            with suppress(ChildProcessError):
                # The background thread may have waited for the fork server meanwhile.
                os.waitpid(ended.si_pid, 0)

    # ---- starts ----------------------------------------------------------------------------------

    def _launch(self, child: str, epoch: int, order: bytes) -> Started | NotStarted:
        outcome = self._bear()
        self._orders_open -= 1
        if isinstance(outcome, str):
            return NotStarted(child, epoch, outcome)
        return employ(outcome, self._place.run, child, epoch, order, self._clock.now_ns())

    def _bear_spare(self) -> None:
        # A failure here is met again, and reported, by the next start.
        outcome = self._bear()
        if not isinstance(outcome, str):
            self._spares.append(outcome)
        self._bears_spare = False

    def _bear(self) -> StandbyProcess | str:
        """A standby, or why there is none."""
        try:
            failpoint("launcher.before_start")
            standby = self._bear_even_if_unnamed()
        except (FileNotFoundError, ConnectionRefusedError) as failure:
            # The fork server lives and cannot be found, and did not hear that: only a new one can be.
            self.reset()
            return f"the fork server cannot be reached: {failure.strerror}"
        except EOFError:
            # Whatever came to be of it is known to nobody.
            self._has_deaths = True
            return "the fork server could not make a process, or died; look at the limits on processes and memory"
        except OSError as failure:
            self._has_deaths = True
            return f"{type(failure).__name__}: {failure}"
        self._living.add(standby.pid)
        return standby

    def _bear_even_if_unnamed(self) -> StandbyProcess:
        """*Raises:* as `bear`."""
        try:
            return bear(self._place.entry, self._clock.now_ns())
        except FileNotFoundError:
            # Something cleans the runtime folder.
            self.make_again()
            for _ in range(LISTEN_AGAIN_TRIES):
                if self.is_there():
                    break
                time.sleep(LISTEN_AGAIN_SECONDS / LISTEN_AGAIN_TRIES)
            return bear(self._place.entry, self._clock.now_ns())

    def _next_spare(self) -> StandbyProcess | None:
        for spare in list(self._spares):
            if has_ended(spare):
                self._spares.remove(spare)
                self._discard(spare)
            elif spare.is_waiting:
                self._spares.remove(spare)
                return spare
        return None

    def _discard(self, spare: StandbyProcess) -> None:
        # Before anybody can take it for a stray: a killed process is still there for a moment.
        self._told.add(spare.pid)
        self._living.discard(spare.pid)
        give_up(spare)


def _null_device() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _masked(call: Callable[[], object]) -> None:
    """Call with all signals blocked: what is started inherits that, and unblocks when it has its own handlers.

    Without it a Ctrl-C in the first milliseconds would end a standby worker with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        call()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
