"""Which sources of figures this kernel has: each that it should have is there, and of each other one it is known why it is not.

The table of docs/platforms.md is made of what these tests record.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.watched_host import WatchedHost

ROOT = Path("/sys/fs/cgroup")
KERNEL = tuple(int(word) for word in platform.release().split(".")[:2])
CLONE3, CLONE_INTO_CGROUP = 435, 0x2_0000_0000
PIDFD_OPEN = 434


@dataclass(frozen=True)
class Source:
    """What may be there, the first Linux that has it, and how it is looked for in a cgroup."""

    name: str
    since: tuple[int, int]
    is_there: Callable[[Path], bool]


def _of_cgroup(name: str) -> Callable[[Path], bool]:
    return lambda cgroup: (cgroup / name).exists()


def _file(path: str) -> Callable[[Path], bool]:
    return lambda _cgroup: Path(path).exists()


def _has_full(_cgroup: Path) -> bool:
    return "full " in Path("/proc/pressure/cpu").read_text()


def _has_exit_records(_cgroup: Path) -> bool:
    with WatchedHost() as host:
        return host.watcher.source == "taskstats"


def _clones_into(cgroup: Path) -> bool:
    """A child that is born in the cgroup, and says which one it is in."""
    descriptor = os.open(cgroup, os.O_PATH | os.O_DIRECTORY)
    reader, writer = os.pipe()
    libc = ctypes.CDLL(None, use_errno=True)
    # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
    arguments = (ctypes.c_uint64 * 11)(CLONE_INTO_CGROUP, 0, 0, 0, 17, 0, 0, 0, 0, 0, descriptor)
    child = libc.syscall(CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if child == 0:
        os.write(writer, Path("/proc/self/cgroup").read_bytes())
        os._exit(0)
    os.close(descriptor)
    os.close(writer)
    try:
        if child < 0:
            assert ctypes.get_errno() in (errno.ENOSYS, errno.E2BIG, errno.EINVAL)
            return False
        os.waitpid(child, 0)
        return os.read(reader, 4096).decode().strip() == f"0::/{cgroup.name}"
    finally:
        os.close(reader)


def _has_pidfd(_cgroup: Path) -> bool:
    descriptor = ctypes.CDLL(None).syscall(PIDFD_OPEN, os.getpid(), 0)
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


SOURCES = (
    Source("exit records (taskstats)", (2, 6), _has_exit_records),
    Source("pidfd", (5, 3), _has_pidfd),
    Source("CLONE_INTO_CGROUP", (5, 7), _clones_into),
    Source("cgroup.kill", (5, 14), _of_cgroup("cgroup.kill")),
    Source("cgroup.freeze", (5, 2), _of_cgroup("cgroup.freeze")),
    Source("memory.peak", (5, 19), _of_cgroup("memory.peak")),
    Source("memory.reclaim", (5, 19), _of_cgroup("memory.reclaim")),
    Source("pids.peak", (6, 1), _of_cgroup("pids.peak")),
    Source("cpu.max.burst", (5, 14), _of_cgroup("cpu.max.burst")),
    Source("pressure of the host (PSI)", (4, 20), _file("/proc/pressure/memory")),
    Source("pressure of a cgroup", (4, 20), _of_cgroup("memory.pressure")),
    Source("PSI `full` of the CPU", (5, 13), _has_full),
    Source("cgroup.pressure", (6, 1), _of_cgroup("cgroup.pressure")),
    Source("switch of delay accounting", (5, 14), _file("/proc/sys/kernel/task_delayacct")),
)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """An empty cgroup directly below the root."""
    path = ROOT / "test-sources"
    path.mkdir()
    yield path
    path.rmdir()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_source_is_there_since_its_kernel(source: Source, cgroup: Path, record_property: Callable[[str, object], None]) -> None:
    """It is found where the kernel is new enough, and nowhere else."""
    is_there = source.is_there(cgroup)
    since = ".".join(map(str, source.since))
    record_property(source.name, "yes" if is_there else f"no: Linux {since} and later")
    assert is_there == (source.since <= KERNEL)


def test_cache_and_bandwidth_have_no_source_in_a_virtual_machine(record_property: Callable[[str, object], None]) -> None:
    """The emulated processor does not measure them, so there is nothing to mount."""
    assert not Path("/sys/fs/resctrl/info").exists()
    record_property("resctrl", "no: the emulated processor has none")
