"""Kills are seen as soon as the file system notifies, at the latest at a tick, and lost nowhere."""

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.bus import RecordingBus
from fakes.cgroup_folder import CgroupFolder

from agent.model.timebase import S
from workers.framework.inotify import Inotify
from workers.runtime.kernel_tree import OpenKernelTree
from workers.unit import oom_watch
from workers.unit.layout import CgroupLayout, layout_of
from workers.unit.oom_files import OomFiles
from workers.unit.oom_ledger import OomKill, OomVerdict
from workers.unit.oom_watch import FRUITLESS_MAX, OomWatch, open_watch

UNIT = "/pods/a"


@pytest.fixture
def cgroups(tmp_path: Path) -> CgroupFolder:
    """With one unit."""
    folder = CgroupFolder(tmp_path)
    folder.make(UNIT, "4096")
    return folder


@pytest.fixture
def watch(cgroups: CgroupFolder) -> Iterator[OomWatch]:
    """A watch that has had its first tick."""
    made = opened(cgroups.root)
    made.begin(UNIT, is_leaf=True)
    assert made.take(1 * S) == []
    yield made
    made.close()


def opened(root: Path, bus: RecordingBus | None = None, mounts: bytes = b"") -> OomWatch:
    """A watch over a folder."""
    return open_watch(OpenKernelTree(str(root)), str(root), bus or RecordingBus(), mounts)


def hear(watch: OomWatch, now_ns: int) -> None:
    """What the kernel notifies of."""
    (interest,) = watch.interests()
    readable, _, _ = select.select([interest.descriptor], [], [], 10)
    assert readable
    watch.on_readable(interest.descriptor, now_ns)


def test_a_kill_is_seen_at_its_notice(cgroups: CgroupFolder, watch: OomWatch) -> None:
    """Not only at the next tick, when the cgroup may be gone; its row has the time of the notice."""
    cgroups.hit(UNIT)
    cgroups.kill(UNIT)
    hear(watch, 2 * S)
    cgroups.remove(UNIT)
    watch.end(UNIT)
    assert watch.take(3 * S) == [(2 * S, OomKill(UNIT, OomVerdict.OWN_LIMIT, 1, None, 4096))]
    assert (watch.notices, watch.watches, watch.lost, watch.unwatched) == (1, 1, 0, 0)


def test_without_a_notice_a_kill_is_seen_at_the_tick(cgroups: CgroupFolder) -> None:
    """Where the user may have no further inotify, which a condition says."""
    files = OomFiles(OpenKernelTree(str(cgroups.root)), _layout(cgroups.root))
    watch = OomWatch(files, str(cgroups.root), None)
    watch.begin(UNIT, is_leaf=True)
    assert watch.take(1 * S) == []
    assert watch.interests() == ()
    cgroups.kill(UNIT)
    assert watch.take(2 * S) == [(2 * S, OomKill(UNIT, OomVerdict.HOST, 1))]
    watch.close()


def test_too_many_inotify_instances_are_a_condition(cgroups: CgroupFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the setting of the kernel that helps."""

    def refused() -> Inotify:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(oom_watch, "Inotify", refused)
    bus = RecordingBus()
    watch = opened(cgroups.root, bus)
    assert watch.interests() == ()
    assert "fs.inotify.max_user_instances" in bus.conditions[-1].detail


def test_notices_that_are_no_kills_are_heard_a_few_times_a_tick(cgroups: CgroupFolder, watch: OomWatch) -> None:
    """A unit that is throttled for its memory makes a hundred a second."""
    events = cgroups.root / "pods/memory.events"
    for _ in range(FRUITLESS_MAX):
        events.write_text(events.read_text())
        hear(watch, 1 * S)
    assert watch.interests() == ()
    assert watch.take(2 * S) == []
    assert len(watch.interests()) == 1


def test_another_descriptor_is_another_parts(watch: OomWatch) -> None:
    """Nothing is read there."""
    watch.on_readable(12345, 1 * S)
    assert watch.notices == 0


def test_uppermost_cgroups_are_followed_as_they_come_and_go(cgroups: CgroupFolder, watch: OomWatch) -> None:
    """One watch each, given back with it."""
    cgroups.make("/other/b")
    assert watch.take(2 * S) == []
    assert watch.watches == 2
    cgroups.hit("/other/b")
    cgroups.kill("/other/b")
    assert watch.take(3 * S) == [(3 * S, OomKill("/other/b", OomVerdict.OWN_LIMIT, 1))]
    cgroups.remove("/other/b")
    cgroups.remove("/other")
    assert watch.take(4 * S) == []
    assert watch.watches == 1


def test_more_kills_than_a_tick_keeps_are_counted(cgroups: CgroupFolder, watch: OomWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never lost unseen."""
    monkeypatch.setattr(oom_watch, "KILLS_MAX", 1)
    cgroups.make("/pods/b")
    for path in (UNIT, "/pods/b"):
        cgroups.hit(path)
        cgroups.kill(path)
    assert len(watch.take(2 * S)) == 1
    assert watch.lost == 1


def test_a_mount_that_counts_each_cgroup_alone_is_read_at_each_tick(cgroups: CgroupFolder) -> None:
    """The cgroup above the unit is not watched there."""
    mounts = b"1 2 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,memory_localevents\n"
    watch = opened(cgroups.root, mounts=mounts)
    watch.begin(UNIT, is_leaf=True)
    assert watch.interests() == ()
    for name in ("memory.events", "memory.events.local"):
        (cgroups.root / "pods/a" / name).write_text("oom 1\noom_kill 1\n")
    assert watch.take(1 * S) == [(1 * S, OomKill(UNIT, OomVerdict.OWN_LIMIT, 1, None, 4096))]
    watch.close()


def unit_of_version_1(root: Path) -> Path:
    """The cgroup of UNIT in the hierarchy of the memory controller: nothing was killed in it or above it."""
    unit = root / "memory/pods/a"
    unit.mkdir(parents=True)
    for folder in (unit, unit.parent):
        (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
        (folder / "memory.failcnt").write_text("0\n")
        (folder / "memory.limit_in_bytes").write_text("8192\n")
    return unit


def test_version_1_has_its_kills_in_another_file(tmp_path: Path) -> None:
    """And counts how often a limit was met."""
    unit = unit_of_version_1(tmp_path)
    watch = opened(tmp_path)
    watch.begin(UNIT, is_leaf=True)
    assert watch.take(1 * S) == []
    (unit / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    (unit.parent / "memory.failcnt").write_text("3\n")
    assert watch.take(2 * S) == [(2 * S, OomKill(UNIT, OomVerdict.ANCESTOR, 1, "/pods", 8192))]
    (unit / "memory.oom_control").write_text("garbage\n")
    assert watch.take(3 * S) == []
    watch.close()


def test_where_each_cgroup_is_counted_alone_they_are_read_when_somebody_was_killed(tmp_path: Path) -> None:
    """The host's own count says so, in one file."""
    unit = unit_of_version_1(tmp_path)
    kills = [5]
    watch = open_watch(OpenKernelTree(str(tmp_path)), str(tmp_path), RecordingBus(), b"", lambda: kills[-1])
    watch.begin(UNIT, is_leaf=True)
    assert watch.take(1 * S) == []
    (unit / "memory.oom_control").write_text("oom_kill 1\n")
    assert watch.take(2 * S) == []
    kills.append(6)
    assert watch.take(3 * S) == [(3 * S, OomKill(UNIT, OomVerdict.HOST, 1))]
    watch.close()


def test_a_hidden_root_is_the_uppermost_cgroup(cgroups: CgroupFolder) -> None:
    """In a container with a cgroup namespace it has files that the host's root has not."""
    for name in ("memory.events", "memory.events.local"):
        (cgroups.root / name).write_text("oom 0\noom_kill 0\n")
    files = OomFiles(OpenKernelTree(str(cgroups.root)), _layout(cgroups.root))
    assert files.is_root_hidden
    assert files.tops == ["/"]
    assert files.events_path("/") == "memory.events"


def test_a_host_without_a_memory_controller_has_no_kills(tmp_path: Path) -> None:
    """Nothing is read, and nothing is wrong."""
    (tmp_path / "pids").mkdir()
    watch = opened(tmp_path)
    watch.begin(UNIT, is_leaf=True)
    assert watch.take(1 * S) == []
    watch.close()


def test_inotify_hears_a_file_that_is_written(tmp_path: Path) -> None:
    """Until it forgets it; nothing to read is nothing wrong."""
    inotify = Inotify()
    file = tmp_path / "file"
    file.write_text("")
    inotify.watch(str(file))
    inotify.watch(str(file))
    inotify.drain()
    file.write_text("x")
    assert os.read(inotify.descriptor, 4096)
    inotify.forget(str(file))
    inotify.forget(str(file))
    assert inotify.watches == 0
    with pytest.raises(FileNotFoundError):
        inotify.watch(str(tmp_path / "none"))
    inotify.close()


def _layout(root: Path) -> CgroupLayout:
    layout = layout_of(os.listdir(root), 100)
    assert layout is not None
    return layout
