"""Settings: declared once, with unit, range and reason; read from file, environment and flags, the later wins. PURE.

The caller hands in the text of the file, the environment and the flags; nothing here opens a file.
Samplers declare their own settings beside their code; `workers.registry` hands them to `parse_config`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from agent.limit_setting import CPU_LIMIT, DESCRIPTOR_LIMIT, GOVERNOR_ENABLED, MEMORY_LIMIT, QUEUE_LIMIT
from agent.model.errors import ConfigError
from agent.model.foreign import readable
from agent.model.service_variable import PREFIX, is_service_variable
from agent.model.timebase import DAY, HOUR, MINUTE, MS, S
from agent.model.toml import parse_toml
from agent.setting import (
    AUTO_BYTES,
    KIB,
    MIB,
    Address,
    AnySetting,
    AutoSize,
    AutoSwitch,
    Choice,
    Duration,
    Hosts,
    Setting,
    Size,
    SocketPath,
    Switch,
    T,
    Text,
    Whole,
)

# Only `agent.failpoint` reads it. It is for tests and is not a setting.
_FAILPOINTS = "EVERGAUGE_FAILPOINTS"

STATE_DIR = Text("state_dir", "", "folder for data, spool and rules; empty: .evergauge/ of a checkout, else /var/lib/evergauge")
RUNTIME_DIR = Text("runtime_dir", "", "folder for the sockets; empty: .evergauge/ of a checkout, else /run/evergauge")
CONTROL_SOCKET = Text("control_socket", "", "path of the control socket; empty: control.sock in the runtime folder")
BUS_SOCKET = Text("bus_socket", "", "path of the bus between supervisor and workers; empty: bus.sock in the runtime folder")
DATA_SOCKET = Text("data_socket", "", "path of the writer's socket; empty: data.sock in the runtime folder")
# Empty by default, because a member sees the command lines of all processes and the names of rules.
READER_GROUP = Text(
    "reader_group", "", "members of this group (name or number) may read data and status but change nothing; empty: no group"
)
HOST_NAME = Text("host_name", "", "name of this host in files and rows; empty: the kernel's node name")
PROC_ROOT = Text("kernel.proc_root", "/proc", "where the proc file system is mounted")
CGROUP_ROOT = Text("kernel.cgroup_root", "/sys/fs/cgroup", "where the cgroup hierarchies are mounted")
NRI_ENABLED = AutoSwitch(
    "nri.enabled",
    "auto",
    "let the container runtime report pods over NRI; auto: where the socket is; true: not ready without it",
)
NRI_SOCKET = SocketPath("nri.socket_path", "/var/run/nri/nri.sock", "the container runtime's NRI socket").known_as(
    "NRI_SOCKET_PATH"
)
# The runtime holds every container's start until the answer, and drops a plugin that takes longer than 2 s. Groups take 2 ms.
# No start is to be held up for more than 100 ms: the rest is for the answer itself, on a host whose CPUs are all busy.
NRI_START_DEADLINE = Duration(
    "nri.start_deadline",
    80 * MS,
    1 * MS,
    1 * S,
    "longest time a container's start waits until its threads are in their monitoring group; what is not done then follows later",
)

CRI_ENABLED = Choice(
    "cri.enabled",
    "auto",
    ("auto", "false"),
    "ask the container runtime for the names of pods over its CRI socket; auto: while NRI is not connected",
)
CRI_SOCKET = SocketPath("cri.socket_path", "", "the container runtime's CRI socket; empty: the first known one that is there")
# The runtime's events bring a new pod at once; the interval bounds how long a missed one stays without its name.
CRI_INTERVAL = Duration("cri.interval", 10 * S, 500 * MS, 1 * HOUR, "how often to list the pods over the CRI socket")

RESCTRL_MOUNT = Text("resctrl.mount", "/sys/fs/resctrl", "where resctrl is mounted, or where to mount it").known_as("RESCTRL_MOUNT")
# Off by default: the mount decides on options (cdp, mba_MBps) for the whole host, and the kernel refuses a second mount.
RESCTRL_AUTO_MOUNT = Switch("resctrl.auto_mount", False, "mount resctrl if it is not mounted")
RESCTRL_ENABLED = AutoSwitch(
    "sampler.resctrl.enabled", "auto", "measure cache and memory bandwidth; auto: if resctrl is mounted; true: not ready without it"
)
RESCTRL_RETRY_INTERVAL = Duration(
    "resctrl.retry_interval", 10 * S, 50 * MS, 1 * HOUR, "how often to retry monitoring groups that could not be made"
).known_as("RESCTRL_RETRY_INTERVAL")
# A process that joins a cgroup from outside (kubectl exec) is not in the pod's group until this check; one costs 0.5 ms a group.
RESCTRL_CHECK_INTERVAL = Duration(
    "resctrl.check_interval", 10 * S, 50 * MS, 1 * HOUR, "how often to compare the threads of a pod with those of its group"
)
RESCTRL_HEALTH_INTERVAL = Duration(
    "resctrl.health_interval",
    60 * S,
    50 * MS,
    1 * HOUR,
    "how often to log the number of pods without a group and of pods that are only partly in theirs",
).known_as("RESCTRL_HEALTH_INTERVAL")

LOG_LEVEL = Choice("log.level", "info", ("debug", "info", "warning", "error"), "lowest severity to log")
LOG_FORMAT = Choice("log.format", "text", ("text", "json"), "one line per event: key=value, or JSON")

# With four beats a second and one second of silence allowed, a hang is over within 1.5 s (one beat to miss, four of silence, a
# traceback, a start), and the supervisor wakes up four times a second, however many workers there are.
HEARTBEAT_INTERVAL = Duration(
    "supervisor.heartbeat_interval", 250 * MS, 50 * MS, 10 * S, "how often workers write a heartbeat and the supervisor checks it"
)
HANG_TIMEOUT = Duration(
    "supervisor.hang_timeout", 1 * S, 200 * MS, 10 * MINUTE, "time without progress after which a worker counts as hung"
)
START_TIMEOUT = Duration(
    "supervisor.start_timeout", 10 * S, 100 * MS, 10 * MINUTE, "a worker that is not ready after this time is killed"
)
STOP_TIMEOUT = Duration(
    "supervisor.stop_timeout",
    1500 * MS,
    10 * MS,
    10 * MINUTE,
    "longest time the agent takes to stop; a worker that has not stopped within its share of this time is killed",
)
BACKOFF_BASE = Duration(
    "supervisor.backoff_base", 100 * MS, 1 * MS, 10 * MINUTE, "delay before the second restart; the first restart is immediate"
)
BACKOFF_FACTOR = Whole("supervisor.backoff_factor", 2, 1, 10, "factor by which each further delay grows")
BACKOFF_CEILING = Duration("supervisor.backoff_ceiling", 30 * S, 1 * MS, 1 * DAY, "longest delay before a restart")
BACKOFF_JITTER = Whole(
    "supervisor.backoff_jitter_percent", 10, 0, 100, "by how many percent at most a delay is shortened at random"
)
# The next supervisor of a service takes over within 0.3 s; if none comes, all workers are gone within a second.
ORPHAN_GRACE = Duration(
    "supervisor.orphan_grace",
    900 * MS,
    0,
    10 * MINUTE,
    "how long workers go on without a supervisor, waiting for the next one to take over",
)
# A standby process replaces a dead worker some milliseconds sooner than a new fork would; it costs some 3 MiB.
SPARE_WORKERS = Whole("supervisor.spare_workers", 1, 0, 8, "number of standby processes that wait to replace a worker that dies")
STABLE_PERIOD = Duration(
    "supervisor.stable_period", 60 * S, 10 * MS, 1 * DAY, "time up after which a worker's failures are forgotten"
)

CONTROL_PLANE_INTERVAL = Duration(
    "control_plane.interval", 5 * S, 50 * MS, 1 * HOUR, "how often to scan the cgroup tree for pods, services and scopes"
)

SEAL_INTERVAL = Duration("writer.seal_interval", 15 * MINUTE, 1 * S, 1 * DAY, "age at which an open spool segment becomes Parquet")
SEAL_BYTES = Size("writer.seal_bytes", 16 * MIB, 64 * KIB, 512 * MIB, "size at which an open spool segment becomes Parquet")
SYNC_INTERVAL = Duration(
    "writer.sync_interval",
    5 * S,
    10 * MS,
    10 * MINUTE,
    "how often the spool is synced to disk: the most data that a power failure can destroy",
)
# Without a limit the data would fill a disk within weeks: 45 rows a second are some 230 MB of Parquet a day.
STORAGE_QUOTA = AutoSize(
    "writer.storage_quota",
    AUTO_BYTES,
    0,
    65536 * KIB * MIB,
    "limit for sealed data, spool and set-aside files together; the oldest data are removed; auto: 10 GiB or a tenth of the "
    "state folder's file system, whichever is less; 0: no limit",
)
# A query opens one file of each day instead of a hundred; it costs a second of CPU per million rows, at the lowest priority.
COMPACTION = Switch(
    "writer.compaction",
    True,
    "sealed files of finished days become one file per table and day; costs a second copy of a day for a while",
)
QUOTA_BYTES_MAX = 10 * KIB * MIB
# Holds ten minutes of one sampler's batches; the process sampler with its defaults needs less than 1 MiB for that.
BUFFER_BYTES = Size(
    "outbox.buffer_bytes",
    4 * MIB,
    16 * KIB,
    256 * MIB,
    "size of a worker's buffer for batches that the writer has not acknowledged",
)

GATEWAY_ADDRESS = Address("gateway.address", "127.0.0.1", "IP address that serves /live, /ready and /metrics; empty: none")
GATEWAY_PORT = Whole("gateway.port", 9464, 0, 65535, "its TCP port; 0: the system chooses one, `agentctl status` shows it")
# If every name were allowed, a web page could read the metrics by pointing the name of its own server at this address.
GATEWAY_ALLOWED_HOSTS = Hosts(
    "gateway.allowed_hosts",
    "",
    "host names that requests may use, beside localhost and (on other than loopback addresses) IP addresses; *: every name",
)

GATEWAY_METRICS = Choice(
    "gateway.metrics",
    "measured",
    ("off", "agent", "measured"),
    "what /metrics shows: nothing, the agent itself, or also what it measures; read from the spool only when it is scraped",
)
# A node of 110 pods with two containers each has some 7,000. Prometheus takes a million of some hundred nodes easily.
GATEWAY_SERIES_MAX = Whole(
    "gateway.series_max", 10_000, 0, 1_000_000, "how many series of what is measured /metrics shows at most; the rest is counted"
)
# Every process that comes among the first five would be a series for good.
GATEWAY_PID_LABEL = Switch("gateway.pid_label", False, "rank processes instead of commands on /metrics, with their pid as label")

SETTINGS: tuple[AnySetting, ...] = (
    STATE_DIR, RUNTIME_DIR, CONTROL_SOCKET, BUS_SOCKET, DATA_SOCKET, READER_GROUP, HOST_NAME, PROC_ROOT, CGROUP_ROOT,
    NRI_ENABLED, NRI_SOCKET, NRI_START_DEADLINE, CRI_ENABLED, CRI_SOCKET, CRI_INTERVAL, RESCTRL_MOUNT,
    RESCTRL_AUTO_MOUNT, RESCTRL_RETRY_INTERVAL, RESCTRL_CHECK_INTERVAL, RESCTRL_HEALTH_INTERVAL, LOG_LEVEL, LOG_FORMAT,
    HEARTBEAT_INTERVAL, HANG_TIMEOUT, START_TIMEOUT, STOP_TIMEOUT, BACKOFF_BASE, BACKOFF_FACTOR, BACKOFF_CEILING,
    BACKOFF_JITTER, STABLE_PERIOD, ORPHAN_GRACE, SPARE_WORKERS, CPU_LIMIT, MEMORY_LIMIT, DESCRIPTOR_LIMIT, QUEUE_LIMIT,
    GOVERNOR_ENABLED, CONTROL_PLANE_INTERVAL, SEAL_INTERVAL, SEAL_BYTES, SYNC_INTERVAL,
    STORAGE_QUOTA, COMPACTION, BUFFER_BYTES,
    GATEWAY_ADDRESS, GATEWAY_PORT, GATEWAY_ALLOWED_HOSTS, GATEWAY_METRICS, GATEWAY_SERIES_MAX, GATEWAY_PID_LABEL,
)  # fmt: skip

# The settings that say where on this host the agent reads.
PLACES: tuple[Setting[str], ...] = (PROC_ROOT, CGROUP_ROOT, NRI_SOCKET, CRI_SOCKET, RESCTRL_MOUNT)

# What the file may set for a single worker: `[worker."sampler/process"]` with the keys of `[supervisor]`.
POLICY_SETTINGS: tuple[Setting[int], ...] = (
    HANG_TIMEOUT, START_TIMEOUT, STOP_TIMEOUT, BACKOFF_BASE, BACKOFF_FACTOR, BACKOFF_CEILING, BACKOFF_JITTER, STABLE_PERIOD,
    CPU_LIMIT, MEMORY_LIMIT, DESCRIPTOR_LIMIT, QUEUE_LIMIT,
)  # fmt: skip


# Gives the settings of each kind of sink, by its name.
SinkKinds = Callable[[], Mapping[str, Sequence[AnySetting]]]


def policy_key(setting: AnySetting, worker: str) -> str:
    """`supervisor.hang_timeout` of one worker is `worker.NAME.hang_timeout`."""
    return f"worker.{worker}.{setting.key.removeprefix('supervisor.')}"


def default_quota_bytes(file_system_bytes: int) -> int:
    """What `auto` means for `writer.storage_quota`.

    *Units:* bytes, a multiple of 1 MiB. *Range:* 1 MiB to QUOTA_BYTES_MAX; the latter for a file system that reports no size (0).
    """
    tenth = file_system_bytes // 10 if file_system_bytes > 0 else QUOTA_BYTES_MAX
    return max(MIB, min(QUOTA_BYTES_MAX, tenth) // MIB * MIB)


class Config(Struct, frozen=True):
    """The values of all settings by key; `of` gives one with its type. Plain data, so that it can be sent to a worker.

    `workloads` are the sections `[workload."NAME"]` of the file, by name, checked and as they were written; `sinks` the sections
    `[sink."NAME"]`, by name, with the value of each key that is given (`agent.sink_section`).
    """

    values: dict[str, int | str | bool]
    workloads: dict[str, dict[str, Any]] = {}
    sinks: dict[str, dict[str, Any]] = {}

    def with_values(self, values: Mapping[str, int | str | bool]) -> "Config":
        """The same configuration with other values of some settings."""
        return Config({**self.values, **values}, self.workloads, self.sinks)

    def with_kept(self, before: "Config", keys: Iterable[str]) -> "Config":
        """The same configuration with the values that these settings had before."""
        kept = set(keys)
        values = {key: value for key, value in self.values.items() if key not in kept}
        values |= {key: before.values[key] for key in kept & before.values.keys()}
        return Config(values, self.workloads, self.sinks)

    def of_worker(self, setting: Setting[int], worker: str) -> int:
        """The value of a policy setting for one worker: its own, else the one for all workers."""
        value = self.values.get(policy_key(setting, worker))
        return self.of(setting) if value is None else int(value)

    def of_any(self, setting: AnySetting) -> int | str | bool:
        """The value of a setting whose type does not matter."""
        return self.values.get(setting.key, setting.default)

    def show(self, setting: AnySetting) -> str:
        """The value of a setting as a person would write it."""
        value = self.values.get(setting.key, setting.default)
        # The union of setting types cannot be told apart here; each value came from its own setting's `parse`.
        return setting.show(value) or "(empty)"  # type: ignore[arg-type]

    def of(self, setting: Setting[T]) -> T:
        """The value of a setting; its default if it is not set."""
        value = self.values.get(setting.key, setting.default)
        assert isinstance(value, type(setting.default)), setting.key
        return value


def reader_gid(config: Config) -> int | None:
    """The id of the reader group. *Absent:* None without one. Requires a configuration in which the name was resolved to an id."""
    text = config.of(READER_GROUP)
    return int(text) if text else None


def parse_config(
    settings: Iterable[AnySetting],
    *,
    document: str = "",
    origin: str = "",
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    workers: Iterable[str] = (),
    sink_kinds: "SinkKinds | None" = None,
) -> Config:
    """The configuration that file (`document`, read from `origin`), environment and flags give, in this order.

    `workers` are the names that the file may set a policy for, beside those of its sinks; `flags` maps a setting's key to its text.
    `sink_kinds` gives the settings of each kind of sink; it is called where the file describes some.
    *Raises:* ConfigError that names the origin, the key, the value and what is accepted. *Source:* TOML 1.0.
    """
    by_key = {setting.key: setting for setting in settings}
    table = parse_toml(document, origin=origin)
    sections = _workload_sections(table.pop("workload", None), origin)
    sinks = _sink_sections(table.pop("sink", None), sink_kinds or dict, origin)
    named = (*workers, *{exporter_name(section.get("process") or sink) for sink, section in sinks.items()})
    in_file: dict[str, AnySetting] = {policy_key(setting, worker): setting for worker in named for setting in POLICY_SETTINGS}
    in_file |= by_key
    values: dict[str, int | str | bool] = {}
    for key, value in _flatten(table):
        if key not in in_file:
            raise ConfigError(f"{origin}: {key}", "there is no such setting", _suggestion(key, in_file))
        values[key] = _parse_value(in_file[key], value, origin=f"{origin}: {key}")
    values |= _from_environment(by_key.values(), environment or {})
    for key, text in (flags or {}).items():
        values[key] = _parse_value(by_key[key], text, origin=by_key[key].flag)
    return Config(values, sections, sinks)


def _workload_sections(table: object, origin: str) -> dict[str, dict[str, Any]]:
    if table is None:
        return {}
    # Imported here: few files describe workloads.
    from agent.model.workload_section import checked_sections

    return checked_sections(table, origin=origin)


def _sink_sections(table: object, kinds: SinkKinds, origin: str) -> dict[str, dict[str, Any]]:
    if table is None:
        return {}
    # Imported here: few files describe sinks.
    from agent.sink_section import checked_sinks

    return checked_sinks(table, kinds(), origin=origin)


def exporter_name(sink: str) -> str:
    """The worker that serves a sink, or the sinks that share a process of this name."""
    return f"exporter/{sink}"


def service_variables(environment: Mapping[str, str]) -> list[str]:
    """Names of variables that Kubernetes or Docker made from a service's name and that only look like settings.

    *Shape:* sorted; `parse_config` ignores these variables.
    """
    return sorted(readable(name) for name, text in environment.items() if is_service_variable(name, text))


def _from_environment(settings: Iterable[AnySetting], environment: Mapping[str, str]) -> dict[str, int | str | bool]:
    values: dict[str, int | str | bool] = {}
    known = {setting.environment_alias: setting for setting in settings if setting.environment_alias}
    known |= {setting.environment_name: setting for setting in settings}
    # Aliases come before the primary names, because the later value wins.
    for name, text in sorted(environment.items(), key=lambda item: (item[0].startswith(PREFIX), item[0])):
        if is_service_variable(name, text):
            continue
        if name in known:
            values[known[name].key] = _parse_value(known[name], text, origin=f"environment variable {name}")
        elif name.startswith(PREFIX) and name != _FAILPOINTS:
            raise ConfigError(f"environment variable {readable(name)}", "there is no such setting", _suggestion(name, known))
    return values


def _flatten(table: dict[str, Any]) -> list[tuple[str, object]]:
    # A work list instead of recursion: the nesting of a foreign document is not bounded by us.
    found: list[tuple[str, object]] = []
    pending: deque[tuple[str, object]] = deque(table.items())
    while pending:
        key, value = pending.popleft()
        if isinstance(value, dict):
            pending.extend((f"{key}.{inner}", item) for inner, item in value.items())
        else:
            found.append((key, value))
    return found


def _parse_value(setting: AnySetting, value: object, *, origin: str) -> int | str | bool:
    try:
        return setting.parse(value)
    except ValueError as cause:
        raise ConfigError(origin, f"{value!r} is not accepted ({cause})", f"write {setting.accepted}") from cause


def _suggestion(key: str, known: Mapping[str, AnySetting]) -> str:
    # Imported here: a correct configuration never needs it.
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else "`agentd --help` lists them all"
