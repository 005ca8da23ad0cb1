"""What stands where in a mounted resctrl, with which modes and sizes, on every kind of machine."""

import os
import stat
from errno import ENOENT, EPERM

import pytest
from conformance.mounted import PREFIX, REAL, Mounted, refused

pytestmark = pytest.mark.profiles(
    "intel-2socket", "amd-ccd", "amd-abmc", "snc2", "monitor-only", "occupancy-only", "mbm-only", "tiny", "arm-mpam"
)
BASE = {"tasks", "cpus", "cpus_list"}
# A root has these whether or not anything can be allocated: they are of the base of every control group.
CONTROL = {"schemata", "mode", "size"}
# Depending on mount options and kernel.
OPTIONAL = {"mon_hw_id", "ctrl_hw_id", "mba_MBps_event", "mbm_L3_assignments"}


def walk(resctrl: Mounted, top: str = "") -> list[tuple[str, os.stat_result]]:
    """Everything below the root or one group, directories before what is in them."""
    found = []
    for folder, folders, files in os.walk(resctrl.path(top)):
        found += [(name, os.lstat(name)) for name in (f"{folder}/{entry}" for entry in folders + files)]
    return found


def assert_names(names: set[str], must: set[str]) -> None:
    assert must <= names
    assert names - must <= OPTIONAL


def test_the_root_holds_the_files_of_the_default_group(resctrl: Mounted) -> None:
    """Nothing is missing in the root, and nothing is there that the kernel does not know."""
    must = BASE | CONTROL | {"info"}
    if resctrl.can_monitor:
        must |= {"mon_groups", "mon_data"}
    names = resctrl.names()
    groups = {name for name in names - must if resctrl.profile == REAL and resctrl.exists(name, "tasks")}
    assert_names(names - groups, must)


def test_the_root_directory_may_be_written_by_nobody(resctrl: Mounted) -> None:
    """It is r-xr-xr-x, as every root of kernfs; making groups is root's by capability alone."""
    assert resctrl.mode() == 0o555


def test_the_directories_of_the_root_copy_its_mode(resctrl: Mounted) -> None:
    """info, mon_groups and mon_data, and all directories below info and mon_data, are r-xr-xr-x."""
    for top in sorted(resctrl.names() & {"info", "mon_groups", "mon_data"}):
        assert resctrl.mode(top) == 0o555, top
        if top != "mon_groups":
            assert {oct(entry.st_mode & 0o7777) for _, entry in walk(resctrl, top) if stat.S_ISDIR(entry.st_mode)} <= {"0o555"}


def test_the_files_of_the_root_have_their_modes(resctrl: Mounted) -> None:
    """All can be written by their owner, except the size."""
    for name in sorted(resctrl.names() & (BASE | CONTROL | OPTIONAL)):
        expected = 0o444 if name in ("size", "mon_hw_id", "ctrl_hw_id") else 0o644
        assert resctrl.mode(name) == expected, name


def test_files_of_info_are_read_only_except_the_switches(resctrl: Mounted) -> None:
    """The few that change something are 0644, and what reports is 0444."""
    switches = {"max_threshold_occupancy", "mbm_total_bytes_config", "mbm_local_bytes_config", "mbm_assign_mode"}
    switches |= {"mbm_assign_on_mkdir", "event_filter", "io_alloc", "io_alloc_cbm"}
    files = [(path, entry) for path, entry in walk(resctrl, "info") if stat.S_ISREG(entry.st_mode)]
    assert files
    for path, entry in files:
        name = path.rpartition("/")[2]
        # Newest kernels show a filter that cannot be changed as 0444.
        allowed = {0o644} if name in switches - {"event_filter"} else {0o444, 0o644} if name == "event_filter" else {0o444}
        assert entry.st_mode & 0o7777 in allowed, path


def test_everything_is_of_size_0(resctrl: Mounted) -> None:
    """Files and directories alike: content is made when it is read."""
    assert {entry.st_size for _, entry in walk(resctrl)} == {0}


def test_files_have_one_link_and_directories_one_for_each_directory_in_them(resctrl: Mounted) -> None:
    """A directory counts itself, its name, and the directories in it."""
    for path, entry in walk(resctrl):
        if stat.S_ISDIR(entry.st_mode):
            inner = sum(other.is_dir(follow_symlinks=False) for other in os.scandir(path))
            assert entry.st_nlink == 2 + inner, path
        else:
            assert entry.st_nlink == 1, path


def test_a_new_group_is_one_more_link_of_its_directory(resctrl: Mounted) -> None:
    """The count of links follows making and removing."""
    folder = "mon_groups" if resctrl.can_monitor else ""
    before = os.stat(resctrl.path(folder)).st_nlink
    group = resctrl.new_group()
    assert os.stat(resctrl.path(folder)).st_nlink == before + 1
    resctrl.remove(group)
    assert os.stat(resctrl.path(folder)).st_nlink == before


def test_a_listing_tells_the_true_kinds(resctrl: Mounted) -> None:
    """What readdir says of files and directories is what stat says."""
    for folder, _, _ in os.walk(resctrl.root):
        for entry in os.scandir(folder):
            said = entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)
            found = os.lstat(entry.path).st_mode
            assert said == (stat.S_ISDIR(found), stat.S_ISREG(found)), entry.path


def test_inodes_are_unlike_and_stay(resctrl: Mounted) -> None:
    """No two entries share an inode number, and asked again each gives the same."""
    first = {path: entry.st_ino for path, entry in walk(resctrl)}
    assert len(set(first.values())) == len(first)
    assert {path: entry.st_ino for path, entry in walk(resctrl)} == first


def test_everything_is_on_one_device(resctrl: Mounted) -> None:
    """A walk that stays on one file system sees all of it."""
    device = os.stat(resctrl.root).st_dev
    assert {entry.st_dev for _, entry in walk(resctrl)} == {device}
    assert os.stat(os.path.dirname(resctrl.root)).st_dev != device


def test_domain_directories_have_two_digits_and_exactly_the_events(resctrl: Mounted) -> None:
    """mon_data has one directory for each L3 domain, each with one file for each event that mon_features names."""
    resctrl.need_monitoring()
    assert resctrl.domains()
    for domain in resctrl.domains():
        files = {entry.name for entry in os.scandir(resctrl.path("mon_data", domain)) if entry.is_file()}
        assert files == set(resctrl.events())


def test_mon_data_holds_directories_of_monitored_resources_alone(resctrl: Mounted) -> None:
    """Each name is `mon_`, a resource that info knows as monitored, and a number."""
    resctrl.need_monitoring()
    for name in resctrl.names("mon_data"):
        kind, resource, number = name.rsplit("_", 2) if name.count("_") > 1 else ("", "", "")
        assert kind == "mon"
        assert f"{resource}_MON" in resctrl.monitored()
        assert number.isdecimal()
        assert len(number) >= 2


def test_event_files_can_only_be_read(resctrl: Mounted) -> None:
    """They are 0444 in every domain."""
    resctrl.need_monitoring()
    files = [(path, entry) for path, entry in walk(resctrl, "mon_data") if stat.S_ISREG(entry.st_mode)]
    assert files
    assert {oct(entry.st_mode & 0o7777) for _, entry in files} == {"0o444"}


def test_a_new_monitoring_group_is_complete_at_once(resctrl: Mounted) -> None:
    """It has tasks, CPUs and counts, and neither schemata nor groups of its own."""
    resctrl.need_monitoring()
    group = resctrl.new_monitor()
    assert_names(resctrl.names(group), BASE | {"mon_data"})
    assert resctrl.names(group, "mon_data") == resctrl.names("mon_data")
    for domain in resctrl.domains():
        assert resctrl.names(group, "mon_data", domain) == resctrl.names("mon_data", domain)


def test_a_new_control_group_is_as_the_root_without_info(resctrl: Mounted) -> None:
    """It has all files of the root, mon_data and an empty mon_groups where there is monitoring, and no info."""
    if not resctrl.can_allocate:
        # What a machine without allocation does instead of making one.
        with refused(EPERM):
            resctrl.make(f"{PREFIX}control")
        return
    group = resctrl.new_control()
    must = BASE | CONTROL | ({"mon_groups", "mon_data"} if resctrl.can_monitor else set())
    assert_names(resctrl.names(group), must)
    if resctrl.can_monitor:
        assert resctrl.names(group, "mon_groups") == set()


def test_every_file_that_may_be_read_can_be_read(resctrl: Mounted) -> None:
    """One walk with one read of each file meets no error, except in a mode of counting where the kernel says so."""
    refusing = {"io_alloc_cbm"}
    if resctrl.profile == REAL:
        refusing |= {"available_mbm_cntrs", "mbm_assign_on_mkdir", "event_filter", "mbm_L3_assignments"}
    for path, entry in walk(resctrl):
        if stat.S_ISREG(entry.st_mode) and path.rpartition("/")[2] not in refusing:
            content = resctrl.read(os.path.relpath(path, resctrl.root))
            assert content == "" or content.endswith("\n"), path


def test_statvfs_answers_as_for_kernfs(resctrl: Mounted) -> None:
    """No blocks, and names of up to 255 bytes: what df asks is answered."""
    answer = os.statvfs(resctrl.root)
    assert (answer.f_blocks, answer.f_bfree, answer.f_namemax) == (0, 0, 255)


def test_a_name_that_is_not_there_is_not_there(resctrl: Mounted) -> None:
    """ENOENT in the root, in info and in mon_data, also for another case of letters."""
    for path in ("absent", "Tasks", "info/absent", "info/L3_MON/absent", "mon_data/mon_L3_999"):
        with refused(ENOENT):
            os.stat(resctrl.path(path))
