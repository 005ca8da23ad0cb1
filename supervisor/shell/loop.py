"""The supervisor's loop: hears everything, asks the core, carries its effects out. It decides nothing."""

import select
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, assert_never

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.control.document import Document, plain, replaced
from agent.model.control.result import AgentStatus, WorkerList
from agent.model.message import Answer
from agent.ports import Clock
from supervisor.core.effect import (
    Announce,
    ApplySettings,
    ClientAsker,
    Effect,
    Event,
    Finished,
    Housekeep,
    Log,
    ObserveWorkers,
    Persist,
    PersistLimits,
    ReadSettings,
    ResetLauncher,
    Respond,
    Send,
    SendRefused,
    SettingsRead,
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
from supervisor.shell.background_thread import BackgroundThread
from supervisor.shell.bus import BusRouter
from supervisor.shell.control_listener import Readers
from supervisor.shell.control_socket import ControlSocket
from supervisor.shell.launcher import Launcher, NotStarted
from supervisor.shell.limits_store import LimitsStore
from supervisor.shell.lock import FolderLock
from supervisor.shell.log import EventLog
from supervisor.shell.poller import Poller, Register
from supervisor.shell.process_table import WorkerProcessTable
from supervisor.shell.rules_store import RulesStore
from supervisor.shell.runtime_names import RuntimeName, RuntimeNames
from supervisor.shell.service_manager import ServiceManager
from supervisor.shell.short_child import ShortChild
from supervisor.shell.signals import catch_signals
from supervisor.shell.started_worker import StartedWorker
from supervisor.shell.takeover import TakenOverServer

RULES_STORE_CLOSE_SECONDS = 1.0

WorkerEffect = Spawn | ResetLauncher | Signal | Send | ObserveWorkers
OtherEffect = Respond | Persist | PersistLimits | ReadSettings | ApplySettings | Housekeep | Log | Settled | Announce | Finished


class Settling(NamedTuple):
    """What follows from the end of a start: when the agent is to end by itself (monotonic), or None; the child process that
    looks at the host for the banner, or None."""

    end_at_ns: int | None
    look: ShortChild | None


class LiveSettings(Protocol):
    """The settings file while the agent runs (`agent.daemon.settings_source.SettingsSource`)."""

    def read(self, token: int) -> SettingsRead:
        """Read it again, in any thread."""
        ...

    def apply(self, token: int) -> None:
        """What was read with this token is in force from now on. *Raises:* StorageError."""
        ...


class LoopParts(Struct, frozen=True):
    """What the loop connects.

    `make_order` gives the encoded launch order of a worker's generation. `on_settled` is called once, when the start is over,
    with the reasons why the agent is not ready. `taken_over` is what a dead supervisor left.
    """

    machine: Machine
    clock: Clock
    log: EventLog
    launcher: Launcher
    rules_store: RulesStore
    bus: BusRouter
    control_path: str
    make_order: Callable[[str, int], bytes]
    on_settled: Callable[[tuple[str, ...], Register], Settling]
    service_manager: ServiceManager
    settings: LiveSettings
    locks: Sequence[FolderLock] = ()
    data_path: str = ""
    taken_over: TakenOverServer | None = None
    readers: Readers | None = None


class SupervisorLoop:
    """Runs a machine over the real world until it is finished."""

    def __init__(self, parts: LoopParts) -> None:
        """*Raises:* OSError, BusyError when the control socket cannot be opened."""
        self._parts = parts
        self._machine = parts.machine
        self._clock = parts.clock
        self._launcher = parts.launcher
        self._bus = parts.bus
        self._limits_store = LimitsStore(parts.rules_store.state_dir, parts.rules_store.thread)
        self._settings_thread: BackgroundThread[SettingsRead] | None = None
        self._look_at_host: ShortChild | None = None
        self._end_at_ns: int | None = None
        self._finished: Finished | None = None
        self._poller = Poller()
        self._events: deque[Event] = deque()
        register = self._poller.register
        self._processes = WorkerProcessTable(parts.clock, parts.log, register, is_starved=parts.launcher.server.is_starved)
        catch_signals(register, self._events.append)
        register(parts.launcher.thread.descriptor, select.EPOLLIN, self._on_launched)
        register(parts.rules_store.thread.descriptor, select.EPOLLIN, self._on_persisted)
        register(parts.bus.descriptor, select.EPOLLIN, lambda _mask: None)
        self._control = ControlSocket(
            parts.control_path,
            register=register,
            on_command=self._events.append,
            now_ns=parts.clock.now_ns,
            readers=parts.readers,
        )
        names: list[RuntimeName] = [*parts.locks, self._control, parts.bus, *parts.launcher.names]
        self._runtime_names = RuntimeNames(names, data_path=parts.data_path)

    # ---- the loop --------------------------------------------------------------------------------

    def run(self) -> Finished:
        """Start everything, turn until the machine is finished, give everything back. *Raises:* OSError."""
        self._carry_out(self._machine.begin(self._clock.now_ns(), self._take_over()))
        while self._finished is None:
            self._poller.wait(self._wait_ns())
            self._hear()
            while self._events and self._finished is None:
                self._carry_out(self._machine.handle(self._events.popleft(), self._clock.now_ns()))
        self._close()
        return self._finished

    def _hear(self) -> None:
        """Collect what happened, except what the poller's handlers collect; the last event is always `Woke`."""
        self._parts.service_manager.turn(self._clock.now_ns())
        if self._look_at_host is not None:
            self._look_at_host.turn(self._clock.now_ns())
        self._control.go_on()
        self._events.extend(self._bus.receive())
        self._events.extend(self._parts.log.take_noted())
        self._notice_deaths()
        if self._end_at_ns is not None and self._end_at_ns <= self._clock.now_ns():
            self._end_at_ns = None
            self._events.append(StopRequested("the time given is over"))
        self._events.append(Woke())

    def _wait_ns(self) -> int:
        if self._events or self._control.has_more() or self._bus.has_more():
            return 0
        now_ns = self._clock.now_ns()
        deadlines_ns = (
            self._machine.next_deadline_ns(),
            self._processes.next_deadline_ns(),
            self._parts.service_manager.next_deadline_ns(now_ns),
            self._end_at_ns,
            None if self._look_at_host is None else self._look_at_host.deadline_ns,
        )
        return max(0, min(each for each in deadlines_ns if each is not None) - now_ns)

    # ---- effects ---------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        # Starts first: nothing else depends on them, and everybody waits for them. Only settings come before: starts need them.
        for effect in sorted(
            effects, key=lambda each: 0 if isinstance(each, ApplySettings) else 1 if isinstance(each, Spawn) else 2
        ):
            if isinstance(effect, WorkerEffect):
                self._carry_out_on_workers(effect)
            else:
                self._carry_out_elsewhere(effect)

    def _carry_out_on_workers(self, effect: WorkerEffect) -> None:
        match effect:
            case Spawn():
                started = self._launcher.launch(effect.child, effect.epoch, self._parts.make_order(effect.child, effect.epoch))
                if started is not None:
                    self._on_started(started)
            case ResetLauncher():
                self._launcher.reset()
            case Signal():
                self._processes.signal(effect)
            case Send():
                failpoint("supervisor.before_send")
                if not self._bus.send(effect.child, effect.epoch, effect.message):
                    # Before everything else that waits: what is sent next would go to a worker that missed this.
                    self._events.appendleft(SendRefused(effect.child, effect.epoch))
            case ObserveWorkers():
                self._events.append(self._processes.observe(effect))
            case _:
                assert_never(effect)

    def _carry_out_elsewhere(self, effect: OtherEffect) -> None:
        match effect:
            case Respond():
                self._respond(effect)
            case Persist():
                self._parts.rules_store.write(effect.token, effect.book)
            case PersistLimits():
                self._limits_store.write(effect.token, effect.limits)
            case ReadSettings():
                self._read_settings(effect.token)
            case ApplySettings():
                self._parts.settings.apply(effect.token)
            case Housekeep():
                self._housekeep()
            case Log():
                self._parts.log.write(effect.kind, effect.severity, effect.fields)
            case Settled():
                self._settle(effect.reasons)
            case Announce():
                self._parts.service_manager.announce(effect.status, is_stopping=effect.is_stopping)
            case Finished():
                self._finished = effect
            case _:
                assert_never(effect)

    def _read_settings(self, token: int) -> None:
        """In a thread of its own, made for the first reading: a file may be on a disk that does not answer."""
        if self._settings_thread is None:
            self._settings_thread = BackgroundThread("settings")
            self._poller.register(self._settings_thread.descriptor, select.EPOLLIN, self._on_settings_read)
        self._settings_thread.send(partial(self._parts.settings.read, token))

    def _on_settings_read(self, _mask: int) -> None:
        if self._settings_thread is not None:
            self._events.extend(self._settings_thread.results())

    def _settle(self, reasons: tuple[str, ...]) -> None:
        self._end_at_ns, self._look_at_host = self._parts.on_settled(reasons, self._poller.register)
        self._parts.service_manager.tell_ready(reasons)

    def _housekeep(self) -> None:
        self._events.append(self._runtime_names.look())
        self._control.cut_off_unread()
        self._launcher.housekeep()

    # ---- processes -------------------------------------------------------------------------------

    def _on_launched(self, _mask: int) -> None:
        for outcome in self._launcher.thread.results():
            match outcome:
                case StartedWorker():
                    self._on_started(outcome)
                case NotStarted():
                    self._events.append(SpawnFailed(outcome.child, outcome.epoch, outcome.problem))
                case None:
                    pass
                case _:
                    assert_never(outcome)

    def _on_started(self, started: StartedWorker) -> None:
        failpoint("supervisor.worker_started")
        self._processes.add(started)
        self._events.append(Spawned(started.child, started.epoch, started.pid))

    def _take_over(self) -> Survivors | None:
        """What the supervisor before this one left: its workers are watched from now on."""
        taken_over = self._parts.taken_over
        if taken_over is None:
            return None
        return Survivors(tuple(self._processes.take_over(worker) for worker in taken_over.workers), taken_over.epochs)

    def _notice_deaths(self) -> None:
        for pid, gone in self._processes.take_gone(is_ending=self._machine.state.is_stopping):
            self._launcher.note_gone(pid)
            self._events.append(gone)

    # ---- answers ---------------------------------------------------------------------------------

    def _respond(self, order: Respond) -> None:
        result = None if order.result is None else self._measured(order.result)
        match order.asker:
            case ClientAsker():
                self._control.answer(order.asker.client, result, order.problem)
            case WorkerAsker():
                body = plain(result) if result is not None else {"problem": order.problem.sentence if order.problem else ""}
                if not self._bus.send(order.asker.child, order.asker.epoch, Answer(order.asker.request, body)):
                    self._events.append(SendRefused(order.asker.child, order.asker.epoch))
            case _:
                assert_never(order.asker)

    def _measured(self, result: Document) -> Document:
        """The result with what only the shell knows: the cost of workers, and its own counters."""
        if isinstance(result, WorkerList):
            return replaced(result, workers=list(map(self._processes.measured, result.workers)))
        if not isinstance(result, AgentStatus):
            return result
        counters = {**result.counters, **{f"control_{name}": n for name, n in self._control.counts.items()},
                    "bus_malformed": self._bus.malformed, "log_unwritten": self._parts.log.unwritten}  # fmt: skip
        return replaced(result, workers=list(map(self._processes.measured, result.workers)), counters=counters)

    def _on_persisted(self, _mask: int) -> None:
        self._events.extend(self._parts.rules_store.thread.results())

    # ---- the end ---------------------------------------------------------------------------------

    def _close(self) -> None:
        if self._look_at_host is not None:
            self._look_at_host.close()
        self._control.close()
        self._processes.close()
        self._bus.close()
        if self._settings_thread is not None:
            self._settings_thread.close(timeout_seconds=0)
        self._parts.rules_store.thread.close(timeout_seconds=RULES_STORE_CLOSE_SECONDS)
        self._launcher.close()
        self._parts.service_manager.close()
