"""What a client's order to run, stop or forget a workload becomes. PURE."""

from typing import Any

from agent.ports import Operation
from workers.keeper.protocol import ForgetWorkload, RefusalWord, StopWorkload, WorkloadSpec
from workers.keeper.refusal import WorkloadRefused
from workers.workloads.effect import ListingDue, OperationDone, Remember, WorkloadEffect
from workers.workloads.order_check import parse_grace_ns, parse_name, parse_spec, refused_body
from workers.workloads.table import WorkloadTable
from workers.workloads.tracked_workload import TrackedWorkload


class WorkloadOperations:
    """The operations of worker `workloads`, over a table that is listed."""

    def __init__(self, table: WorkloadTable) -> None:
        self._table = table

    def carry_out(self, operation: Operation) -> list[WorkloadEffect]:
        """Do it, or answer why not."""
        try:
            return self._effects(operation)
        except WorkloadRefused as refused:
            return [OperationDone(operation.number, refused_body(refused.word, refused.sentence))]

    def _effects(self, operation: Operation) -> list[WorkloadEffect]:
        match operation.name:
            case "list-workloads":
                return [ListingDue(operation.number)]
            case "run-workload":
                return self._run(operation)
            case "stop-workload":
                return self._stop(operation)
            case "forget-workload":
                return self._forget(operation)
            case _:
                raise WorkloadRefused(RefusalWord.NOT_UNDERSTOOD, operation.name, "there is no such operation")

    def _run(self, operation: Operation) -> list[WorkloadEffect]:
        order = operation.arguments.get("workload")
        spec = parse_spec(order) if order is not None else self._spec_again(operation.arguments)
        tracked = self._table.tracked.get(spec.name) or TrackedWorkload(spec.name)
        self._check_free(tracked, spec)
        if tracked.start_at_ns is not None and order is not None:
            remedy = f"`agentctl stop {spec.name}` ends that"
            raise WorkloadRefused(RefusalWord.NAME_TAKEN, spec.name, "a workload of this name waits for its next start", remedy)
        self._table.tracked[spec.name] = tracked
        tracked.failures, tracked.start_at_ns = 0, None
        spawn = self._table.spawn(tracked, spec, operation.number)
        return [Remember(), spawn] if self._table.remembered.held.pop(spec.name, None) is not None else [spawn]

    def _check_free(self, tracked: TrackedWorkload, spec: WorkloadSpec) -> None:
        if tracked.is_running or tracked.is_starting:
            remedy = f"`agentctl stop {spec.name}`, or take another name"
            raise WorkloadRefused(RefusalWord.NAME_TAKEN, spec.name, "a workload of this name runs", remedy)
        if tracked.described is not None and spec != tracked.described:
            remedy = f"`agentctl run {spec.name}` starts it as the file says; change it there, or take another name"
            raise WorkloadRefused(RefusalWord.NAME_TAKEN, spec.name, "the settings file describes it", remedy)

    def _spec_again(self, arguments: dict[str, Any]) -> WorkloadSpec:
        name = parse_name(arguments)
        tracked = self._table.tracked.get(name)
        spec = None if tracked is None else tracked.next_spec
        if spec is None:
            remedy = f"name its command: `agentctl run {name} -- PROGRAM ARGUMENT`"
            raise WorkloadRefused(RefusalWord.NOT_FOUND, name, "no workload of this name has run", remedy)
        return spec

    def _stop(self, operation: Operation) -> list[WorkloadEffect]:
        tracked, grace_ns = self._known(operation), parse_grace_ns(operation.arguments)
        if not (tracked.is_running or tracked.is_starting) and tracked.start_at_ns is None and tracked.record is not None:
            raise WorkloadRefused(RefusalWord.NOT_FOUND, tracked.name, "it has ended already", "`agentctl list-workloads` says how")
        # Before the keeper is told: whatever dies in between, it is not started again.
        self._table.remembered.held[tracked.name] = tracked.incarnation + tracked.is_starting
        tracked.start_at_ns = None
        tracked.problem = ""
        if not tracked.is_running:
            return [Remember(), self._table.done(operation.number, tracked.name)]
        tracked.is_stopping = True
        order = StopWorkload(self._table.next_request(), tracked.name, grace_ns)
        return [Remember(), self._table.order(order, tracked.name, operation.number)]

    def _forget(self, operation: Operation) -> list[WorkloadEffect]:
        tracked = self._known(operation)
        if tracked.described is not None:
            remedy = "take it out of the file and restart the agent first"
            raise WorkloadRefused(RefusalWord.STILL_RUNS, tracked.name, "the settings file describes it", remedy)
        runs = tracked.is_running or tracked.is_starting
        if runs or tracked.start_at_ns is not None:
            problem = "it runs" if runs else "it waits for its next start"
            raise WorkloadRefused(RefusalWord.STILL_RUNS, tracked.name, problem, f"`agentctl stop {tracked.name}` first")
        order = ForgetWorkload(self._table.next_request(), tracked.name)
        return [self._table.order(order, tracked.name, operation.number)]

    def _known(self, operation: Operation) -> TrackedWorkload:
        name = parse_name(operation.arguments)
        tracked = self._table.tracked.get(name)
        if tracked is None:
            remedy = "`agentctl list-workloads` lists them"
            raise WorkloadRefused(RefusalWord.NOT_FOUND, name, "there is no workload of this name", remedy)
        return tracked
