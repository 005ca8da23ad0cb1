"""Takes over the workers of the agent before this one, or ends and removes what it left."""

import fcntl
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

import msgspec

import agent
from agent.clock import SystemClock
from agent.config import BUS_SOCKET, CONTROL_SOCKET, DATA_SOCKET, ORPHAN_GRACE, RUNTIME_DIR, SPARE_WORKERS, STATE_DIR, Config
from agent.model.checksum import blake2b
from agent.model.errors import BusyError
from agent.paths import fork_server_dir
from agent.paths import takeover_record as takeover_record_path
from agent.worker_set import WorkerSet
from supervisor.shell.fork_server_start import ForkServerSettings
from supervisor.shell.launcher import Launcher
from supervisor.shell.living_lock import LIVING_NAME, wait_all_gone
from supervisor.shell.stray import OnKilled
from supervisor.shell.takeover import TakenOverServer, TakeoverTerms, take_over
from supervisor.shell.takeover_record import TakeoverRecordFile, boot_id, read_takeover_record

# In the fork server's folder: its socket and the takeover record.
OUR_NAMES = ("listener-", "takeover-record")
RUNTIME_LOCK_NAME = "runtime.lock"


def take_over_previous(config: Config, worker_set: WorkerSet, previous_record: str, on_killed: OnKilled) -> TakenOverServer | None:
    """The fork server and workers of an agent that was killed, taken over.

    `previous_record` is the path of the takeover record of the last agent of this state folder, which may have had its sockets
    elsewhere; empty: not known. *Absent:* none fits; then all are gone, and `on_killed` was called with them.
    *Raises:* BusyError when workers that cannot be ended still write into the state folder; OSError.
    """
    own = takeover_record_path(config.of(RUNTIME_DIR))
    if previous_record not in ("", own):
        _end_elsewhere(previous_record, on_killed)
    record = read_takeover_record(own)
    taken_over = None
    if record is not None:
        terms = TakeoverTerms(boot_id(), takeover_fingerprint(config, worker_set), frozenset(worker_set.kinds))
        taken_over = take_over(record, terms, on_killed=on_killed)
    if taken_over is None and not wait_all_gone(living := _living_path(config), config.of(ORPHAN_GRACE)):
        raise BusyError(living, "workers of a former agent still write into this state folder", "wait for supervisor.orphan_grace")
    return taken_over


def _end_elsewhere(record_path: str, on_killed: OnKilled) -> None:
    """End what an agent with another runtime folder left: its sockets are not ours, so nothing of it fits."""
    runtime_dir = os.path.dirname(os.path.dirname(record_path))
    with _held_if_free(os.path.join(runtime_dir, RUNTIME_LOCK_NAME)) as is_free:
        # Another agent may use that folder by now: then the takeover record there is its own.
        if is_free and (record := read_takeover_record(record_path)) is not None:
            take_over(record, TakeoverTerms(boot_id(), b"", frozenset()), on_killed=on_killed)


@contextmanager
def _held_if_free(lock_path: str) -> Iterator[bool]:
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def make_launcher(
    config: Config, worker_set: WorkerSet, taken_over: TakenOverServer | None, *, run: str, on_killed: OnKilled
) -> Launcher:
    """The launcher with its takeover record, going on where `taken_over` stopped. *Raises:* StorageError, OSError."""
    runtime_dir = config.of(RUNTIME_DIR)
    folder = fork_server_dir(runtime_dir)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    record = TakeoverRecordFile(
        takeover_record_path(runtime_dir),
        boot_id=boot_id(),
        run=run,
        fingerprint=takeover_fingerprint(config, worker_set),
        epochs=dict.fromkeys(worker_set.kinds, 0) if taken_over is None else taken_over.epochs,
        server=None if taken_over is None else taken_over.server,
    )
    sockets = [config.of(each) for each in (CONTROL_SOCKET, BUS_SOCKET, DATA_SOCKET)]
    settings = ForkServerSettings(
        run=run,
        entry=worker_set.entry,
        preload=worker_set.preload,
        socket_dir=folder,
        orphan_grace_ns=config.of(ORPHAN_GRACE),
        living_path=_living_path(config),
        spares=config.of(SPARE_WORKERS),
        lock_path=os.path.join(runtime_dir, RUNTIME_LOCK_NAME),
        is_forked=True,
        # Those that stand elsewhere may be another agent's by then, and this lock does not tell.
        sockets=[path for path in sockets if os.path.dirname(path) == runtime_dir],
    )
    return Launcher(settings, record, SystemClock(), taken_over=taken_over, is_alone=True, on_killed=on_killed)


def remove_remains(config: Config, taken_over: TakenOverServer | None = None) -> None:
    """Remove what sockets leave in the file system: our own at the end, those of an agent that was killed at the start.

    The runtime folder is locked, so none of them is a living agent's. What the workers of `taken_over` go on using stays, and
    so does the takeover record that names them: until ours replaces it, it is all that the next agent would find.
    *Raises:* OSError.
    """
    folder = fork_server_dir(config.of(RUNTIME_DIR))
    record_path = takeover_record_path(config.of(RUNTIME_DIR))
    kept: Collection[str] = ()
    if taken_over is not None:
        kept = (taken_over.server.address, config.of(DATA_SOCKET), record_path)
    is_ours = os.path.isdir(folder) and not os.path.islink(folder)
    names = [name for name in os.listdir(folder) if name.startswith(OUR_NAMES)] if is_ours else []
    for path in [*(os.path.join(folder, name) for name in names), config.of(BUS_SOCKET), config.of(DATA_SOCKET)]:
        if path not in kept and os.path.lexists(path):
            os.unlink(path)
    if taken_over is None and is_ours:
        with suppress(OSError):
            # Files of others there stay, and the folder with them.
            os.rmdir(folder)


def _living_path(config: Config) -> str:
    return os.path.join(config.of(STATE_DIR), LIVING_NAME)


def takeover_fingerprint(config: Config, worker_set: WorkerSet) -> bytes:
    """What must be the same for workers to be taken over: the version, where the code is, the workers, every setting."""
    what = [
        agent.__version__,
        agent.__file__,
        sys.version,
        worker_set.entry,
        [(name, kind.name) for name, kind in worker_set.kinds.items()],
        sorted(config.values.items()),
    ]
    return blake2b(msgspec.json.encode(what), digest_size=32).digest()
