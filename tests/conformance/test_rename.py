"""Moving a monitoring group, which alone can be moved."""

import os
from errno import EEXIST, EINVAL, ENOENT, ENOTDIR, EPERM

import pytest
from conformance.companion import Companion
from conformance.mounted import PREFIX, Mounted, opened, refused

NAME = f"{PREFIX}renamed"
NOT_A_GROUP = "Source must be a MON group\n"
NOT_A_PLACE = "Destination must be a mon_groups subdirectory\n"


def move(resctrl: Mounted, old: str, new: str) -> None:
    os.rename(resctrl.path(old), resctrl.path(new))


def test_a_monitoring_group_gets_another_name(resctrl: Mounted) -> None:
    """The old name is gone, the new one is the group."""
    group = resctrl.new_monitor()
    move(resctrl, group, f"mon_groups/{NAME}")
    assert not resctrl.exists(group)
    assert resctrl.exists("mon_groups", NAME, "mon_data")


def test_a_group_keeps_its_threads_under_another_name(resctrl: Mounted, process: Companion) -> None:
    """Nobody is moved by a renaming."""
    group = resctrl.new_monitor()
    resctrl.assign(process.pid, group)
    move(resctrl, group, f"mon_groups/{NAME}")
    assert resctrl.tasks("mon_groups", NAME) == [process.pid]


def test_a_group_moves_to_another_control_group_with_its_threads(resctrl: Mounted, process: Companion) -> None:
    """From then on they belong to the new control group and no longer to the old one."""
    group, parent = resctrl.new_monitor(), resctrl.new_control()
    resctrl.assign(process.pid, group)
    move(resctrl, group, f"{parent}/mon_groups/{NAME}")
    assert resctrl.tasks(parent, "mon_groups", NAME) == [process.pid]
    assert resctrl.tasks(parent) == [process.pid]
    assert process.pid not in resctrl.tasks()


def test_a_moved_group_takes_threads_of_its_new_control_group(resctrl: Mounted, process: Companion) -> None:
    """And none of its old one."""
    group, parent = resctrl.new_monitor(), resctrl.new_control()
    moved = f"{parent}/mon_groups/{NAME}"
    move(resctrl, group, moved)
    with refused(EINVAL):
        resctrl.assign(process.pid, moved)
    resctrl.assign(process.pid, parent)
    resctrl.assign(process.pid, moved)
    assert resctrl.tasks(moved) == [process.pid]


def test_a_moved_group_gives_its_threads_to_its_new_control_group(resctrl: Mounted, process: Companion) -> None:
    """Removed, it leaves them where it was last."""
    group, parent = resctrl.new_monitor(), resctrl.new_control()
    resctrl.assign(process.pid, group)
    move(resctrl, group, f"{parent}/mon_groups/{NAME}")
    os.rmdir(resctrl.path(parent, "mon_groups", NAME))
    assert resctrl.tasks(parent) == [process.pid]


def test_a_moved_group_goes_with_its_new_control_group(resctrl: Mounted) -> None:
    """The removal of the old one does not touch it, that of the new one takes it along."""
    old, new = resctrl.new_control(), resctrl.new_control()
    group = resctrl.new_monitor(old)
    move(resctrl, group, f"{new}/mon_groups/{NAME}")
    resctrl.remove(old)
    assert resctrl.exists(new, "mon_groups", NAME, "tasks")
    resctrl.remove(new)
    assert not resctrl.exists(new)


def test_descriptors_follow_a_renamed_group(resctrl: Mounted, process: Companion) -> None:
    """What was opened under the old name is read and written as before."""
    group = resctrl.new_monitor()
    with opened(resctrl.path(group, "tasks"), os.O_RDWR) as tasks:
        move(resctrl, group, f"mon_groups/{NAME}")
        os.write(tasks, b"%d" % process.pid)
        assert os.pread(tasks, 100, 0) == b"%d\n" % process.pid


def test_an_inode_stays_through_a_renaming(resctrl: Mounted) -> None:
    """It is the same directory."""
    group = resctrl.new_monitor()
    before = os.stat(resctrl.path(group)).st_ino
    move(resctrl, group, f"mon_groups/{NAME}")
    assert os.stat(resctrl.path("mon_groups", NAME)).st_ino == before


def test_a_renaming_clears_the_status(resctrl: Mounted) -> None:
    """It is a command like others."""
    group = resctrl.new_monitor()
    resctrl.soil_status()
    move(resctrl, group, f"mon_groups/{NAME}")
    assert resctrl.status() == "ok\n"


def test_the_same_name_is_no_renaming(resctrl: Mounted) -> None:
    """It succeeds before resctrl hears of it."""
    group = resctrl.new_monitor()
    said = resctrl.soil_status()
    move(resctrl, group, group)
    assert resctrl.exists(group, "tasks")
    assert resctrl.status() == said


def test_no_group_is_replaced(resctrl: Mounted, process: Companion) -> None:
    """EEXIST, and both are what they were."""
    group, other = resctrl.new_monitor(), resctrl.new_monitor()
    resctrl.assign(process.pid, other)
    with refused(EEXIST):
        move(resctrl, group, other)
    assert resctrl.tasks(group) == []
    assert resctrl.tasks(other) == [process.pid]


def test_a_control_group_keeps_its_name(resctrl: Mounted) -> None:
    """EPERM and the kernel's word, whatever the documentation says."""
    group = resctrl.new_control()
    with refused(EPERM):
        move(resctrl, group, NAME)
    assert resctrl.status() == NOT_A_GROUP
    assert resctrl.exists(group, "schemata")


@pytest.mark.parametrize("path", ["mon_groups", "mon_data"])
def test_directories_of_the_default_group_keep_their_names(resctrl: Mounted, path: str) -> None:
    """EPERM: they are directories of a control group and no monitoring groups."""
    with refused(EPERM):
        move(resctrl, path, NAME)
    assert resctrl.status() == NOT_A_GROUP


def test_the_counts_of_a_monitoring_group_keep_their_name(resctrl: Mounted) -> None:
    """EPERM, also for a target that a group could have."""
    group = resctrl.new_monitor()
    with refused(EPERM):
        move(resctrl, f"{group}/mon_data", f"mon_groups/{NAME}")
    assert resctrl.status() == NOT_A_GROUP


@pytest.mark.parametrize("path", ["info", "info/L3_MON"])
def test_info_is_not_there_for_a_renaming(resctrl: Mounted, path: str) -> None:
    """ENOENT: it belongs to no group; and the status is left alone."""
    said = resctrl.soil_status()
    with refused(ENOENT):
        move(resctrl, path, f"{path}2")
    assert resctrl.status() == said


def test_a_file_keeps_its_name(resctrl: Mounted) -> None:
    """EPERM, with a word that lacks its newline."""
    with refused(EPERM):
        move(resctrl, "tasks", "tasks2")
    assert resctrl.status().strip() == "Source and destination must be directories"


def test_a_group_does_not_leave_mon_groups(resctrl: Mounted) -> None:
    """EPERM for the root as a target: a monitoring group does not become a control group."""
    group = resctrl.new_monitor()
    with refused(EPERM):
        move(resctrl, group, NAME)
    assert resctrl.status() == NOT_A_PLACE
    assert resctrl.exists(group, "tasks")


def test_a_group_does_not_move_into_another(resctrl: Mounted) -> None:
    """EPERM for a target in a monitoring group and in a control group beside its mon_groups."""
    group = resctrl.new_monitor()
    for other in (resctrl.new_monitor(), resctrl.new_control()):
        with refused(EPERM):
            move(resctrl, group, f"{other}/{NAME}")
        assert resctrl.status() == NOT_A_PLACE


def test_a_group_does_not_become_mon_groups(resctrl: Mounted) -> None:
    """EPERM for this name in mon_groups."""
    group = resctrl.new_monitor()
    with refused(EPERM):
        move(resctrl, group, "mon_groups/mon_groups")
    assert resctrl.status() == NOT_A_PLACE


def test_a_group_does_not_move_below_info(resctrl: Mounted) -> None:
    """ENOENT: there is no group that could take it."""
    group = resctrl.new_monitor()
    with refused(ENOENT):
        move(resctrl, group, f"info/{NAME}")


def test_a_group_that_is_not_there_is_not_renamed(resctrl: Mounted) -> None:
    """ENOENT."""
    with refused(ENOENT):
        move(resctrl, f"mon_groups/{PREFIX}absent", f"mon_groups/{NAME}")


def test_a_group_does_not_replace_a_file(resctrl: Mounted) -> None:
    """ENOTDIR from the kernel's common part."""
    with refused(ENOTDIR):
        move(resctrl, resctrl.new_monitor(), "tasks")


def test_a_group_with_cpus_keeps_its_control_group(resctrl: Mounted) -> None:
    """EPERM for another control group, as the CPUs are of this one; another name is possible."""
    parent = resctrl.new_control()
    group = resctrl.new_monitor()
    resctrl.write(f"{resctrl.cpus()[-1]}\n", group, "cpus_list")
    with refused(EPERM):
        move(resctrl, group, f"{parent}/mon_groups/{NAME}")
    assert resctrl.status() == "Cannot move a MON group that monitors CPUs\n"
    move(resctrl, group, f"mon_groups/{NAME}")
    assert len(resctrl.cpus("mon_groups", NAME)) == 1
