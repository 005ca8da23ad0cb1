"""What follows from a message of a worker. PURE."""

from typing import assert_never

from agent.model.message import Ack, Condition, EventsStored, Hello, Nack, Note, Publish, Ready, Reply, Request, Resync
from supervisor.core.authority import WorkerReplica
from supervisor.core.child import Child, ChildState
from supervisor.core.control_operations import ControlOperations
from supervisor.core.effect import Effect, Log, MessageReceived, WorkerAsker
from supervisor.core.event_delivery import EventDelivery
from supervisor.core.governance import Governance
from supervisor.core.supervisor_state import SupervisorState
from supervisor.core.takeover import Takeover
from supervisor.core.worker_message import log_of, problem_of_publish


class MessageHandler:
    """Handles the messages of living workers; those of other generations do not come here."""

    def __init__(
        self,
        state: SupervisorState,
        control: ControlOperations,
        takeover: Takeover,
        governance: Governance,
        delivery: EventDelivery,
    ) -> None:
        self._state = state
        self._governance = governance
        self._control = control
        self._takeover = takeover
        self._delivery = delivery

    def on_message(self, child: Child, event: MessageReceived, now_ns: int) -> list[Effect]:
        """One message of the present generation of a worker."""
        assert (event.child, event.epoch) == (child.name, child.epoch), event
        message = event.message
        if isinstance(message, Hello):
            return self._on_hello(child, now_ns)
        replica = self._state.authority.replicas.get(child.name)
        if replica is None:
            # It sends before its hello: its loop is not ours, and it will be found not ready.
            self._state.stale_events += 1
            return []
        match message:
            case Ready():
                # Ready without its snapshot would be a half-loaded worker: it counts only after the acknowledgement.
                return self._on_ready(child, now_ns) if replica.is_loaded else []
            case Ack() | Nack() | Resync():
                return self._on_rules_answer(replica, message)
            case Publish():
                return self._on_publish(child, message)
            case Condition():
                return self._on_condition(child, message, now_ns)
            case Note():
                return [log_of(child.name_of(message.member), message)]
            case EventsStored():
                return self._delivery.on_delivered(child, message)
            case Reply():
                return self._control.on_reply(child.name, message, now_ns)
            case Request():
                asker = WorkerAsker(child.name, child.epoch, message.request)
                return self._control.on_request(asker, message.what, now_ns)
            case _:
                assert_never(message)

    def _on_rules_answer(self, replica: WorkerReplica, answer: Ack | Nack | Resync) -> list[Effect]:
        authority = self._state.authority
        match answer:
            case Ack():
                return authority.on_ack(replica, answer)
            case Nack():
                return authority.on_nack(replica, answer)
            case Resync():
                return authority.on_resync(replica, answer)
            case _:
                assert_never(answer)

    def _on_hello(self, child: Child, now_ns: int) -> list[Effect]:
        is_held = self._takeover.keeps_its_rules(child)
        self._takeover.on_answered(child.name)
        # Before the rules, with which it begins: one that is switched off would take a tick.
        level = self._governance.on_hello(child, now_ns)
        greeted = self._state.authority.on_hello(child.name, child.epoch, is_held=is_held)
        return [*level, *greeted, *child.on_hello(now_ns)]

    def _on_ready(self, child: Child, now_ns: int) -> list[Effect]:
        effects = child.on_ready(now_ns)
        return [*effects, *self._control.on_worker_up(child.name)] if child.state is ChildState.UP else effects

    def _on_publish(self, child: Child, message: Publish) -> list[Effect]:
        if not child.kind.may_publish or (problem := problem_of_publish(message)) is not None:
            reason = problem if child.kind.may_publish else "this kind of worker publishes nothing"
            return [Log("publish_refused", "error", {"worker": child.name, "problem": reason})]
        effects = self._state.authority.apply(message.changes)
        if message.complete and not self._state.looked_at_host:
            self._state.looked_at_host = True
            effects += self._state.authority.release()
        return effects

    def _on_condition(self, child: Child, condition: Condition, now_ns: int) -> list[Effect]:
        change = self._state.history.set_condition(child.name_of(condition.member), condition, now_ns)
        return [] if change is None else [change.log()]
