"""The living worker processes: their ends, their last words, their pages, their cost. It decides nothing."""

import os
import select
import signal
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.heartbeat_page import BODY_BYTES, BODY_OFFSET, MEMORY, MEMORY_OFFSET, VERSION, Beat, parse_page
from agent.model.timebase import MS
from agent.ports import Clock
from supervisor.core.effect import Exited, Look, Signal, Survivor, WorkerObservation, WorkersObserved
from supervisor.shell.log import EventLog
from supervisor.shell.process_statistics import ProcessStatistics
from supervisor.shell.takeover import Started

# The fork server writes the exit status when it has reaped the child; after the death was seen this is a matter of
# microseconds, on a starved machine of some hundred milliseconds. A dead fork server's pipe ends at once; only for a stopped
# one this is waited out, and then nobody knows the status.
STATUS_GRACE_NS = 500 * MS
STDERR_TAIL_LINES_MAX = 40
STDERR_LINE_BYTES_MAX = 400
STDERR_READ_BYTES = 64 << 10
# A traceback of every thread fits; a worker in a loop of complaints does not fill the log.
STDERR_LINES_PER_LOOK_MAX = 200
# A worker that makes progress is measured for its CPU share alone: this often is enough, and fifty of them are cheap.
LOOKS_PER_MEASUREMENT = 8

_SIGNALS = {"USR2": signal.SIGUSR2, "CONT": signal.SIGCONT, "KILL": signal.SIGKILL}

# Registers a descriptor with the loop: (descriptor, epoll mask, handler); mask 0 ends it.
Register = Callable[[int, int, Callable[[int], None] | None], None]


class _Process(Struct, weakref=False):
    """The shell's side of one living worker process."""

    started: Started
    statistics: ProcessStatistics | None
    words: deque[str]
    partial: bytes = b""
    gone_at_ns: int | None = None
    last_beat: Beat | None = None
    looks: int = 0
    lines_since_look: int = 0


class WorkerProcessTable:
    """Every process between its start and the moment when its end has been told."""

    def __init__(self, clock: Clock, log: EventLog, register: Register) -> None:
        self._clock = clock
        self._log = log
        self._register = register
        self._processes: dict[tuple[str, int], _Process] = {}

    # ---- coming and going ------------------------------------------------------------------------

    def watch(self, started: Started) -> None:
        """A process exists."""
        try:
            statistics = ProcessStatistics(started.pid) if started.pidfd >= 0 else None
        except OSError:
            # Gone already, or out of descriptors: a worker that cannot be measured is supervised all the same.
            statistics = None
        process = _Process(started, statistics, deque(maxlen=STDERR_TAIL_LINES_MAX))
        self._processes[started.child, started.epoch] = process
        self._register(started.words, select.EPOLLIN, lambda _mask: self._on_words(process))
        if started.pidfd >= 0:
            self._register(started.pidfd, select.EPOLLIN, lambda _mask: self._on_gone(process))
        else:
            process.gone_at_ns = self._clock.now_ns()

    def take_over(self, started: Started) -> Survivor:
        """A process exists since the time of a former supervisor."""
        self.watch(started)
        beat = _beat_of(started)
        revision = 0 if beat is None else beat.revision
        return Survivor(started.child, started.epoch, started.pid, started.started_at_ns, revision)

    def take_gone(self) -> list[tuple[int, Exited]]:
        """The processes that have ended since the last time, pid and end; nothing of them is kept."""
        gone = []
        for key, process in list(self._processes.items()):
            if process.gone_at_ns is None:
                continue
            is_known, status, with_launcher = _read_status(process.started.status)
            if is_known or self._clock.now_ns() >= process.gone_at_ns + STATUS_GRACE_NS:
                failpoint("supervisor.worker_gone")
                self._on_words(process)
                words = tuple([*process.words, *_lines(process.partial)][-STDERR_TAIL_LINES_MAX:])
                self._give_back(process)
                del self._processes[key]
                gone.append((process.started.pid, Exited(key[0], key[1], status, words, with_launcher)))
        return gone

    def next_deadline_ns(self) -> int | None:
        """When a death is told although its status has not come; None: no death is waited for."""
        waiting = [each.gone_at_ns for each in self._processes.values() if each.gone_at_ns is not None]
        return min(waiting) + STATUS_GRACE_NS if waiting else None

    def signal(self, order: Signal) -> None:
        """Send a signal to a process, by its own descriptor and never by its number alone."""
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

    def _on_gone(self, process: _Process) -> None:
        if process.gone_at_ns is None:
            process.gone_at_ns = self._clock.now_ns()
            self._register(process.started.pidfd, 0, None)
            # The status follows at once; its arrival wakes the loop.
            self._register(process.started.status, select.EPOLLIN, lambda _mask: None)

    def _give_back(self, process: _Process) -> None:
        started = process.started
        for descriptor in (started.words, started.status, started.pidfd):
            if descriptor >= 0:
                self._register(descriptor, 0, None)
                os.close(descriptor)
        started.page.close()
        if process.statistics is not None:
            process.statistics.close()

    # ---- words -----------------------------------------------------------------------------------

    def _on_words(self, process: _Process) -> None:
        """Pass a worker's stderr on, and keep its last lines."""
        try:
            data = os.read(process.started.words, STDERR_READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._register(process.started.words, 0, None)
            return
        *lines, process.partial = (process.partial + data).split(b"\n")
        process.partial = process.partial[-STDERR_LINE_BYTES_MAX:]
        for line in lines:
            for text in _lines(line):
                process.words.append(text)
                self._pass_on(process, text)

    def _pass_on(self, process: _Process, text: str) -> None:
        """Log a worker's line; a worker that floods is cut between two looks, and told how much was hidden."""
        process.lines_since_look += 1
        if process.lines_since_look <= STDERR_LINES_PER_LOOK_MAX:
            self._log.write("worker_says", "info", {"worker": process.started.child, "text": text})

    def _tell_hidden_words(self, process: _Process) -> None:
        hidden = process.lines_since_look - STDERR_LINES_PER_LOOK_MAX
        if hidden > 0:
            self._log.write("worker_says_too_much", "warning", {"worker": process.started.child, "hidden_lines": hidden})
        process.lines_since_look = 0

    # ---- looking ---------------------------------------------------------------------------------

    def look(self, order: Look) -> WorkersObserved:
        """The pages of these workers, and the kernel's word on those that made no progress."""
        now_ns = self._clock.now_ns()
        living = [(key, self._processes[key]) for key in order.children if key in self._processes]
        return WorkersObserved(tuple(self._observe(key, process, now_ns) for key, process in living))

    def _observe(self, key: tuple[str, int], process: _Process, now_ns: int) -> WorkerObservation:
        self._tell_hidden_words(process)
        beat = _beat_of(process.started)
        has_moved = beat is not None and (process.last_beat is None or beat.turns != process.last_beat.turns)
        process.last_beat = beat or process.last_beat
        process.looks += 1
        is_due = not has_moved or process.looks % LOOKS_PER_MEASUREMENT == 0
        process_state = process.statistics.look(now_ns) if process.statistics is not None and is_due else None
        return WorkerObservation(key[0], key[1], process.last_beat, process_state)

    def measured(self, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Rows of `list-workers` with what is measured filled in."""
        now_ns = self._clock.now_ns()
        filled = []
        for row in rows:
            process = self._processes.get((row["name"], row["epoch"]))
            if process is not None and process.statistics is not None:
                process.statistics.look(now_ns)
                statistics = process.statistics
                known = {"cpu_percent": statistics.cpu_percent, "cpu_seconds": statistics.cpu_seconds,
                         "rss_bytes": statistics.rss_bytes, "pss_bytes": _memory_of(process.started)}  # fmt: skip
                row = {key: known.get(key, value) for key, value in row.items()}
            filled.append(row)
        return filled


def _beat_of(worker: Started) -> Beat | None:
    page = worker.page
    return parse_page(page[: VERSION.size], page[BODY_OFFSET : BODY_OFFSET + BODY_BYTES], page[: VERSION.size])


def _memory_of(worker: Started) -> int | None:
    """The proportional memory that the worker has told of itself."""
    return MEMORY.unpack_from(worker.page, MEMORY_OFFSET)[0] or None


def _read_status(descriptor: int) -> tuple[bool, int | None, bool]:
    """The exit status that the fork server wrote: (is the matter settled, status, did the fork server die without writing)."""
    try:
        data = os.read(descriptor, 8)
    except BlockingIOError:
        return False, None, False
    return (True, None, True) if len(data) < 8 else (True, int.from_bytes(data, "little", signed=True), False)


def _lines(data: bytes) -> list[str]:
    text = data[:STDERR_LINE_BYTES_MAX].decode("utf-8", "replace").rstrip()
    return [text] if text else []
