"""What worker `workloads` and the keeper say to each other: one JSON document a line over a Unix socket. PURE.

The keeper makes cgroups and processes, waits for their ends and keeps records. It decides nothing: whether and when a workload
starts again is decided by the worker.
"""

from enum import StrEnum

from msgspec import Struct

NAME_CHARACTERS_MAX = 63
LINE_BYTES_MAX = 4 << 20


class Restart(StrEnum):
    """When a workload that ended is started again."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class Birth(StrEnum):
    """How its first process came into its cgroup."""

    CLONE = "clone_into_cgroup"
    STUB = "stub"
    NO_CGROUP = "no_cgroup"


class RefusalWord(StrEnum):
    """Why the keeper refused, for programs; `KeeperRefused.sentence` says it to people."""

    BAD_NAME = "bad_name"
    BAD_COMMAND = "bad_command"
    BAD_LIMIT = "bad_limit"
    BAD_SETTING = "bad_setting"
    NAME_TAKEN = "name_taken"
    NO_LIMITS = "no_limits"
    ABOVE_PARENT = "above_parent"
    MISSING_BINARY = "missing_binary"
    NOT_EXECUTABLE = "not_executable"
    BAD_FOLDER = "bad_folder"
    BAD_USER = "bad_user"
    NOT_FOUND = "not_found"
    STILL_RUNS = "still_runs"
    SYSTEM = "system"
    NOT_UNDERSTOOD = "not_understood"


class IoLimit(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits on one whole disk, given as a path of /dev or as `MAJOR:MINOR`. *Absent:* 0 is no limit."""

    device: str
    read_bytes_per_second: int = 0
    write_bytes_per_second: int = 0
    reads_per_second: int = 0
    writes_per_second: int = 0


class WorkloadLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What a workload may use. *Absent:* None is no limit of its own. `cpu_cores` 2.0 are two whole CPUs."""

    cpu_cores: float | None = None
    cpu_weight: int | None = None
    memory_bytes: int | None = None
    memory_high_bytes: int | None = None
    pids: int | None = None
    io: tuple[IoLimit, ...] = ()


class WorkloadSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What to run. `env` is added to a small environment; nothing of the agent's own is passed on.

    `gpus`: indices or UUIDs, which become CUDA_VISIBLE_DEVICES and its like. `labels` are the operator's; label `model` names what
    it serves.
    `is_killed_whole`: one process killed for lack of memory ends them all (memory.oom.group).
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    folder: str = "/"
    user: str = ""
    limits: WorkloadLimits = WorkloadLimits()
    gpus: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    restart: Restart = Restart.NO
    grace_ns: int = 10_000_000_000
    is_killed_whole: bool = True
    without_limits: bool = False
    output_bytes_max: int = 16 << 20


class WorkloadEnding(Struct, frozen=True):
    """How a workload's first process ended, and what its cgroup said in its last reading.

    *Absent:* `code` and `signal` are both None where nobody could know; then `unknown_why` has the reason. `stopped`: on request.
    `left_behind`: why its cgroup could not be removed.
    """

    at_wall_ns: int
    code: int | None = None
    signal: int | None = None
    unknown_why: str = ""
    stopped: bool = False
    oom_kills: int | None = None
    cpu_ns: int | None = None
    memory_peak_bytes: int | None = None
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    left_behind: str = ""


class WorkloadRecord(Struct, frozen=True):
    """One start of a workload, as the keeper keeps it on the disk. `incarnation` counts the starts of this name.

    `cgroup` is the path below the cgroup root; empty without one. `cgroup_id` is its number within this boot. `in_force` maps the
    limit files to what the kernel made of them. `adopted`: found running by a keeper that did not start it. `output_lost_bytes`:
    what was cut off the head of its output. `moved_to`: its first process has left the cgroup for this one, where no limit
    of ours holds.
    *Absent:* `ending` is None while it runs; `pid` is 0 while it is being born.
    """

    spec: WorkloadSpec
    incarnation: int
    pid: int
    start_ticks: int
    boot_id: str
    started_wall_ns: int
    birth: Birth
    cgroup: str = ""
    cgroup_id: int = 0
    in_force: dict[str, str] = {}
    output: str = ""
    output_lost_bytes: int = 0
    adopted: bool = False
    moved_to: str = ""
    ending: WorkloadEnding | None = None


class SpawnWorkload(Struct, frozen=True, tag="spawn"):
    """Start it. Answered by `KeeperSpawned` or `KeeperRefused`."""

    request: int
    spec: WorkloadSpec


class StopWorkload(Struct, frozen=True, tag="stop"):
    """End it: SIGTERM, grace, then everything in its cgroup. Answered by `KeeperDone` at once; `WorkloadEnded` follows."""

    request: int
    name: str
    grace_ns: int | None = None


class ForgetWorkload(Struct, frozen=True, tag="forget"):
    """Remove the record and the output of one that has ended. Answered by `KeeperDone` or `KeeperRefused`."""

    request: int
    name: str


class ListWorkloads(Struct, frozen=True, tag="list"):
    """Say all records. Answered by `KeeperRecords`."""

    request: int


class KeeperSpawned(Struct, frozen=True, tag="spawned"):
    """It runs."""

    request: int
    record: WorkloadRecord


class KeeperRefused(Struct, frozen=True, tag="refused"):
    """It could not be done, and nothing is left behind. `code` is a `RefusalWord`, `sentence` says what to do."""

    request: int
    code: str
    sentence: str


class KeeperDone(Struct, frozen=True, tag="done"):
    """It is done, or under way."""

    request: int


class KeeperRecords(Struct, frozen=True, tag="records"):
    """Every workload the keeper knows, running or ended. `problem`: why limits cannot be set here; empty: they can.

    `notes`: what it found damaged or could not do, the latest last. `version` is the keeper's own: it outlives an upgrade.
    """

    request: int
    records: tuple[WorkloadRecord, ...]
    cgroup_root: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    version: str = ""
    pid: int = 0


class WorkloadEnded(Struct, frozen=True, tag="ended"):
    """Unasked: this start of it has ended; its last reading is taken and its cgroup is removed."""

    record: WorkloadRecord


ToKeeper = SpawnWorkload | StopWorkload | ForgetWorkload | ListWorkloads
FromKeeper = KeeperSpawned | KeeperRefused | KeeperDone | KeeperRecords | WorkloadEnded
