"""The supervisor's one poll: hears everything, asks the core, carries its effects out. It decides nothing."""

import os
import select
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, assert_never

from agent.failpoint import failpoint
from agent.model.message import Answer
from agent.ports import Clock
from supervisor.core.effect import (
    Announce,
    ClientAsker,
    Effect,
    Event,
    Finished,
    Log,
    Look,
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
    Survivors,
    Woke,
    WorkerAsker,
)
from supervisor.core.machine import Machine
from supervisor.shell.bus import BusRouter
from supervisor.shell.control_socket import ControlSocket, Readers
from supervisor.shell.launcher import Launcher, NotStarted
from supervisor.shell.lock import FolderLock
from supervisor.shell.log import EventLog
from supervisor.shell.process_table import WorkerProcessTable
from supervisor.shell.rules_store import RulesStore
from supervisor.shell.runtime_names import RuntimeNames
from supervisor.shell.service_manager import ServiceManager
from supervisor.shell.short_child import Register, ShortChild
from supervisor.shell.takeover import Started, TakenOverServer

Handler = Callable[[int], None]


class Settling(NamedTuple):
    """What follows from the end of a start: when the agent is to end by itself (monotonic), or None; who looks at the host for
    the banner."""

    end_at_ns: int | None
    look: ShortChild | None


class SupervisorLoop:
    """Runs a machine over the real world until it is finished."""

    def __init__(
        self,
        *,
        machine: Machine,
        clock: Clock,
        log: EventLog,
        launcher: Launcher,
        rules_store: RulesStore,
        bus: BusRouter,
        control_path: str,
        make_order: Callable[[str, int], bytes],
        on_settled: Callable[[tuple[str, ...], Register], Settling],
        service_manager: ServiceManager,
        locks: Sequence[FolderLock] = (),
        data_path: str = "",
        former: TakenOverServer | None = None,
        readers: Readers | None = None,
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._log = log
        self._launcher = launcher
        self._rules_store = rules_store
        self._bus = bus
        self._make_order = make_order
        # Called once when the start is over, with the reasons why the agent is not ready.
        self._on_settled = on_settled
        self._look_at_host: ShortChild | None = None
        self._service_manager = service_manager
        # What a dead supervisor left to this one.
        self._former = former
        self._end_at_ns: int | None = None
        self._finished: Finished | None = None
        self._processes = WorkerProcessTable(clock, log, self.register)
        self._handlers: dict[int, Handler] = {}
        self._masks: dict[int, int] = {}
        self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
        self._events: deque[Event] = deque()
        self._signals_read = self._catch_signals()
        self.register(launcher.background.descriptor, select.EPOLLIN, self._on_launched)
        self.register(rules_store.background.descriptor, select.EPOLLIN, self._on_persisted)
        self.register(bus.descriptor, select.EPOLLIN, lambda _mask: None)
        self._control = ControlSocket(
            control_path, register=self.register, on_command=self._events.append, now_ns=clock.now_ns, readers=readers
        )
        self._runtime_names = RuntimeNames([*locks, self._control, bus, *launcher.places], data_path=data_path)

    # ---- the loop --------------------------------------------------------------------------------

    def run(self) -> Finished:
        """Start everything, turn until the machine is finished, give everything back."""
        self._carry_out(self._machine.begin(self._clock.now_ns(), self._take_over()))
        while self._finished is None:
            for descriptor, mask in self._epoll.poll(self._wait_seconds()):
                handler = self._handlers.get(descriptor)
                if handler is not None:
                    handler(mask)
            self._service_manager.turn(self._clock.now_ns())
            if self._look_at_host is not None:
                self._look_at_host.turn(self._clock.now_ns())
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
        now_ns = self._clock.now_ns()
        look_ns = None if self._look_at_host is None else self._look_at_host.deadline_ns
        for other_ns in (
            self._processes.next_deadline_ns(),
            self._service_manager.next_deadline_ns(now_ns),
            self._end_at_ns,
            look_ns,
        ):
            if other_ns is not None:
                deadline_ns = min(deadline_ns, other_ns)
        # epoll counts in milliseconds and rounds up: never a turn too early.
        return max(0.0, (deadline_ns - now_ns) / 1e9)

    def _carry_out(self, effects: list[Effect]) -> None:
        # Starts first: nothing else depends on them, and everybody waits for them.
        for effect in sorted(effects, key=lambda each: not isinstance(each, Spawn)):
            if isinstance(effect, Spawn | ResetLauncher | Signal | Send | Look):
                self._carry_out_on_workers(effect)
            else:
                self._carry_out_elsewhere(effect)

    def _carry_out_on_workers(self, effect: Spawn | ResetLauncher | Signal | Send | Look) -> None:
        match effect:
            case Spawn():
                started = self._launcher.launch(effect.child, effect.epoch, self._make_order(effect.child, effect.epoch))
                if started is not None:
                    self._on_started(started)
            case ResetLauncher():
                self._launcher.reset()
            case Signal():
                self._processes.signal(effect)
            case Send():
                failpoint("supervisor.before_send")
                if not self._bus.send(effect.child, effect.epoch, effect.message):
                    # Before everything else that waits: what is sent next would go to somebody who missed this.
                    self._events.appendleft(SendRefused(effect.child, effect.epoch))
            case Look():
                self._look(effect)
            case _:
                assert_never(effect)

    def _carry_out_elsewhere(self, effect: Respond | Persist | Log | Settled | Announce | Finished) -> None:
        match effect:
            case Respond():
                self._respond(effect)
            case Persist():
                self._rules_store.write(effect.token, effect.book)
            case Log():
                self._log.write(effect.kind, effect.severity, effect.fields)
            case Settled():
                self._settle(effect.reasons)
            case Announce():
                self._service_manager.announce(effect.status, is_stopping=effect.is_stopping)
            case Finished():
                self._finished = effect
            case _:
                assert_never(effect)

    def _settle(self, reasons: tuple[str, ...]) -> None:
        self._end_at_ns, self._look_at_host = self._on_settled(reasons, self.register)
        self._service_manager.tell_ready(reasons)

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
        for outcome in self._launcher.background.results():
            match outcome:
                case Started():
                    self._on_started(outcome)
                case NotStarted():
                    self._events.append(SpawnFailed(outcome.child, outcome.epoch, outcome.problem))
                case None:
                    pass
                case _:
                    assert_never(outcome)

    def _on_started(self, started: Started) -> None:
        failpoint("supervisor.worker_started")
        self._processes.watch(started)
        self._events.append(Spawned(started.child, started.epoch, started.pid))

    def _take_over(self) -> Survivors | None:
        """What a former supervisor left: its workers are watched from now on."""
        if self._former is None:
            return None
        return Survivors(tuple(self._processes.take_over(worker) for worker in self._former.workers), self._former.epochs)

    def _notice_deaths(self) -> None:
        for pid, gone in self._processes.take_gone():
            self._launcher.note_gone(pid)
            self._events.append(gone)

    # ---- looking ---------------------------------------------------------------------------------

    def _look(self, order: Look) -> None:
        self._events.append(self._processes.look(order))
        self._events.append(self._runtime_names.look())
        self._control.cut_off_unread()
        self._launcher.sweep()

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
        rows = self._processes.measured(result["workers"])
        counters = {**result.get("counters", {}), **{f"control_{name}": n for name, n in self._control.counts.items()},
                    "bus_malformed": self._bus.malformed, "log_unwritten": self._log.unwritten}  # fmt: skip
        return {**result, "workers": rows} | ({"counters": counters} if "counters" in result else {})

    def _on_persisted(self, _mask: int) -> None:
        self._events.extend(self._rules_store.background.results())

    # ---- the end ---------------------------------------------------------------------------------

    def _close(self) -> None:
        if self._look_at_host is not None:
            self._look_at_host.close()
        self._control.close()
        self._processes.close()
        self._bus.close()
        self._rules_store.background.close(timeout_seconds=1.0)
        self._launcher.close()
        self._service_manager.close()
