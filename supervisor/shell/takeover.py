"""Takes over what a dead supervisor left: its fork server and its workers, where they fit; ends them where they do not.

Nothing is believed that the kernel does not confirm: the fork server is the process with this pid *and* start time, its
children are those that the kernel lists, and each of them shows by its own heartbeat page which worker it is.
"""

import mmap
import os
from contextlib import suppress

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.heartbeat_page import PAGE_BYTES
from agent.model.self_ending import is_self_ending
from supervisor.shell.descendants import own_children_of
from supervisor.shell.process import descriptors_of, kill, name_of, open_process, reopen_pipe, wait_ended
from supervisor.shell.started_worker import PAGE_NAME, StartedWorker, read_certificate
from supervisor.shell.stray import OLD_GENERATION, OTHER_AGENT, UNKNOWN_WORKER, OnKilled, Stray, stray
from supervisor.shell.takeover_record import ServerRecord, TakeoverRecord

# What is killed is gone in microseconds, unless it waits inside the kernel; that is not waited for.
END_MS_MAX = 1000


class TakeoverTerms(Struct, frozen=True):
    """What a fork server and its workers must match to be taken over: this boot, these settings, these workers."""

    boot_id: bytes
    fingerprint: bytes
    names: frozenset[str]


class TakenOverServer(Struct, frozen=True):
    """A fork server that was taken over. `alive` is the write end of the pipe whose end it waits for.

    *Shape:* `workers` has at most one worker of a name; `epochs` says how often each was started.
    """

    run: str
    server: ServerRecord
    server_pidfd: int
    alive: int
    workers: tuple[StartedWorker, ...]
    epochs: dict[str, int]


def take_over(record: TakeoverRecord, terms: TakeoverTerms, *, on_killed: OnKilled) -> TakenOverServer | None:
    """Take over the fork server of this record and its workers. What does not fit is ended, and `on_killed` called with it.

    *Absent:* no fork server of this record lives, or it does not fit. Processes may end at any step: they count as gone.
    """
    if record.boot_id != terms.boot_id or record.server is None:
        return None
    server = record.server
    server_pidfd = open_process(server.pid, lambda stat: stat.start_ticks == server.start_ticks)
    if server_pidfd is None:
        return None
    failpoint("takeover.found")
    alive = reopen_pipe(server.pid, server.alive_inode, os.O_WRONLY)
    if alive is None:
        # Without the pipe it is no fork server of ours, whatever the record says.
        os.close(server_pidfd)
        return None
    if not _fits(record, server, terms):
        os.close(alive)
        on_killed(_end_all(server_pidfd, server.pid))
        return None
    failpoint("takeover.held")
    workers = _sort_out(server.pid, record.run, terms.names, on_killed)
    assert len({worker.child for worker in workers}) == len(workers)
    return TakenOverServer(record.run, server, server_pidfd, alive, workers, record.epochs)


def _fits(record: TakeoverRecord, server: ServerRecord, terms: TakeoverTerms) -> bool:
    is_alike = record.fingerprint == terms.fingerprint and set(record.epochs) == terms.names
    # Without the second file (CONFIG_PROC_CHILDREN) nothing could say which workers live.
    return is_alike and os.path.exists(server.address) and os.path.exists(f"/proc/{server.pid}/task/{server.pid}/children")


def _sort_out(server: int, run: str, names: frozenset[str], on_killed: OnKilled) -> tuple[StartedWorker, ...]:
    """The living workers, the latest of each name; every other child of the fork server is ended before this returns."""
    found: dict[str, StartedWorker] = {}
    ending: list[int] = []
    killed: list[Stray] = []
    for pid in own_children_of(server):
        pidfd = open_process(pid, lambda stat: stat.ppid == server and not stat.is_ended)
        if pidfd is None:
            continue
        if is_self_ending(name_of(pid)):
            os.close(pidfd)
            continue
        worker = _recognise(pid, pidfd, server, run)
        if worker is None or worker.child not in names:
            killed.append(stray(pid, UNKNOWN_WORKER))
            ending.append(pidfd if worker is None else _let_go(worker))
            continue
        other = found.get(worker.child)
        is_newer = other is None or other.epoch < worker.epoch
        if is_newer:
            found[worker.child] = worker
        older = other if is_newer else worker
        if older is not None:
            killed.append(stray(older.pid, OLD_GENERATION))
            ending.append(_let_go(older))
    on_killed(killed)
    _end(ending)
    return tuple(found.values())


def _recognise(pid: int, pidfd: int, server: int, run: str) -> StartedWorker | None:
    """A worker by its own page, with new ends of its pipes. *Absent:* any of them is missing."""
    page = _page_of(pid)
    if page is None:
        return None
    certificate = read_certificate(page)
    stderr = status = None
    if certificate is not None and certificate.run == run:
        stderr = reopen_pipe(pid, certificate.stderr_inode, os.O_RDONLY)
        status = reopen_pipe(server, certificate.status_inode, os.O_RDONLY)
    if certificate is None or stderr is None or status is None:
        page.close()
        for descriptor in (stderr, status):
            if descriptor is not None:
                os.close(descriptor)
        return None
    return StartedWorker(certificate.child, certificate.epoch, pid, pidfd, status, stderr, page, certificate.started_at_ns)


def _page_of(pid: int) -> mmap.mmap | None:
    """The heartbeat page of a process, mapped for reading. *Source:* memfd_create(2), proc_pid_fd(5)."""
    for descriptor, target in descriptors_of(pid):
        if target.startswith(f"/memfd:{PAGE_NAME}"):
            with suppress(OSError, ValueError):
                page = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    return mmap.mmap(page, PAGE_BYTES, prot=mmap.PROT_READ)
                finally:
                    os.close(page)
    return None


def _let_go(worker: StartedWorker) -> int:
    """Close everything of a worker but its pidfd, which is returned."""
    worker.page.close()
    os.close(worker.stderr)
    os.close(worker.status)
    return worker.pidfd


def _end_all(server_pidfd: int, server: int) -> list[Stray]:
    """End a fork server that does not fit, with its children, and wait for that. Returns the ended processes."""
    children = [pid for pid in own_children_of(server) if not is_self_ending(name_of(pid))]
    opened = [(pid, open_process(pid, lambda stat: stat.ppid == server)) for pid in children]
    ending = [(server, server_pidfd), *((pid, pidfd) for pid, pidfd in opened if pidfd is not None)]
    killed = [stray(pid, OTHER_AGENT) for pid, _pidfd in ending]
    _end([pidfd for _pid, pidfd in ending])
    return killed


def _end(pidfds: list[int]) -> None:
    for pidfd in pidfds:
        kill(pidfd)
    for pidfd in pidfds:
        wait_ended(pidfd, END_MS_MAX)
        os.close(pidfd)
