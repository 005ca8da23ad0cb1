"""What a hub answers about its fleet, over the control socket and over HTTP. PURE, light.

Every number may be null: it is not known, which is neither zero nor old. Ages say how old a number is by the hub's own clock; no
clock of a node decides anything.
"""

from agent.model.control.document import Document


class FleetNodeRow(Document):
    """One node.

    `state`: fresh, late (three beats are missing), stale (silent for so long that it leaves scheduling), gone (it left on
    purpose) or never_seen. `silent_seconds`: since its last beat. `age_seconds`: how old what is shown of it is.
    `clock_offset_seconds`: its clock against the hub's, positive where it is ahead. Beats are counted since the hub's start:
    `lost` are numbers that never came, `doubled` came twice, `late` came when the node was late already. `problem`: what the hub
    has against it. *Units:* `cpu_cores` CPUs in use; memory in bytes; pressure as a share of the time.
    """

    node: str
    host: str
    state: str
    since: str | None
    silent_seconds: float | None
    age_seconds: float | None
    last_seen: str | None
    agent_version: str | None
    run: str | None
    cpus: int | None
    cpu_cores: float | None
    memory_bytes: int | None
    memory_available_bytes: int | None
    pressure_cpu: float | None
    pressure_memory: float | None
    pressure_io: float | None
    disk_bytes_per_second: int | None
    network_bytes_per_second: int | None
    gpus: int | None
    units: int | None
    workers: int | None
    conditions: list[str]
    clock_offset_seconds: float | None
    received: int
    lost: int
    doubled: int
    late: int
    refused: int
    problem: str | None


class FleetNodes(Document):
    """The nodes, those worst off first. `suspicion`: why the hub does not trust its own picture; null: it does.

    `index` grows with every change of a node's state or of what runs on it; `hub_run` names one life of the hub.
    """

    hub: str
    hub_run: str
    index: int
    as_of: str
    states: dict[str, int]
    suspicion: str | None
    nodes: list[FleetNodeRow]


class FleetGpuRow(Document):
    """One GPU of a node, or one slice of it. *Units:* bytes; `busy` is a share of the time. `stuck`: its driver does not answer."""

    device: str
    name: str | None
    vram_bytes: int | None
    vram_used_bytes: int | None
    busy: float | None
    stuck: bool


class FleetCondition(Document):
    """A condition of a node's agent that holds now, as the node says it, and what to do. *Absent:* `remedy` is null where this hub
    knows none."""

    worker: str
    kind: str
    detail: str
    severity: str
    remedy: str | None


class FleetNodeDetail(Document):
    """One node with what is too long for a row of many."""

    hub: str
    hub_run: str
    as_of: str
    node: FleetNodeRow
    gpus: list[FleetGpuRow]
    conditions: list[FleetCondition]


class FleetChange(Document):
    """Something that has changed. `change`: `started` and `ended` of a unit, `state` of a node (with `was` and `state`; `was` is
    null for one that has joined), `removed` of a node. `at`: by the hub's clock."""

    at: str
    change: str
    node: str
    host: str
    unit: str | None
    kind: str | None
    name: str | None
    was: str | None
    state: str | None


class FleetChanges(Document):
    """What has changed lately, the newest first. `left_out`: how many changes since the hub's start are no longer kept."""

    hub: str
    hub_run: str
    as_of: str
    left_out: int
    changes: list[FleetChange]


class FleetUnitRow(Document):
    """One unit of one node: pod, container, service, scope or workload.

    `age_seconds`: how old its numbers are. *Units:* `cpu_cores` CPUs in use; memory, cache and `vram` in bytes; rates in bytes per
    second; pressure, `throttled`, `gpu_busy` and `kv_cache` as shares.
    """

    node: str
    host: str
    unit: str
    kind: str
    name: str
    namespace: str | None
    model: str | None
    served_model: str | None
    lora: list[str]
    engine: str | None
    model_source: str | None
    state: str
    started: str | None
    age_seconds: float | None
    cpu_cores: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    pressure_cpu: float | None
    pressure_memory: float | None
    pressure_io: float | None
    throttled: float | None
    io_bytes_per_second: int | None
    cache_bytes: int | None
    memory_bandwidth_bytes_per_second: int | None
    gpu_busy: float | None
    vram_bytes: int | None
    vram_free_bytes: int | None
    waiting: int | None
    running: int | None
    kv_cache: float | None
    reserved: int
    sources: dict[str, str]


class FleetUnits(Document):
    """Units that were asked for. `found`: how many there are; the answer has the first of them.

    `excluded`: how many are left out, by the reason.
    """

    hub: str
    hub_run: str
    index: int
    as_of: str
    found: int
    excluded: dict[str, int]
    units: list[FleetUnitRow]


class FleetWorkers(Document):
    """Workers, which are units that serve a model and workloads, in the order that was asked for. As `FleetUnits`.

    `suspicion`: as in `FleetNodes`.
    """

    hub: str
    hub_run: str
    index: int
    as_of: str
    found: int
    excluded: dict[str, int]
    suspicion: str | None
    workers: list[FleetUnitRow]


class FleetReservation(Document):
    """A worker that is held for somebody who asked: until `until`, others see it with one request more and so much less memory."""

    reservation: str
    worker: FleetUnitRow
    until: str
    vram_bytes: int


class HubInvitation(Document):
    """What a node is given to join: `invitation` is shown once, and the hub keeps only a digest of its token."""

    invitation: str
    expires: str
    uses: int


class HubMemberRow(Document):
    """A node that may report. `state`: as in `FleetNodeRow`."""

    node: str
    host: str
    joined: str
    last_seen: str | None
    state: str


class HubMembers(Document):
    """The hub and its members. `open_invitations`: those that can still be used."""

    hub: str
    listen: str | None
    join: str | None
    page: str | None
    key: str
    open_invitations: int
    members: list[HubMemberRow]


class HubRemoval(Document):
    """`hub remove`: the node, by its id and the name of its host."""

    node: str
    host: str


class FleetHistoryRow(Document):
    """One node's last hour. `values`: base64 of one byte for each step, the oldest first: 0 to 200 half percents, 251 never seen,
    252 gone, 253 stale, 254 late, 255 not known."""

    node: str
    host: str
    values: str


class FleetHeat(Document):
    """The heat map: the nodes that are worst off first, as they stand now. The newest step ended at most
    `step_seconds` before `as_of`."""

    hub: str
    as_of: str
    metric: str
    step_seconds: int
    steps: int
    found: int
    rows: list[FleetHistoryRow]
