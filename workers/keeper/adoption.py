"""Finds again what an earlier keeper started: by its cgroup, or without one by pid, start time and boot.

Nothing is believed that the kernel does not confirm. What is not found has ended, and how is unknown.
"""

import os

from msgspec import Struct
from msgspec.structs import replace

from agent.model.errors import KernelFormatError
from agent.process_stat import read_stat
from workers.keeper.cgroup_making import find_cgroup
from workers.keeper.cgroup_place import CgroupPlace
from workers.keeper.protocol import WorkloadRecord
from workers.keeper.workload_cgroup import WorkloadCgroup

# What the keeper is called; PR_SET_NAME takes 15 bytes.
TITLE = "eg:keeper"
OTHER_BOOT = "the machine was restarted"
UNWATCHED = "it ended while no keeper ran"
NEVER_BORN = "the keeper was killed at its birth"
MEMBERS_MAX = 1000


class FoundWorkload(Struct, frozen=True):
    """What is left of a record without an ending.

    *Absent:* `pidfd`: its first process is gone, and `unknown_why` says why nobody knows how; `cgroup`: it
    had none, or that is gone.
    """

    record: WorkloadRecord
    pidfd: int | None = None
    cgroup: WorkloadCgroup | None = None
    unknown_why: str = ""


def find_again(record: WorkloadRecord, place: CgroupPlace, boot_id: str) -> FoundWorkload:
    """What is left of this record's workload."""
    if record.boot_id != boot_id:
        return FoundWorkload(record, unknown_why=OTHER_BOOT)
    cgroup = find_cgroup(place, record.cgroup, record.cgroup_id) if record.cgroup and place.root else None
    if record.pid == 0 and cgroup is not None:
        record = _with_first_process(record, cgroup)
    pidfd = open_first(record) if record.pid else None
    if pidfd is None:
        return FoundWorkload(record, None, cgroup, UNWATCHED if record.pid else NEVER_BORN)
    if is_unborn(record.pid):
        # It ends by itself: the other end of its gate is gone.
        os.close(pidfd)
        return FoundWorkload(record, None, cgroup, NEVER_BORN)
    return FoundWorkload(replace(record, adopted=True), pidfd, cgroup)


def is_unborn(pid: int) -> bool:
    """Whether it waits at its gate, or has ended there: only exec gives it another name than the keeper's. *Source:*
    proc_pid_comm(5)."""
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:
            return file.read(64).rstrip(b"\n") == TITLE.encode()
    except OSError:
        return False


def open_first(record: WorkloadRecord) -> int | None:
    """A pidfd of its first process, also where that is a zombie. *Absent:* it is gone."""
    try:
        pidfd = os.pidfd_open(record.pid)
    except OSError:
        return None
    if start_ticks(record.pid) == record.start_ticks:
        return pidfd
    os.close(pidfd)
    return None


def start_ticks(pid: int) -> int | None:
    """When it began, in clock ticks since boot. *Absent:* it is gone."""
    try:
        return read_stat(f"/proc/{pid}").start_ticks
    except (OSError, KernelFormatError):
        return None


def _with_first_process(record: WorkloadRecord, cgroup: WorkloadCgroup) -> WorkloadRecord:
    """A keeper was killed between a birth and its record: the first process is the oldest in the cgroup."""
    started = [(ticks, pid) for pid in cgroup.members()[:MEMBERS_MAX] if (ticks := start_ticks(pid)) is not None]
    if not started:
        return record
    ticks, pid = min(started)
    return replace(record, pid=pid, start_ticks=ticks)
