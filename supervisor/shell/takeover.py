"""What is left of a supervisor that died: its fork server and its workers, taken over where they fit, ended where not.

Nothing is believed that the kernel does not confirm: the fork server is the process with this pid *and* start time, its
children are those that the kernel lists, and each of them shows by its own heartbeat page which worker it is.
"""

import fcntl
import mmap
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec
from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.foreign import readable
from agent.model.heartbeat_page import CERTIFICATE_OFFSET, PAGE_BYTES, parse_certificate
from agent.model.proc_stat import STAT_BYTES_MAX, Stat, parse_stat
from supervisor.shell.descendants import has_mark
from supervisor.shell.orphan_guard import children_of
from supervisor.shell.takeover_record import ServerRecord, TakeoverRecord

# What is killed is gone in microseconds, unless it waits inside the kernel; that is not waited for.
END_MS_MAX = 1000
PAGE_NAME = "evergauge-page"
# In the state folder: locked as long as any process lives that may write there.
LIVING_NAME = "living"
_LIVING_POLL_SECONDS = 0.002
NAME_BYTES_MAX = 64
# Why a process is killed as a stray.
LEFT_BEHIND = "left behind by a worker that is gone"
LATE = "still there when the agent ends"


class Certificate(Struct, frozen=True):
    """Which worker a process is, written into its page as soon as it exists; the inodes name its two pipes."""

    run: str
    child: str
    epoch: int
    started_at_ns: int
    stderr_inode: int
    status_inode: int


class Started(Struct, frozen=True):
    """A worker process exists: its pid, a descriptor of the process itself (-1: it has already ended), where its exit
    status will be written, its stderr and its heartbeat page."""

    child: str
    epoch: int
    pid: int
    pidfd: int
    status: int
    words: int
    page: mmap.mmap
    started_at_ns: int


class Stray(Struct, frozen=True):
    """A process that was killed, and why it was."""

    pid: int
    name: str
    reason: str


# Hears of everybody who was killed.
OnKilled = Callable[[Sequence[Stray]], None]


class TakenOverServer(Struct, frozen=True):
    """A fork server that was taken over: the end of its pipe of life is `alive`; `workers` has at most one of a name."""

    run: str
    server: ServerRecord
    server_pidfd: int
    alive: int
    workers: tuple[Started, ...]
    epochs: dict[str, int]


def take_over(
    record: TakeoverRecord, *, boot_id: bytes, fingerprint: bytes, names: frozenset[str], on_killed: OnKilled
) -> TakenOverServer | None:
    """Take over the fork server of this record and the workers of these names; None: there is none that fits, and what
    did not fit is gone: `on_killed` hears of it.

    *Raises:* nothing that the state of other processes can cause: whoever goes away meanwhile is gone.
    """
    if record.boot_id != boot_id or record.server is None:
        return None
    server = record.server
    server_pidfd = _confirmed(server.pid, lambda stat: stat.start_ticks == server.start_ticks)
    if server_pidfd is None:
        return None
    failpoint("takeover.found")
    alive = _reopen(server.pid, server.alive_inode, os.O_WRONLY)
    fits = record.fingerprint == fingerprint and set(record.epochs) == names and os.path.exists(server.address)
    # Without this file (CONFIG_PROC_CHILDREN) nobody could say which workers live.
    fits = fits and os.path.exists(f"/proc/{server.pid}/task/{server.pid}/children")
    if alive is None:
        # Without the pipe it is no fork server of ours, whatever the takeover record says.
        os.close(server_pidfd)
        return None
    if not fits:
        os.close(alive)
        on_killed(_end_all(server_pidfd, server.pid))
        return None
    failpoint("takeover.held")
    workers = _sort_out(server.pid, record.run, names, on_killed)
    return TakenOverServer(record.run, server, server_pidfd, alive, workers, record.epochs)


def hold_living(path: str) -> int:
    """A descriptor of the locked file for a new fork server; the lock goes with the last process that inherits it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    # Shared: a fork server may follow another one whose last worker is still dying.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def wait_all_gone(path: str) -> bool:
    """Wait until nobody lives who inherited this locked file, at most a second; whether that came true.

    A killed process takes its time on a busy machine, and its name is only free when it is gone.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        for _ in range(int(END_MS_MAX / 1e3 / _LIVING_POLL_SECONDS)):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(_LIVING_POLL_SECONDS)
        return False
    finally:
        os.close(descriptor)


def end_strays(
    parent: int, known: frozenset[int], *, mark: int | None = None, reason: str = LEFT_BEHIND, wait_ms: int = 0
) -> list[Stray]:
    """Kill the children of `parent` that nobody knows, what dead workers left behind; gives whom.

    With a `mark` only those who bear it: for a parent that may be given the orphans of strangers. Each is waited for at most
    `wait_ms`, and after the first that is not gone by then, none; the next call meets, and gives, those again.
    """
    strays: list[Stray] = []
    for pid in children_of(parent):
        if pid in known or (pidfd := _confirmed(pid, lambda stat: stat.ppid == parent and stat.state != "Z")) is None:
            continue
        if mark is None or has_mark(pid, mark):
            stray = Stray(pid, _name(pid), reason)
            if kill(pidfd):
                strays.append(stray)
                wait_ms = wait_ms if wait_ended(pidfd, wait_ms) else 0
        os.close(pidfd)
    return strays


def wait_ended(pidfd: int, milliseconds: int) -> bool:
    """Whether the process ended within the time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def kill(pidfd: int) -> bool:
    """SIGKILL; whether it could be sent. Not to one that is gone already, nor to another user's, whom we cannot end."""
    with suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    return False


def process_start_ticks(pid: int) -> int | None:
    """When the process began, in clock ticks since boot; None when it is gone."""
    stat = _stat(pid)
    return None if stat is None else stat.start_ticks


# ---- the workers -----------------------------------------------------------------------------------


def _sort_out(server: int, run: str, names: frozenset[str], on_killed: OnKilled) -> tuple[Started, ...]:
    """The living workers, the latest of each name; every other child of the fork server is ended before this returns."""
    found: dict[str, Started] = {}
    ending = []
    killed = []
    for pid in children_of(server):
        pidfd = _confirmed(pid, lambda stat: stat.ppid == server and stat.state != "Z")
        if pidfd is None:
            continue
        worker = _recognise(pid, pidfd, server, run)
        if worker is None or worker.child not in names:
            killed.append(Stray(pid, _name(pid), "of no worker that there is now"))
            ending.append(pidfd if worker is None else _given_up(worker))
            continue
        former = found.get(worker.child)
        is_newer = former is None or former.epoch < worker.epoch
        if is_newer:
            found[worker.child] = worker
        loser = former if is_newer else worker
        if loser is not None:
            killed.append(Stray(loser.pid, _name(loser.pid), "an older generation of a worker"))
            ending.append(_given_up(loser))
    on_killed(killed)
    for pidfd in ending:
        kill(pidfd)
    for pidfd in ending:
        wait_ended(pidfd, END_MS_MAX)
        os.close(pidfd)
    return tuple(found.values())


def _recognise(pid: int, pidfd: int, server: int, run: str) -> Started | None:
    """A worker by its own page, with new ends of its pipes; None when anything of it is missing."""
    page = _page_of(pid)
    if page is None:
        return None
    certificate = _certificate(page)
    words = status = None
    if certificate is not None and certificate.run == run:
        words = _reopen(pid, certificate.stderr_inode, os.O_RDONLY)
        status = _reopen(server, certificate.status_inode, os.O_RDONLY)
    if certificate is None or words is None or status is None:
        page.close()
        for descriptor in (words, status):
            if descriptor is not None:
                os.close(descriptor)
        return None
    return Started(certificate.child, certificate.epoch, pid, pidfd, status, words, page, certificate.started_at_ns)


def _given_up(worker: Started) -> int:
    worker.page.close()
    os.close(worker.words)
    os.close(worker.status)
    return worker.pidfd


def _page_of(pid: int) -> mmap.mmap | None:
    for descriptor, target in _descriptors(pid):
        if target.startswith(f"/memfd:{PAGE_NAME}"):
            with suppress(OSError, ValueError):
                page = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    return mmap.mmap(page, PAGE_BYTES, prot=mmap.PROT_READ)
                finally:
                    os.close(page)
    return None


def _certificate(page: mmap.mmap) -> Certificate | None:
    data = parse_certificate(page[CERTIFICATE_OFFSET:PAGE_BYTES])
    with suppress(msgspec.DecodeError):
        return None if data is None else msgspec.msgpack.decode(data, type=Certificate)
    return None


# ---- the kernel's word on processes ----------------------------------------------------------------


def _confirmed(pid: int, is_it: Callable[[Stat], bool]) -> int | None:
    """A descriptor of the process with this pid, if it is the one that is meant; it cannot become another after that."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    stat = _stat(pid)
    if stat is not None and is_it(stat):
        return pidfd
    os.close(pidfd)
    return None


def _stat(pid: int) -> Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return parse_stat(stat.read(STAT_BYTES_MAX))
    except OSError:
        return None


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as comm:
            return readable(comm.read(NAME_BYTES_MAX).rstrip(b"\n"))
    except OSError:
        return "?"


def _descriptors(pid: int) -> Iterator[tuple[str, str]]:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            yield name, os.readlink(f"/proc/{pid}/fd/{name}")


def _reopen(pid: int, inode: int, flags: int) -> int | None:
    """Another end of the pipe with this inode that the process holds; None when it holds none or is gone."""
    for descriptor, target in _descriptors(pid):
        if target == f"pipe:[{inode}]":
            with suppress(OSError):
                return os.open(f"/proc/{pid}/fd/{descriptor}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
    return None


def _end_all(server_pidfd: int, server: int) -> list[Stray]:
    """End a fork server that does not fit, with everything below it, and wait for that; gives who it was."""
    found = [(pid, _confirmed(pid, lambda stat: stat.ppid == server)) for pid in children_of(server)]
    children = [(pid, pidfd) for pid, pidfd in found if pidfd is not None]
    ending = [(server, server_pidfd), *children]
    killed = [Stray(pid, _name(pid), "of a former agent that was started otherwise") for pid, _pidfd in ending]
    for _pid, pidfd in ending:
        kill(pidfd)
    for _pid, pidfd in ending:
        wait_ended(pidfd, END_MS_MAX)
        os.close(pidfd)
    return killed
