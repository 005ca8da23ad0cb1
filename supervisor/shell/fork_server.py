"""The fork server: started when needed, taken over, asked to listen at its name again, ended.

It imports once what every worker needs, and freezes it; a start is a fork of it, some milliseconds.
"""

import os
import signal
import threading
import time
from contextlib import suppress

from agent.failpoint import failpoint
from supervisor.shell.fork_server_start import ForkServerSettings, do_without_tracker, hide_main_module, start_with_guard
from supervisor.shell.orphan_guard import LISTEN_AGAIN
from supervisor.shell.process import kill, start_ticks_of, state_of, wait_ended
from supervisor.shell.takeover import TakenOverServer
from supervisor.shell.takeover_record import ServerRecord, TakeoverRecordFile
from supervisor.shell.worker_start import WorkerStart

# Behind `multiprocess_bootstrap`, which must come before it.
from multiprocess import forkserver, process  # isort: skip

# A killed fork server is gone within a millisecond.
END_MS_MAX = 1000
# The fork server hears at once, unless it is importing or the machine is starved; to give it up ends every worker. Less than
# the end of the agent waits for a start that is under way.
LISTEN_AGAIN_SECONDS = 0.9
LISTEN_AGAIN_TRIES = 90


class ForkServer:
    """The one fork server of this process. `ensure_running` and `wait_named` are called in the launcher's thread.

    As a runtime name (`runtime_names.RuntimeName`) it stands for its own socket.
    """

    def __init__(self, settings: ForkServerSettings, record: TakeoverRecordFile, taken_over: TakenOverServer | None) -> None:
        self._settings = settings
        self._record = record
        self._pidfd = -1
        self._alive = -1
        # The loop signals the server while the launcher's thread may find that it has ended, and close what led to it.
        self._lock = threading.Lock()
        # What every worker passes through is imported before it is forked.
        forkserver.set_forkserver_preload([WorkerStart.__module__, *settings.preload])
        # The fork server's socket belongs beside ours, where a later start finds and removes it after a SIGKILL.
        process.current_process()._config["tempdir"] = settings.socket_dir
        do_without_tracker()
        start_with_guard(settings)
        hide_main_module()
        self._package = forkserver._forkserver
        self._package_start = type(self._package).ensure_running.__get__(self._package)
        self._package.ensure_running = self.ensure_running
        if taken_over is not None:
            self._take_over(taken_over)

    @property
    def pid(self) -> int | None:
        """*Absent:* there is none now."""
        pid: int | None = self._package._forkserver_pid
        return pid

    @property
    def path(self) -> str:
        """Its socket; empty while there is none."""
        return self._package._forkserver_address or ""

    def is_there(self) -> bool:
        """Whether a start finds it."""
        return os.path.lexists(self.path)

    def is_starved(self) -> bool:
        """Whether it would run, and gets no processor or waits for a disk. *Source:* proc_pid_stat(5)."""
        pid = self.pid
        return pid is not None and state_of(pid) in ("R", "D")

    def make_again(self) -> None:
        """Its socket was removed: it is asked to listen at another of the same name, and soon does. *Raises:* OSError."""
        os.makedirs(self._settings.socket_dir, mode=0o700, exist_ok=True)
        with self._lock, suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, LISTEN_AGAIN)

    def wait_named(self) -> None:
        """Have it listen again and wait until it does, less than a second. *Raises:* OSError."""
        self.make_again()
        for _ in range(LISTEN_AGAIN_TRIES):
            if self.is_there():
                return
            time.sleep(LISTEN_AGAIN_SECONDS / LISTEN_AGAIN_TRIES)

    def ensure_running(self) -> None:
        """Start it unless it runs. *Raises:* OSError.

        In the place of the package's own: that knows only servers which are its children, and gives every worker the end of
        the pipe that keeps the server alive. Only the supervisor may hold that end, or its death would go unnoticed.
        """
        if self._pidfd >= 0:
            if not wait_ended(self._pidfd, 0):
                return
            self._forget()
        self._package_start()
        pid = self._package._forkserver_pid
        self._alive, self._package._forkserver_alive_fd = self._package._forkserver_alive_fd, _null_device()
        self._pidfd = os.pidfd_open(pid)
        failpoint("launcher.server_started")
        inode = os.fstat(self._alive).st_ino
        self._record.note_server(ServerRecord(pid, start_ticks_of(pid) or 0, inode, self._package._forkserver_address))
        failpoint("launcher.server_noted")

    def kill(self) -> None:
        """SIGKILL; its workers end with it. A start that waits for it fails, and the next one makes a new server."""
        with self._lock:
            if self._pidfd >= 0:
                kill(self._pidfd)

    def end(self) -> None:
        """Kill it, wait for its end at most a second, and give everything back."""
        self._package.ensure_running = self._package_start
        if self.pid is None:
            return
        self.kill()
        if self._pidfd >= 0:
            wait_ended(self._pidfd, END_MS_MAX)
        self._forget()

    def _take_over(self, taken_over: TakenOverServer) -> None:
        self._package._forkserver_pid = taken_over.server.pid
        self._package._forkserver_address = taken_over.server.address
        self._package._forkserver_alive_fd = _null_device()
        self._alive, self._pidfd = taken_over.alive, taken_over.server_pidfd

    def _forget(self) -> None:
        """It has ended: close what led to it."""
        with self._lock:
            for descriptor in (self._pidfd, self._alive, self._package._forkserver_alive_fd):
                os.close(descriptor)
            self._pidfd = self._alive = -1
        with suppress(ChildProcessError):
            # Not our child when it was taken over.
            os.waitpid(self._package._forkserver_pid, os.WNOHANG)
        self._package._forkserver_pid = self._package._forkserver_alive_fd = self._package._forkserver_address = None


def _null_device() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
