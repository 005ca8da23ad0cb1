"""The `tasks` files: what they accept, which errors they give, which tasks they list."""

import pytest
from fakes.emulated_tree import EmulatedTree

from workers.resctrl.emulator.ports import Caller
from workers.resctrl.emulator.task import ASK_SINGLY_MAX


def grown() -> EmulatedTree:
    """A control group with a monitoring group, and one in the root."""
    tree = EmulatedTree("tiny")
    for name in ("c", "c/mon_groups/m", "mon_groups/r"):
        tree.mkdir(name)
    return tree


@pytest.mark.parametrize(
    ("text", "error", "moved", "status"),
    [
        ("5", "ok", [5], "ok\n"),
        ("5\n", "ok", [5], "ok\n"),
        (" 5 , 6 \n", "ok", [5, 6], "ok\n"),
        ("5,6,7,", "ok", [5, 6, 7], "ok\n"),
        ("5,\n6", "ok", [5], "ok\n"),
        ("5\0,6", "ok", [5], "ok\n"),
        ("0x10,010", "ok", [8, 16], "ok\n"),
        ("+5", "ok", [5], "ok\n"),
        ("", "ok", [], "ok\n"),
        ("\n", "ok", [], "ok\n"),
        ("0", "ok", [1], "ok\n"),
        ("00", "ok", [1], "ok\n"),
        ("5,5", "ok", [5], "ok\n"),
        ("08", "EINVAL", [], "Task list parsing error pid 08\n"),
        ("5,x,6", "EINVAL", [5], "Task list parsing error pid x\n"),
        ("5,,6", "EINVAL", [5], "Task list parsing error pid \n"),
        ("1_0", "EINVAL", [], "Task list parsing error pid 1_0\n"),
        ("5 6", "EINVAL", [], "Task list parsing error pid 5 6\n"),
        ("2147483648", "EINVAL", [], "Task list parsing error pid 2147483648\n"),
        ("5,-6", "EINVAL", [5], "Invalid pid -6\n"),
        ("5,1000,6", "ESRCH", [5], "No task 1000\nError while processing task 1000\n"),
    ],
)
def test_what_a_write_moves_and_says(text: str, error: str, moved: list[int], status: str) -> None:
    """Ids are taken one after the other; the first bad one ends it, and those before it stay moved."""
    tree = grown()
    assert tree.refused("write", "mon_groups/r/tasks", text) == error
    assert (tree.tasks("mon_groups/r"), tree.status) == (moved, status)


@pytest.mark.parametrize(
    ("text", "error", "moved"),
    [("5\n", "ok", [5]), (" 5 ", "ok", [5]), ("0", "ok", [1]), ("5,6", "EINVAL", []), ("-5", "EINVAL", []), ("", "EINVAL", [])],
)
def test_old_kernels_take_one_id(text: str, error: str, moved: list[int]) -> None:
    """A list is no number to them, and no sentence says so."""
    tree = EmulatedTree("tiny", task_lists=False)
    tree.mkdir("mon_groups/r")
    assert tree.refused("write", "mon_groups/r/tasks", text) == error
    assert (tree.tasks("mon_groups/r"), tree.status) == (moved, "ok\n")


@pytest.mark.parametrize(
    ("uid", "owner", "saved", "error"),
    [(0, 1000, 1000, "ok"), (1000, 1000, 0, "ok"), (1000, 0, 1000, "ok"), (1000, 0, 0, "EPERM"), (1000, 1001, 1001, "EPERM")],
)
def test_who_may_move_whom(uid: int, owner: int, saved: int, error: str) -> None:
    """Root anybody, a user those who are or were theirs."""
    tree = grown()
    tree.threads.start(50, uid=owner, suid=saved)
    assert tree.refused("write", "mon_groups/r/tasks", "50", Caller(thread_id=9, uid=uid, gid=0)) == error
    expected = "No permission to move task 50\nError while processing task 50\n" if error == "EPERM" else "ok\n"
    assert tree.status == expected


def test_zero_is_the_writing_thread() -> None:
    """The writing thread itself is moved, not its process's first."""
    tree = grown()
    tree.write("c/tasks", "0", Caller(thread_id=42, uid=0, gid=0))
    assert tree.tasks("c") == [42]


def test_a_monitoring_group_takes_only_its_own_control_groups_threads() -> None:
    """A thread of another control group must come over first; to a control group every thread may go."""
    tree = grown()
    tree.write("mon_groups/r/tasks", "5")
    assert tree.refused("write", "c/mon_groups/m/tasks", "5") == "EINVAL"
    assert tree.status == "Can't move task to different control group\nError while processing task 5\n"
    assert tree.tasks("mon_groups/r") == [5]
    tree.write("c/tasks", "5")
    tree.write("c/mon_groups/m/tasks", "5")
    assert tree.emulation.group_of(5) == "c/mon_groups/m"


def test_a_control_group_takes_a_thread_out_of_its_monitoring_group() -> None:
    """Written to its own control group, a thread loses the monitoring group."""
    tree = grown()
    tree.write("c/tasks", "5")
    tree.write("c/mon_groups/m/tasks", "5")
    tree.write("c/tasks", "5")
    assert (tree.tasks("c/mon_groups/m"), tree.tasks("c")) == ([], [5])
    assert tree.emulation.group_of(5) == "c"


def test_a_control_group_lists_its_monitoring_groups_threads() -> None:
    """Each thread stands in its own group's list and in its control group's, and the root has all that are in no other."""
    tree = grown()
    tree.write("c/tasks", "5,6,7")
    tree.write("c/mon_groups/m/tasks", "6")
    tree.write("mon_groups/r/tasks", "8")
    assert tree.tasks("c") == [5, 6, 7]
    assert tree.tasks("c/mon_groups/m") == [6]
    assert tree.tasks("mon_groups/r") == [8]
    assert tree.tasks("") == [thread for thread in range(1, 100) if thread not in (5, 6, 7)]


def test_hardware_that_only_monitors_lists_nobody_in_the_root() -> None:
    """The root's list goes by CLOSID, and there is none; a monitoring group's goes by RMID."""
    tree = EmulatedTree("monitor-only")
    tree.mkdir("mon_groups/r")
    tree.write("mon_groups/r/tasks", "8")
    assert (tree.tasks(""), tree.tasks("mon_groups/r")) == ([], [8])


@pytest.mark.parametrize("members", [ASK_SINGLY_MAX, ASK_SINGLY_MAX + 1])
def test_only_the_living_are_listed(members: int) -> None:
    """A thread that has ended is not in the list although no news of its end have come, in small groups and large ones."""
    tree = EmulatedTree("tiny")
    tree.mkdir("mon_groups/r")
    tree.write("mon_groups/r/tasks", ",".join(str(thread) for thread in range(1, members + 1)))
    tree.threads.end(3)
    assert tree.tasks("mon_groups/r") == [thread for thread in range(1, members + 1) if thread != 3]


def test_threads_of_the_root_cost_nothing() -> None:
    """However many threads the host has, only those are remembered that were moved."""
    tree = EmulatedTree("tiny", living=range(1, 5001))
    tree.mkdir("mon_groups/r")
    tree.write("mon_groups/r/tasks", "17,18")
    tree.emulation.on_fork(100, 5001, tree.now_ns)
    assert tree.emulation._registry.tasks.kept == 2
