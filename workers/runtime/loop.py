"""The one loop of a worker: bus, rules, timers, data, heartbeat."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import zmq

from agent.failpoint import failpoint
from agent.model.errors import ExitCode
from agent.model.heartbeat import beating
from agent.model.message import Ack, Answer, Ask, Delta, Note, Snapshot, Stop, StoreEvents, TakenOver, ToWorker, WorkLevel
from agent.model.rule import decode_assignment, decode_rule
from agent.model.timebase import MS, S
from agent.ports import Clock, Interest, Operation, Work
from workers.runtime.bus_client import BusClient
from workers.runtime.data_peer import SocketDataPeer
from workers.runtime.heartbeat_page import HeartbeatPage
from workers.runtime.outbox import SocketOutbox
from workers.runtime.replica import RulesReplica

# Interval at which own memory is measured; it costs some 100 us.
MEMORY_PERIOD_NS = 10 * S


class WorkerLoop:
    """Calls the work and nothing else; returns when the work has stopped cleanly."""

    def __init__(
        self,
        *,
        clock: Clock,
        page: HeartbeatPage,
        bus: BusClient,
        work: Work,
        outboxes: Mapping[str, SocketOutbox],
        peer: SocketDataPeer | None = None,
        heartbeat_interval_ns: int,
        memory: Callable[[], int] = lambda: 0,
    ) -> None:
        self._clock = clock
        self._memory = memory
        self._memory_at_ns: int | None = None
        self._page = page
        self._bus = bus
        self._work = work
        self._outboxes = outboxes
        self._heartbeat_interval_ns = heartbeat_interval_ns
        self._replica = RulesReplica()
        self._is_started = False
        # Whether the supervisor of now has been told that the work goes on.
        self._is_ready_told = False
        self._level = WorkLevel(0, [])
        self._stop_until_ns: int | None = None
        self._late_asks: dict[str, list[int]] = {}
        self._poller = zmq.Poller()
        self._poller.register(bus.socket, zmq.POLLIN)
        self._peer = peer
        if peer is not None:
            self._poller.register(peer.socket, zmq.POLLIN)
        self._interests: tuple[Interest, ...] = ()
        # The same by descriptor, as the poller reports them.
        self._interest_by_source: dict[object, Interest] = {}
        # The outboxes whose answers wake the loop.
        self._heard: set[str] = set()
        # Up to which number the work was told that what it hands on is stored.
        self._stored = 0
        # The replica has changed since the work heard of it.
        self._has_fresh_rules = False

    def run(self) -> None:
        """Turn until the end."""
        while True:
            now_ns = self._clock.now_ns()
            self._page.beat(now_ns, self._replica.revision, self._replica.state.digest)
            self._tell_memory(now_ns)
            self._page.tell_queue(sum(outbox.buffer.size_bytes for outbox in self._outboxes.values()))
            if self._is_over(now_ns):
                self._tell_unstored()
                return
            self._follow_writers()
            ready = dict(self._poller.poll(self._wait_ms(now_ns)))
            self._turn(ready)

    def heartbeat(self) -> None:
        """In the middle of a long turn: the watchdog sees that it makes progress."""
        self._page.beat(self._clock.now_ns(), self._replica.revision, self._replica.state.digest)

    def _tell_memory(self, now_ns: int) -> None:
        if self._memory_at_ns is None or now_ns - self._memory_at_ns >= MEMORY_PERIOD_NS:
            self._memory_at_ns = now_ns
            self._page.tell_memory(self._memory())

    def _turn(self, ready: dict[object, int]) -> None:
        if self._bus.socket in ready:
            for message in self._bus.receive():
                self._on_message(message)
            self._tell_rules()
        now_ns = self._clock.now_ns()
        if self._peer is not None and self._peer.socket in ready:
            self._work.on_data(now_ns)
        for source, events in ready.items():
            if (interest := self._interest_by_source.get(source)) is not None:
                self._on_event(interest, events, now_ns)
        for outbox in self._outboxes.values():
            outbox.pump()
        if self._is_started:
            self._tell_stored()
            self._on_timer()
            self._send_late_replies()
            self._follow_interests()

    def _tell_stored(self) -> None:
        stored = sum(outbox.buffer.acknowledged_seq for outbox in self._outboxes.values() if outbox.is_awaited)
        if stored > self._stored:
            self._stored = stored
            self._work.on_stored(self._clock.now_ns())

    def _on_event(self, interest: Interest, events: int, now_ns: int) -> None:
        # A failed descriptor is both readable and writable: reading or writing there gives the error.
        has_failed = events & zmq.POLLERR
        if interest.readable and (has_failed or events & zmq.POLLIN):
            self._work.on_readable(interest.descriptor, now_ns)
        if interest.writable and (has_failed or events & zmq.POLLOUT):
            self._work.on_writable(interest.descriptor, now_ns)

    def _on_timer(self) -> None:
        deadline_ns = self._work.next_deadline_ns()
        # Taken after the deadline was asked for: one that is «now» is due.
        now_ns = self._clock.now_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            self._work.on_timer(now_ns)

    def _on_message(self, message: ToWorker) -> None:
        if not isinstance(message, Snapshot | Delta):
            self._tell_rules()
        now_ns = self._clock.now_ns()
        match message:
            case Snapshot() | Delta():
                failpoint("worker.rules_received")
                answer = self._replica.take(message)
                failpoint("worker.rules_applied")
                self._bus.send(answer)
                failpoint("worker.rules_acknowledged")
                self._has_fresh_rules = self._has_fresh_rules or isinstance(answer, Ack)
            case Ask():
                self._on_ask(message, now_ns)
            case Answer():
                self._work.on_answer(message.request, message.body)
            case StoreEvents():
                if self._is_started:
                    self._work.on_delivery(message, now_ns)
            case TakenOver():
                self._on_taken_over(now_ns)
            case WorkLevel():
                self._level = message
                if self._is_started:
                    self._work.on_level(message.steps, is_off=message.is_off)
            case Stop():
                self._on_stop(message, now_ns)

    def _on_taken_over(self, now_ns: int) -> None:
        failpoint("worker.taken_over")
        self._bus.say_again(os.getpid())
        self._is_ready_told = False
        if self._is_started:
            self._work.on_taken_over(now_ns)

    def _on_stop(self, message: Stop, now_ns: int) -> None:
        failpoint("worker.before_stop")
        until_ns = now_ns + message.grace_ns
        self._stop_until_ns = until_ns if self._stop_until_ns is None else min(until_ns, self._stop_until_ns)
        if self._is_started:
            self._work.on_stop(now_ns, for_good=message.for_good)
        for outbox in self._outboxes.values():
            outbox.end()

    def _tell_rules(self) -> None:
        """Tell the work of the changes that came one after the other, once: to bind a thousand rules takes seconds, and a
        thousand that are added one by one are a thousand changes."""
        if not self._has_fresh_rules:
            return
        self._has_fresh_rules = False
        self._work.on_rules(self._replica.state)
        now_ns = self._clock.now_ns()
        if not self._is_started and self._stop_until_ns is None:
            self._work.on_start(now_ns)
            if self._level.level:
                self._work.on_level(self._level.steps, is_off=self._level.is_off)
            self._is_started = True
            failpoint("worker.started")
        if self._is_started and not self._is_ready_told:
            self._is_ready_told = True
            self._bus.ready()

    def _on_operation(self, operation: Operation, now_ns: int) -> None:
        if self._is_started:
            document = self._work.on_operation(operation, now_ns)
        else:
            sentence = "the worker has just been started; try again"
            document = {"refused": {"code": "worker_not_up", "sentence": sentence, "exit": int(ExitCode.TRY_AGAIN)}}
        if document is not None:
            self._bus.reply(operation.number, document)

    def _on_ask(self, ask: Ask, now_ns: int) -> None:
        if ask.arguments is not None:
            self._on_operation(Operation(ask.ask, ask.what, ask.arguments), now_ns)
            return
        if ask.what == "rules":
            self._bus.reply(ask.ask, self._rules_document())
            return
        document = self._work.on_ask(ask.what, now_ns) if self._is_started else None
        if document is None:
            self._late_asks.setdefault(ask.what, []).append(ask.ask)
        else:
            self._bus.reply(ask.ask, self._with_counts(document) if ask.what == "stats" else document)

    def _with_counts(self, stats: dict[str, Any]) -> dict[str, Any]:
        """What the work says of itself, with the counts of its sockets; those of a member's outbox are in the member's part."""
        members = {name: dict(part) for name, part in stats.get("members", {}).items()}
        document: dict[str, Any] = {**stats, **({"members": members} if members else {}), "bus_malformed": self._bus.malformed}
        for name, outbox in self._outboxes.items():
            (members[name] if name else document)["outbox"] = outbox.stats()
        return document if self._peer is None else {**document, **self._peer.stats()}

    def _send_late_replies(self) -> None:
        for what, document in self._work.take_replies():
            for ask in self._late_asks.pop(what, []):
                self._bus.reply(ask, document)
        for number, document in self._work.take_answers():
            self._bus.reply(number, document)

    def _follow_interests(self) -> None:
        wanted = self._work.interests()
        if wanted == self._interests:
            return
        kept: dict[object, Interest] = {interest.descriptor: interest for interest in wanted}
        assert len(kept) == len(wanted), "a descriptor stands for one interest"
        for interest in self._interests:
            if interest.descriptor not in kept and interest.descriptor in self._poller:
                self._poller.unregister(interest.descriptor)
        for descriptor, readable, writable in wanted:
            # Without events a descriptor leaves the poller.
            self._poller.register(descriptor, (zmq.POLLIN if readable else 0) | (zmq.POLLOUT if writable else 0))
        self._interests, self._interest_by_source = wanted, kept

    def _is_over(self, now_ns: int) -> bool:
        if self._stop_until_ns is None:
            return False
        if now_ns >= self._stop_until_ns:
            return True
        sent = all(outbox.buffer.is_empty for outbox in self._outboxes.values())
        return sent and (not self._is_started or self._work.is_done())

    def _tell_unstored(self) -> None:
        """What the writer has not taken by the end is lost, and where nothing can be stored only the log can say so."""
        for name, outbox in self._outboxes.items():
            if batches := outbox.buffer.unstored_batches:
                fields: dict[str, str | int | float | bool | None] = {"batches": batches, "rows": outbox.buffer.unstored_rows}
                self._bus.note(Note("rows_not_stored", "error", fields, member=name))

    def _wait_ms(self, now_ns: int) -> int:
        deadline_ns = now_ns + self._heartbeat_interval_ns
        if self._is_started and (work_ns := self._work.next_deadline_ns()) is not None:
            deadline_ns = min(deadline_ns, work_ns)
        if self._stop_until_ns is not None:
            deadline_ns = min(deadline_ns, self._stop_until_ns)
        # Up, never down: waking before a deadline would only turn the loop once more.
        return max(0, -((now_ns - deadline_ns) // MS))

    def _follow_writers(self) -> None:
        # In the middle of life the writer's answers are taken at the next turn, whatever wakes it: they cost no turn of
        # their own. Before its first hello and at the end they are waited for, and by who hands on what others keep meanwhile.
        for name, outbox in self._outboxes.items():
            wanted = self._stop_until_ns is not None or outbox.writer_epoch is None or outbox.is_awaited
            if wanted and name not in self._heard:
                self._heard.add(name)
                self._poller.register(outbox.socket, zmq.POLLIN)
            elif not wanted and name in self._heard:
                self._heard.remove(name)
                self._poller.unregister(outbox.socket)

    def _rules_document(self) -> dict[str, object]:
        state = self._replica.state
        assignments = [decode_assignment(content) for _key, content in beating(state.items("pod/"), self.heartbeat)]
        return {
            "revision": self._replica.revision,
            "digest": state.digest.hex(),
            "rules": [msgspec.to_builtins(decode_rule(content)) for _key, content in beating(state.items("rule/"), self.heartbeat)],
            "pods": [
                {"uid": unit.uid, "namespace": unit.namespace, "name": unit.name, "group": held.group, "rule": held.rule}
                for held, unit in ((held, held.unit) for held in assignments)
            ],
        }
