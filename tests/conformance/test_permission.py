"""Who may move whom, and what other users than root can do."""

import os
from collections.abc import Callable, Iterator

import pytest
from conformance.companion import Companion
from conformance.mounted import Mounted, opened
from fakes.other_user import OTHER_UID, as_other_user

DENIED = "Permission denied"
NOT_PERMITTED = "Operation not permitted"
# A third user: neither root nor the one who writes.
THIRD_UID = OTHER_UID - 1


@pytest.fixture
def group(resctrl: Mounted) -> str:
    """A group whose tasks everybody may write to, as far as the mode goes."""
    group = resctrl.new_group()
    os.chmod(resctrl.path(group, "tasks"), 0o666)
    return group


@pytest.fixture
def folder(resctrl: Mounted, group: str) -> Iterator[int]:
    """The group as a descriptor: other users cannot pass the folders that stand before an emulated mount."""
    with opened(resctrl.path(group)) as descriptor:
        yield descriptor


def writing(folder: int, text: str) -> Callable[[], str]:
    """Work that writes to the tasks of a group."""

    def work() -> str:
        with open("tasks", "wb", buffering=0, opener=lambda name, flags: os.open(name, flags, dir_fd=folder)) as tasks:
            tasks.write(text.encode())
        return "ok"

    return work


def test_nobody_moves_a_thread_of_root(resctrl: Mounted, group: str, folder: int, process: Companion) -> None:
    """EPERM with the kernel's word for it, though the file could be opened."""
    assert as_other_user(writing(folder, f"{process.pid}\n")) == NOT_PERMITTED
    assert resctrl.status() == (f"No permission to move task {process.pid}\nError while processing task {process.pid}\n")
    assert resctrl.tasks(group) == []


def test_root_moves_threads_of_everybody(resctrl: Mounted, group: str, process: Companion) -> None:
    """The effective user 0 is asked no further."""
    process.become(OTHER_UID, OTHER_UID, OTHER_UID)
    resctrl.assign(process.pid, group)
    assert resctrl.tasks(group) == [process.pid]


@pytest.mark.parametrize(
    ("real", "effective", "saved"),
    [(OTHER_UID, THIRD_UID, THIRD_UID), (THIRD_UID, THIRD_UID, OTHER_UID), (OTHER_UID, OTHER_UID, OTHER_UID)],
)
def test_a_user_moves_threads_that_are_or_were_his(
    resctrl: Mounted, group: str, folder: int, process: Companion, real: int, effective: int, saved: int
) -> None:
    """The target's real or saved user counts."""
    process.become(real, effective, saved)
    assert as_other_user(writing(folder, f"{process.pid}")) == "ok"
    assert resctrl.tasks(group) == [process.pid]


def test_the_effective_user_of_the_target_does_not_count(resctrl: Mounted, group: str, folder: int, process: Companion) -> None:
    """Who merely acts as the writer is not the writer's."""
    process.become(THIRD_UID, OTHER_UID, THIRD_UID)
    assert as_other_user(writing(folder, f"{process.pid}")) == NOT_PERMITTED
    assert resctrl.tasks(group) == []


def test_everybody_moves_himself(resctrl: Mounted, folder: int, group: str) -> None:
    """0 is the writer, who is always his own."""

    def work() -> bool:
        writing(folder, "0")()
        with open("tasks", opener=lambda name, flags: os.open(name, flags, dir_fd=folder)) as tasks:
            return tasks.read() == f"{os.getpid()}\n"

    assert as_other_user(work) is True
    assert resctrl.tasks(group) == []


def test_who_writes_counts_and_not_who_opened(resctrl: Mounted, group: str, process: Companion) -> None:
    """A descriptor that root has opened gives its later holder no right."""
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY) as tasks:
        assert as_other_user(lambda: os.write(tasks, b"%d\n" % process.pid)) == NOT_PERMITTED
    assert resctrl.tasks(group) == []


def test_a_list_ends_at_the_thread_that_may_not_be_moved(resctrl: Mounted, group: str, folder: int, process: Companion) -> None:
    """Those before it stay moved."""
    own = process.fork()
    process.become(OTHER_UID, OTHER_UID, OTHER_UID)
    assert as_other_user(writing(folder, f"{process.pid},{own}\n")) == NOT_PERMITTED
    assert resctrl.tasks(group) == [process.pid]
    assert resctrl.status().startswith(f"No permission to move task {own}\n")


def test_a_thread_that_is_there_already_needs_permission_all_the_same(
    resctrl: Mounted, group: str, folder: int, process: Companion
) -> None:
    """The question of rights comes before that of need."""
    resctrl.assign(process.pid, group)
    assert as_other_user(writing(folder, f"{process.pid}")) == NOT_PERMITTED


def test_an_id_that_nobody_has_is_no_matter_of_rights(resctrl: Mounted, folder: int) -> None:
    """ESRCH for everybody."""
    assert as_other_user(writing(folder, "2147483647")) == "No such process"


def test_other_users_read_everything(resctrl: Mounted, group: str, folder: int) -> None:
    """Modes give reading to all: threads, CPUs and counts."""

    def work() -> list[int]:
        return [len(os.listdir(folder)), len(os.read(os.open("cpus", os.O_RDONLY, dir_fd=folder), 100))]

    entries, mask = as_other_user(work)
    assert entries == len(resctrl.names(group))
    assert mask == len(resctrl.read(group, "cpus"))


def test_other_users_open_no_file_for_writing(resctrl: Mounted) -> None:
    """EACCES by the mode, unless root has changed it."""
    with opened(resctrl.path(resctrl.new_group())) as folder:
        assert as_other_user(writing(folder, "0\n")) == DENIED


def test_other_users_make_and_remove_no_group(resctrl: Mounted) -> None:
    """EACCES: the directories are root's."""
    group = resctrl.new_monitor()
    with opened(resctrl.path("mon_groups")) as folder:
        assert as_other_user(lambda: os.mkdir("conformance_theirs", dir_fd=folder)) == DENIED
        assert as_other_user(lambda: os.rmdir(group.partition("/")[2], dir_fd=folder)) == DENIED
    assert resctrl.exists(group, "tasks")


def test_other_users_change_no_modes(resctrl: Mounted, folder: int) -> None:
    """EPERM for chmod of what is not theirs."""
    assert as_other_user(lambda: os.chmod("tasks", 0o777, dir_fd=folder)) == NOT_PERMITTED


def test_a_group_belongs_to_who_made_it(resctrl: Mounted) -> None:
    """Where root has given a mon_groups away, its new owner's groups are his with all that is in them."""
    parent = resctrl.new_control()
    os.chown(resctrl.path(parent, "mon_groups"), OTHER_UID, OTHER_UID)
    with opened(resctrl.path(parent, "mon_groups")) as folder:
        assert as_other_user(lambda: os.mkdir("theirs", dir_fd=folder)) is None
    for path in ("", "tasks", "cpus", "mon_data", f"mon_data/{resctrl.domains()[0]}"):
        found = os.stat(resctrl.path(parent, "mon_groups", "theirs", path))
        assert (found.st_uid, found.st_gid) == (OTHER_UID, OTHER_UID), path


def test_the_owner_of_a_group_moves_his_threads_into_it(resctrl: Mounted, process: Companion) -> None:
    """And removes the group himself, all without root."""
    parent = resctrl.new_control()
    os.chown(resctrl.path(parent, "mon_groups"), OTHER_UID, OTHER_UID)
    process.become(OTHER_UID, OTHER_UID, OTHER_UID)
    resctrl.assign(process.pid, parent)
    with opened(resctrl.path(parent, "mon_groups")) as folder:
        assert as_other_user(lambda: os.mkdir("theirs", dir_fd=folder)) is None
        with opened(resctrl.path(parent, "mon_groups", "theirs")) as theirs:
            assert as_other_user(writing(theirs, f"{process.pid}")) == "ok"
        assert resctrl.tasks(parent, "mon_groups", "theirs") == [process.pid]
        assert as_other_user(lambda: os.rmdir("theirs", dir_fd=folder)) is None
    assert resctrl.tasks(parent) == [process.pid]


def test_groups_that_root_makes_are_roots(resctrl: Mounted) -> None:
    """Owner and group are 0 for all that is in them."""
    group = resctrl.new_control()
    for folder, folders, files in os.walk(resctrl.path(group)):
        assert {(os.stat(f"{folder}/{name}").st_uid, os.stat(f"{folder}/{name}").st_gid) for name in folders + files} <= {(0, 0)}
