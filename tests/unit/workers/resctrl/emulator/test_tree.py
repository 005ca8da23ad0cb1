"""Which files each kind of machine shows, with which modes, owners and inodes."""

from stat import S_IMODE, S_ISDIR

import pytest
from fakes.emulated_tree import SECOND, EmulatedTree

from workers.resctrl.emulator.ports import Caller
from workers.resctrl.emulator.profile import PROFILES

BASE = {"tasks", "cpus", "cpus_list", "mon_data/"}
CONTROL = {"schemata", "mode", "size", "mon_groups/"}
EVENTS = {"llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"}


def paths_of(tree: EmulatedTree, path: str = "") -> list[str]:
    """Every path below, directories with a slash behind them."""
    found = []
    for name in sorted(tree.names(path)):
        found.append(f"{path}/{name}".lstrip("/"))
        if name.endswith("/"):
            found += paths_of(tree, f"{path}/{name[:-1]}".lstrip("/"))
    return found


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_everything_that_is_listed_exists_and_can_be_read(profile: str) -> None:
    """Each listed name has attributes of its own kind, each file gives text that ends with its line (or nothing at all)."""
    tree = EmulatedTree(profile)
    tree.mkdir("mon_groups/a")
    for path in paths_of(tree):
        is_directory = path.endswith("/")
        attributes = tree.emulation.attributes(path.rstrip("/"))
        assert S_ISDIR(attributes.mode) is is_directory
        if not is_directory:
            assert tree.read(path)[-1:] in ("\n", "")


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_inodes_are_unique_and_stay(profile: str) -> None:
    """No two paths share an inode, and none changes while other groups come and go."""
    tree = EmulatedTree(profile)
    tree.mkdir("mon_groups/a")
    before = {path: tree.emulation.attributes(path.rstrip("/")).inode for path in paths_of(tree)}
    tree.mkdir("mon_groups/b")
    tree.rmdir("mon_groups/b")
    after = {path: tree.emulation.attributes(path.rstrip("/")).inode for path in paths_of(tree)}
    assert after == before
    assert len(set(before.values())) == len(before)


def test_a_group_made_again_has_other_inodes() -> None:
    """A directory that was removed and made again is another one, for anyone who compares inodes."""
    tree = EmulatedTree("tiny")
    tree.mkdir("mon_groups/a")
    before = tree.emulation.attributes("mon_groups/a").inode
    tree.rmdir("mon_groups/a")
    tree.mkdir("mon_groups/a")
    assert tree.emulation.attributes("mon_groups/a").inode != before


def test_the_kinds_of_groups_have_their_files() -> None:
    """The root has everything, a control group no `info`, a monitoring group neither controls nor groups of its own."""
    tree = EmulatedTree("intel-2socket")
    tree.mkdir("c")
    tree.mkdir("c/mon_groups/m")
    assert tree.names("") == BASE | CONTROL | {"info/", "c/"}
    assert tree.names("c") == BASE | CONTROL
    assert tree.names("c/mon_groups/m") == BASE
    assert tree.names("c/mon_groups/m/mon_data") == {"mon_L3_00/", "mon_L3_01/"}
    assert tree.names("c/mon_groups/m/mon_data/mon_L3_01") == EVENTS


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("", 0o555),
        ("info", 0o555),
        ("info/L3_MON", 0o555),
        ("info/last_cmd_status", 0o444),
        ("info/L3_MON/max_threshold_occupancy", 0o644),
        ("info/L3_MON/num_rmids", 0o444),
        ("mon_groups", 0o555),
        ("mon_data", 0o555),
        ("mon_data/mon_L3_00/llc_occupancy", 0o444),
        ("tasks", 0o644),
        ("cpus", 0o644),
        ("schemata", 0o644),
        ("mode", 0o644),
        ("size", 0o444),
        ("c", 0o750),
        ("c/mon_groups", 0o750),
        ("c/tasks", 0o644),
    ],
)
def test_modes(path: str, mode: int) -> None:
    """Files have the kernel's modes; directories inherit from the group's, and the root's has no write permission."""
    tree = EmulatedTree("tiny")
    tree.mkdir("c", mode=0o750)
    assert S_IMODE(tree.emulation.attributes(path).mode) == mode


def test_what_a_user_makes_is_the_users() -> None:
    """A group and its files belong to the one who made it, from the moment it was made."""
    tree = EmulatedTree("tiny")
    tree.pass_seconds(5)
    tree.mkdir("mon_groups/a", caller=Caller(thread_id=7, uid=1000, gid=1001))
    for path in ("mon_groups/a", "mon_groups/a/tasks", "mon_groups/a/mon_data/mon_L3_00/llc_occupancy"):
        attributes = tree.emulation.attributes(path)
        assert (attributes.uid, attributes.gid, attributes.changed_at_wall_ns) == (1000, 1001, 1_005 * SECOND)
    assert tree.emulation.attributes("tasks").uid == 0


def test_chmod_and_chown_change_one_node() -> None:
    """What is changed on one file shows there, keeps its kind, and nowhere else."""
    tree = EmulatedTree("tiny")
    before = tree.emulation.attributes("tasks")
    tree.emulation.set_mode("tasks", 0o600)
    tree.emulation.set_owner("tasks", 5, 6)
    changed = tree.emulation.attributes("tasks")
    assert (changed.mode, changed.uid, changed.gid) == (before.mode & ~0o777 | 0o600, 5, 6)
    assert tree.emulation.attributes("cpus")._replace(inode=before.inode) == before


def test_links_count_directories() -> None:
    """A directory has two links and one more for each directory in it, as find(1) expects."""
    tree = EmulatedTree("tiny")
    assert tree.emulation.attributes("mon_groups").links == 2
    tree.mkdir("mon_groups/a")
    assert tree.emulation.attributes("mon_groups").links == 3
    assert tree.emulation.attributes("tasks").links == 1


@pytest.mark.parametrize(
    ("operation", "path", "error"),
    [
        ("names", "nothing", "ENOENT"),
        ("names", "tasks", "ENOTDIR"),
        ("read", "mon_groups", "EISDIR"),
        ("read", "mon_groups/nobody/tasks", "ENOENT"),
        ("read", "tasks/deeper", "ENOTDIR"),
        ("read", "mon_data/mon_L3_07/llc_occupancy", "ENOENT"),
    ],
)
def test_paths_that_lead_nowhere(operation: str, path: str, error: str) -> None:
    """The errors are those of any file system."""
    assert EmulatedTree("tiny").refused(operation, path) == error


@pytest.mark.parametrize("path", ["size", "info/L3_MON/num_rmids", "mon_data/mon_L3_00/llc_occupancy"])
def test_files_that_take_nothing(path: str) -> None:
    """Even root cannot write to a file that has no use for it."""
    assert EmulatedTree("tiny").refused("write", path, "1\n") == "EINVAL"


def test_a_write_is_a_page_at_most() -> None:
    """4,096 bytes are taken, one more is refused whole."""
    tree = EmulatedTree("tiny")
    tree.mkdir("mon_groups/a")
    assert tree.refused("write", "mon_groups/a/tasks", "1," + "2," * 2047) == "ok"
    assert tree.refused("write", "mon_groups/a/tasks", "3," + "4," * 2047 + "\n") == "E2BIG"
    assert tree.tasks("mon_groups/a") == [1, 2]


def test_monitor_only_hardware_controls_nothing() -> None:
    """Without allocation there is no control information, and the root's control files are empty."""
    tree = EmulatedTree("monitor-only")
    assert tree.names("info") == {"last_cmd_status", "L3_MON/"}
    assert tree.read("schemata") == tree.read("size") == ""


@pytest.mark.parametrize(
    ("profile", "events"), [("occupancy-only", {"llc_occupancy"}), ("mbm-only", EVENTS - {"llc_occupancy"}), ("tiny", EVENTS)]
)
def test_only_what_the_hardware_counts(profile: str, events: set[str]) -> None:
    """Event files and the list of features agree."""
    tree = EmulatedTree(profile)
    assert tree.names("mon_data/mon_L3_00") == events
    assert set(tree.read("info/L3_MON/mon_features").split()) == events


def test_nodes_of_a_cache_have_directories_of_their_own() -> None:
    """With sub-NUMA clustering each cache's directory holds sums and one directory for each node."""
    tree = EmulatedTree("snc2")
    assert tree.names("mon_data") == {"mon_L3_00/", "mon_L3_01/"}
    assert tree.names("mon_data/mon_L3_01") == EVENTS | {"mon_sub_L3_02/", "mon_sub_L3_03/"}
    assert tree.names("mon_data/mon_L3_01/mon_sub_L3_03") == EVENTS


def test_ids_of_caches_may_have_gaps() -> None:
    """The second socket's numbers begin where its hardware says."""
    assert {"mon_L3_07/", "mon_L3_16/", "mon_L3_23/"} < EmulatedTree("amd-ccd").names("mon_data")
    assert "mon_L3_08/" not in EmulatedTree("amd-ccd").names("mon_data")


def test_debug_shows_the_ids() -> None:
    """With the mount option the hardware's ids stand beside the tasks."""
    tree = EmulatedTree("tiny", debug=True)
    tree.mkdir("c")
    tree.mkdir("c/mon_groups/m")
    assert [tree.read("c/ctrl_hw_id"), tree.read("c/mon_hw_id"), tree.read("c/mon_groups/m/mon_hw_id")] == ["1\n", "1\n", "2\n"]
    assert "ctrl_hw_id" not in tree.names("c/mon_groups/m")


@pytest.mark.parametrize(
    ("profile", "path", "content"),
    [
        ("intel-2socket", "info/L3_MON/num_rmids", "448\n"),
        ("intel-2socket", "info/L3/num_closids", "15\n"),
        ("intel-2socket", "info/L3/cbm_mask", "7fff\n"),
        ("intel-2socket", "info/L3/shareable_bits", "6000\n"),
        ("intel-2socket", "info/L3/min_cbm_bits", "1\n"),
        ("intel-2socket", "info/L3/sparse_masks", "0\n"),
        ("intel-2socket", "info/L3/bit_usage", "0=XXSSSSSSSSSSSSS;1=XXSSSSSSSSSSSSS\n"),
        ("intel-2socket", "info/MB/min_bandwidth", "10\n"),
        ("intel-2socket", "info/MB/bandwidth_gran", "10\n"),
        ("intel-2socket", "info/MB/delay_linear", "1\n"),
        ("intel-2socket", "info/MB/thread_throttle_mode", "max\n"),
        ("intel-2socket", "info/L3_MON/max_threshold_occupancy", "245760\n"),
        ("amd-ccd", "info/L3_MON/mbm_local_bytes_config", ";".join(f"{n}=0x15" for n in (*range(8), *range(16, 24))) + "\n"),
        ("amd-abmc", "info/SMBA/num_closids", "16\n"),
        ("arm-mpam", "info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\n"),
        ("tiny", "info/last_cmd_status", "ok\n"),
    ],
)
def test_info_files(profile: str, path: str, content: str) -> None:
    """What the machine says of itself."""
    assert EmulatedTree(profile).read(path) == content


@pytest.mark.parametrize(
    ("text", "error", "then"),
    [
        ("131072\n", "ok", "131072\n"),
        ("131073\n", "ok", "131072\n"),
        ("0x20000", "ok", "131072\n"),
        ("8388608\n", "ok", "8388608\n"),
        ("8388609\n", "EINVAL", "1048576\n"),
        ("many\n", "EINVAL", "1048576\n"),
        ("-1\n", "EINVAL", "1048576\n"),
        ("4294967296\n", "ERANGE", "1048576\n"),
    ],
)
def test_the_threshold_is_rounded_and_bounded(text: str, error: str, then: str) -> None:
    """Whole monitoring units only, and no more than the cache holds."""
    tree = EmulatedTree("tiny")
    assert tree.refused("write", "info/L3_MON/max_threshold_occupancy", text) == error
    assert tree.read("info/L3_MON/max_threshold_occupancy") == then


def test_a_domain_that_goes_takes_its_directories_along() -> None:
    """Without CPUs a domain has no directory, an open file of it says ENOENT, and both come back with the CPUs."""
    tree = EmulatedTree("tiny")
    tree.mkdir("mon_groups/a")
    kept = tree.open("mon_groups/a/mon_data/mon_L3_01/mbm_total_bytes")
    sum_of_all = tree.open("mon_data/mon_L3_01/mbm_total_bytes")
    inode = tree.emulation.attributes("mon_groups/a/mon_data/mon_L3_01").inode
    tree.emulation.set_domain_online(1, False, tree.now_ns)
    assert tree.names("mon_groups/a/mon_data") == {"mon_L3_00/"}
    assert tree.read("schemata") == "    MB:0=100\n    L3:0=ff\n"
    for lost in (kept, sum_of_all):
        with pytest.raises(FileNotFoundError):
            lost.read(tree.now_ns)
    tree.emulation.set_domain_online(1, True, tree.now_ns)
    assert tree.emulation.attributes("mon_groups/a/mon_data/mon_L3_01").inode == inode
    assert kept.read(tree.now_ns) == b"0\n"
