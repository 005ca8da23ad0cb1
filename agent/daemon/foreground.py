"""What agentd does for a command line: help, checking the configuration, being the agent. No decisions live here."""

import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from errno import EACCES, EPERM, EROFS
from typing import TYPE_CHECKING, NoReturn

from msgspec.structs import replace

import agent
from agent import paths, reader_group
from agent.command import parse_invocation, settings_document, usage
from agent.config import (
    BUS_SOCKET,
    CGROUP_ROOT,
    CONTROL_SOCKET,
    DATA_SOCKET,
    READER_GROUP,
    RUNTIME_DIR,
    STATE_DIR,
    Config,
)
from agent.config_file import load_config
from agent.forked import Forked
from agent.model.errors import ConfigError, ExitCode, StorageError

if TYPE_CHECKING:
    from agent.worker_set import WorkerSet


def run(
    arguments: Sequence[str], environment: Mapping[str, str], *, worker_set: "Callable[[Config], WorkerSet] | None" = None
) -> ExitCode:
    """Do what the command line asks for; `worker_set` replaces the agent's own workers. *Raises:* EvergaugeError."""
    from workers import registry

    # Sockets, rules and data are the agent's own, whatever umask it was started with.
    os.umask(0o077)
    settings = registry.settings()
    invocation = parse_invocation(arguments, settings)
    if invocation.help:
        _show(usage(settings))
        return ExitCode.DONE
    if invocation.version:
        _show(f"agentd {agent.__version__}")
        return ExitCode.DONE
    config = load_config(invocation, environment)
    if invocation.check_config:
        # A comment at the end: what is printed is a settings file as a whole.
        names = [each.name for each in registry.workers_of(config)]
        options = registry.sink_options() if config.sinks else {}
        _show(f"{settings_document(config, settings, names, options)}\n# the configuration is good")
        return _connect(config) if invocation.connect else ExitCode.DONE
    if invocation.keep_workloads:
        _become_keeper(config)
    # Found again although the agent works in the root folder.
    again = replace(invocation, config_path=os.path.abspath(invocation.config_path) if invocation.config_path else "")
    known = {
        **environment,
        **({} if not (named := environment.get("EVERGAUGE_CONFIG")) else {"EVERGAUGE_CONFIG": os.path.abspath(named)}),
    }
    return supervise(config, for_ns=invocation.for_ns, worker_set=worker_set, load=lambda: load_config(again, known))


def _connect(config: Config) -> ExitCode:
    """Try each sink, and say what came of it; the exit code says whether all can be reached."""
    from workers import registry
    from workers.export.connecting import probe_sink

    code = ExitCode.DONE
    for name, kind, values in registry.sinks_of(config):
        is_reached, sentence = probe_sink(kind, values, config)
        words = ["it can be reached"] if is_reached else []
        _show(f"# {name}: {'; '.join([*words, sentence] if sentence else words)}")
        code = code if is_reached else ExitCode.UNAVAILABLE
    if not config.sinks:
        _show('# no sinks are described; a section [sink."NAME"] describes one')
    return code


def _become_keeper(config: Config) -> NoReturn:
    """Go on as the keeper: the same process, without all that reading the configuration has taken. *Raises:* OSError."""
    from workers.keeper.program import keeper_command

    # Held back until here; the keeper hears them itself.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    command = keeper_command(config.of(STATE_DIR), config.of(CGROUP_ROOT), detached=False)
    os.execv(command[0], command)


def _show(text: str) -> None:
    """Print; a reader that has gone (`agentd --help | head`) is no failure."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is left in the buffer has no reader.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


# How long the end waits for a reader of the last lines.
FINAL_OUTPUT_SECONDS_MAX = 0.3

# The default workers on a host of a few processes come up with this many, and not with three quarters of it.
OPEN_FILES_LEAST = 64


def supervise(
    config: Config,
    *,
    for_ns: int | None,
    worker_set: "Callable[[Config], WorkerSet] | None" = None,
    load: Callable[[], Config] | None = None,
) -> ExitCode:
    """Be the agent until it is asked to end; `load` reads the settings again. *Raises:* EvergaugeError when it cannot begin."""
    from supervisor.shell.lock import FolderLock

    _check_supervisor_package()
    _raise_open_files_limit()
    state_dir, runtime_dir = config.of(STATE_DIR), config.of(RUNTIME_DIR)
    _make_folder(state_dir, "state folder", "--state-dir")
    _make_folder(runtime_dir, "runtime folder", "--runtime-dir")
    state_lock = FolderLock(
        os.path.join(state_dir, "state.lock"),
        what="state folder",
        remedy="stop it, or choose another --state-dir",
        # Workers that outlive this process write into the folder: the next agent must find them, wherever its own sockets are.
        note=paths.takeover_record(runtime_dir),
    )
    runtime_lock = FolderLock(
        os.path.join(runtime_dir, "runtime.lock"), what="runtime folder", remedy="stop it, or choose another --runtime-dir"
    )
    # Sockets that stand elsewhere have a lock each: a second bind would take them over unnoticed.
    sockets = [config.of(each) for each in (CONTROL_SOCKET, BUS_SOCKET, DATA_SOCKET)]
    outside = [path for path in sockets if os.path.dirname(path) != runtime_dir]
    socket_locks = [FolderLock(f"{path}.lock", what="socket", remedy="stop it, or choose another socket") for path in outside]
    config = _with_readers(config)
    os.chdir("/")
    # A parent that ignores SIGCHLD hands that on, and the kernel would not report the fork server's end.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Imported after the checks: a refused start costs nothing, and says why at once.
    from agent.daemon.takeover import remove_remains
    from agent.daemon.wiring import Reading, resources, wire
    from agent.worker_set import agent_worker_set
    from workers.registry import decided

    first = config
    config = decided(config)
    worker_set_of = worker_set or agent_worker_set
    chosen = worker_set_of(config)
    reading = Reading(lambda: decided(load() if load is not None else first), worker_set_of)
    held = resources([state_lock, runtime_lock, *socket_locks], previous_record=state_lock.previous_note)
    try:
        finished = wire(config, chosen, held, reading, for_ns=for_ns).run()
        if all(lock.is_there() for lock in held.locks):
            # Otherwise another agent may have the folder by now.
            remove_remains(config)
    except Forked as fork:
        # In the fork server, of which this process is the parent.
        fork.go_on()
    finally:
        for stream in {held.out, held.err}:
            stream.close(seconds=FINAL_OUTPUT_SECONDS_MAX)
    if finished.try_again:
        return ExitCode.TRY_AGAIN
    return ExitCode.FAILED if finished.left_behind else ExitCode.DONE


def _check_supervisor_package() -> None:
    """`supervisor` is also the import name of another well-known project; ours lies beside `agent`. *Raises:* ConfigError."""
    import supervisor

    ours = os.path.dirname(os.path.dirname(os.path.abspath(agent.__file__)))
    found = os.path.dirname(os.path.dirname(os.path.abspath(supervisor.__file__ or "")))
    if found != ours:
        raise ConfigError(
            found, "the package `supervisor` there is another project's", "install evergauge in an environment of its own"
        )


def _raise_open_files_limit() -> None:
    """Raise the soft limit, which is meant for shells, to the hard one: each worker and each client costs descriptors.

    *Raises:* ConfigError below the least number: a start would fail halfway, each time in another place.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES_LEAST:
        problem = f"Too many open files would be needed: {hard} are allowed, {OPEN_FILES_LEAST} are the least"
        raise ConfigError("limit of open files", problem, "ulimit -Hn 20000, or LimitNOFILE=20000 in the agent's unit")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _with_readers(config: Config) -> Config:
    """The configuration with the reader group's number, which every worker takes from there. The folders are opened to it.

    *Raises:* ConfigError when this process cannot hand files to the group.
    """
    gid = reader_group.group_number(READER_GROUP.key, config.of(READER_GROUP))
    if gid is None:
        return config
    for folder, mode in ((config.of(STATE_DIR), reader_group.FOLDER_MODE), (config.of(RUNTIME_DIR), reader_group.PASSAGE_MODE)):
        reader_group.check_may_share(folder, gid, READER_GROUP.key)
        try:
            # A link to another disk is resolved: the operator named it, no stranger.
            reader_group.share_folder(os.path.realpath(folder), gid, mode)
        except OSError as cause:
            raise reader_group.refusal(folder, gid, READER_GROUP.key, cause) from cause
    return config.with_values({READER_GROUP.key: str(gid)})


def _make_folder(path: str, what: str, flag: str) -> None:
    """Make a folder where there is none, and try to write there. *Raises:* StorageError."""
    try:
        # A folder that exists keeps its mode: it may be /tmp. What is made inside is the agent's alone (umask).
        os.makedirs(path, mode=0o700, exist_ok=True)
        probe = os.path.join(path, f".probe-{os.getpid()}")
        # One that a killed start has left is as good: in a container every start has the same pid.
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
        os.unlink(probe)
    except OSError as cause:
        text = f"this {what} cannot be used: {cause.strerror}"
        is_permission = cause.errno in (EACCES, EPERM, EROFS)
        remedy = (
            f"make it writable for user {os.geteuid()}, or choose another with {flag}"
            if is_permission
            else f"choose another with {flag}"
        )
        raise StorageError(path, text, remedy) from cause
