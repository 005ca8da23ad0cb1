"""The control plane's look at real directories: laid out in a private folder, and the kernel's own with a real process."""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.model.cgroup_path import parse_proc_cgroup, unit_of
from agent.model.rule import QosClass, Unit, UnitKind
from workers.control_plane.cgroups import CgroupTree
from workers.control_plane.pods import observe
from workers.runtime.kernel_tree import OpenKernelTree

CONTAINER = "c" * 64
UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
POD = f"kubepods/burstable/pod{UID}"
CGROUPS = Path("/sys/fs/cgroup")
DEADLINE_SECONDS = 30.0


def _group(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "cgroup.procs").touch()


def _units(root: Path) -> tuple[str, dict[str, Unit]]:
    look = CgroupTree(OpenKernelTree(str(root))).look()
    return look.hierarchy, observe(look.found).units


def test_v2_laid_out_in_a_folder(tmp_path: Path) -> None:
    """One hierarchy with a pod of two containers, a service, and a slice with a process of its own."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    _group(tmp_path / POD / CONTAINER)
    _group(tmp_path / POD / CONTAINER.replace("c", "d"))
    _group(tmp_path / "system.slice" / "nginx.service")
    _group(tmp_path / "user.slice")
    (tmp_path / "user.slice" / "cgroup.procs").write_text("4711\n")

    hierarchy, units = _units(tmp_path)

    assert hierarchy == "v2"
    assert {UID, "/system.slice/nginx.service", "/user.slice"} == set(units)
    assert units[UID] == Unit(UID, UnitKind.POD, f"/{POD}", 2, qos=QosClass.BURSTABLE)


def test_v1_laid_out_in_a_folder_with_the_links_that_hosts_have(tmp_path: Path) -> None:
    """The pod is in every controller and is one; `cpu` is a link to `cpu,cpuacct`, as distributions mount it."""
    for controller in ("systemd", "memory", "cpu,cpuacct", "pids"):
        _group(tmp_path / controller / POD / CONTAINER)
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    _group(tmp_path / "systemd" / "system.slice" / "nginx.service")

    hierarchy, units = _units(tmp_path)

    assert hierarchy == "v1"
    assert {UID, "/system.slice/nginx.service"} == set(units)
    assert units[UID].containers == 1


def test_hybrid_laid_out_in_a_folder(tmp_path: Path) -> None:
    """An empty v2 beside v1: containers under a controller only, services under systemd only."""
    _group(tmp_path / "unified")
    _group(tmp_path / "systemd" / "system.slice" / "nginx.service")
    _group(tmp_path / "memory" / "docker" / CONTAINER)

    hierarchy, units = _units(tmp_path)

    assert hierarchy == "hybrid"
    assert {"/system.slice/nginx.service", f"/docker/{CONTAINER}"} == set(units)


def test_names_that_are_no_text_can_be_looked_at(tmp_path: Path) -> None:
    """A directory of any bytes is listed, entered, and its unit can be sent."""
    (tmp_path / "cgroup.controllers").touch()
    os.makedirs(os.fsencode(tmp_path) + b"/\xff.service/inner.scope")

    _hierarchy, units = _units(tmp_path)

    assert {"/\ufffd.service", "/\ufffd.service/inner.scope"} == set(units)


def test_this_hosts_own_tree_can_be_looked_at_twice() -> None:
    """Whatever is mounted here: a whole look, and only directories that came or went tell two looks apart."""
    if not os.access(CGROUPS, os.R_OK) or not any(CGROUPS.iterdir()):
        pytest.skip(f"{CGROUPS} is not mounted here")
    tree = CgroupTree(OpenKernelTree(str(CGROUPS)))

    first, second = tree.look(), tree.look()

    assert first.hierarchy == second.hierarchy
    assert first.hierarchy in ("v1", "v2", "hybrid")


@contextmanager
def _real_groups(hierarchies: list[Path], below: str) -> Iterator[None]:
    """The same group made in each hierarchy, and removed with every parent that was made for it."""
    made: list[Path] = []
    try:
        for hierarchy in hierarchies:
            path = hierarchy
            for name in below.split("/"):
                path = path / name
                path.mkdir()
                made.append(path)
        yield
    finally:
        for path in reversed(made):
            _remove(path)


def _remove(group: Path) -> None:
    # A group is busy until the kernel has let its last process go.
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def test_a_real_process_in_a_real_group_is_found_from_both_sides() -> None:
    """A pod made in the kernel's own tree: the look finds it, and the process's file names the same pod and container."""
    is_v2 = (CGROUPS / "cgroup.controllers").exists()
    hierarchies = [CGROUPS] if is_v2 else [path for name in ("systemd", "memory") if (path := CGROUPS / name).is_dir()]
    if os.geteuid() != 0 or not hierarchies or not all(os.access(path, os.W_OK) for path in hierarchies):
        pytest.skip(f"making groups needs root and a writable {CGROUPS}")
    # A folder of our own: on a node of a cluster the kubelet's groups stay untouched.
    uid, top = str(uuid.uuid4()), f"evergauge-test-{os.getpid()}"
    below = f"{top}/kubepods/burstable/pod{uid}/{CONTAINER}"
    with _real_groups(hierarchies, below), subprocess.Popen(["sleep", "60"]) as process:
        try:
            for hierarchy in hierarchies:
                (hierarchy / below / "cgroup.procs").write_text(str(process.pid))
            cgroup = parse_proc_cgroup(Path(f"/proc/{process.pid}/cgroup").read_bytes())
            _hierarchy, units = _units(CGROUPS)
        finally:
            process.kill()

    identity = unit_of(cgroup or "")
    assert identity is not None
    assert (identity.uid, identity.container) == (uid, CONTAINER)
    assert units[uid] == Unit(uid, UnitKind.POD, identity.cgroup, 1, qos=QosClass.BURSTABLE)
    assert not [hierarchy for hierarchy in hierarchies if (hierarchy / top).exists()]
