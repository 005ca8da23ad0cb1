"""What operators see of the supervisor: documents of the control socket made from its state. PURE.

CPU and memory are null here. The shell fills them in; where they cannot be measured they stay null.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from agent.model.control.result import (
    ConditionRow,
    DeathRow,
    DiagnosticRow,
    PodRow,
    RuleList,
    RulesInForce,
    WorkerStatus,
)
from agent.model.rule import Assignment, decode_assignment
from agent.model.timebase import S, iso_utc
from supervisor.core.authority import Authority
from supervisor.core.child import Child, ChildState
from supervisor.core.death import Death
from supervisor.core.event_history import DiagnosticEvent, EventHistory

# The states in which a worker is no reason why the agent is not ready: one that sleeps has nothing to do.
SETTLED = frozenset({ChildState.UP, ChildState.ASLEEP})


class About(Struct, frozen=True):
    """What does not change while the supervisor runs."""

    version: str
    run: str
    host: str
    pid: int
    state_dir: str
    runtime_dir: str
    started_at_ns: int
    # Wall time minus monotonic time at the start: shows a monotonic instant as a date.
    wall_offset_ns: int
    # Settings that say where on this host it looks, by their keys: `agentctl doctor` looks at the same places.
    places: dict[str, str] = {}


def _seconds(duration_ns: int) -> float:
    return round(duration_ns / S, 3)


def worker_status(child: Child, authority: Authority, beat_at_ns: int | None, now_ns: int) -> WorkerStatus:
    """One worker as `status` shows it."""
    replica = authority.replicas.get(child.name)
    waits = child.state is ChildState.BACKOFF and child.deadline_ns is not None
    return WorkerStatus(
        name=child.name,
        kind=child.kind.name,
        state=str(child.state),
        pid=child.pid,
        epoch=child.epoch,
        uptime_seconds=_seconds(now_ns - child.started_at_ns) if child.pid is not None else None,
        restarts=child.restarts,
        last_exit=child.last_exit,
        deaths=dict(child.deaths.most_common()),
        stderr_tail=list(child.stderr_tail),
        backoff_seconds=_seconds(max(0, (child.deadline_ns or 0) - now_ns)) if waits else None,
        heartbeat_age_seconds=_seconds(max(0, now_ns - beat_at_ns)) if beat_at_ns is not None else None,
        rules_revision=replica.acked_revision if replica else None,
        rules_digest=replica.acked_digest.hex() if replica and replica.acked_revision is not None else None,
        in_sync=None if child.state is ChildState.ASLEEP else authority.is_in_sync(child.name),
        asleep_why=child.asleep_why if child.state is ChildState.ASLEEP else None,
        cpu_percent=None,
        rss_bytes=None,
        pss_bytes=None,
        members=list(child.members),
        cpu_seconds=None,
    )


def statistics_by_name(child: Child, told: dict[str, Any] | None) -> dict[str, dict[str, object] | None]:
    """What a worker says of itself, and of each sampler that shares its process. *Absent:* None for what it does not say."""
    if not child.members:
        return {child.name: told}
    of_members = (told or {}).get("members")
    found = of_members if isinstance(of_members, dict) else {}
    own = None if told is None else {key: value for key, value in told.items() if key != "members"}
    each = {name: found.get(name) for name in child.members}
    return {child.name: own, **{name: part if isinstance(part, dict) else None for name, part in each.items()}}


def group_state(assignment: Assignment) -> str:
    """`ignored` by a rule; `assigned` where no monitoring groups are in use; else `pending`, `exists` or `failed`."""
    if assignment.group is None:
        return "ignored"
    if assignment.monitoring is None:
        return "assigned"
    if assignment.monitoring.paths:
        return "exists"
    return "failed" if assignment.monitoring.problem else "pending"


def pod_row(assignment: Assignment) -> PodRow:
    """One pod or unit as `list-pods` shows it."""
    unit, monitoring = assignment.unit, assignment.monitoring
    return PodRow(
        uid=unit.uid,
        kind=str(unit.kind),
        namespace=unit.namespace,
        name=unit.name,
        labels=unit.labels,
        qos=None if unit.qos is None else str(unit.qos),
        cgroup=unit.cgroup,
        containers=unit.containers,
        container_names=unit.container_names,
        group=assignment.group,
        group_state=group_state(assignment),
        group_problem=None if monitoring is None or not monitoring.problem else monitoring.problem,
        group_detail=None if monitoring is None or not monitoring.detail else monitoring.detail,
        group_paths=[] if monitoring is None else list(monitoring.paths),
        total_containers=None if monitoring is None else monitoring.total_containers,
        reconciled_containers=None if monitoring is None else monitoring.reconciled_containers,
        rule=assignment.rule,
        valid_from=iso_utc(assignment.valid_from_wall_ns),
    )


def pods(authority: Authority) -> list[PodRow]:
    """All assignments, in the order of their uids."""
    return [pod_row(decode_assignment(content)) for _key, content in authority.state.items("pod/")]


def rules(authority: Authority) -> RuleList:
    """The operator's rules with the revision and digest in force."""
    return RuleList(
        revision=authority.revision,
        digest=authority.state.digest.hex(),
        rules=[msgspec.to_builtins(authority.rules[name]) for name in sorted(authority.rules)],
    )


def rules_in_force(authority: Authority) -> RulesInForce:
    """How much is in force, with its revision and digest."""
    return RulesInForce(
        revision=authority.revision,
        digest=authority.state.digest.hex(),
        rules=len(authority.rules),
        pods=len(authority.state) - len(authority.rules),
    )


def event_row(event: DiagnosticEvent, about: About) -> DiagnosticRow:
    """One diagnostic event."""
    return DiagnosticRow(
        at=iso_utc(event.at_ns + about.wall_offset_ns),
        kind=event.kind,
        severity=event.severity,
        worker=event.worker or None,
        fields=event.fields,
        subject=event.subject,
        phase=None if event.phase is None else str(event.phase),
        since=None if event.since_ns is None else iso_utc(event.since_ns + about.wall_offset_ns),
        count=event.count,
    )


def death_row(death: Death, about: About) -> DeathRow:
    """One death of a worker."""
    return DeathRow(
        at=iso_utc(death.at_ns + about.wall_offset_ns),
        worker=death.child,
        epoch=death.epoch,
        exit=death.exit,
        reason=death.reason or None,
        uptime_seconds=_seconds(death.uptime_ns),
        stderr_tail=list(death.stderr_tail),
    )


def condition_rows(history: EventHistory, about: About) -> list[ConditionRow]:
    """The conditions that hold now, in the order of their beginnings."""
    return [
        ConditionRow(
            worker=worker,
            kind=kind,
            detail=held.detail,
            blocks_ready=held.blocks_ready,
            since=iso_utc(history.since_ns(worker, kind) + about.wall_offset_ns),
        )
        for (worker, kind), held in history.conditions.items()
    ]


def reasons_not_ready(children: Mapping[str, Child], history: EventHistory, *, looked_at_host: bool, now_ns: int) -> list[str]:
    """Why the agent is not ready, one sentence each; empty: it is ready."""
    reasons = []
    for child in children.values():
        if child.state in SETTLED:
            continue
        text = f"{child.name} is {child.state}"
        if child.state is ChildState.BACKOFF and child.deadline_ns is not None:
            text = f"{child.name} is started again in {_seconds(max(0, child.deadline_ns - now_ns))} s"
        if child.last_exit is not None:
            text += f", its last exit was {child.last_exit}"
        reasons.append(text)
    reasons += [f"{worker}: {held.detail}" for (worker, _kind), held in history.conditions.items() if held.blocks_ready]
    if not looked_at_host:
        publishers = [child.name for child in children.values() if child.kind.may_publish]
        held = [condition.detail for (worker, _kind), condition in history.conditions.items() if worker in publishers]
        reasons.append("; ".join([f"{', '.join(publishers)} has not yet seen which pods and units exist", *held]))
    return reasons
