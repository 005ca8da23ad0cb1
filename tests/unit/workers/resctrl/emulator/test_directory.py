"""Making, removing and moving groups: which places are allowed, which errors are given, which group gets the tasks."""

import pytest
from fakes.emulated_tree import EmulatedTree

OUT_OF_RMIDS = "Out of RMIDs\n"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("c2", "ok"),
        ("mon_groups/new", "ok"),
        ("c/mon_groups/new", "ok"),
        ("mon_groups/m", "EEXIST"),
        ("c", "EEXIST"),
        ("info", "EEXIST"),
        ("tasks", "EEXIST"),
        ("c/tasks", "EEXIST"),
        ("c/mon_groups", "EEXIST"),
        ("new\nline", "EINVAL"),
        ("mon_groups/new\nline", "EINVAL"),
        ("mon_groups/mon_groups", "EPERM"),
        ("mon_groups/m/new", "EPERM"),
        ("c/new", "EPERM"),
        ("mon_data/new", "EPERM"),
        ("mon_data/mon_L3_00/new", "EPERM"),
        ("info/new", "ENODEV"),
        ("info/L3_MON/new", "ENODEV"),
        ("tasks/new", "ENOTDIR"),
        ("nobody/new", "ENOENT"),
        ("mon_groups/nobody/new", "ENOENT"),
    ],
)
def test_where_a_group_can_be_made(path: str, error: str) -> None:
    """Control groups in the root, monitoring groups in a directory named `mon_groups`, nothing anywhere else."""
    tree = EmulatedTree("intel-2socket")
    tree.mkdir("c")
    tree.mkdir("mon_groups/m")
    assert tree.refused("mkdir", path) == error


def test_hardware_that_only_monitors_has_no_groups_in_the_root() -> None:
    """Without allocation the root takes no directory; `mon_groups` does."""
    tree = EmulatedTree("monitor-only")
    assert tree.refused("mkdir", "a") == "EPERM"
    assert tree.refused("mkdir", "mon_groups/a") == "ok"


@pytest.mark.parametrize(
    ("path", "after"), [("mon_groups/m", "Out of"), ("info/new", "Out of"), ("c/new", "ok"), ("mon_groups/n", "ok")]
)
def test_which_mkdir_clears_the_status(path: str, after: str) -> None:
    """A name that exists and a place without groups leave the last sentence; every other mkdir begins a new one."""
    tree = EmulatedTree("tiny", rmids=4)
    for name in ("mon_groups/m", "c", "mon_groups/last"):
        tree.mkdir(name)
    assert tree.refused("mkdir", "mon_groups/too_many") == "ENOSPC"
    tree.rmdir("mon_groups/last")
    tree.pass_seconds(1)
    assert tree.status == OUT_OF_RMIDS
    tree.refused("mkdir", path)
    assert tree.status.strip().startswith(after)


def test_rmdir_leaves_the_status() -> None:
    """Removing is no command that says anything."""
    tree = EmulatedTree("tiny", rmids=2)
    tree.mkdir("mon_groups/a")
    tree.refused("mkdir", "mon_groups/b")
    tree.rmdir("mon_groups/a")
    assert tree.status == OUT_OF_RMIDS


def test_classes_run_out_before_ids() -> None:
    """A control group takes its CLOSID first: without one no RMID is spent."""
    tree = EmulatedTree("tiny")
    for name in ("a", "b", "c"):
        tree.mkdir(name)
    assert tree.refused("mkdir", "d") == "ENOSPC"
    assert tree.status == "Out of CLOSIDs\n"
    for name in ("a", "b", "c", "d"):
        tree.mkdir(f"mon_groups/{name}")
    assert tree.refused("mkdir", "mon_groups/e") == "ENOSPC"
    assert tree.status == OUT_OF_RMIDS


def test_a_class_comes_back_when_no_id_was_left() -> None:
    """A control group that gets no RMID gives its CLOSID back."""
    tree = EmulatedTree("tiny", debug=True, rmids=3)
    tree.mkdir("mon_groups/a")
    tree.mkdir("mon_groups/b")
    assert tree.refused("mkdir", "c") == "ENOSPC"
    assert tree.status == OUT_OF_RMIDS
    tree.rmdir("mon_groups/a")
    tree.pass_seconds(1)
    tree.mkdir("c")
    assert tree.read("c/ctrl_hw_id") == "1\n"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("c", "ok"),
        ("mon_groups/m", "ok"),
        ("c/mon_groups/n", "ok"),
        ("", "EPERM"),
        ("info", "EPERM"),
        ("info/L3", "EPERM"),
        ("mon_groups", "EPERM"),
        ("mon_data", "EPERM"),
        ("c/mon_groups", "EPERM"),
        ("mon_groups/m/mon_data", "EPERM"),
        ("tasks", "ENOTDIR"),
        ("nobody", "ENOENT"),
    ],
)
def test_what_can_be_removed(path: str, error: str) -> None:
    """Groups, even full ones; nothing that the kernel made itself."""
    tree = EmulatedTree("tiny")
    for name in ("c", "c/mon_groups/n", "mon_groups/m"):
        tree.mkdir(name)
    tree.write("c/tasks", "5")
    before = tree.refused("names", path)
    assert tree.refused("rmdir", path) == error
    assert tree.refused("names", path) == ("ENOENT" if error == "ok" else before)


def test_a_monitoring_groups_threads_go_to_its_parent() -> None:
    """They keep their control group, and their children start there."""
    tree = EmulatedTree("tiny")
    for name in ("c", "c/mon_groups/m"):
        tree.mkdir(name)
    tree.write("c/tasks", "5,6")
    tree.write("c/mon_groups/m/tasks", "6")
    tree.write("c/cpus", "3")
    tree.write("c/mon_groups/m/cpus", "1")
    tree.rmdir("c/mon_groups/m")
    assert [tree.emulation.group_of(thread) for thread in (5, 6)] == ["c", "c"]
    assert tree.read("c/cpus_list") == "0-1\n"


def test_a_control_group_takes_everything_down_with_it() -> None:
    """Its own threads and CPUs and its monitoring groups' go to the root, and every id is given back."""
    tree = EmulatedTree("tiny")
    for name in ("c", "c/mon_groups/m"):
        tree.mkdir(name)
    tree.write("c/tasks", "5,6")
    tree.write("c/mon_groups/m/tasks", "6")
    tree.write("c/cpus", "3")
    kept = tree.open("c/mon_groups/m/tasks")
    tree.rmdir("c")
    assert [tree.emulation.group_of(thread) for thread in (5, 6)] == ["", ""]
    assert tree.tasks("") == list(range(1, 100))
    assert tree.read("cpus_list") == "0-3\n"
    assert tree.emulation.truth(tree.now_ns)["rmids"] == {"free": 5, "limbo": 2}
    with pytest.raises(OSError, match="ENODEV"):
        kept.read(tree.now_ns)


@pytest.mark.parametrize("path", ["tasks", "cpus", "mon_data/mon_L3_00/llc_occupancy", "mon_data/mon_L3_00/mbm_total_bytes"])
def test_an_open_file_of_a_removed_group_is_dead(path: str) -> None:
    """It fails with ENODEV for ever, even when a group of that name is made again."""
    tree = EmulatedTree("tiny")
    tree.mkdir("mon_groups/a")
    kept = tree.open(f"mon_groups/a/{path}")
    tree.rmdir("mon_groups/a")
    tree.mkdir("mon_groups/a")
    with pytest.raises(OSError, match="ENODEV"):
        kept.read(tree.now_ns)
    assert tree.refused("read", f"mon_groups/a/{path}") == "ok"


@pytest.mark.parametrize(
    ("old", "new", "error", "status"),
    [
        ("mon_groups/m", "mon_groups/other", "ok", "ok\n"),
        ("mon_groups/m", "c/mon_groups/m", "ok", "ok\n"),
        ("mon_groups/m", "mon_groups/m", "ok", "ok\n"),
        ("mon_groups/m", "c/mon_groups/n", "EEXIST", "ok\n"),
        ("mon_groups/m", "c/other", "EPERM", "Destination must be a mon_groups subdirectory\n"),
        ("mon_groups/m", "mon_groups/mon_groups", "EPERM", "Destination must be a mon_groups subdirectory\n"),
        ("c", "d", "EPERM", "Source must be a MON group\n"),
        ("mon_groups/m/mon_data", "mon_groups/x", "EPERM", "Source must be a MON group\n"),
        ("mon_groups/m/tasks", "mon_groups/x", "EPERM", "Source and destination must be directories"),
        ("info/L3", "mon_groups/x", "ENOENT", "ok\n"),
        ("mon_groups/m", "info/m", "ENOENT", "ok\n"),
        ("mon_groups/nobody", "mon_groups/x", "ENOENT", "ok\n"),
        ("mon_groups/m", "tasks/m", "ENOTDIR", "ok\n"),
    ],
)
def test_what_can_be_renamed(old: str, new: str, error: str, status: str) -> None:
    """Only monitoring groups move, and only into `mon_groups`."""
    tree = EmulatedTree("tiny")
    for name in ("c", "c/mon_groups/n", "mon_groups/m"):
        tree.mkdir(name)
    assert (tree.refused("rename", old, new), tree.status) == (error, status)


def test_a_group_that_is_moved_keeps_what_it_has() -> None:
    """Id, counts, threads and open files stay; the threads' control group changes with it."""
    tree = EmulatedTree("tiny", debug=True)
    for name in ("c", "mon_groups/m"):
        tree.mkdir(name)
    tree.write("mon_groups/m/tasks", "5")
    tree.emulation.declare("mon_groups/m", {0: 1000}, tree.now_ns)
    kept = tree.open("mon_groups/m/mon_data/mon_L3_00/mbm_total_bytes")
    tree.pass_seconds(2)
    rmid = tree.read("mon_groups/m/mon_hw_id")
    tree.rename("mon_groups/m", "c/mon_groups/x")
    tree.pass_seconds(1)
    assert tree.read("c/mon_groups/x/mon_hw_id") == rmid
    assert kept.read(tree.now_ns) == b"3000\n"
    assert tree.emulation.group_of(5) == "c/mon_groups/x"
    assert tree.tasks("c") == [5]
    assert 5 not in tree.tasks("")
    assert tree.names("mon_groups") == set()


def test_a_group_with_cpus_stays_with_its_parent() -> None:
    """Its CPUs are its parent's; a new name under the same parent is no matter."""
    tree = EmulatedTree("tiny")
    for name in ("c", "mon_groups/m"):
        tree.mkdir(name)
    tree.write("mon_groups/m/cpus", "1")
    assert tree.refused("rename", "mon_groups/m", "c/mon_groups/m") == "EPERM"
    assert tree.status == "Cannot move a MON group that monitors CPUs\n"
    assert tree.refused("rename", "mon_groups/m", "mon_groups/k") == "ok"
    assert tree.read("mon_groups/k/cpus_list") == "0\n"
