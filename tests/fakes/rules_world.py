"""One supervisor's machine, workers with the real replica of the rules, and the lines between them, for tests to break.

Nothing here is left to chance: a test says what happens next, and `check` says after every event whether the supervisor's
word is true. What the rules must be is told by a plain dict, kept from the answers that clients got and from nothing else.
"""

from collections import deque
from collections.abc import Collection
from random import Random
from typing import Any

import msgspec
from fakes.kind import kind_of
from fakes.simulated_worker import Pods, SimulatedWorker
from fakes.story import ABOUT, POLICY

from agent.model.control.document import plain
from agent.model.message import Delta, Hello, Publish, Snapshot
from agent.model.rule import Assignment, GroupRule, Unit, UnitKind, canonical, pod_key, rule_key
from agent.model.rule_state import RuleState
from agent.model.timebase import MS
from supervisor.core.authority import Authority
from supervisor.core.child import Child, ChildState
from supervisor.core.effect import (
    ClientAsker,
    Commanded,
    Effect,
    Exited,
    Log,
    MessageReceived,
    ObserveWorkers,
    Persist,
    Persisted,
    Respond,
    Send,
    SendRefused,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    Survivors,
    Woke,
    WorkerObservation,
    WorkersObserved,
)
from supervisor.core.invariants import broken_invariants
from supervisor.core.machine import Machine
from supervisor.core.rulebook import Rulebook, decode_rulebook, encode_rulebook
from supervisor.core.supervisor_state import SupervisorState
from supervisor.core.takeover import RELEASE_NS
from supervisor.core.watchdog import ProcessState

CHILDREN = {"control-plane": "control-plane", "sampler/a": "sampler", "sampler/b": "sampler", "gateway": "gateway"}
# The bus has this limit too: a worker with more waiting messages is reported as not draining.
QUEUE_MAX = 64
# Observations within which a worker that waits for the longest restart delay is up again.
LOOKS_TO_PEACE_MAX = 200
# What the supervisor may need, in looks, to see that nothing answers and to send all again.
LOOKS_TO_REPAIR_MAX = 8
# From the death of a supervisor to the first words of the next.
RESTART_NS = 200 * MS


class RulesWorld:
    """Everything around the machine. `model` is what clients were told, `pods` what the control plane was heard to say,
    `host` the pods that there are."""

    def __init__(self) -> None:
        self.disk = encode_rulebook(Rulebook())
        self.model: dict[str, GroupRule] = {}
        self.host: Pods = {}
        self.now_ns = 0
        self.clients = 0
        self.pids = 100
        self.looks = 0
        self.failing_spawns = 0
        self.last_answer: Respond | None = None
        self.late_words: list[MessageReceived] = []
        self.workers: dict[str, SimulatedWorker] = {}
        self._events: deque[object] = deque()
        self._begin(None)

    def _begin(self, survivors: Survivors | None) -> None:
        self.pods: Pods = {}
        self.begun_at_ns = self.now_ns
        self.open: dict[int, tuple[str, GroupRule | None] | None] = {}
        self.persists: list[Persist] = []
        self.log: list[Log] = []
        about = msgspec.structs.replace(ABOUT, started_at_ns=self.now_ns)
        rng = Random(1)
        children = [Child(name, kind_of(kind), POLICY, rng) for name, kind in CHILDREN.items()]
        self.supervisor_state = SupervisorState(about, children, Authority(decode_rulebook(self.disk), first_sequence=self.now_ns))
        self.machine = Machine(self.supervisor_state, POLICY)
        self._carry_out(self.machine.begin(self.now_ns, survivors))
        self.tell(Woke())

    # ---- the supervisor's side -------------------------------------------------------------------

    def tell(self, event: object) -> None:
        """An event and all that follows from it at once; everything is checked after each."""
        self._events.append(event)
        while self._events:
            effects = self.machine.handle(self._events.popleft(), self.now_ns)  # type: ignore[arg-type]
            self._carry_out(effects)
            self.check()

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Spawn():
                    self._spawn(effect)
                case Signal(name="KILL"):
                    self._assert_deserved(effect)
                    self._end(effect.child, effect.epoch, -9)
                case Send():
                    self._send(effect)
                case Respond():
                    self._on_answer(effect)
                case Persist():
                    self.persists.append(effect)
                case ObserveWorkers():
                    self._look(effect)
                case Log():
                    self.log.append(effect)
                case _:
                    # What is for a service manager or a terminal changes nothing here.
                    pass

    def _spawn(self, order: Spawn) -> None:
        assert order.child not in self.workers, f"two processes of one name: {order.child}"
        if self.failing_spawns:
            self.failing_spawns -= 1
            self._events.append(SpawnFailed(order.child, order.epoch, "EAGAIN"))
            return
        self.pids += 1
        self.workers[order.child] = SimulatedWorker(order.child, order.epoch, self.pids, self.host)
        self._events.append(Spawned(order.child, order.epoch, self.pids))

    def _end(self, name: str, epoch: int, status: int) -> None:
        worker = self.workers.get(name)
        if worker is not None and worker.epoch == epoch:
            del self.workers[name]
            self.late_words += [MessageReceived(name, epoch, message) for message in worker.up]  # type: ignore[arg-type]
            self._events.append(Exited(name, epoch, status))

    def _assert_deserved(self, order: Signal) -> None:
        """A worker that turns, has lost no message and has been heard to the end is not killed."""
        worker = self.workers.get(order.child)
        if worker is not None and worker.epoch == order.epoch:
            assert worker.is_harmed or worker.down or worker.up, f"{order.child} works and is killed"

    def _send(self, order: Send) -> None:
        worker = self.workers.get(order.child)
        if worker is None or worker.epoch != order.epoch:
            self._events.append(SendRefused(order.child, order.epoch))
            return
        if isinstance(order.message, Snapshot | Delta):
            worker.sent_sequence = order.message.sequence
            # Where no control plane says anything, all go on without pods in the end.
            is_late = self.now_ns - self.begun_at_ns >= RELEASE_NS
            is_whole = self.supervisor_state.looked_at_host or is_late or order.child == "control-plane"
            assert is_whole or not worker.held_pods(), f"{order.child} is taken its pods before anybody has looked at the host"
        if worker.is_cut_off or len(worker.down) >= QUEUE_MAX:
            self._events.append(SendRefused(order.child, order.epoch))
        else:
            worker.down.append(order.message)

    def _look(self, order: ObserveWorkers) -> None:
        self.looks += 1
        seen = []
        for name, epoch in order.children:
            worker = self.workers.get(name)
            if worker is not None and worker.epoch == epoch:
                process_state = ProcessState("T" if worker.is_stopped else "S", 0)
                seen.append(WorkerObservation(name, epoch, worker.page, process_state))
                # Only afterwards: what a page tells is as old as the worker's last turn, an interval at the most.
                worker.turn(self.now_ns)
        self._events.append(WorkersObserved(tuple(seen)))

    # ---- clients and the disk --------------------------------------------------------------------

    def command(self, operation: str, **arguments: object) -> Respond | None:
        """A client asks; gives the answer when it comes at once."""
        self.clients += 1
        self.open[self.clients] = None
        self.last_answer = None
        self.tell(Commanded(self.clients, operation, dict(arguments)))
        return self.last_answer

    def change(self, name: str, priority: int | None) -> None:
        """A client adds or replaces a rule, or (None) removes it."""
        self.clients += 1
        rule = None if priority is None else GroupRule(name, priority)
        self.open[self.clients] = (name, rule)
        if rule is None:
            self.tell(Commanded(self.clients, "remove-rule", {"name": name}))
        else:
            self.tell(Commanded(self.clients, "add-rule", {"rule": {"name": name, "priority": priority}}))

    def _on_answer(self, answer: Respond) -> None:
        assert isinstance(answer.asker, ClientAsker)
        assert answer.asker.client in self.open, "answered twice, or nobody asked"
        asked = self.open.pop(answer.asker.client)
        self.last_answer = answer
        if asked is None:
            return
        name, rule = asked
        if answer.result is None:
            code = answer.problem.code if answer.problem else ""
            if code == "durability_unknown":
                # It is in force, and the next start reads it, unless the power fails first.
                self._believe(name, rule)
                return
            assert code in ("no_such_rule", "not_durable"), answer.problem
            assert code != "no_such_rule" or name not in self.model, f"{name} is on the disk, and a client was told that it is not"
        elif plain(answer.result)["changed"]:
            assert plain(answer.result)["revision"] == self.supervisor_state.authority.revision
            self._believe(name, rule)
        else:
            assert self.model.get(name) == rule, f"{name} was said to be as asked for, and the disk has {self.model.get(name)}"

    def _believe(self, name: str, rule: GroupRule | None) -> None:
        self.model.pop(name, None)
        if rule is not None:
            self.model[name] = rule

    def disk_answers(self, *, problem: str = "", is_in_place: bool = False) -> None:
        """The oldest document that waits is on the disk, or (`problem`) is not, or (`is_in_place`) nobody knows for how long."""
        if self.persists:
            order = self.persists.pop(0)
            if not problem or is_in_place:
                self.disk = encode_rulebook(order.book)
            self.tell(Persisted(order.token, problem, is_in_place=is_in_place))

    def die(self, *, is_written: bool, killed: Collection[str], keeps_heard: bool, is_connected: bool = True) -> None:
        """The supervisor is killed, before or after (`is_written`) its last document reached the disk, and another one starts.

        Of its workers those `killed` die with it; the others are taken over, and what was on its way down to them is lost
        unless they had it already (`keeps_heard`). Unless `is_connected` their lines are broken until somebody mends them.
        """
        if is_written and self.persists:
            self.disk = encode_rulebook(self.persists[0].book)
        rules = self.rules_on_disk()
        for name in {*rules, *self.model}:
            asked = [each[1] for each in self.open.values() if each is not None and each[0] == name]
            is_true = rules.get(name) == self.model.get(name) or rules.get(name) in asked
            assert is_true, f"{name} is neither as told nor as asked for"
        self.model = rules
        for name in set(killed) & set(self.workers):
            worker = self.workers.pop(name)
            self.late_words += [MessageReceived(name, worker.epoch, message) for message in worker.up]  # type: ignore[arg-type]
        for worker in self.workers.values():
            worker.be_orphaned(keeps_heard=keeps_heard, is_connected=is_connected)
        self.now_ns += RESTART_NS
        epochs = {child.name: child.epoch for child in self.supervisor_state.children.values()}
        self._begin(Survivors(tuple(worker.survivor() for worker in self.workers.values()), epochs))

    def rules_on_disk(self) -> dict[str, GroupRule]:
        """What the next supervisor would begin with."""
        return {rule.name: rule for rule in decode_rulebook(self.disk).rules}

    # ---- workers and their lines -----------------------------------------------------------------

    def exit(self, name: str, status: int) -> None:
        """A worker ends by itself or by a signal."""
        if (worker := self.workers.get(name)) is not None:
            self._end(name, worker.epoch, status)
            self.tell(Woke())

    def deliver(self, name: str) -> bool:
        """The next message reaches a worker that turns; False when there is none."""
        worker = self.workers.get(name)
        if worker is None or worker.is_stopped or worker.is_cut_off or not worker.down:
            return False
        if worker.take(worker.down.popleft()):
            worker.turn(self.now_ns)
        else:
            self.exit(name, 0)
        return True

    def hear(self, name: str, place: int = 0) -> bool:
        """The supervisor hears a worker; `place` > 0: that answer overtakes the ones before it. False: nothing to hear."""
        worker = self.workers.get(name)
        if worker is None or worker.is_cut_off or not worker.up:
            return False
        message = worker.up.pop(worker.hear_place(place))
        worker.is_greeted |= isinstance(message, Hello)
        if isinstance(message, Publish) and worker.is_greeted:
            for key, content in message.changes:
                self.pods.pop(key, None)
                if content is not None:
                    self.pods[key] = content
        self.tell(MessageReceived(name, worker.epoch, message))  # type: ignore[arg-type]
        return True

    def publish(self, uid: str, group: str | None) -> None:
        """There is a pod (or, `group` None, it is gone), and the control plane sees it when it looks."""
        self.host.pop(pod_key(uid), None)
        if group is not None:
            self.host[pod_key(uid)] = canonical(Assignment(Unit(uid, UnitKind.POD, f"/kubepods/{uid}"), group, None, 1))
        if (worker := self.workers.get("control-plane")) is not None:
            worker.turn(self.now_ns)

    # ---- time ------------------------------------------------------------------------------------

    def wait(self, duration_ns: int) -> None:
        """Time passes; every deadline on the way is met at its moment."""
        until_ns = self.now_ns + duration_ns
        while (deadline_ns := self.machine.next_deadline_ns()) <= until_ns:
            self.now_ns = max(self.now_ns, deadline_ns)
            self.tell(Woke())
        self.now_ns = until_ns

    def look(self) -> None:
        """Time passes until the supervisor has looked once, or would have: it does not look where nobody lives."""
        before, is_over = self.looks, False
        while self.looks == before and not is_over:
            self.wait(POLICY.heartbeat_interval_ns)
            is_over = not self.workers

    def flow(self) -> None:
        """Everything that is on its way arrives, wherever the line is whole."""
        is_flowing = True
        while is_flowing:
            # Each of them is asked each time: no `any`, which would stop at the first that moves.
            is_flowing = bool(sum(self.deliver(name) + self.hear(name) for name in CHILDREN))

    # ---- what must hold --------------------------------------------------------------------------

    def check(self) -> None:
        """The supervisor's knowledge is whole, clients were told the rules in force, `in_sync` is true where workers have them."""
        authority = self.supervisor_state.authority
        broken = list(broken_invariants(self.supervisor_state, self.now_ns))
        assert not broken, broken
        if not self._events:
            assert authority.rules == self.model, "the rules in force are not those that clients were told"
            assert self.rules_on_disk() == self.model, "the rules on the disk are not those that clients were told"
            assert dict(authority.state.items("pod/")) == self.pods
        for name, worker in self.workers.items():
            if authority.is_in_sync(name):
                assert worker.taken_sequence == worker.sent_sequence, f"{name} is in sync by a message that it has not taken"

    def expected(self) -> dict[str, bytes]:
        """The entries that everybody must hold."""
        return {rule_key(name): canonical(rule) for name, rule in self.model.items()} | self.pods

    def is_healthy(self, worker: SimulatedWorker) -> bool:
        """Up, turning and connected."""
        return (
            self.supervisor_state.children[worker.name].state is ChildState.UP and not worker.is_stopped and not worker.is_cut_off
        )

    def is_well(self, worker: SimulatedWorker) -> bool:
        """Healthy, and with the right rules as it and the supervisor say."""
        held = dict(worker.replica.state.items())
        return self.is_healthy(worker) and held == self.expected() and self.supervisor_state.authority.is_in_sync(worker.name)

    def assert_healthy_workers_agree(self) -> None:
        """In sync, and equal to the model, whatever the others suffer."""
        for worker in self.workers.values():
            if self.is_healthy(worker):
                self._assert_agrees(worker)

    def _assert_agrees(self, worker: SimulatedWorker) -> None:
        expected = self.expected()
        assert dict(worker.replica.state.items()) == expected, f"{worker.name} holds other rules than the model"
        assert worker.replica.state.digest == RuleState(expected.items()).digest
        assert self.supervisor_state.authority.is_in_sync(worker.name), f"{worker.name} holds what it should and is not said to"

    def make_peace(self) -> None:
        """Nothing more breaks and what is broken is mended; then everybody is up and agrees, and every client has its answer."""
        self.failing_spawns = 0
        for worker in self.workers.values():
            worker.is_cut_off = worker.is_stopped = False
        for name, child in self.supervisor_state.children.items():
            if child.state is ChildState.FAILED:
                self.command("reset-worker", name=name)
        for _ in range(LOOKS_TO_PEACE_MAX):
            while self.persists:
                self.disk_answers()
            self.flow()
            if self._is_peaceful():
                break
            self.look()
        assert all(child.state is ChildState.UP for child in self.supervisor_state.children.values()), "not everybody is up"
        assert not self.open, f"clients without an answer: {self.open}"
        assert self.pods == self.host, "the supervisor knows other pods than there are"
        for worker in self.workers.values():
            self._assert_agrees(worker)
        self._assert_reported()

    def _is_peaceful(self) -> bool:
        is_quiet = self.pods == self.host and not self.open
        return is_quiet and len(self.workers) == len(CHILDREN) and all(map(self.is_well, self.workers.values()))

    def _assert_reported(self) -> None:
        """What operators see is what is."""
        rules, workers = self._result("list-rules"), self._result("list-workers")
        digest = RuleState(self.expected().items()).digest.hex()
        assert rules["digest"] == digest
        assert {each["name"]: each["priority"] for each in rules["rules"]} == {
            name: each.priority for name, each in self.model.items()
        }
        for row in workers["workers"]:
            shown = (row["in_sync"], row["rules_revision"], row["rules_digest"])
            assert shown == (True, rules["revision"], digest), row

    def _result(self, operation: str) -> dict[str, Any]:
        answer = self.command(operation)
        assert answer is not None
        assert answer.result is not None
        return plain(answer.result)
