"""The threads of this host, and the events about them that the emulation gets. *Source:* proc(5)."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain

from agent.model.proc_stat import stat_fields
from workers.resctrl.emulator.ports import ThreadEvents
from workers.resctrl.emulator.process_events import EventKind, EventSource, ThreadEvent

PROC = "/proc"
# No `status` has more before the line of the user ids.
_STATUS_BYTES = 1024
_STAT_BYTES = 1024
# Fields after the name, counted from 0: user time, system time, and the CPU that the thread last ran on.
# *Source:* proc(5), fields 14, 15, 39.
_USER_TICKS, _SYSTEM_TICKS, _LAST_CPU = 11, 12, 36


class HostThreads:
    """All threads of the host. Each call reads /proc; nothing is kept."""

    def __init__(self, proc: str = PROC) -> None:
        self._proc = proc

    def exists(self, thread_id: int) -> bool:
        """Whether there is such a thread; a zombie counts until it is reaped."""
        # A listing of /proc shows only first threads, but /proc/TID exists for every thread.
        return os.path.exists(f"{self._proc}/{thread_id}")

    def owner(self, thread_id: int) -> tuple[int, int]:
        """Its real and its saved user id. *Raises:* ProcessLookupError. *Source:* proc_pid_status(5)."""
        for line in _read(f"{self._proc}/{thread_id}/status", _STATUS_BYTES).split(b"\n"):
            if line.startswith(b"Uid:"):
                _, real, _effective, saved, *_ = line.split()
                return int(real), int(saved)
        raise ProcessLookupError(thread_id)

    def processes(self) -> dict[int, set[int]]:
        """The thread ids of each process. A thread that starts or ends meanwhile may be missing. *Raises:* OSError."""
        found = {}
        for name in os.listdir(self._proc):
            if name.isdecimal():
                with suppress(FileNotFoundError, ProcessLookupError):
                    found[int(name)] = set(map(int, os.listdir(f"{self._proc}/{name}/task")))
        return found

    def live(self) -> Iterator[int]:
        """All thread ids."""
        return chain.from_iterable(self.processes().values())

    def cpu_time(self, thread_id: int) -> tuple[int, int]:
        """Its CPU time in clock ticks, and the CPU it last ran on. *Raises:* ProcessLookupError. *Source:* proc_pid_stat(5)."""
        # Not /proc/TID: for a first thread that would be the sum of its process.
        stat = _read(f"{self._proc}/{thread_id}/task/{thread_id}/stat", _STAT_BYTES)
        fields = stat_fields(stat)
        return int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS]), int(fields[_LAST_CPU])


def _read(path: str, bytes_max: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as cause:
        raise ProcessLookupError(path) from cause
    try:
        return os.read(descriptor, bytes_max)
    finally:
        os.close(descriptor)


class ThreadWatch:
    """Reports forks and exits to the emulation at each `settle`. Without a source of events it lists all threads instead; a thread
    that it sees for the first time then belongs to the default group, whichever thread created it."""

    def __init__(
        self,
        source: EventSource | None,
        processes: Callable[[], dict[int, set[int]]],
        exists: Callable[[int], bool],
        told: ThreadEvents,
        clock_ns: Callable[[], int],
    ) -> None:
        self._source = source
        self._exists = exists
        self._processes = processes
        self._told = told
        self._clock_ns = clock_ns
        # The threads of each process except the first: needed only for an exec by one of them.
        self._others = _others(processes())
        # First threads that have ended but are not reaped: the kernel still lists them. No event reports the reaping.
        self._zombies: set[int] = set()
        self.events = 0
        self.rescans = 0

    def settle(self) -> None:
        """Reports everything that has happened until now."""
        if self._source is None:
            self._rescan()
            return
        events, lost = self._source.drain()
        for event in events:
            self._tell(event)
        self.events += len(events)
        if lost:
            self._rescan()
        for process in [process for process in self._zombies if not self._exists(process)]:
            self._bury(process, self._clock_ns())

    def _rescan(self) -> None:
        self.rescans += 1
        # Taken before listing: later events are reported, or found by the next listing.
        at_ns = self._clock_ns()
        processes = self._processes()
        self._others = _others(processes)
        self._told.on_rescan(list(chain.from_iterable(processes.values())), at_ns)

    def _tell(self, event: ThreadEvent) -> None:
        if event.kind == EventKind.FORK:
            # The kernel has reused the id of a thread whose reaping no event reported.
            self._bury(event.thread, event.at_ns - 1)
            if event.thread != event.process:
                self._others.setdefault(event.process, set()).add(event.thread)
            self._told.on_fork(event.parent, event.thread, event.at_ns)
        elif event.kind == EventKind.EXIT:
            if event.thread == event.process:
                self._zombies.add(event.process)
            else:
                self._forget(event)
                self._told.on_exit(event.thread, event.at_ns)
        else:
            self._tell_exec(event)

    def _tell_exec(self, event: ThreadEvent) -> None:
        """All other threads have ended. If the first has ended too, the remaining thread called exec and took over the first's id,
        but keeps its own group: the kernel reports neither a fork nor an exit."""
        survivors = self._others.pop(event.process, set())
        if survivors:
            self._bury(event.process, event.at_ns - 1)
        for survivor in survivors:
            self._told.on_fork(survivor, event.process, event.at_ns)
            self._told.on_exit(survivor, event.at_ns)

    def _bury(self, process: int, at_ns: int) -> None:
        if process in self._zombies:
            self._zombies.discard(process)
            self._others.pop(process, None)
            self._told.on_exit(process, at_ns)

    def _forget(self, event: ThreadEvent) -> None:
        others = self._others.get(event.process)
        if others is not None:
            others.discard(event.thread)
            if not others:
                del self._others[event.process]


def _others(processes: dict[int, set[int]]) -> dict[int, set[int]]:
    return {process: threads - {process} for process, threads in processes.items() if len(threads) > 1}
