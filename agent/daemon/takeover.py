"""What an agent finds of the one before it: workers to take over, or remains to end and to remove."""

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
from supervisor.shell.fork_server import ForkServerSettings
from supervisor.shell.launcher import Launcher
from supervisor.shell.takeover import LIVING_NAME, OnKilled, TakenOverServer, take_over, wait_all_gone
from supervisor.shell.takeover_record import TakeoverRecordFile, boot_id, read_takeover_record

# In the fork server's folder: its socket and the takeover record.
OUR_NAMES = ("listener-", "takeover-record")


def find_previous_agent(config: Config, worker_set: WorkerSet, previous_record: str, on_killed: OnKilled) -> TakenOverServer | None:
    """The workers of a supervisor that was killed, taken over; None when there are none that fit, and then all are gone:
    `on_killed` hears of them.

    `previous_record` is that of the last agent of this state folder, which may have had its sockets elsewhere.
    """
    own = takeover_record_path(config.of(RUNTIME_DIR))
    if previous_record not in ("", own):
        with _held_if_free(os.path.join(os.path.dirname(os.path.dirname(previous_record)), "runtime.lock")) as is_free:
            # Another agent may have made that folder its own since: then the takeover record there is its.
            if is_free and (elsewhere := read_takeover_record(previous_record)) is not None:
                # Its sockets are not ours: nothing of it can fit.
                take_over(elsewhere, boot_id=boot_id(), fingerprint=b"", names=frozenset(), on_killed=on_killed)
    record = read_takeover_record(own)
    former = None
    if record is not None:
        names = frozenset(worker_set.kinds)
        fingerprint = _fingerprint(config, worker_set)
        former = take_over(record, boot_id=boot_id(), fingerprint=fingerprint, names=names, on_killed=on_killed)
    if former is None and not wait_all_gone(living := _living_path(config)):
        raise BusyError(living, "workers of a former agent still write into this state folder", "wait for supervisor.orphan_grace")
    return former


def _living_path(config: Config) -> str:
    return os.path.join(config.of(STATE_DIR), LIVING_NAME)


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
    config: Config, worker_set: WorkerSet, clock: SystemClock, former: TakenOverServer | None, *, run: str, on_killed: OnKilled
) -> Launcher:
    """The launcher with its takeover record, going on where `former` stopped. *Raises:* StorageError."""
    folder = fork_server_dir(config.of(RUNTIME_DIR))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    record_file = TakeoverRecordFile(
        takeover_record_path(config.of(RUNTIME_DIR)),
        boot_id=boot_id(),
        run=run,
        fingerprint=_fingerprint(config, worker_set),
        epochs=dict.fromkeys(worker_set.kinds, 0) if former is None else former.epochs,
        server=None if former is None else former.server,
    )
    place = ForkServerSettings(
        run,
        worker_set.entry,
        worker_set.preload,
        folder,
        config.of(ORPHAN_GRACE),
        _living_path(config),
        config.of(SPARE_WORKERS),
        lock_path=os.path.join(config.of(RUNTIME_DIR), "runtime.lock"),
        # Those that stand elsewhere may be another agent's by then, and this lock does not tell.
        sockets=[
            path
            for each in (CONTROL_SOCKET, BUS_SOCKET, DATA_SOCKET)
            if os.path.dirname(path := config.of(each)) == config.of(RUNTIME_DIR)
        ],
    )
    return Launcher(place, record_file, clock, former=former, is_alone=True, on_killed=on_killed)


def remove_remains(config: Config, former: TakenOverServer | None = None) -> None:
    """Remove what sockets leave in the file system: our own at the end, those of an agent that was killed at the start.

    The runtime folder is locked, so no living agent's can be among them. What `former` workers go on using stays, and so
    does the takeover record that names them: until ours takes its place it is all that a successor of ours would find.
    """
    folder = fork_server_dir(config.of(RUNTIME_DIR))
    record_path = takeover_record_path(config.of(RUNTIME_DIR))
    kept: Collection[str] = ()
    if former is not None:
        kept = (former.server.address, config.of(DATA_SOCKET), record_path)
    is_ours = os.path.isdir(folder) and not os.path.islink(folder)
    names = [name for name in os.listdir(folder) if name.startswith(OUR_NAMES)] if is_ours else []
    for path in [*(os.path.join(folder, name) for name in names), config.of(BUS_SOCKET), config.of(DATA_SOCKET)]:
        if path not in kept and os.path.lexists(path):
            os.unlink(path)
    if former is None and is_ours:
        with suppress(OSError):
            # What somebody else keeps there stays, and the folder with it.
            os.rmdir(folder)


def _fingerprint(config: Config, worker_set: WorkerSet) -> bytes:
    """What must be the same for workers to be taken over: the version, where the code is, the workers, every setting."""
    what = [
        agent.__version__,
        agent.__file__,
        sys.version,
        worker_set.entry,
        list(worker_set.kinds.items()),
        sorted(config.values.items()),
    ]
    return blake2b(msgspec.json.encode(what), digest_size=32).digest()
