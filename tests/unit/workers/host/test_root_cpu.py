"""The CPU time of the root cgroup: which file, and that a container's own cgroup is never taken for the root."""

import errno

from fakes.kernel_tree import MemoryTree

from agent.model.absence import Absence
from agent.model.mountinfo import parse_mountinfo
from workers.host.root_cpu import SEARCH_PERIOD_TICKS, RootCpu, cpu_files

V1 = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
OF_HOST = "42 31 0:38 / /host/cgroup rw - cgroup2 cgroup2 rw\n"
BELOW = "43 31 0:30 /docker/abc /sys/fs/cgroup/other ro - cgroup cgroup rw,cpuacct\n"
OTHERS = "44 31 0:9 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n45 1 0:1 / / rw - ext4 /dev/vda rw\n"
USAGE, STAT = "sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "sys/fs/cgroup/unified/cpu.stat"


def _read(mounts: str, files: dict[str, bytes]) -> tuple[RootCpu, MemoryTree]:
    root = MemoryTree(files)
    return RootCpu(root, MemoryTree({"self/mountinfo": mounts.encode()}), "/sys/fs/cgroup"), root


def test_version_one_comes_before_version_two_and_the_configured_folder_before_others() -> None:
    """Mounts of other controllers, and those of a part of a hierarchy, are no candidates."""
    found = cpu_files(parse_mountinfo(OF_HOST + V2 + BELOW + OTHERS + V1), "/sys/fs/cgroup")
    assert [file.path for file in found] == [f"/{USAGE}", f"/{STAT}", "/host/cgroup/cpu.stat"]
    assert cpu_files(parse_mountinfo(V2 + OF_HOST), "/host/cgroup/")[0].path == "/host/cgroup/cpu.stat"


def test_the_root_of_version_one_is_read() -> None:
    """Its folder has a file that no other cgroup has."""
    cpu, root = _read(V1 + V2, {USAGE: b"17\n", "sys/fs/cgroup/cpu,cpuacct/cgroup.sane_behavior": b"0\n"})
    assert (cpu.read(), cpu.source) == ({"cpu_ns": 17}, f"/{USAGE}")
    cpu.close()
    assert root.open_descriptors == 0


def test_the_root_of_version_two_is_read() -> None:
    """Its folder lacks a file that every other cgroup has."""
    cpu, _ = _read(V2, {STAT: b"usage_usec 5\n"})
    assert cpu.read() == {"cpu_ns": 5000}


def test_a_container_does_not_see_the_root() -> None:
    """Its own cgroup stands there as the root of the mount."""
    cpu, _ = _read(V1 + V2, {USAGE: b"17\n", STAT: b"usage_usec 5\n", "sys/fs/cgroup/unified/cgroup.type": b"domain\n"})
    assert (cpu.read(), cpu.source) == (Absence.ROOT_HIDDEN, None)


def test_without_a_hierarchy_there_is_none() -> None:
    """And without a mount table nobody knows."""
    assert _read(OTHERS, {})[0].read() is Absence.NOT_IN_KERNEL
    assert RootCpu(MemoryTree(), MemoryTree(), "/sys/fs/cgroup").read() is Absence.UNREADABLE


def test_a_root_that_comes_later_is_found() -> None:
    """It is looked for now and then."""
    cpu, root = _read(V2, {})
    assert cpu.read() is Absence.ROOT_HIDDEN
    root.put(STAT, b"usage_usec 5\n")
    values = [cpu.read() for _ in range(SEARCH_PERIOD_TICKS + 1)]
    assert values[-2:] == [Absence.ROOT_HIDDEN, {"cpu_ns": 5000}]


def test_a_root_that_cannot_be_read_any_more_is_looked_for_at_once() -> None:
    """Its hierarchy was mounted elsewhere."""
    cpu, root = _read(V2, {STAT: b"usage_usec 5\n"})
    cpu.read()
    root.fail(STAT, errno.EIO)
    assert (cpu.read(), cpu.source) == (Absence.UNREADABLE, None)
    root.fail(STAT, None)
    assert cpu.read() == {"cpu_ns": 5000}
