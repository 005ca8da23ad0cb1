"""Where groups can be made and removed, and what the kernel says elsewhere."""

import os
from errno import EEXIST, EINVAL, ENODEV, ENOENT, ENOTDIR, EPERM

import pytest
from conformance.mounted import PREFIX, Mounted, opened, refused

NAME = f"{PREFIX}named"


def make(resctrl: Mounted, *path: str) -> None:
    resctrl.make(*path)


def test_a_directory_in_the_root_is_a_control_group(resctrl: Mounted) -> None:
    """It has schemata of its own."""
    resctrl.need_control()
    assert resctrl.exists(resctrl.new_control(), "schemata")


def test_a_directory_in_mon_groups_is_a_monitoring_group(resctrl: Mounted) -> None:
    """It has counts and no schemata."""
    resctrl.need_monitoring()
    group = resctrl.new_monitor()
    assert resctrl.exists(group, "mon_data")
    assert not resctrl.exists(group, "schemata")


def test_a_control_group_has_monitoring_groups_of_its_own(resctrl: Mounted) -> None:
    """Its mon_groups takes them as that of the root does."""
    resctrl.need_control()
    resctrl.need_monitoring()
    group = resctrl.new_monitor(resctrl.new_control())
    assert resctrl.exists(group, "mon_data")


def test_making_succeeds_with_status_ok(resctrl: Mounted) -> None:
    """The complaint of the command before is gone, whichever kind of group it is."""
    for make in (resctrl.new_control, resctrl.new_monitor):
        resctrl.soil_status()
        make()
        assert resctrl.status() == "ok\n"


@pytest.mark.parametrize("folder", ["", "mon_groups"])
def test_a_name_with_a_newline_is_refused(resctrl: Mounted, folder: str) -> None:
    """EINVAL: lists of groups by line could not be read otherwise."""
    with refused(EINVAL):
        make(resctrl, folder, f"{PREFIX}a\nb")


def test_the_status_is_left_alone_by_a_name_with_a_newline(resctrl: Mounted) -> None:
    """The name is looked at before the command begins."""
    said = resctrl.soil_status()
    with refused(EINVAL):
        make(resctrl, f"{PREFIX}a\nb")
    assert resctrl.status() == said


def test_a_group_that_exists_cannot_be_made_again(resctrl: Mounted) -> None:
    """EEXIST, in the root and in mon_groups, and the group stays what it was."""
    for group in (resctrl.new_control(), resctrl.new_monitor()):
        before = resctrl.names(group)
        with refused(EEXIST):
            make(resctrl, group)
        assert resctrl.names(group) == before


def test_the_status_is_left_alone_by_a_name_that_exists(resctrl: Mounted) -> None:
    """It does not get as far as resctrl."""
    group = resctrl.new_group()
    said = resctrl.soil_status()
    with refused(EEXIST):
        make(resctrl, group)
    assert resctrl.status() == said


@pytest.mark.parametrize("name", ["info", "mon_groups", "mon_data", "tasks", "schemata", "cpus"])
def test_names_of_the_root_are_taken(resctrl: Mounted, name: str) -> None:
    """EEXIST for what the kernel has put there."""
    with refused(EEXIST):
        make(resctrl, name)


@pytest.mark.parametrize("folder", ["info", "info/L3_MON", "info/L3"])
def test_there_are_no_groups_below_info(resctrl: Mounted, folder: str) -> None:
    """ENODEV: info belongs to no group."""
    resctrl.need(resctrl.exists(folder), f"no {folder}")
    with refused(ENODEV):
        make(resctrl, folder, NAME)


def test_the_status_is_left_alone_by_making_below_info(resctrl: Mounted) -> None:
    """No group is found that could be asked, so no command begins."""
    said = resctrl.soil_status()
    with refused(ENODEV):
        make(resctrl, "info", NAME)
    assert resctrl.status() == said


def test_there_are_no_groups_below_mon_data(resctrl: Mounted) -> None:
    """EPERM in mon_data and in a domain of it."""
    for folder in ("mon_data", f"mon_data/{resctrl.domains()[0]}"):
        with refused(EPERM):
            make(resctrl, folder, NAME)


def test_there_are_no_groups_directly_in_a_group(resctrl: Mounted) -> None:
    """EPERM in a control group and in a monitoring group: only mon_groups takes some."""
    for group in (resctrl.new_control(), resctrl.new_monitor()):
        with refused(EPERM):
            make(resctrl, group, NAME)


def test_there_are_no_groups_in_the_counts_of_a_group(resctrl: Mounted) -> None:
    """EPERM in mon_data of a monitoring group and of a control group."""
    for group in (resctrl.new_control(), resctrl.new_monitor()):
        with refused(EPERM):
            make(resctrl, group, "mon_data", NAME)


def test_a_place_without_permission_clears_the_status(resctrl: Mounted) -> None:
    """The command began before it was refused, and the kernel has no word for the refusal."""
    resctrl.soil_status()
    with refused(EPERM):
        make(resctrl, "mon_data", NAME)
    assert resctrl.status() == "ok\n"


def test_a_monitoring_group_is_not_called_mon_groups(resctrl: Mounted) -> None:
    """EPERM: each directory of this name belongs to a control group."""
    with refused(EPERM):
        make(resctrl, "mon_groups", "mon_groups")


@pytest.mark.parametrize("name", ["mon_data", "info", "tasks"])
def test_a_monitoring_group_may_have_a_name_of_the_root(resctrl: Mounted, name: str) -> None:
    """In mon_groups these names mean nothing."""
    make(resctrl, "mon_groups", name)
    try:
        assert resctrl.exists("mon_groups", name, "tasks")
    finally:
        os.rmdir(resctrl.path("mon_groups", name))


@pytest.mark.parametrize("rest", ["x" * (255 - len(PREFIX)), "with space", "…ü漢", ".hidden", "-dash", "*", "a,b;c=d:e"])
def test_names_are_free(resctrl: Mounted, rest: str) -> None:
    """255 bytes, spaces, any UTF-8, and what is punctuation in files of resctrl."""
    make(resctrl, "mon_groups", PREFIX + rest)
    assert PREFIX + rest in resctrl.names("mon_groups")
    os.rmdir(resctrl.path("mon_groups", PREFIX + rest))
    assert PREFIX + rest not in resctrl.names("mon_groups")


def test_the_place_must_be_there(resctrl: Mounted) -> None:
    """ENOENT below a group that is not there, ENOTDIR below a file."""
    with refused(ENOENT):
        make(resctrl, f"{PREFIX}absent/mon_groups", NAME)
    with refused(ENOTDIR):
        make(resctrl, "tasks", NAME)


def test_equal_names_in_two_control_groups_are_two_groups(resctrl: Mounted) -> None:
    """A name is unique in its directory only."""
    resctrl.need_control()
    parent = resctrl.new_control()
    make(resctrl, "mon_groups", NAME)
    make(resctrl, parent, "mon_groups", NAME)
    make(resctrl, NAME)
    os.rmdir(resctrl.path("mon_groups", NAME))
    assert resctrl.exists(parent, "mon_groups", NAME, "tasks")
    assert resctrl.exists(NAME, "schemata")


def test_groups_are_made_relative_to_a_descriptor(resctrl: Mounted) -> None:
    """mkdirat and unlinkat with the descriptor of mon_groups do the same."""
    with opened(resctrl.path("mon_groups"), os.O_RDONLY | os.O_DIRECTORY) as folder:
        os.mkdir(NAME, dir_fd=folder)
        assert NAME in os.listdir(folder)
        os.rmdir(NAME, dir_fd=folder)
        assert NAME not in os.listdir(folder)


def test_a_group_takes_the_mode_that_it_is_made_with(resctrl: Mounted) -> None:
    """The mode of mkdir, less what the umask takes away."""
    previous = os.umask(0o027)
    try:
        group = resctrl.new_control(0o777)
    finally:
        os.umask(previous)
    assert resctrl.mode(group) == 0o750


def test_directories_in_a_group_copy_its_mode(resctrl: Mounted) -> None:
    """mon_groups, mon_data and its domains are as open as the group, and its files are not changed by it."""
    resctrl.need_monitoring()
    group = resctrl.new_control(0o700)
    domain = f"mon_data/{resctrl.domains()[0]}"
    assert {resctrl.mode(group, name) for name in ("mon_groups", "mon_data", domain)} == {0o700}
    assert resctrl.mode(group, "tasks") == 0o644


def test_groups_are_removed_with_all_that_is_in_them(resctrl: Mounted) -> None:
    """rmdir of a directory that is never empty."""
    for group in (resctrl.new_control(), resctrl.new_monitor()):
        resctrl.remove(group)
        assert not resctrl.exists(group)


def test_a_control_group_takes_its_monitoring_groups_with_it(resctrl: Mounted) -> None:
    """One rmdir removes them all."""
    parent = resctrl.new_control()
    for _ in range(3):
        resctrl.new_monitor(parent)
    resctrl.remove(parent)
    assert not resctrl.exists(parent)


def test_a_removed_group_is_not_there_to_be_removed(resctrl: Mounted) -> None:
    """ENOENT the second time."""
    group = resctrl.new_group()
    resctrl.remove(group)
    with refused(ENOENT):
        resctrl.remove(group)


def test_a_name_can_be_used_again(resctrl: Mounted) -> None:
    """Removed and made again ten times, a group is new each time."""
    for _ in range(10):
        make(resctrl, "mon_groups", NAME)
        assert resctrl.tasks("mon_groups", NAME) == []
        os.rmdir(resctrl.path("mon_groups", NAME))


@pytest.mark.parametrize("path", ["info", "info/L3_MON", "mon_groups", "mon_data", "mon_data/{domain}"])
def test_what_the_kernel_has_made_stays(resctrl: Mounted, path: str) -> None:
    """EPERM for each directory of the root that is no group."""
    resctrl.need_monitoring()
    path = path.format(domain=resctrl.domains()[0])
    with refused(EPERM):
        os.rmdir(resctrl.path(path))
    assert resctrl.exists(path)


@pytest.mark.parametrize("path", ["mon_groups", "mon_data", "mon_data/{domain}"])
def test_parts_of_a_group_stay(resctrl: Mounted, path: str) -> None:
    """EPERM for directories in a control group, which go with the group or not at all."""
    group = resctrl.new_control()
    with refused(EPERM):
        os.rmdir(resctrl.path(group, path.format(domain=resctrl.domains()[0])))


def test_the_counts_of_a_monitoring_group_stay(resctrl: Mounted) -> None:
    """EPERM for its mon_data, though its owner is a group that could be removed."""
    group = resctrl.new_monitor()
    with refused(EPERM):
        os.rmdir(resctrl.path(group, "mon_data"))
    assert resctrl.exists(group, "mon_data", resctrl.domains()[0])


def test_files_are_no_directories(resctrl: Mounted) -> None:
    """ENOTDIR for rmdir of a file."""
    with refused(ENOTDIR):
        os.rmdir(resctrl.path("tasks"))


def test_removing_leaves_the_status_alone(resctrl: Mounted) -> None:
    """rmdir is no command that clears it, whether it succeeds or not."""
    group = resctrl.new_group()
    said = resctrl.soil_status()
    with refused(EPERM):
        os.rmdir(resctrl.path("mon_data"))
    assert resctrl.status() == said
    resctrl.remove(group)
    assert resctrl.status() == said


def test_new_groups_are_empty(resctrl: Mounted) -> None:
    """Neither threads nor CPUs are in them, and what made them is where it was."""
    for group in (resctrl.new_control(), resctrl.new_monitor()):
        assert resctrl.tasks(group) == []
        assert resctrl.cpus(group) == []
    assert os.getpid() in resctrl.tasks()
