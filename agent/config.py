"""Settings: declared once, with unit, range and reason; read from file, environment and flags, the later wins. PURE.

The text of the file, the environment and the flags are handed in; nobody here opens anything.
Samplers declare their own settings beside their code; `workers.registry` hands them to `parse_config`.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

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
    Switch,
    T,
    Text,
    Whole,
)

# Read by `agent.failpoint` alone: a test's means, no setting.
_FAILPOINTS = "EVERGAUGE_FAILPOINTS"

STATE_DIR = Text("state_dir", "", "folder of data, spool and rules; empty: .evergauge/ of a checkout, else /var/lib/evergauge")
RUNTIME_DIR = Text("runtime_dir", "", "folder of the sockets; empty: .evergauge/ of a checkout, else /run/evergauge")
CONTROL_SOCKET = Text("control_socket", "", "path of the control socket; empty: control.sock in the runtime folder")
BUS_SOCKET = Text("bus_socket", "", "path of the bus between supervisor and workers; empty: bus.sock in the runtime folder")
DATA_SOCKET = Text("data_socket", "", "path of the socket of the writer; empty: data.sock in the runtime folder")
# A member sees command lines of every process and the rules' names: nobody's by default.
READER_GROUP = Text(
    "reader_group", "", "members of this group (name or number) may ask what only looks, and read the data; empty: nobody else"
)
HOST_NAME = Text("host_name", "", "the name of this host in files and rows; empty: the kernel's node name")
PROC_ROOT = Text("kernel.proc_root", "/proc", "where the proc file system is mounted")
CGROUP_ROOT = Text("kernel.cgroup_root", "/sys/fs/cgroup", "where the cgroup hierarchies are mounted")
NRI_SOCKET = Text("nri.socket_path", "/var/run/nri/nri.sock", "the container runtime's NRI socket").known_as("NRI_SOCKET_PATH")

RESCTRL_MOUNT = Text("resctrl.mount", "/sys/fs/resctrl", "where resctrl is mounted, or is to be").known_as("RESCTRL_MOUNT")
# Whoever mounts it decides on its options (cdp, mba_MBps), and a second mount is refused: that is not for us to take away.
RESCTRL_AUTO_MOUNT = Switch("resctrl.auto_mount", False, "mount resctrl when nobody has")
RESCTRL_ENABLED = AutoSwitch(
    "sampler.resctrl.enabled", "auto", "measure cache and memory bandwidth; true: not ready without; auto: where resctrl is mounted"
)
RESCTRL_RETRY_INTERVAL = Duration(
    "resctrl.retry_interval", 10 * S, 50 * MS, 1 * HOUR, "how often groups that could not be made are tried again"
).known_as("RESCTRL_RETRY_INTERVAL")
# Whoever joins a cgroup from outside (kubectl exec) is outside its group until then; one look at a group costs half a millisecond.
RESCTRL_CHECK_INTERVAL = Duration(
    "resctrl.check_interval", 10 * S, 50 * MS, 1 * HOUR, "how often the threads of a pod are compared with those of its group"
)
RESCTRL_HEALTH_INTERVAL = Duration(
    "resctrl.health_interval",
    60 * S,
    50 * MS,
    1 * HOUR,
    "how often pods without a group, or not whole in it, are counted in the log",
).known_as("RESCTRL_HEALTH_INTERVAL")

LOG_LEVEL = Choice("log.level", "info", ("debug", "info", "warning", "error"), "the least severity that is logged")
LOG_FORMAT = Choice("log.format", "text", ("text", "json"), "one line per event: key=value, or JSON")

# Four beats a second and a second's patience: a hang is over within one and a half (one beat to miss, four of silence, a
# traceback, a start), and the supervisor wakes four times a second however many workers there are.
HEARTBEAT_INTERVAL = Duration(
    "supervisor.heartbeat_interval", 250 * MS, 50 * MS, 10 * S, "how often workers beat and are looked at"
)
HANG_TIMEOUT = Duration(
    "supervisor.hang_timeout", 1 * S, 200 * MS, 10 * MINUTE, "without progress for so long a worker counts as hung"
)
START_TIMEOUT = Duration(
    "supervisor.start_timeout", 10 * S, 100 * MS, 10 * MINUTE, "a worker that is not ready after so long is killed"
)
STOP_TIMEOUT = Duration(
    "supervisor.stop_timeout",
    1500 * MS,
    10 * MS,
    10 * MINUTE,
    "the agent's end takes no longer; each worker gets its share of it and is killed when it has not ended by then",
)
BACKOFF_BASE = Duration(
    "supervisor.backoff_base", 100 * MS, 1 * MS, 10 * MINUTE, "the second restart waits so long; the first is immediate"
)
BACKOFF_FACTOR = Whole("supervisor.backoff_factor", 2, 1, 10, "each further restart waits so many times longer")
BACKOFF_CEILING = Duration("supervisor.backoff_ceiling", 30 * S, 1 * MS, 1 * DAY, "no restart waits longer")
BACKOFF_JITTER = Whole("supervisor.backoff_jitter_percent", 10, 0, 100, "a delay is shortened by up to so many percent, at random")
# The next supervisor of a service is ready to take over within 0.3 s; where none comes, all are gone within a second.
ORPHAN_GRACE = Duration(
    "supervisor.orphan_grace",
    900 * MS,
    0,
    10 * MINUTE,
    "when the supervisor is killed its workers go on for so long, for the next supervisor to take over",
)
# Takes the place of a worker that died some milliseconds sooner than one that must be made first; costs some 3 MiB.
SPARE_WORKERS = Whole("supervisor.spare_workers", 1, 0, 8, "processes that wait to take the place of a worker that dies")
STABLE_PERIOD = Duration(
    "supervisor.stable_period", 60 * S, 10 * MS, 1 * DAY, "time up after which a worker's failures are forgotten"
)

CONTROL_PLANE_INTERVAL = Duration(
    "control_plane.interval", 5 * S, 50 * MS, 1 * HOUR, "how often the cgroup tree is looked at for pods and units"
)

SEAL_INTERVAL = Duration("writer.seal_interval", 15 * MINUTE, 1 * S, 1 * DAY, "a spool older than this becomes Parquet")
SEAL_BYTES = Size("writer.seal_bytes", 16 * MIB, 64 * KIB, 512 * MIB, "a spool larger than this becomes Parquet")
SYNC_INTERVAL = Duration(
    "writer.sync_interval",
    5 * S,
    10 * MS,
    10 * MINUTE,
    "how often the spool is forced to the disk: the most that a power failure can take",
)
# Without a limit it would fill a disk within weeks: 45 rows a second are some 230 MB of Parquet a day.
STORAGE_QUOTA = AutoSize(
    "writer.storage_quota",
    AUTO_BYTES,
    0,
    65536 * KIB * MIB,
    "sealed data, spool and set-aside files together take no more: the oldest goes; auto: 10 GiB or a tenth of the state "
    "folder's file system, whichever is less; 0: no limit",
)
QUOTA_BYTES_MAX = 10 * KIB * MIB
# Ten minutes of one sampler's batches; below 1 MiB for the process sampler at its default.
BUFFER_BYTES = Size(
    "outbox.buffer_bytes", 4 * MIB, 16 * KIB, 256 * MIB, "what a worker keeps of batches that the writer has not acknowledged"
)

GATEWAY_ADDRESS = Address("gateway.address", "127.0.0.1", "where /live, /ready and /metrics are served; empty: nowhere")
GATEWAY_PORT = Whole("gateway.port", 9464, 0, 65535, "its TCP port; 0: the system chooses, `agentctl status` tells")
# Any name would let a web page read what is measured here: it can have the name of its own server lead to this address.
GATEWAY_ALLOWED_HOSTS = Hosts(
    "gateway.allowed_hosts",
    "",
    "host names under which it may be asked, beside localhost and, beyond the loopback address, IP addresses; *: every name",
)

SETTINGS: tuple[AnySetting, ...] = (
    STATE_DIR, RUNTIME_DIR, CONTROL_SOCKET, BUS_SOCKET, DATA_SOCKET, READER_GROUP, HOST_NAME, PROC_ROOT, CGROUP_ROOT, NRI_SOCKET,
    RESCTRL_MOUNT,
    RESCTRL_AUTO_MOUNT, RESCTRL_RETRY_INTERVAL, RESCTRL_CHECK_INTERVAL, RESCTRL_HEALTH_INTERVAL, LOG_LEVEL, LOG_FORMAT,
    HEARTBEAT_INTERVAL, HANG_TIMEOUT, START_TIMEOUT, STOP_TIMEOUT, BACKOFF_BASE, BACKOFF_FACTOR, BACKOFF_CEILING,
    BACKOFF_JITTER, STABLE_PERIOD, ORPHAN_GRACE, SPARE_WORKERS, CONTROL_PLANE_INTERVAL, SEAL_INTERVAL, SEAL_BYTES, SYNC_INTERVAL,
    STORAGE_QUOTA, BUFFER_BYTES,
    GATEWAY_ADDRESS, GATEWAY_PORT, GATEWAY_ALLOWED_HOSTS,
)  # fmt: skip

# Where on this host the agent looks.
PLACES: tuple[Setting[str], ...] = (PROC_ROOT, CGROUP_ROOT, NRI_SOCKET, RESCTRL_MOUNT)

# What the file may say for one worker alone: `[worker."sampler/process"]` with the keys of `[supervisor]`.
POLICY_SETTINGS: tuple[Setting[int], ...] = (
    HANG_TIMEOUT, START_TIMEOUT, STOP_TIMEOUT, BACKOFF_BASE, BACKOFF_FACTOR, BACKOFF_CEILING, BACKOFF_JITTER, STABLE_PERIOD,
)  # fmt: skip


def policy_key(setting: AnySetting, worker: str) -> str:
    """`supervisor.hang_timeout` of one worker is `worker.NAME.hang_timeout`."""
    return f"worker.{worker}.{setting.key.removeprefix('supervisor.')}"


def default_quota_bytes(file_system_bytes: int) -> int:
    """`auto` as `writer.storage_quota`, in whole MiB; of a file system that does not tell its size (0) the larger one."""
    tenth = file_system_bytes // 10 if file_system_bytes > 0 else QUOTA_BYTES_MAX
    return max(MIB, min(QUOTA_BYTES_MAX, tenth) // MIB * MIB)


class Config(Struct, frozen=True):
    """Every setting's value by its key; `of` gives it with its type. Plain data, so that it can be handed to a worker."""

    values: dict[str, int | str | bool]

    def of_worker(self, setting: Setting[int], worker: str) -> int:
        """A policy setting's value for one worker: its own, or the one for all."""
        value = self.values.get(policy_key(setting, worker))
        return self.of(setting) if value is None else int(value)

    def show(self, setting: AnySetting) -> str:
        """A setting's value as it would be written."""
        value = self.values.get(setting.key, setting.default)
        # The union of setting types cannot be told apart here; each value came from its own setting's `parse`.
        return setting.show(value) or "(empty)"  # type: ignore[arg-type]

    def of(self, setting: Setting[T]) -> T:
        """The value of a setting, its default where nothing else was said."""
        value = self.values.get(setting.key, setting.default)
        assert isinstance(value, type(setting.default)), setting.key
        return value


def reader_gid(config: Config) -> int | None:
    """The number of the reader group in a configuration whose names the start has looked up; None: there is none."""
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
) -> Config:
    """The configuration that file (`document`, read from `origin`), environment and flags give, in this order.

    `workers` are those for which the file may have a policy of their own; `flags` maps a setting's key to its text.
    *Raises:* ConfigError naming the origin, the key, the value and what is accepted.
    """
    by_key = {setting.key: setting for setting in settings}
    in_file: dict[str, AnySetting] = {policy_key(setting, worker): setting for worker in workers for setting in POLICY_SETTINGS}
    in_file |= by_key
    values: dict[str, int | str | bool] = {}
    for key, value in _flatten(parse_toml(document, origin=origin)):
        if key not in in_file:
            raise ConfigError(f"{origin}: {key}", "there is no such setting", _suggestion(key, in_file))
        values[key] = _parse_value(in_file[key], value, origin=f"{origin}: {key}")
    values |= _from_environment(by_key.values(), environment or {})
    for key, text in (flags or {}).items():
        values[key] = _parse_value(by_key[key], text, origin=by_key[key].flag)
    return Config(values)


def service_variables(environment: Mapping[str, str]) -> list[str]:
    """The names that look like settings and that Kubernetes or Docker made of a service's name: `parse_config` ignores them."""
    return sorted(readable(name) for name, text in environment.items() if is_service_variable(name, text))


def _from_environment(settings: Iterable[AnySetting], environment: Mapping[str, str]) -> dict[str, int | str | bool]:
    values: dict[str, int | str | bool] = {}
    known = {setting.environment_alias: setting for setting in settings if setting.environment_alias}
    known |= {setting.environment_name: setting for setting in settings}
    # A second name before the first: what comes later wins.
    for name, text in sorted(environment.items(), key=lambda item: (item[0].startswith(PREFIX), item[0])):
        if is_service_variable(name, text):
            continue
        if name in known:
            values[known[name].key] = _parse_value(known[name], text, origin=f"environment variable {name}")
        elif name.startswith(PREFIX) and name != _FAILPOINTS:
            raise ConfigError(f"environment variable {readable(name)}", "there is no such setting", _suggestion(name, known))
    return values


def _flatten(table: dict[str, Any]) -> list[tuple[str, object]]:
    # A list of work instead of recursion: the nesting of a foreign document has no bound of ours.
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
    # Imported here: a configuration that is right never needs it.
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else "`agentd --help` lists them all"
