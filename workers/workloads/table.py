"""All workloads as the keeper's records and the settings file show them, and the orders to the keeper that are on the way. PURE.

The keeper's records are the truth. A start is ordered only for a name that they show as not running, and the keeper itself refuses
a name that runs: so nothing is started twice.
"""

from collections.abc import Mapping
from random import Random

from msgspec import Struct

from workers.keeper.protocol import (
    ListWorkloads,
    SpawnWorkload,
    StopWorkload,
    ToKeeper,
    WorkloadRecord,
    WorkloadSpec,
)
from workers.workloads.effect import EndingSeen, KeeperOrder, OperationDone, Remember, WorkloadEffect
from workers.workloads.remembered import RememberedStarts
from workers.workloads.restart_policy import RestartPolicy, failures_after, wait_ns, wants_restart
from workers.workloads.tracked_workload import TrackedWorkload


class SentOrder(Struct, frozen=True):
    """An order to the keeper that is not answered. `incarnation`: the start of this name that came before it.

    *Absent:* `operation` None: no client waits for it.
    """

    name: str
    operation: int | None
    incarnation: int
    what: type


class WorkloadTable:
    """What is known of every workload. `remembered` is changed in place, and written at `Remember`."""

    def __init__(
        self,
        described: Mapping[str, WorkloadSpec],
        policy: RestartPolicy,
        rng: Random,
        remembered: RememberedStarts,
        boot_id: str,
    ) -> None:
        self.policy = policy
        self.rng = rng
        self.remembered = remembered
        self._boot_id = boot_id
        self.tracked = {name: TrackedWorkload(name, described=spec) for name, spec in described.items()}
        self._last_request = 0
        self._sent: dict[int, SentOrder] = {}
        self.endings = 0

    def workloads(self) -> list[TrackedWorkload]:
        """Every workload, in the order of their names."""
        return [self.tracked[name] for name in sorted(self.tracked)]

    # ---- what the keeper knows -------------------------------------------------------------------

    def take(self, record: WorkloadRecord) -> list[WorkloadEffect]:
        """This is what the keeper knows of a workload now."""
        name = record.spec.name
        tracked = self.tracked.setdefault(name, TrackedWorkload(name))
        tracked.record = record
        if record.ending is None or self.remembered.is_told(name, record.incarnation):
            return []
        self.remembered.told[name] = record.incarnation
        self.endings += 1
        return [EndingSeen(record), Remember()]

    def drop(self, tracked: TrackedWorkload) -> None:
        """The keeper does not know it any more."""
        tracked.record = None
        if tracked.described is None:
            del self.tracked[tracked.name]

    def forget_unknown(self) -> list[WorkloadEffect]:
        """Remember nothing of workloads that are gone."""
        return [Remember()] if self.remembered.keep_only(set(self.tracked)) else []

    # ---- what follows ----------------------------------------------------------------------------

    def consider(self, tracked: TrackedWorkload, now_ns: int) -> list[WorkloadEffect]:
        """What follows from the state of one workload, without anybody's order."""
        if tracked.is_starting:
            return []
        is_held = self.remembered.is_held(tracked.name, tracked.incarnation)
        if tracked.is_running:
            tracked.start_at_ns = None
            if not is_held or tracked.is_stopping:
                return []
            # The keeper died before it ended it, or it was stopped while it started.
            tracked.is_stopping = True
            return [self.order(StopWorkload(self.next_request(), tracked.name), tracked.name)]
        tracked.is_stopping = False
        if is_held:
            tracked.start_at_ns = None
        elif tracked.start_at_ns is None and self._wants_start(tracked):
            self._plan_start(tracked, now_ns)
        return []

    def _wants_start(self, tracked: TrackedWorkload) -> bool:
        record, spec = tracked.record, tracked.next_spec
        if record is None or spec is None:
            return spec is not None
        assert record.ending is not None
        if wants_restart(spec.restart, record.ending):
            return True
        # What the settings file describes runs once in every boot, unless the operator has stopped it.
        return tracked.described is not None and record.boot_id != self._boot_id and not record.ending.stopped

    def _plan_start(self, tracked: TrackedWorkload, now_ns: int) -> None:
        if tracked.record is None:
            tracked.start_at_ns = now_ns
            return
        tracked.failures = failures_after(tracked.record, tracked.failures, self.policy)
        tracked.start_at_ns = now_ns + wait_ns(tracked.failures, self.policy, self.rng)

    # ---- orders ----------------------------------------------------------------------------------

    def next_request(self) -> int:
        """A number that no order of this process has had."""
        self._last_request += 1
        return self._last_request

    def order(self, order: ToKeeper, name: str, operation: int | None = None) -> KeeperOrder:
        """Send an order; `operation` is the client that waits for its outcome."""
        tracked = self.tracked.get(name)
        self._sent[order.request] = SentOrder(name, operation, 0 if tracked is None else tracked.incarnation, type(order))
        return KeeperOrder(order)

    def spawn(self, tracked: TrackedWorkload, spec: WorkloadSpec, operation: int | None) -> KeeperOrder:
        """Order a start."""
        assert not tracked.is_running, tracked
        assert not tracked.is_starting, tracked
        tracked.is_starting = True
        return self.order(SpawnWorkload(self.next_request(), spec), tracked.name, operation)

    def list_all(self) -> KeeperOrder:
        """Ask for all records."""
        return self.order(ListWorkloads(self.next_request()), "")

    def answered(self, request: int) -> SentOrder | None:
        """The order that this answers. *Absent:* None for one of an earlier connection."""
        return self._sent.pop(request, None)

    def lose_orders(self) -> list[SentOrder]:
        """The connection has broken: the orders on the way for which a client waits."""
        lost = [each for each in self._sent.values() if each.operation is not None]
        self._sent.clear()
        for tracked in self.tracked.values():
            tracked.is_starting = tracked.is_stopping = False
        return lost

    def done(self, number: int, name: str) -> OperationDone:
        """The answer of an operation that was carried out: the state now."""
        tracked = self.tracked.get(name)
        if tracked is None:
            return OperationDone(number, {"name": name, "state": "forgotten"})
        record = tracked.record if tracked.is_running else None
        running = {} if record is None else {"pid": record.pid, "birth": str(record.birth)}
        return OperationDone(number, {"name": name, "state": tracked.state, **running})
