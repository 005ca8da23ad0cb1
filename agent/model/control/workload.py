"""The results of the operations about workloads, as worker `workloads` makes them and agentctl reads them. PURE, light.

Nothing that may be a secret is in them, because readers see them: of the environment the names, command lines and labels masked.
"""

from agent.model.control.document import Document


class WorkloadRow(Document):
    """One workload.

    `state` is `running`, `stopping`, `backoff` (it ended, and starts again in `backoff_seconds`), `ended` or `waiting` (it has not
    been started: `problem` says why). `restarts` counts the starts after the first. `source`: `file` where the settings file
    describes it, else `command`; `has_changed`: the file describes it otherwise than it runs. `adopted`: found running by a keeper
    that did not start it. `in_force` has the content of its limit files. *Absent:* what one in its state has not, what cannot be
    known here.
    """

    name: str
    state: str
    pid: int | None
    started: str | None
    uptime_seconds: float | None
    restart: str
    restarts: int
    backoff_seconds: float | None
    command: str
    environment: list[str]
    labels: dict[str, str]
    user: str
    gpus: list[str]
    source: str
    has_changed: bool
    adopted: bool
    birth: str | None
    cgroup: str | None
    in_force: dict[str, str]
    cpu_seconds: float | None
    memory_bytes: int | None
    ended: str | None
    ended_how: str | None
    exit_code: int | None
    signal: str | None
    oom_kills: int | None
    memory_peak_bytes: int | None
    output: str | None
    problem: str | None


class WorkloadList(Document):
    """`list-workloads`, in the order of their names. `is_asked`: the keeper has said all that it knows.

    `problem`: why limits cannot be set on this host; *Absent:* null where they can, or nobody has asked yet.
    """

    is_asked: bool
    problem: str | None
    workloads: list[WorkloadRow]


class WorkloadChange(Document):
    """`run-workload`, `stop-workload`, `forget-workload`: its state now; `pid` and `birth` of one that runs."""

    name: str
    state: str
    pid: int | None = None
    birth: str | None = None
    note: str | None = None
