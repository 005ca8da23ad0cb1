"""The documents of /v1/node. PURE.

*Units:* times are unix time in seconds; CPU in cores; memory and cache in bytes; I/O and memory bandwidth in bytes a second;
pressure as a share of the time, 0 to 1. *Absent:* null is a number that is not known, and never zero.
"""

from msgspec import Struct

Values = list[float | None]


class NodeDocument(Struct, frozen=True, kw_only=True):
    """What this node is, and what can be seen of it now.

    `since`: the oldest second that is at hand without a search in stored files; `older`: whether there are such files.
    `charts`: the version of the library that draws lines; null: it is not there, and `charts_remedy` says how to get it.
    `cores`, `memory_bytes` and `cache_bytes` (last-level caches) are of the whole host.
    """

    host: str
    version: str
    now: float
    since: int
    older: bool
    cores: float | None
    memory_bytes: float | None
    cache_bytes: float | None
    charts: str | None
    charts_remedy: str
    neighbours_command: str


class HostPoint(Struct, frozen=True, kw_only=True):
    """The whole host in one second. `io`: what it read from its disks and wrote to them."""

    cpu: float | None = None
    memory: float | None = None
    io: float | None = None
    pressure_cpu: float | None = None
    pressure_memory: float | None = None
    pressure_io: float | None = None


class UnitPoint(Struct, frozen=True, kw_only=True):
    """One pod, service, scope or workload in one second.

    `pressure` is the worst of its CPU, memory and I/O, and `pressure_of` says which of them that is. `cache` and `bandwidth` are of
    its monitoring group.
    """

    id: str
    name: str
    kind: str
    cpu: float | None = None
    memory: float | None = None
    io: float | None = None
    pressure: float | None = None
    cache: float | None = None
    bandwidth: float | None = None


class TickDocument(Struct, frozen=True, kw_only=True):
    """An event `tick`: one second, as far as it is known; a later one with the same `t` replaces it.

    A unit that is not in it did nothing in that second, where `has_units` says that units were looked at.
    """

    t: int
    has_units: bool
    host: HostPoint | None
    units: list[UnitPoint]
    gone: list[str]


class GapSpan(Struct, frozen=True):
    """A time from which nothing is stored; `reason` is the word of table `gap`, "" where none is known."""

    since: int
    until: int
    reason: str


class UnitSeries(Struct, frozen=True):
    """One unit over time: of each metric in which it is among the largest, a value for each step."""

    id: str
    name: str
    kind: str
    values: dict[str, Values]


class SeriesDocument(Struct, frozen=True, kw_only=True):
    """Everything over time. `since` is the time of the first value; each list has one value for each `step` seconds."""

    since: int
    until: int
    step: int
    gaps: list[GapSpan]
    host: dict[str, Values]
    units: list[UnitSeries]


class ProcessPoint(Struct, frozen=True, kw_only=True):
    """One process in one tick. `unit` is the id of its unit; `memory` is resident."""

    pid: int
    command: str
    unit: str | None
    unit_name: str
    state: str
    cpu: float | None
    memory: float | None
    io: float | None
    threads: int | None


class ProcessesDocument(Struct, frozen=True):
    """The processes of one tick that hold the most, those with the most CPU first. `t` is null while none was seen."""

    t: float | None
    processes: list[ProcessPoint]


class PageCondition(Struct, frozen=True, kw_only=True):
    """One condition that holds now. `about` and `remedy` are those of its kind, `runbook` the page that says more."""

    worker: str
    kind: str
    detail: str
    since: str | None
    blocks_ready: bool
    severity: str
    about: str
    remedy: str
    runbook: str


class PageWorker(Struct, frozen=True, kw_only=True):
    """One worker of the agent. `last_exit`: how its last process ended."""

    name: str
    state: str
    restarts: int
    last_exit: str | None
    uptime_seconds: float | None
    cpu_percent: float | None
    memory_bytes: int | None


class AgentDocument(Struct, frozen=True):
    """The agent itself. *Absent:* `ready` is null where the supervisor does not answer."""

    ready: bool | None
    reasons: list[str]
    workers: list[PageWorker]
    conditions: list[PageCondition]
