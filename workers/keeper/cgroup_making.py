"""Makes the cgroup of a workload, or finds the one of a record again."""

import os
from contextlib import suppress

from agent.model.cgroup_path import WORKLOAD_SUFFIX, WORKLOADS_SERVICE
from agent.model.foreign import readable
from workers.keeper.cgroup_place import CgroupPlace, renew
from workers.keeper.freezer_cgroup import FreezerCgroup
from workers.keeper.protocol import RefusalWord
from workers.keeper.refusal import WorkloadRefused
from workers.keeper.workload_cgroup import WorkloadCgroup


def make_cgroup(place: CgroupPlace, name: str) -> WorkloadCgroup:
    """A new cgroup for a workload. *Raises:* WorkloadRefused, with nothing left behind."""
    path = f"{place.path}/{name}{WORKLOAD_SUFFIX}"
    full = place.root + path
    with suppress(OSError):
        # One that a keeper made which was killed before its record: nobody is in it.
        os.rmdir(full)
    try:
        if problem := renew(place):
            raise WorkloadRefused(RefusalWord.SYSTEM, name, problem, f"try again, or: systemctl start {WORKLOADS_SERVICE}")
        os.mkdir(full, 0o755)
    except FileExistsError as cause:
        problem = f"cgroup {readable(full)} is there already, of another agent or of a workload whose record is lost"
        raise WorkloadRefused(RefusalWord.NAME_TAKEN, name, problem, "take another name, or end what is in it") from cause
    except OSError as cause:
        problem = f"cgroup {readable(full)} cannot be made: {cause.strerror}"
        raise WorkloadRefused(RefusalWord.SYSTEM, name, problem, "give the keeper a writable cgroup v2 hierarchy") from cause
    try:
        return _opened(place, path)
    except OSError as cause:
        os.rmdir(full)
        raise WorkloadRefused(RefusalWord.SYSTEM, name, f"cgroup {readable(full)} cannot be opened: {cause.strerror}") from cause


def find_cgroup(place: CgroupPlace, path: str, number: int) -> WorkloadCgroup | None:
    """The cgroup of a record. *Absent:* it is gone, or another one has its name."""
    try:
        found = _opened(place, path)
    except OSError:
        return None
    if found.number == number:
        return found
    found.close()
    return None


def _opened(place: CgroupPlace, path: str) -> WorkloadCgroup:
    folder = os.open(place.root + path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return (FreezerCgroup if place.is_freezer else WorkloadCgroup)(place, path, folder)
    except OSError:
        os.close(folder)
        raise
