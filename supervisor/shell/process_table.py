"""The process table: each living worker process with its stderr, its heartbeat page, its cost and its end. It decides nothing."""

import os
import select
import signal
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.control.document import replaced
from agent.model.control.result import WorkerRow, WorkerStatus
from agent.model.heartbeat_page import (
    BODY_BYTES,
    BODY_OFFSET,
    MEMORY,
    MEMORY_OFFSET,
    QUEUE,
    QUEUE_OFFSET,
    VERSION,
    Beat,
    parse_page,
)
from agent.model.timebase import MS, S
from agent.ports import Clock
from supervisor.core.effect import Exited, ObserveWorkers, Signal, Survivor, WorkerObservation, WorkersObserved
from supervisor.core.usage import WorkerUsage
from supervisor.shell.log import EventLog
from supervisor.shell.poller import Register
from supervisor.shell.process_statistics import ProcessStatistics
from supervisor.shell.started_worker import StartedWorker
from supervisor.shell.worker_stderr import WorkerStderr

# The fork server writes the exit status when it has reaped the child; after the death was seen this is a matter of
# microseconds. A dead one's pipe ends at once; only for a stopped one this is waited out, and then the status stays unknown.
STATUS_GRACE_NS = 500 * MS
# One that is only kept from a processor is waited for longer, and looked at again and again.
STARVED_GRACE_NS = 5 * S
# While the agent ends: less than a killed worker has before it counts as left behind.
STARVED_GRACE_AT_END_NS = 1500 * MS
STARVED_LOOK_NS = 50 * MS
WorkerT = TypeVar("WorkerT", bound=WorkerRow)
# A worker that makes progress is measured for its CPU share alone: this often is enough, and fifty of them are cheap.
OBSERVATIONS_PER_SAMPLE = 8

_SIGNALS = {"USR2": signal.SIGUSR2, "CONT": signal.SIGCONT, "KILL": signal.SIGKILL}


class _WorkerProcess(Struct, weakref=False):
    """The shell's side of one living worker process."""

    started: StartedWorker
    statistics: ProcessStatistics | None
    stderr: WorkerStderr
    gone_at_ns: int | None = None
    last_beat: Beat | None = None
    observations: int = 0


class WorkerProcessTable:
    """Every process from its start until its end has been reported. `is_starved`: the fork server would run if it could."""

    def __init__(self, clock: Clock, log: EventLog, register: Register, *, is_starved: Callable[[], bool]) -> None:
        self._is_starved = is_starved
        self._clock = clock
        self._log = log
        self._register = register
        self._processes: dict[tuple[str, int], _WorkerProcess] = {}

    # ---- coming and going ------------------------------------------------------------------------

    def add(self, started: StartedWorker) -> None:
        """A process exists. *Raises:* OSError."""
        assert (started.child, started.epoch) not in self._processes, (started.child, started.epoch)
        try:
            statistics = ProcessStatistics(started.pid) if started.pidfd >= 0 else None
        except OSError:
            # Gone already, or out of descriptors: a worker that cannot be measured is still supervised.
            statistics = None
        process = _WorkerProcess(started, statistics, WorkerStderr(started.child, started.stderr, self._log))
        self._processes[started.child, started.epoch] = process
        self._register(started.stderr, select.EPOLLIN, lambda _mask: self._on_stderr(process))
        if started.pidfd >= 0:
            self._register(started.pidfd, select.EPOLLIN, lambda _mask: self._on_gone(process))
        else:
            process.gone_at_ns = self._clock.now_ns()

    def take_over(self, started: StartedWorker) -> Survivor:
        """A process exists since the time of the supervisor before this one. *Raises:* OSError."""
        self.add(started)
        beat = _beat_of(started)
        revision = 0 if beat is None else beat.revision
        return Survivor(started.child, started.epoch, started.pid, started.started_at_ns, revision)

    def take_gone(self, *, is_ending: bool = False) -> list[tuple[int, Exited]]:
        """The processes that have ended since the last time, pid and end; they leave the table. `is_ending`: the agent ends."""
        starved_grace_ns = STARVED_GRACE_AT_END_NS if is_ending else STARVED_GRACE_NS
        gone = []
        for key, process in list(self._processes.items()):
            if process.gone_at_ns is None:
                continue
            is_known, status, with_launcher = _read_status(process.started.status)
            if not is_known and self._is_given_up(self._clock.now_ns() - process.gone_at_ns, starved_grace_ns):
                # The fork server may have come to run between the two looks.
                _, status, with_launcher = _read_status(process.started.status)
                is_known = True
            if is_known:
                failpoint("supervisor.worker_gone")
                self._on_stderr(process)
                tail = process.stderr.tail()
                self._give_back(process)
                del self._processes[key]
                gone.append((process.started.pid, Exited(key[0], key[1], status, tail, with_launcher)))
        return gone

    def next_deadline_ns(self) -> int | None:
        """When a death may be reported although its status has not come. *Absent:* no death is waited for."""
        waiting = [each.gone_at_ns for each in self._processes.values() if each.gone_at_ns is not None]
        return max(min(waiting) + STATUS_GRACE_NS, self._clock.now_ns() + STARVED_LOOK_NS) if waiting else None

    def _is_given_up(self, waited_ns: int, starved_grace_ns: int) -> bool:
        return waited_ns >= STATUS_GRACE_NS and (waited_ns >= starved_grace_ns or not self._is_starved())

    def signal(self, order: Signal) -> None:
        """Send a signal to a process, by its own descriptor and never by its number alone. *Raises:* OSError."""
        process = self._processes.get((order.child, order.epoch))
        if process is None or process.started.pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(process.started.pidfd, _SIGNALS[order.name])
        except ProcessLookupError:
            # It died of itself meanwhile; the death arrives as an event of its own.
            return

    def close(self) -> None:
        """Give every descriptor back."""
        for process in self._processes.values():
            self._give_back(process)
        self._processes.clear()

    def _on_stderr(self, process: _WorkerProcess) -> None:
        if process.stderr.read():
            self._register(process.started.stderr, 0, None)

    def _on_gone(self, process: _WorkerProcess) -> None:
        if process.gone_at_ns is None:
            process.gone_at_ns = self._clock.now_ns()
            self._register(process.started.pidfd, 0, None)
            # The status follows at once; its arrival wakes the loop.
            self._register(process.started.status, select.EPOLLIN, lambda _mask: None)

    def _give_back(self, process: _WorkerProcess) -> None:
        started = process.started
        for descriptor in (started.stderr, started.status, started.pidfd):
            if descriptor >= 0:
                self._register(descriptor, 0, None)
                os.close(descriptor)
        started.page.close()
        if process.statistics is not None:
            process.statistics.close()

    # ---- observing -------------------------------------------------------------------------------

    def observe(self, order: ObserveWorkers) -> WorkersObserved:
        """The pages of these workers, and what the kernel shows of those that made no progress. *Raises:* OSError."""
        now_ns = self._clock.now_ns()
        living = [(key, self._processes[key]) for key in order.children if key in self._processes]
        return WorkersObserved(tuple(self._observe(key, process, now_ns) for key, process in living))

    def _observe(self, key: tuple[str, int], process: _WorkerProcess, now_ns: int) -> WorkerObservation:
        process.stderr.report_hidden()
        beat = _beat_of(process.started)
        has_moved = beat is not None and (process.last_beat is None or beat.turns != process.last_beat.turns)
        process.last_beat = beat or process.last_beat
        process.observations += 1
        is_due = not has_moved or process.observations % OBSERVATIONS_PER_SAMPLE == 0
        state = process.statistics.sample(now_ns) if process.statistics is not None and is_due else None
        if state is not None and not has_moved:
            # It may have come to run between the two looks, and sleeps because it is done.
            process.last_beat = _beat_of(process.started) or process.last_beat
        return WorkerObservation(key[0], key[1], process.last_beat, state, _usage_of(process, now_ns))

    def measured(self, row: WorkerT) -> WorkerT:
        """The row with what is measured filled in; unchanged where nothing can be measured. *Raises:* OSError."""
        process = self._processes.get((row.name, row.epoch))
        if process is None or process.statistics is None:
            return row
        statistics = process.statistics
        statistics.sample(self._clock.now_ns())
        total = {"cpu_seconds": statistics.cpu_seconds} if isinstance(row, WorkerStatus) else {}
        memory = {"rss_bytes": statistics.rss_bytes, "pss_bytes": _pss_of(process.started)}
        return replaced(row, cpu_percent=statistics.cpu_percent, **memory, **total)


def _usage_of(process: _WorkerProcess, now_ns: int) -> WorkerUsage | None:
    """What it uses, by its clock and what was read last of it. *Absent:* it cannot be measured."""
    statistics = process.statistics
    if statistics is None or process.gone_at_ns is not None:
        return None
    queue_bytes = QUEUE.unpack_from(process.started.page, QUEUE_OFFSET)[0]
    return WorkerUsage(statistics.cpu_clock_ns(), statistics.rss_bytes, statistics.descriptors(now_ns), queue_bytes)


def _beat_of(worker: StartedWorker) -> Beat | None:
    page = worker.page
    return parse_page(page[: VERSION.size], page[BODY_OFFSET : BODY_OFFSET + BODY_BYTES], page[: VERSION.size])


def _pss_of(worker: StartedWorker) -> int | None:
    """The proportional memory that the worker measured of itself and wrote on its page."""
    return MEMORY.unpack_from(worker.page, MEMORY_OFFSET)[0] or None


def _read_status(descriptor: int) -> tuple[bool, int | None, bool]:
    """The exit status that the fork server wrote: (has it been decided, status, did the fork server die without writing it)."""
    try:
        data = os.read(descriptor, 8)
    except BlockingIOError:
        return False, None, False
    return (True, None, True) if len(data) < 8 else (True, int.from_bytes(data, "little", signed=True), False)
