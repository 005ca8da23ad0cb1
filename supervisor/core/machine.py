"""The supervisor's decisions: an event and a time in, effects out. PURE.

    effects = machine.handle(event, now_ns)       machine.next_deadline_ns()

The shell carries the effects out and calls again, with `Woke` when a deadline has come. The same events at the
same times with the same seed give the same effects.
"""

from typing import assert_never

from agent.model.timebase import MS, S
from supervisor.core.child import Child, ChildState, Policy
from supervisor.core.control_operations import ControlOperations
from supervisor.core.effect import (
    ClientAsker,
    Commanded,
    Effect,
    Event,
    Exited,
    Housekeep,
    LimitsPersisted,
    Log,
    MessageReceived,
    Noted,
    ObserveWorkers,
    Persisted,
    ReloadRequested,
    RotateRequested,
    RuntimeSeen,
    SendRefused,
    SettingsRead,
    Spawned,
    SpawnFailed,
    StopRequested,
    Survivors,
    Woke,
    WorkerObservation,
    WorkersObserved,
)
from supervisor.core.event_delivery import EventDelivery
from supervisor.core.event_history import event_of
from supervisor.core.governance import Governance
from supervisor.core.message_handler import MessageHandler
from supervisor.core.readiness_announcer import ReadinessAnnouncer
from supervisor.core.reload import Reload
from supervisor.core.runtime_names import RuntimeNameWatch
from supervisor.core.stop_sequence import StopSequence
from supervisor.core.supervisor_state import SupervisorState
from supervisor.core.takeover import Takeover
from supervisor.core.watchdog import WatchVerdict

# As often as workers are observed by default, so that both come with one wake-up.
HOUSEKEEPING_NS = 250 * MS
# A process in reserve may be handed out in the moment in which it dies with its fork server: a death this soon is no second one.
FORK_SERVER_LOG_NS = 1 * S


class Machine:
    """One supervisor. `begin` starts every child; `Finished` is the last effect."""

    def __init__(self, state: SupervisorState, policy: Policy, governance: Governance | None = None) -> None:
        self.state = state
        self._policy = policy
        self._governance = governance or Governance(state.history, {})
        self._reload = Reload(state, self._governance)
        self._control = ControlOperations(state, self._governance, self._reload)
        self._delivery = EventDelivery(state)
        self._takeover = Takeover(state)
        self._messages = MessageHandler(state, self._control, self._takeover, self._governance, self._delivery)
        self._runtime_names = RuntimeNameWatch(state)
        self._readiness = ReadinessAnnouncer(state)
        self._stop = StopSequence(state, self._delivery, policy.stop_timeout_ns)
        self._next_observation_at_ns = 0
        self._next_housekeeping_at_ns = 0
        self._fork_server_logged_at_ns: int | None = None

    def begin(self, now_ns: int, survivors: Survivors | None = None) -> list[Effect]:
        """Start all children that have something to do, in order, without waiting for one another.

        Those that a dead supervisor left are taken over.
        """
        self._next_observation_at_ns = now_ns + self._policy.heartbeat_interval_ns
        self._next_housekeeping_at_ns = now_ns + HOUSEKEEPING_NS
        self._readiness.begin(now_ns)
        effects: list[Effect] = [] if survivors is None else self._takeover.begin(survivors, now_ns)
        for child in self.state.children.values():
            if not child.has_process and child.state is not ChildState.ASLEEP:
                effects += child.start(now_ns)
        self._keep_notes(effects, now_ns)
        return effects

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """What follows from an event."""
        effects = self._on_event(event, now_ns)
        effects += self._on_deadlines(now_ns)
        effects += self._readiness.on_change(now_ns)
        self._keep_notes(effects, now_ns)
        # Behind that: the writer is not stopped before these events are stored too.
        last = self._stop.on_time(now_ns)
        self._keep_notes(last, now_ns)
        return [*effects, *last, *self._delivery.turn(now_ns)]

    def next_deadline_ns(self) -> int:
        """When `handle` must be called again at the latest."""
        deadlines = [child.deadline_ns for child in self.state.children.values() if child.deadline_ns is not None]
        control = self._control.next_deadline_ns()
        further = (
            control,
            self._readiness.next_deadline_ns(),
            self._takeover.next_deadline_ns(),
            self._delivery.next_deadline_ns(),
            self._stop.next_deadline_ns(),
        )
        own = [each for each in further if each is not None]
        return min([*deadlines, self._next_observation_at_ns, self._next_housekeeping_at_ns, *own])

    # ---- events ----------------------------------------------------------------------------------

    def _on_event(self, event: Event, now_ns: int) -> list[Effect]:
        match event:
            case Spawned() | SpawnFailed() | Exited() | MessageReceived() | SendRefused():
                return self._on_child_event(event, now_ns)
            case WorkersObserved():
                return [effect for seen in event.observations for effect in self._on_observation(seen, now_ns)]
            case RuntimeSeen():
                return self._on_runtime_seen(event, now_ns)
            case Commanded():
                return self._control.on_command(ClientAsker(event.client), event.operation, event.arguments, now_ns)
            case Persisted():
                return self._control.on_persisted(event, now_ns)
            case SettingsRead() | ReloadRequested():
                return self._on_settings(event, now_ns)
            case LimitsPersisted():
                return self._control.on_limits_persisted(event, now_ns)
            case StopRequested():
                return self._stop.begin(event.reason, now_ns)
            case RotateRequested():
                asked = Log("rotate_asked", "info", {"by": "SIGUSR1"})
                return [asked, *self._control.on_command(ClientAsker(-1), "rotate", {}, now_ns)]
            case Noted():
                self._note(Log(event.kind, event.severity, event.fields), now_ns)
                return []
            case Woke():
                return []
            case _:
                assert_never(event)

    def _on_settings(self, event: SettingsRead | ReloadRequested, now_ns: int) -> list[Effect]:
        if isinstance(event, ReloadRequested):
            return [Log("reload_asked", "info", {"by": "SIGHUP"}), *self._reload.ask(None, now_ns)]
        if event.change is not None:
            self._stop.stop_timeout_ns = event.change.stop_timeout_ns
        return self._reload.on_read(event, now_ns)

    def _on_child_event(self, event: Spawned | SpawnFailed | Exited | MessageReceived | SendRefused, now_ns: int) -> list[Effect]:
        child = self.state.children.get(event.child)
        if child is None or child.epoch != event.epoch or not child.has_process:
            self.state.stale_events += 1
            return []
        match event:
            case Spawned():
                return child.on_spawned(event.pid)
            case SpawnFailed():
                return [*child.on_spawn_failed(event.problem, now_ns), *self._stop.go_on(now_ns)]
            case Exited():
                return self._on_exited(child, event, now_ns)
            case MessageReceived():
                return self._messages.on_message(child, event, now_ns)
            case SendRefused():
                self._takeover.on_refused(child.name, now_ns)
                replica = self.state.authority.replicas.get(child.name)
                return [] if replica is None else self.state.authority.on_send_refused(replica)
            case _:
                assert_never(event)

    def _on_exited(self, child: Child, event: Exited, now_ns: int) -> list[Effect]:
        self.state.authority.on_gone(child.name)
        self._takeover.on_answered(child.name)
        names = (child.name, *child.members)
        ended: list[Effect] = [change.log() for name in names for change in self.state.history.forget_worker(name, now_ns)]
        self.state.beats_at_ns.pop(child.name, None)
        self._stop.on_gone(child.name)
        noted = self._note_launcher(child, now_ns) if event.with_launcher else []
        death, after = child.on_exited(event, now_ns)
        self.state.history.deaths.append(death)
        effects = self._control.on_worker_gone(child.name, now_ns)
        left = self._reload.on_gone(child.name, now_ns)
        return [*noted, *effects, *ended, *after, *left, *self._stop.go_on(now_ns)]

    def _note_launcher(self, child: Child, now_ns: int) -> list[Effect]:
        """Log the fork server's death once, although every worker brings the news of it, on a starved machine seconds apart."""
        logged_at_ns = self._fork_server_logged_at_ns
        if logged_at_ns is not None and (child.started_at_ns < logged_at_ns or now_ns < logged_at_ns + FORK_SERVER_LOG_NS):
            return []
        self._fork_server_logged_at_ns = now_ns
        return [Log("fork_server_died", "error", {"effect": "it took all workers along; another is started with them"})]

    def _on_observation(self, seen: WorkerObservation, now_ns: int) -> list[Effect]:
        child = self.state.children.get(seen.child)
        if child is None or child.epoch != seen.epoch or not child.has_process:
            return []
        if seen.beat is not None:
            self.state.beats_at_ns[child.name] = seen.beat.at_ns
        effects: list[Effect] = []
        replica = self.state.authority.replicas.get(child.name)
        if replica is not None:
            effects += self.state.authority.on_observed(replica, seen.beat)
        verdict = child.watch.observe(None if seen.beat is None else seen.beat.turns, seen.process_state, now_ns)
        if verdict is WatchVerdict.HUNG and child.state is ChildState.UP:
            return [*effects, *child.replace_hung(now_ns)]
        return [*effects, *self._governance.on_observed(child, seen.usage, now_ns)]

    def _on_runtime_seen(self, seen: RuntimeSeen, now_ns: int) -> list[Effect]:
        effects, end = self._runtime_names.on_seen(seen, now_ns)
        if not end or self._stop.has_begun:
            return effects
        return [*effects, *self._stop.begin(end, now_ns, try_again=True)]

    # ---- time ------------------------------------------------------------------------------------

    def _on_deadlines(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for child in self.state.children.values():
            if child.deadline_ns is not None and child.deadline_ns <= now_ns:
                effects += self._stop.on_child_deadline(child, now_ns)
        effects += self._control.on_deadline(now_ns)
        effects += self._takeover.on_deadline(now_ns)
        effects += self._readiness.on_deadline(now_ns)
        if self._next_observation_at_ns <= now_ns:
            # From now and not from the missed time: a supervisor that was stopped observes once, not a hundred times.
            self._next_observation_at_ns = now_ns + self._policy.heartbeat_interval_ns
            living = [(child.name, child.epoch) for child in self.state.children.values() if child.pid is not None]
            if living:
                effects.append(ObserveWorkers(tuple(living)))
        if self._next_housekeeping_at_ns <= now_ns:
            self._next_housekeeping_at_ns = now_ns + HOUSEKEEPING_NS
            effects.append(Housekeep())
        return effects

    def _keep_notes(self, effects: list[Effect], now_ns: int) -> None:
        for effect in effects:
            if isinstance(effect, Log) and effect.severity != "debug":
                self._note(effect, now_ns)

    def _note(self, line: Log, now_ns: int) -> None:
        self._delivery.add(self.state.history.note(event_of(line, now_ns)))
