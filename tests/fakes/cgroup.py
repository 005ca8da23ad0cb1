"""A control group of a test's own: in one of the version 1 hierarchies (how many processes, how much memory), or on version 2."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EBUSY
from pathlib import Path

import pytest
from harness.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")


@contextmanager
def group(controller: str, name: str) -> Iterator[Path]:
    """The folder of a new group below `controller` (`pids`, `memory`); processes that are still in it at the end are put back.

    On a host with version 2 alone it is in the only hierarchy, and limits nothing. Only root can; .ci/run is root on a host with
    version 1 hierarchies, and there no test may skip.
    """
    hierarchy = ROOT / controller if (ROOT / controller / "cgroup.procs").exists() else ROOT
    if os.geteuid() != 0 or not (hierarchy / "cgroup.procs").exists():
        pytest.skip(f"needs root and the hierarchy {ROOT / controller}")
    folder = hierarchy / f"evergauge-test-{os.getpid()}-{name}"
    folder.mkdir()
    try:
        yield folder
    finally:
        home = hierarchy / _own_group(controller if hierarchy != ROOT else "").lstrip("/")
        wait_until(lambda: not _move_all(folder, home), "the group is empty")
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a group that nobody is in."""
    wait_until(lambda: is_removed(folder), f"{folder} is removed")


def is_removed(folder: Path) -> bool:
    """Whether a group could be removed: one whose processes are ending is busy, though it lists none of them any more."""
    try:
        folder.rmdir()
    except OSError as busy:
        if busy.errno != EBUSY:
            raise
        return False
    return True


def members(folder: Path) -> list[int]:
    """The processes in a group."""
    return [int(line) for line in (folder / "cgroup.procs").read_text().split()]


def enter(folder: Path, pid: int) -> None:
    """Move a process into a group; its later children are in it too."""
    (folder / "cgroup.procs").write_text(str(pid))


def _move_all(folder: Path, to: Path) -> list[int]:
    """Move everybody; gives who was there, and may have had children meanwhile."""
    found = members(folder)
    for pid in found:
        with suppress(ProcessLookupError):
            enter(to, pid)
    return found


def _own_group(controller: str) -> str:
    """The group of this process, from which everything that a test starts begins; version 2 has no name of a controller."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    raise AssertionError(f"this process is in no group of {controller}")
