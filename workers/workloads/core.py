"""Decides about workloads: which start, which are started again and when, what the operator's orders become. PURE.

The keeper's records are the truth: at every connection they are listed first, and what was on the way when the last one broke is
judged by them.
"""

from typing import Any, assert_never

from agent.model.errors import ExitCode
from agent.model.message import Note
from agent.model.timebase import S
from agent.ports import Operation
from workers.keeper.protocol import (
    ForgetWorkload,
    FromKeeper,
    KeeperDone,
    KeeperRecords,
    KeeperRefused,
    KeeperSpawned,
    RefusalWord,
    SpawnWorkload,
    WorkloadEnded,
)
from workers.workloads.effect import ListingDue, OperationDone, Remember, Say, StartSeen, WorkloadEffect
from workers.workloads.operations import WorkloadOperations
from workers.workloads.order_check import refused_body
from workers.workloads.restart_policy import wait_ns
from workers.workloads.table import SentOrder, WorkloadTable
from workers.workloads.tracked_workload import TrackedWorkload

# What waits for the keeper, for a shorter time than the supervisor waits for the answer.
WAITING_MAX = 64
LOOK_PATIENCE_NS = 3 * S
CHANGE_PATIENCE_NS = 20 * S
# Whatever was missed, such as a birth that failed after its client had died, is put right at the next listing.
LIST_AGAIN_NS = 10 * S


class WorkloadsCore:
    """Events in, effects out. What is known of the workloads is in `table`."""

    def __init__(self, table: WorkloadTable) -> None:
        self.table = table
        self._operations = WorkloadOperations(table)
        # Orders for which a client waits, and which were on the way when the connection broke.
        self._lost: list[SentOrder] = []
        self._waiting: list[tuple[int, Operation]] = []
        self._list_at_ns: int | None = None
        # The keeper has said all that it knows, on the present connection.
        self.is_listed = False
        # Why limits cannot be set on this host; empty: they can. And what the keeper found damaged or could not do.
        self.problem = ""
        self.notes: tuple[str, ...] = ()
        self.starts = 0

    # ---- what can be read ------------------------------------------------------------------------

    def refused(self) -> str:
        """Which workloads could not be started, and why, as one sentence; empty: none."""
        return "; ".join(each.problem for each in self.table.workloads() if each.problem)

    def changed(self) -> str:
        """Which workloads the settings file describes otherwise than they run, as one sentence; empty: none."""
        names = [each.name for each in self.table.workloads() if each.has_changed]
        if not names:
            return ""
        first = names[0]
        return (
            f"{', '.join(names)}: the settings file has changed, what runs stays as it was started; "
            f"`agentctl stop {first}`, then `agentctl run {first}`"
        )

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do. *Absent:* never."""
        waits: list[int | None] = [until_ns for until_ns, _operation in self._waiting]
        if self.is_listed:
            waits += [self._list_at_ns, *(each.start_at_ns for each in self.table.tracked.values())]
        return min((each for each in waits if each is not None), default=None)

    # ---- the keeper ------------------------------------------------------------------------------

    def on_connected(self) -> list[WorkloadEffect]:
        """A new connection: before anything else, the keeper is asked what there is."""
        self.on_lost()
        return [self.table.list_all()]

    def on_lost(self) -> None:
        """The connection has broken: what was on the way is judged by the records of the next one."""
        self.is_listed = False
        self._lost += self.table.lose_orders()

    def on_message(self, message: FromKeeper, now_ns: int) -> list[WorkloadEffect]:
        """The keeper says something."""
        match message:
            case KeeperRecords():
                return self._on_records(message, now_ns)
            case WorkloadEnded():
                effects = self.table.take(message.record)
                return [*effects, *self.table.consider(self.table.tracked[message.record.spec.name], now_ns)]
            case KeeperSpawned():
                return self._on_spawned(message, now_ns)
            case KeeperRefused():
                return self._on_refused(message, now_ns)
            case KeeperDone():
                return self._on_done(message)
            case _:
                assert_never(message)

    def _on_records(self, said: KeeperRecords, now_ns: int) -> list[WorkloadEffect]:
        table = self.table
        table.answered(said.request)
        self.problem, self.notes = said.problem, said.notes
        self.is_listed = True
        self._list_at_ns = now_ns + LIST_AGAIN_NS
        known = {record.spec.name for record in said.records}
        for tracked in table.workloads():
            if tracked.name not in known and not tracked.is_starting:
                table.drop(tracked)
        effects = [effect for record in said.records for effect in table.take(record)]
        effects += table.forget_unknown()
        for tracked in table.workloads():
            effects += table.consider(tracked, now_ns)
        lost, self._lost = self._lost, []
        effects += [self._judged(each) for each in lost]
        waiting, self._waiting = self._waiting, []
        return effects + [effect for _until, operation in waiting for effect in self._operations.carry_out(operation)]

    def _judged(self, lost: SentOrder) -> WorkloadEffect:
        """The answer of an order whose connection broke, by what the records say."""
        assert lost.operation is not None
        tracked = self.table.tracked.get(lost.name)
        if lost.what is SpawnWorkload and (tracked is None or tracked.incarnation <= lost.incarnation):
            sentence = f"{lost.name}: the keeper ended before it was started, and nothing of it is left; try again"
        elif lost.what is ForgetWorkload and tracked is not None:
            sentence = f"{lost.name}: the keeper ended before it was forgotten; try again"
        else:
            return self.table.done(lost.operation, lost.name)
        return OperationDone(lost.operation, _try_again("keeper_lost", sentence))

    def _on_spawned(self, said: KeeperSpawned, now_ns: int) -> list[WorkloadEffect]:
        sent = self.table.answered(said.request)
        self.starts += 1
        name, record = said.record.spec.name, said.record
        effects = self.table.take(record)
        tracked = self.table.tracked[name]
        tracked.is_starting = False
        tracked.start_at_ns = None
        tracked.problem = ""
        fields: dict[str, str | int | float | bool | None] = {"workload": name, "pid": record.pid, "start": record.incarnation}
        note = Note("workload_started", "info", {**fields, "birth": str(record.birth)})
        effects += [StartSeen(record), Say(note)]
        if sent is not None and sent.operation is not None:
            effects.append(self.table.done(sent.operation, name))
        # The operator may have stopped it while it started.
        return [*effects, *self.table.consider(tracked, now_ns)]

    def _on_refused(self, said: KeeperRefused, now_ns: int) -> list[WorkloadEffect]:
        sent = self.table.answered(said.request)
        if sent is None:
            return [Say(Note("keeper_refused", "warning", {"problem": said.sentence}))]
        effects: list[WorkloadEffect] = []
        tracked = self.table.tracked.get(sent.name)
        is_doubtful = said.code in (RefusalWord.NAME_TAKEN, RefusalWord.NOT_FOUND, RefusalWord.STILL_RUNS)
        if tracked is not None and sent.what is SpawnWorkload:
            is_doubtful = is_doubtful or tracked.is_running
            effects += self._on_start_refused(tracked, sent, said.sentence, now_ns)
        if is_doubtful:
            # It knows better what runs.
            effects.append(self.table.list_all())
        if sent.operation is not None:
            effects.append(OperationDone(sent.operation, refused_body(said.code, said.sentence)))
        return effects

    def _on_start_refused(self, tracked: TrackedWorkload, sent: SentOrder, sentence: str, now_ns: int) -> list[WorkloadEffect]:
        table = self.table
        tracked.is_starting = False
        if sent.operation is not None and tracked.described is None:
            # Who asked is told. Nothing is tried again by itself, and nothing is left of a name that never ran.
            if tracked.record is None:
                table.drop(tracked)
                return []
            table.remembered.held[tracked.name] = tracked.incarnation
            return [Remember()]
        if not table.remembered.is_held(tracked.name, tracked.incarnation):
            tracked.problem = sentence
            tracked.failures += 1
            tracked.start_at_ns = now_ns + wait_ns(tracked.failures + 1, table.policy, table.rng)
        return []

    def _on_done(self, said: KeeperDone) -> list[WorkloadEffect]:
        sent = self.table.answered(said.request)
        if sent is None:
            return []
        effects: list[WorkloadEffect] = []
        tracked = self.table.tracked.get(sent.name)
        if tracked is not None and sent.what is ForgetWorkload:
            self.table.drop(tracked)
            effects += self.table.forget_unknown()
        return effects if sent.operation is None else [*effects, self.table.done(sent.operation, sent.name)]

    # ---- clients and time ------------------------------------------------------------------------

    def on_operation(self, operation: Operation, now_ns: int) -> list[WorkloadEffect]:
        """A client asks for something; it waits until the keeper's records are known."""
        if self.is_listed:
            return self._operations.carry_out(operation)
        if len(self._waiting) >= WAITING_MAX:
            return [
                OperationDone(operation.number, _try_again("too_busy", f"{WAITING_MAX} operations wait for the keeper; try again"))
            ]
        patience_ns = LOOK_PATIENCE_NS if operation.name == "list-workloads" else CHANGE_PATIENCE_NS
        self._waiting.append((now_ns + patience_ns, operation))
        return []

    def on_timer(self, now_ns: int, keeper_problem: str = "") -> list[WorkloadEffect]:
        """Start those whose wait is over, answer who has waited long enough for a keeper; `keeper_problem`: why there is none."""
        effects = self._given_up(now_ns, keeper_problem)
        if not self.is_listed:
            return effects
        for tracked in self.table.workloads():
            if tracked.start_at_ns is not None and tracked.start_at_ns <= now_ns:
                tracked.start_at_ns = None
                spec = tracked.next_spec
                assert spec is not None, tracked
                effects.append(self.table.spawn(tracked, spec, None))
        if self._list_at_ns is not None and self._list_at_ns <= now_ns:
            self._list_at_ns = now_ns + LIST_AGAIN_NS
            effects.append(self.table.list_all())
        return effects

    def _given_up(self, now_ns: int, problem: str) -> list[WorkloadEffect]:
        over = [operation for until_ns, operation in self._waiting if until_ns <= now_ns]
        self._waiting = [each for each in self._waiting if each[0] > now_ns]
        refused = _try_again("no_keeper", f"the keeper of workloads does not answer: {problem or 'it is busy'}; try again")
        return [ListingDue(each.number) if each.name == "list-workloads" else OperationDone(each.number, refused) for each in over]


def _try_again(code: str, sentence: str) -> dict[str, Any]:
    return {"refused": {"code": code, "sentence": sentence, "exit": int(ExitCode.TRY_AGAIN)}}
