"""The result of each operation of the control socket, as the core makes it and agentctl and the gateway read it. PURE, light.

*Units:* in the names; times of day are UTC in ISO 8601 with milliseconds. *Absent:* null where a value is not known.
"""

from agent.model.control.document import Document


class AgentInfo(Document):
    """`hello`: what does not change while the agent runs. `places`: settings of where on this host it looks, by their keys."""

    version: str
    run: str
    host: str
    pid: int
    state_dir: str
    runtime_dir: str
    places: dict[str, str]


class Readiness(Document):
    """`ready`: whether the agent is ready; one sentence for each reason why not."""

    ready: bool
    reasons: list[str]


class WorkerRow(Document):
    """One worker. *Absent:* pid, uptime and cost of one that does not run; what cannot be measured here.

    `deaths` counts ends by their cause, `stderr_tail` are the last lines of its stderr before the last one. `rules_revision`
    and `rules_digest` are what it has acknowledged, `in_sync` whether that is what is in force. `members` are the samplers that
    share its process. `asleep_why` is why one in state `asleep` has nothing to do.
    """

    name: str
    kind: str
    state: str
    pid: int | None
    epoch: int
    uptime_seconds: float | None
    restarts: int
    last_exit: str | None
    deaths: dict[str, int]
    stderr_tail: list[str]
    backoff_seconds: float | None
    heartbeat_age_seconds: float | None
    rules_revision: int | None
    rules_digest: str | None
    in_sync: bool | None
    asleep_why: str | None = None
    cpu_percent: float | None
    rss_bytes: int | None
    pss_bytes: int | None
    members: list[str] = []  # noqa: RUF012 - documents do not change


class WorkerStatus(WorkerRow):
    """One worker in `status`: /metrics needs its CPU time too. *Range:* since the process's start."""

    cpu_seconds: float | None


class WorkerList(Document):
    """`list-workers`, in the order of their start."""

    workers: list[WorkerRow]


class WorkerState(Document):
    """`worker-state`: the rules and pods that a worker reports to hold, as JSON. *Absent:* what it leaves out."""

    name: str
    epoch: int
    revision: int = 0
    digest: str = ""
    rules: list[dict[str, object]] = []  # noqa: RUF012 - documents do not change
    pods: list[dict[str, object]] = []  # noqa: RUF012


class WorkerChange(Document):
    """`restart-worker`, `reset-worker`: the worker's state now."""

    name: str
    state: str


class PodRow(Document):
    """One pod or unit with its group.

    `group` is null where a rule ignores it; `group_state` is `ignored`, `assigned` (no monitoring groups are in use), `pending`,
    `exists` or `failed`. `container_names` has the names of the pod's living containers by their ids. *Absent:* namespace, name,
    labels and names of containers where no container runtime has reported them, the counts of containers without monitoring
    groups, the rule where none matched.
    """

    uid: str
    kind: str
    namespace: str | None
    name: str | None
    labels: dict[str, str]
    qos: str | None
    cgroup: str
    containers: int
    container_names: dict[str, str]
    group: str | None
    group_state: str
    group_problem: str | None
    group_detail: str | None
    group_paths: list[str]
    total_containers: int | None
    reconciled_containers: int | None
    rule: str | None
    valid_from: str


class PodList(Document):
    """`list-pods`, in the order of their uids. `complete`: the first look at the whole host is in."""

    complete: bool
    pods: list[PodRow]


class RuleList(Document):
    """`list-rules`: the operator's rules by name, each as its JSON, with revision and digest of all that is in force."""

    revision: int
    digest: str
    rules: list[dict[str, object]]


class RuleChange(Document):
    """`add-rule`, `remove-rule`: the revision in force, and whether it had to change."""

    revision: int
    changed: bool


class DiagnosticRow(Document):
    """One event. *Absent:* `worker` where it is the supervisor's.

    `phase`: what a condition does, `begin`, `change` or `end`; `since`: since when it holds; both null of what is no condition.
    `count`: how often this kind of this worker has come so far.
    """

    at: str
    kind: str
    severity: str
    worker: str | None
    fields: dict[str, object]
    subject: str | None = None
    phase: str | None = None
    since: str | None = None
    count: int | None = None


class DeathRow(Document):
    """One end of a worker's process. *Absent:* `reason` where the end was not asked for."""

    at: str
    worker: str
    epoch: int
    exit: str
    reason: str | None
    uptime_seconds: float
    stderr_tail: list[str]


class ConditionRow(Document):
    """One lasting condition that holds now, and since when."""

    worker: str
    kind: str
    detail: str
    blocks_ready: bool
    since: str | None = None


class Diagnostics(Document):
    """`diag`: the last events and deaths, the newest last; how many older events are not shown; the conditions that hold now."""

    events: list[DiagnosticRow]
    deaths: list[DeathRow]
    hidden: int
    conditions: list[ConditionRow] = []  # noqa: RUF012 - documents do not change


class RulesInForce(Document):
    """Revision and digest, and of how many rules and pods."""

    revision: int
    digest: str
    rules: int
    pods: int


class AgentStatus(Document):
    """`status`. `stats` is what each worker says about itself, and each sampler that shares a process with others.

    *Absent:* null for one that is down or did not answer in time.
    """

    ready: bool
    reasons: list[str]
    version: str
    run: str
    host: str
    pid: int
    uptime_seconds: float
    state_dir: str
    runtime_dir: str
    rules: RulesInForce
    workers: list[WorkerStatus]
    conditions: list[ConditionRow]
    counters: dict[str, int]
    deaths: list[DeathRow]
    diag: list[DiagnosticRow]
    stats: dict[str, dict[str, object] | None]


class SealedFileRow(Document):
    """One Parquet file that a rotation made."""

    table: str
    path: str
    rows: int


class RotateOutcome(Document):
    """`rotate`: the files that were made, and their rows."""

    files: list[SealedFileRow]
    rows: int
