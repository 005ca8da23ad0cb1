"""The supervisor's one poll: hears everything, asks the core, carries its effects out. It decides nothing."""

import os
import select
import signal
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from msgspec import Struct

from agent.model.heartbeat import BODY_BYTES, BODY_OFFSET, VERSION, Beat, parse_page
from agent.model.message import Answer
from agent.model.timebase import MS
from agent.ports import Clock
from supervisor.core.effect import (
    Announce,
    ClientAsker,
    Effect,
    Event,
    Exited,
    Finished,
    Log,
    Look,
    Looked,
    Observation,
    Persist,
    ResetLauncher,
    Respond,
    RotateRequested,
    Send,
    SendRefused,
    Settled,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    StopRequested,
    Woke,
    WorkerAsker,
)
from supervisor.core.machine import Machine
from supervisor.shell.bus import Bus
from supervisor.shell.control_socket import ControlSocket
from supervisor.shell.journal import Journal
from supervisor.shell.launcher import Launcher, NotStarted, Started
from supervisor.shell.log import EventLog
from supervisor.shell.measure import Gauge
from supervisor.shell.service_manager import ServiceManager

# The fork server writes the exit status when it has reaped the child; after the death was seen this is a matter of
# microseconds, unless the fork server itself is dead or stopped.
STATUS_GRACE_NS = 50 * MS
LAST_WORDS_LINES_MAX = 40
LAST_WORDS_LINE_BYTES_MAX = 400
WORDS_READ_BYTES = 64 << 10
# A traceback of every thread fits; a worker in a loop of complaints does not fill the log.
WORDS_LINES_PER_LOOK_MAX = 200

_SIGNALS = {"USR2": signal.SIGUSR2, "KILL": signal.SIGKILL}

Handler = Callable[[int], None]


class _Process(Struct, weakref=False):
    """The shell's side of one living worker process."""

    started: Started
    gauge: Gauge | None
    words: deque[str]
    partial: bytes = b""
    gone_at_ns: int | None = None
    last_beat: Beat | None = None
    lines_since_look: int = 0


class SupervisorLoop:
    """Runs a machine over the real world until it is finished."""

    def __init__(
        self,
        *,
        machine: Machine,
        clock: Clock,
        log: EventLog,
        launcher: Launcher,
        journal: Journal,
        bus: Bus,
        control_path: str,
        make_order: Callable[[str, int], bytes],
        on_settled: Callable[[tuple[str, ...]], int | None],
        service_manager: ServiceManager,
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._log = log
        self._launcher = launcher
        self._journal = journal
        self._bus = bus
        self._make_order = make_order
        # Called once when the start is over, with the reasons why the agent is not ready; gives when it is to end by itself
        # (monotonic), or None.
        self._on_settled = on_settled
        self._service_manager = service_manager
        self._end_at_ns: int | None = None
        self._finished: Finished | None = None
        self._processes: dict[tuple[str, int], _Process] = {}
        self._handlers: dict[int, Handler] = {}
        self._masks: dict[int, int] = {}
        self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
        self._events: deque[Event] = deque()
        self._signals_read = self._catch_signals()
        self.register(launcher.errands.descriptor, select.EPOLLIN, self._on_launched)
        self.register(journal.errands.descriptor, select.EPOLLIN, self._on_persisted)
        self.register(bus.descriptor, select.EPOLLIN, lambda _mask: None)
        self._control = ControlSocket(control_path, register=self.register, on_command=self._events.append, now_ns=clock.now_ns)

    # ---- the loop --------------------------------------------------------------------------------

    def run(self) -> Finished:
        """Start everything, turn until the machine is finished, give everything back."""
        self._carry_out(self._machine.begin(self._clock.now_ns()))
        while self._finished is None:
            for descriptor, mask in self._epoll.poll(self._wait_seconds()):
                handler = self._handlers.get(descriptor)
                if handler is not None:
                    handler(mask)
            self._control.go_on()
            self._events.extend(self._bus.receive())
            self._notice_deaths()
            if self._end_at_ns is not None and self._end_at_ns <= self._clock.now_ns():
                self._end_at_ns = None
                self._events.append(StopRequested("the time given is over"))
            self._events.append(Woke())
            while self._events and self._finished is None:
                self._carry_out(self._machine.handle(self._events.popleft(), self._clock.now_ns()))
        self._close()
        return self._finished

    def register(self, descriptor: int, mask: int, handler: Handler | None) -> None:
        """Hear of a descriptor's readiness; mask 0 ends it."""
        if not mask:
            if self._handlers.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)
                del self._masks[descriptor]
            return
        assert handler is not None
        known = self._masks.get(descriptor)
        self._handlers[descriptor] = handler
        if known is None:
            self._epoll.register(descriptor, mask)
        elif known != mask:
            self._epoll.modify(descriptor, mask)
        self._masks[descriptor] = mask

    def _wait_seconds(self) -> float:
        if self._events or self._control.has_more() or self._bus.has_more():
            return 0.0
        deadline_ns = self._machine.next_deadline_ns()
        for process in self._processes.values():
            if process.gone_at_ns is not None:
                deadline_ns = min(deadline_ns, process.gone_at_ns + STATUS_GRACE_NS)
        if self._end_at_ns is not None:
            deadline_ns = min(deadline_ns, self._end_at_ns)
        # epoll counts in milliseconds and rounds up: never a turn too early.
        return max(0.0, (deadline_ns - self._clock.now_ns()) / 1e9)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Spawn | ResetLauncher | Signal | Send | Look):
                self._carry_out_on_workers(effect)
            else:
                self._carry_out_elsewhere(effect)

    def _carry_out_on_workers(self, effect: Spawn | ResetLauncher | Signal | Send | Look) -> None:
        match effect:
            case Spawn():
                self._launcher.launch(effect.child, effect.epoch, self._make_order(effect.child, effect.epoch))
            case ResetLauncher():
                self._launcher.reset()
            case Signal():
                self._signal(effect)
            case Send():
                if not self._bus.send(effect.child, effect.epoch, effect.message):
                    self._events.append(SendRefused(effect.child, effect.epoch))
            case Look():
                self._look(effect)
            case _:
                assert_never(effect)

    def _carry_out_elsewhere(self, effect: Respond | Persist | Log | Settled | Announce | Finished) -> None:
        match effect:
            case Respond():
                self._respond(effect)
            case Persist():
                self._journal.write(effect.token, effect.document)
            case Log():
                self._log.write(effect.kind, effect.severity, effect.fields)
            case Settled():
                self._end_at_ns = self._on_settled(effect.reasons)
                self._service_manager.tell_ready("; ".join(effect.reasons) or "ready")
            case Announce():
                self._service_manager.announce(effect.status, is_stopping=effect.is_stopping)
            case Finished():
                self._finished = effect
            case _:
                assert_never(effect)

    # ---- signals ---------------------------------------------------------------------------------

    def _catch_signals(self) -> int:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            # nohup, and shells for what they start in the background, ask by this to be left alone.
            if number in (signal.SIGINT, signal.SIGHUP) and signal.getsignal(number) is signal.SIG_IGN:
                continue
            signal.signal(number, lambda _number, _frame: None)
        # Those that came during the start were held back and are heard now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1))
        self.register(read, select.EPOLLIN, self._on_signals)
        return read

    def _on_signals(self, _mask: int) -> None:
        for number in os.read(self._signals_read, 256):
            if number == signal.SIGUSR1:
                self._events.append(RotateRequested())
            elif number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._events.append(StopRequested(signal.Signals(number).name))

    # ---- processes -------------------------------------------------------------------------------

    def _on_launched(self, _mask: int) -> None:
        for outcome in self._launcher.errands.results():
            match outcome:
                case Started():
                    self._adopt(outcome)
                    self._events.append(Spawned(outcome.child, outcome.epoch, outcome.pid))
                case NotStarted():
                    self._events.append(SpawnFailed(outcome.child, outcome.epoch, outcome.problem))
                case None:
                    pass
                case _:
                    assert_never(outcome)

    def _adopt(self, started: Started) -> None:
        try:
            gauge = Gauge(started.pid) if started.pidfd >= 0 else None
        except OSError:
            # Gone already, or out of descriptors: a worker that cannot be measured is supervised all the same.
            gauge = None
        process = _Process(started, gauge, deque(maxlen=LAST_WORDS_LINES_MAX))
        self._processes[started.child, started.epoch] = process
        self.register(started.words, select.EPOLLIN, lambda _mask: self._on_words(process))
        if started.pidfd >= 0:
            self.register(started.pidfd, select.EPOLLIN, lambda _mask: self._on_gone(process))
        else:
            process.gone_at_ns = self._clock.now_ns()

    def _on_gone(self, process: _Process) -> None:
        if process.gone_at_ns is None:
            process.gone_at_ns = self._clock.now_ns()
            self.register(process.started.pidfd, 0, None)
            # The status follows at once; its arrival wakes the loop.
            self.register(process.started.status, select.EPOLLIN, lambda _mask: None)

    def _notice_deaths(self) -> None:
        for key, process in list(self._processes.items()):
            if process.gone_at_ns is None:
                continue
            is_known, status, with_launcher = _read_status(process.started.status)
            if is_known or self._clock.now_ns() >= process.gone_at_ns + STATUS_GRACE_NS:
                self._on_words(process)
                words = tuple([*process.words, *_lines(process.partial)][-LAST_WORDS_LINES_MAX:])
                self._give_back(process)
                del self._processes[key]
                self._events.append(Exited(key[0], key[1], status, words, with_launcher))

    def _give_back(self, process: _Process) -> None:
        started = process.started
        for descriptor in (started.words, started.status, started.pidfd):
            if descriptor >= 0:
                self.register(descriptor, 0, None)
                os.close(descriptor)
        started.page.close()
        if process.gauge is not None:
            process.gauge.close()

    def _signal(self, order: Signal) -> None:
        process = self._processes.get((order.child, order.epoch))
        if process is None or process.started.pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(process.started.pidfd, _SIGNALS[order.name])
        except ProcessLookupError:
            # It died of itself meanwhile; the death arrives as an event of its own.
            return

    def _on_words(self, process: _Process) -> None:
        """Pass a worker's stderr on, and keep its last lines."""
        try:
            data = os.read(process.started.words, WORDS_READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.register(process.started.words, 0, None)
            return
        *lines, process.partial = (process.partial + data).split(b"\n")
        process.partial = process.partial[-LAST_WORDS_LINE_BYTES_MAX:]
        for line in lines:
            for text in _lines(line):
                process.words.append(text)
                self._pass_on(process, text)

    def _pass_on(self, process: _Process, text: str) -> None:
        """Log a worker's line; a worker that floods is cut between two looks, and told how much was hidden."""
        process.lines_since_look += 1
        if process.lines_since_look <= WORDS_LINES_PER_LOOK_MAX:
            self._log.write("worker_says", "info", {"worker": process.started.child, "text": text})

    def _tell_hidden_words(self, process: _Process) -> None:
        hidden = process.lines_since_look - WORDS_LINES_PER_LOOK_MAX
        if hidden > 0:
            self._log.write("worker_says_too_much", "warning", {"worker": process.started.child, "hidden_lines": hidden})
        process.lines_since_look = 0

    # ---- looking ---------------------------------------------------------------------------------

    def _look(self, order: Look) -> None:
        now_ns = self._clock.now_ns()
        seen = []
        for child, epoch in order.children:
            process = self._processes.get((child, epoch))
            if process is not None:
                page = process.started.page
                beat = parse_page(page[: VERSION.size], page[BODY_OFFSET : BODY_OFFSET + BODY_BYTES], page[: VERSION.size])
                process.last_beat = beat or process.last_beat
                self._tell_hidden_words(process)
                sight = None if process.gauge is None else process.gauge.look(now_ns)
                seen.append(Observation(child, epoch, process.last_beat, sight))
        self._events.append(Looked(tuple(seen)))
        self._service_manager.beat(now_ns)
        self._control.cut_off_unread()
        self._launcher.reap_strays()

    # ---- answers ---------------------------------------------------------------------------------

    def _respond(self, order: Respond) -> None:
        result = order.result
        if result is not None and "workers" in result:
            result = self._measured(result)
        match order.asker:
            case ClientAsker():
                self._control.answer(order.asker.client, result, order.problem)
            case WorkerAsker():
                body = result if result is not None else {"problem": order.problem.sentence if order.problem else ""}
                if not self._bus.send(order.asker.child, order.asker.epoch, Answer(order.asker.request, body)):
                    self._events.append(SendRefused(order.asker.child, order.asker.epoch))
            case _:
                assert_never(order.asker)

    def _measured(self, result: Mapping[str, Any]) -> dict[str, Any]:
        now_ns = self._clock.now_ns()
        rows = []
        for row in result["workers"]:
            process = self._processes.get((row["name"], row["epoch"]))
            if process is not None and process.gauge is not None:
                gauge = process.gauge
                gauge.look(now_ns)
                measured = {"cpu_percent": gauge.cpu_percent, "cpu_seconds": gauge.cpu_seconds,
                            "rss_bytes": gauge.rss_bytes, "pss_bytes": gauge.pss_bytes()}  # fmt: skip
                row = {key: measured.get(key, value) for key, value in row.items()}
            rows.append(row)
        counters = {**result.get("counters", {}), **{f"control_{name}": n for name, n in self._control.counts.items()},
                    "bus_malformed": self._bus.malformed, "log_unwritten": self._log.unwritten}  # fmt: skip
        return {**result, "workers": rows} | ({"counters": counters} if "counters" in result else {})

    def _on_persisted(self, _mask: int) -> None:
        self._events.extend(self._journal.errands.results())

    # ---- the end ---------------------------------------------------------------------------------

    def _close(self) -> None:
        self._control.close()
        for process in self._processes.values():
            self._give_back(process)
        self._bus.close()
        self._journal.errands.close(timeout_seconds=1.0)
        self._launcher.close()
        self._service_manager.close()


def _read_status(descriptor: int) -> tuple[bool, int | None, bool]:
    """The exit status that the fork server wrote: (is the matter settled, status, did the fork server die without writing)."""
    try:
        data = os.read(descriptor, 8)
    except BlockingIOError:
        return False, None, False
    return (True, None, True) if len(data) < 8 else (True, int.from_bytes(data, "little", signed=True), False)


def _lines(data: bytes) -> list[str]:
    text = data[:LAST_WORDS_LINE_BYTES_MAX].decode("utf-8", "replace").rstrip()
    return [text] if text else []
