"""What is left in the hands of who has opened files of a group that is removed."""

import fcntl
import os
from errno import ENODEV, ENOENT

import pytest
from conformance.companion import Companion
from conformance.mounted import Mounted, opened, refused


@pytest.fixture
def group(resctrl: Mounted) -> str:
    return resctrl.new_monitor()


@pytest.mark.parametrize("file", ["tasks", "cpus", "cpus_list", "mon_data/{domain}/{event}"])
def test_reading_is_refused(resctrl: Mounted, group: str, file: str) -> None:
    """ENODEV for a first read."""
    path = f"{group}/" + file.format(domain=resctrl.domains()[0], event=resctrl.events()[0])
    with opened(resctrl.path(path)) as descriptor:
        resctrl.remove(group)
        with refused(ENODEV):
            os.read(descriptor, 100)


@pytest.mark.parametrize("file", ["schemata", "mode", "size", "tasks"])
def test_reading_files_of_a_control_group_is_refused(resctrl: Mounted, file: str) -> None:
    """ENODEV, whatever it was."""
    group = resctrl.new_control()
    with opened(resctrl.path(group, file)) as descriptor:
        resctrl.remove(group)
        with refused(ENODEV):
            os.read(descriptor, 100)


def test_a_descriptor_that_was_read_before_is_refused_too(resctrl: Mounted, group: str) -> None:
    """pread at 0 of a kept descriptor, the way of who samples: a value before, ENODEV after."""
    with opened(resctrl.path(group, "mon_data", resctrl.domains()[0], resctrl.events()[0])) as descriptor:
        assert os.pread(descriptor, 100, 0).endswith(b"\n")
        resctrl.remove(group)
        for _ in range(2):
            with refused(ENODEV):
                os.pread(descriptor, 100, 0)


def test_writing_is_refused(resctrl: Mounted, group: str, process: Companion) -> None:
    """ENODEV, and the thread is not moved."""
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY) as descriptor:
        resctrl.remove(group)
        said = resctrl.soil_status()
        with refused(ENODEV):
            os.write(descriptor, b"%d\n" % process.pid)
        assert resctrl.status() == said
    other = resctrl.new_monitor()
    assert resctrl.tasks(other) == []


def test_groups_within_a_removed_group_are_removed(resctrl: Mounted) -> None:
    """Descriptors of a monitoring group end with its control group."""
    parent = resctrl.new_control()
    inner = resctrl.new_monitor(parent)
    with opened(resctrl.path(inner, "tasks")) as descriptor:
        resctrl.remove(parent)
        with refused(ENODEV):
            os.read(descriptor, 100)


def test_a_group_of_the_same_name_is_another_one(resctrl: Mounted, group: str, process: Companion) -> None:
    """An old descriptor stays dead, and the new group has nothing of the old one."""
    resctrl.assign(process.pid, group)
    with opened(resctrl.path(group, "tasks"), os.O_RDWR) as descriptor:
        resctrl.remove(group)
        resctrl.make(group)
        with refused(ENODEV):
            os.pread(descriptor, 100, 0)
        with refused(ENODEV):
            os.write(descriptor, b"%d\n" % process.pid)
    assert resctrl.tasks(group) == []


def test_an_open_file_does_not_hold_a_group(resctrl: Mounted, group: str) -> None:
    """rmdir succeeds at once, and the name is free."""
    with opened(resctrl.path(group, "tasks")), opened(resctrl.path(group)):
        resctrl.remove(group)
        assert not resctrl.exists(group)
        resctrl.make(group)


def test_a_lock_does_not_hold_a_group(resctrl: Mounted, group: str) -> None:
    """It can be removed while its directory is locked."""
    with opened(resctrl.path(group)) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        resctrl.remove(group)
        assert not resctrl.exists(group)


def test_who_stands_in_a_group_does_not_hold_it(resctrl: Mounted, group: str) -> None:
    """A working directory is removed like any, and its user finds nothing more in it."""
    before = os.getcwd()
    os.chdir(resctrl.path(group))
    try:
        resctrl.remove(group)
        assert os.listdir(".") == []
        with refused(ENOENT):
            os.open("tasks", os.O_RDONLY)
    finally:
        os.chdir(before)


def test_a_directory_descriptor_leads_nowhere(resctrl: Mounted, group: str) -> None:
    """ENOENT for every name; the C library makes an empty listing of it."""
    with opened(resctrl.path(group)) as folder:
        assert "tasks" in os.listdir(folder)
        resctrl.remove(group)
        assert os.listdir(folder) == []
        with refused(ENOENT):
            os.stat("tasks", dir_fd=folder)


def test_nothing_is_made_in_a_removed_group(resctrl: Mounted) -> None:
    """ENOENT for mkdir below a descriptor of its mon_groups."""
    parent = resctrl.new_control()
    with opened(resctrl.path(parent, "mon_groups")) as folder:
        resctrl.remove(parent)
        with refused(ENOENT):
            os.mkdir("conformance_late", dir_fd=folder)


def test_a_deep_directory_descriptor_leads_nowhere(resctrl: Mounted) -> None:
    """Also for a monitoring group that went with its control group."""
    parent = resctrl.new_control()
    inner = resctrl.new_monitor(parent)
    with opened(resctrl.path(inner)) as folder:
        resctrl.remove(parent)
        with refused(ENOENT):
            os.open("tasks", os.O_RDONLY, dir_fd=folder)


def test_a_descriptor_can_still_be_asked_and_closed(resctrl: Mounted, group: str) -> None:
    """fstat and close are no errors."""
    with opened(resctrl.path(group, "tasks")) as descriptor:
        inode = os.fstat(descriptor).st_ino
        resctrl.remove(group)
        assert os.fstat(descriptor).st_ino == inode


def test_descriptors_of_other_groups_are_untouched(resctrl: Mounted, group: str, process: Companion) -> None:
    """Removal ends the files of one group alone."""
    other = resctrl.new_monitor()
    with opened(resctrl.path(other, "tasks"), os.O_RDWR) as descriptor, opened(resctrl.path("cpus")) as root:
        resctrl.remove(group)
        os.write(descriptor, b"%d\n" % process.pid)
        assert os.pread(descriptor, 100, 0) == b"%d\n" % process.pid
        assert os.read(root, 1 << 16)
