"""The configuration as a program of this agent uses it: settings file, environment and flags read, checked and made absolute."""

import os
from collections.abc import Mapping
from typing import Any

from agent import paths, reader_group
from agent.command import Invocation
from agent.config import (
    BUS_SOCKET,
    CONTROL_SOCKET,
    DATA_SOCKET,
    HOST_NAME,
    READER_GROUP,
    RUNTIME_DIR,
    STATE_DIR,
    Config,
    parse_config,
)
from agent.fleet.joined import FOLDER, SUFFIX
from agent.model.errors import ConfigError
from agent.model.foreign import readable
from agent.model.toml import decode_document
from agent.sink_section import HUB_KIND, KEY_FILE, SINKS_MAX, is_sink_name

DEFAULT_CONFIG_FILE = "/etc/evergauge/agentd.toml"
CONFIG_BYTES_MAX = 1 << 20


def load_config(invocation: Invocation, environment: Mapping[str, str]) -> Config:
    """The configuration with its folders and sockets as absolute paths. *Raises:* ConfigError, StorageError."""
    from workers import registry

    path = invocation.config_path or environment.get("EVERGAUGE_CONFIG") or ""
    if not path and os.path.exists(DEFAULT_CONFIG_FILE):
        path = DEFAULT_CONFIG_FILE
    known = {name: value for name, value in environment.items() if name != "EVERGAUGE_CONFIG"}
    config = parse_config(
        registry.settings(),
        document=_read_document(path),
        origin=path,
        environment=known,
        flags=invocation.flags,
        workers=registry.worker_names(),
        sink_kinds=registry.sink_options,
    )
    state_dir = os.path.abspath(config.of(STATE_DIR) or paths.default_state_dir(dict(known)))
    runtime_dir = os.path.abspath(config.of(RUNTIME_DIR) or paths.default_runtime_dir(dict(known)))
    sockets = {
        setting.key: os.path.abspath(config.of(setting) or os.path.join(runtime_dir, name))
        for setting, name in ((CONTROL_SOCKET, "control.sock"), (BUS_SOCKET, "bus.sock"), (DATA_SOCKET, "data.sock"))
    }
    # Longer names that exist for a moment: control socket and bus before they answer, the fork server's socket.
    temporary = [
        f"{sockets[CONTROL_SOCKET.key]}.new",
        f"{sockets[BUS_SOCKET.key]}.a",
        os.path.join(paths.fork_server_dir(runtime_dir), "listener-12345678"),
    ]
    for socket_path in [*sockets.values(), *temporary]:
        _check_socket_path(socket_path)
    host = config.of(HOST_NAME) or os.uname().nodename
    _check_host_name(host)
    reader_group.group_number(READER_GROUP.key, config.of(READER_GROUP))
    folders = {STATE_DIR.key: state_dir, RUNTIME_DIR.key: runtime_dir, HOST_NAME.key: host}
    config = with_key_files(with_joined_hubs(config.with_values({**folders, **sockets})))
    for worker in registry.workers_of(config):
        worker.check(config, path)
    return config


def with_joined_hubs(config: Config) -> Config:
    """The configuration with a sink for each hub that `agentctl join` has joined and no section of the file names."""
    try:
        names = sorted(os.listdir(os.path.join(config.of(STATE_DIR), FOLDER)))
    except OSError:
        # There is none, or this user may not look: who needs a hub's file says what is wrong with it.
        return config
    joined = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
    added = {name: {"kind": HUB_KIND} for name in joined if is_sink_name(name) and name not in config.sinks}
    kept = dict(list(added.items())[: max(0, SINKS_MAX - len(config.sinks))])
    return Config(config.values, config.workloads, {**config.sinks, **kept})


def with_key_files(config: Config) -> Config:
    """The configuration in which each hub names the file with its keys."""

    def named(name: str, section: dict[str, Any]) -> dict[str, Any]:
        if section["kind"] != HUB_KIND or section.get(KEY_FILE):
            return section
        return {**section, KEY_FILE: os.path.join(config.of(STATE_DIR), FOLDER, name + SUFFIX)}

    return Config(config.values, config.workloads, {name: named(name, each) for name, each in config.sinks.items()})


def _read_document(path: str) -> str:
    """The settings file's text; empty without a file. *Raises:* ConfigError."""
    if not path:
        return ""
    try:
        with open(path, "rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
        if len(data) > CONFIG_BYTES_MAX:
            raise ConfigError(path, f"larger than {CONFIG_BYTES_MAX} bytes", "this is hardly a configuration")
        return decode_document(data, origin=path)
    except OSError as cause:
        raise ConfigError(path, f"cannot be read: {cause.strerror}", "name a file with --config") from cause


def _check_host_name(host: str) -> None:
    """Refuse what could not be part of the name of every sealed file. *Raises:* ConfigError."""
    from agent.store.layout import host_bytes_max
    from workers import registry

    shown, remedy = repr(readable(host, 80)), "choose another with --host-name"
    try:
        size = len(host.encode())
    except UnicodeEncodeError as cause:
        raise ConfigError(HOST_NAME.key, f"{shown} is not UTF-8 text", remedy) from cause
    if "/" in host:
        raise ConfigError(HOST_NAME.key, f"{shown} holds a slash and could not be part of a file name", remedy)
    if not host.isprintable() or host.startswith("."):
        problem = "begins with a dot" if host.startswith(".") else "holds a control character"
        raise ConfigError(HOST_NAME.key, f"{shown} {problem} and could not be part of a file name", remedy)
    if size > (most := host_bytes_max(registry.tables())):
        raise ConfigError(HOST_NAME.key, f"{shown} has {size} bytes; the names of data files take {most} at most", remedy)


def _check_socket_path(path: str) -> None:
    """*Raises:* ConfigError when the system could not bind it. *Source:* unix(7)."""
    size = len(os.fsencode(path))
    if size > paths.SOCKET_PATH_BYTES_MAX:
        problem = f"too long for a socket's path: below it one has {size} bytes, the system takes {paths.SOCKET_PATH_BYTES_MAX}"
        raise ConfigError(os.path.dirname(path), problem, "choose a shorter --runtime-dir, such as /run/evergauge")
