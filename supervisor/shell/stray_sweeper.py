"""Finds and ends what dead workers leave behind, and waits for the orphans that the kernel gives to this process."""

import os
from collections.abc import Sequence
from contextlib import suppress

from supervisor.shell.descendants import become_subreaper, children_of, mark_of_run
from supervisor.shell.fork_server import ForkServer
from supervisor.shell.stray import LATE, OnKilled, Stray, end_strays

REAPED_PER_TURN_MAX = 64
SWEEPS_MAX = 100
# All sweeps of the end together wait a second at most, for strays that hang inside the kernel.
STRAY_END_MS = 10


class StraySweeper:
    """Knows which of the fork server's children are ours, and finds the others.

    `is_alone`: no other code in this process waits for children. `on_killed` is called with those that were ended, from any
    thread.
    """

    def __init__(self, server: ForkServer, run: str, *, is_alone: bool, on_killed: OnKilled | None) -> None:
        self._server = server
        self._run = run
        self._is_alone = is_alone
        self._on_killed = on_killed
        self._living: set[int] = set()
        # Killed already, and perhaps still there at the next sweep: each is reported once.
        self._reported: set[int] = set()
        self.has_work = False
        if is_alone:
            # What the fork server leaves behind when it is killed comes to us.
            become_subreaper()
        # What was our child before we were the agent is no stray.
        self._earlier_children = frozenset(children_of(os.getpid()))

    def add(self, pid: int) -> None:
        """This process of the fork server is ours."""
        assert pid > 0
        self._living.add(pid)

    def note_gone(self, pid: int) -> None:
        """It has ended: what it leaves behind is searched for with the next sweep."""
        self._living.discard(pid)
        self.has_work = True

    def note_unknown(self) -> None:
        """A start failed halfway, and may have left a process of unknown number."""
        self.has_work = True

    def forget(self, pid: int) -> None:
        """We kill this one ourselves: it is no stray, although it is still there for a moment."""
        self._reported.add(pid)
        self._living.discard(pid)

    def sweep(self) -> None:
        """End what dead workers have left behind; called in the launcher's thread."""
        strays: list[Stray] = []
        is_whole = True
        try:
            if self._server.pid is not None:
                # It is given the orphans of its workers alone.
                strays += end_strays(self._server.pid, frozenset(self._living))
            if self._is_alone:
                # What a dead fork server left; as the first process of a container we are given everybody's orphans.
                known = self._earlier_children | {self._server.pid or 0}
                strays += end_strays(os.getpid(), known, mark=mark_of_run(self._run))
        except OSError:
            # No descriptor left, perhaps: an exception would end the thread that all starts need.
            is_whole = False
        self._report(strays)
        # What they leave behind in their turn is found by the next sweep.
        self.has_work = self.has_work or bool(strays) or not is_whole

    def sweep_to_the_end(self) -> None:
        """Before the fork server ends: end everything below it, and wait for that, at most a second."""
        for _ in range(SWEEPS_MAX):
            if self._server.pid is None:
                return
            strays = end_strays(self._server.pid, frozenset(self._living), reason=LATE, wait_ms=STRAY_END_MS)
            self._report(strays)
            if not strays:
                return

    def reap(self) -> None:
        """Wait for the orphans that the kernel gave to this process, up to a number per turn."""
        if not self._is_alone:
            return
        for _ in range(REAPED_PER_TURN_MAX):
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            # The fork server's end is waited for elsewhere.
            if ended is None or ended.si_pid == self._server.pid:
                return
            with suppress(ChildProcessError):
                # The launcher's thread may have waited for the fork server meanwhile.
                os.waitpid(ended.si_pid, 0)

    def _report(self, strays: Sequence[Stray]) -> None:
        # One that takes its time to die (or never does, in the kernel) is met by each sweep.
        fresh = [stray for stray in strays if stray.pid not in self._reported]
        self._reported = {stray.pid for stray in strays}
        if fresh and self._on_killed is not None:
            self._on_killed(fresh)
