"""Which threads are in which group: one at a time, inherited at birth, kept through exec, gone at death."""

import os
from errno import EINVAL
from pathlib import Path

import pytest
from conformance.companion import Companion, companion
from conformance.mounted import Mounted, refused

MANY = 150


@pytest.fixture(autouse=True)
def _lists(resctrl: Mounted) -> None:
    """Without allocation the default group lists nobody."""
    resctrl.need_control()


@pytest.fixture
def group(resctrl: Mounted) -> str:
    """A MON group of the default group."""
    return resctrl.new_monitor()


def test_one_write_moves_one_thread(resctrl: Mounted, group: str, process: Companion) -> None:
    """The id of a process is that of its first thread; the others stay."""
    others = [process.thread(), process.thread()]
    resctrl.assign(process.pid, group)
    assert resctrl.tasks(group) == [process.pid]
    assert set(others) <= set(resctrl.tasks())


def test_any_thread_can_be_moved_by_its_id(resctrl: Mounted, group: str, process: Companion) -> None:
    """Also without the first one of its process."""
    thread, _ = process.thread(), process.thread()
    resctrl.assign(thread, group)
    assert resctrl.tasks(group) == [thread]


def test_a_process_is_moved_thread_by_thread(resctrl: Mounted, group: str, process: Companion) -> None:
    """All ids in one list bring all of it."""
    for _ in range(5):
        process.thread()
    resctrl.write(",".join(map(str, process.threads())), group, "tasks")
    assert set(resctrl.tasks(group)) == process.threads()


def test_a_new_thread_is_where_its_maker_is(resctrl: Mounted, group: str, process: Companion) -> None:
    """At once, without anybody's doing."""
    resctrl.assign(process.pid, group)
    thread = process.thread()
    assert set(resctrl.tasks(group)) == {process.pid, thread}


def test_the_maker_counts_and_not_the_process(resctrl: Mounted, group: str, process: Companion) -> None:
    """A thread made by a thread outside is outside, and one made by a thread inside is inside."""
    inside, outside = process.thread(), process.thread()
    resctrl.assign(inside, group)
    born_inside, born_outside = process.thread(by=inside), process.thread(by=outside)
    assert set(resctrl.tasks(group)) == {inside, born_inside}
    assert {process.pid, outside, born_outside} <= set(resctrl.tasks())


def test_a_child_is_where_its_parent_is(resctrl: Mounted, group: str, process: Companion) -> None:
    """fork copies the group."""
    resctrl.assign(process.pid, group)
    child = process.fork()
    assert set(resctrl.tasks(group)) == {process.pid, child}


def test_a_child_is_where_the_forking_thread_is(resctrl: Mounted, group: str, process: Companion) -> None:
    """Not where the first thread of its parent is."""
    thread = process.thread()
    resctrl.assign(thread, group)
    child, other = process.fork(by=thread), process.fork()
    assert set(resctrl.tasks(group)) == {thread, child}
    assert other in resctrl.tasks()


def test_a_child_of_before_stays(resctrl: Mounted, group: str, process: Companion) -> None:
    """A move reaches nobody who is already there."""
    child = process.fork()
    resctrl.assign(process.pid, group)
    assert resctrl.tasks(group) == [process.pid]
    assert child in resctrl.tasks()


def test_a_child_goes_its_own_way(resctrl: Mounted, group: str, process: Companion) -> None:
    """Moved away, it leaves its parent where it is, and later children come to the parent's group."""
    other = resctrl.new_monitor()
    resctrl.assign(process.pid, group)
    first = process.fork()
    resctrl.assign(first, other)
    second = process.fork()
    assert set(resctrl.tasks(group)) == {process.pid, second}
    assert resctrl.tasks(other) == [first]


def test_moves_and_births_keep_their_order(resctrl: Mounted, process: Companion) -> None:
    """Between moves to and fro, each child is where its parent was at its birth."""
    groups = [resctrl.new_monitor() for _ in range(4)]
    expected: dict[str, set[int]] = {group: set() for group in groups}
    for turn in range(20):
        group = groups[turn % len(groups)]
        resctrl.assign(process.pid, group)
        expected[group].add(process.fork())
    expected[groups[19 % 4]].add(process.pid)
    assert {group: set(resctrl.tasks(group)) for group in groups} == expected


def test_exec_changes_nothing(resctrl: Mounted, group: str, process: Companion) -> None:
    """Another program in the same process is in the same group."""
    resctrl.assign(process.pid, group)
    process.run_again()
    assert resctrl.tasks(group) == [process.pid]


def test_exec_ends_the_other_threads(resctrl: Mounted, group: str, process: Companion) -> None:
    """They leave the list with it."""
    threads = [process.thread() for _ in range(3)]
    resctrl.write(",".join(map(str, [process.pid, *threads])), group, "tasks")
    process.run_again()
    assert resctrl.tasks(group) == [process.pid]


def test_exec_by_another_thread_takes_the_process_where_that_thread_was(resctrl: Mounted, group: str, process: Companion) -> None:
    """It takes over the id of the first thread and keeps its own group."""
    thread = process.thread()
    resctrl.assign(thread, group)
    process.run_again(by=thread)
    assert resctrl.tasks(group) == [process.pid]


def test_exec_by_another_thread_takes_the_process_out(resctrl: Mounted, group: str, process: Companion) -> None:
    """The same rule the other way: the first thread was inside, who goes on was not."""
    thread = process.thread()
    resctrl.assign(process.pid, group)
    process.run_again(by=thread)
    assert resctrl.tasks(group) == []
    assert process.pid in resctrl.tasks()


def test_a_thread_that_has_ended_is_gone(resctrl: Mounted, group: str, process: Companion) -> None:
    """From the list of its group and from all others."""
    thread = process.thread()
    resctrl.assign(thread, group)
    process.end_thread(thread)
    assert resctrl.tasks(group) == []
    assert thread not in resctrl.tasks()


def test_a_process_that_has_ended_stays_until_somebody_has_waited_for_it(resctrl: Mounted, group: str, process: Companion) -> None:
    """A zombie is a thread to the kernel; once reaped it is gone at once."""
    child = process.fork()
    resctrl.assign(child, group)
    process.let_go(child)
    assert resctrl.tasks(group) == [child]
    process.reap(child)
    assert resctrl.tasks(group) == []


def test_a_zombie_can_be_moved(resctrl: Mounted, group: str, process: Companion) -> None:
    """As long as its id is somebody's."""
    child = process.fork()
    process.let_go(child)
    resctrl.assign(child, group)
    assert resctrl.tasks(group) == [child]
    process.reap(child)


def test_a_first_thread_that_has_ended_stays_with_its_process(resctrl: Mounted, group: str) -> None:
    """Its id is that of the process, which lives on in other threads."""
    with companion() as process:
        thread = process.thread()
        resctrl.write(f"{process.pid},{thread}", group, "tasks")
        process.end_leader()
        assert {process.pid, thread} <= set(resctrl.tasks(group))


def test_a_control_group_lists_the_threads_of_its_monitoring_groups(resctrl: Mounted, group: str, process: Companion) -> None:
    """They belong to it as well: the default group also lists the tasks of its monitoring groups."""
    resctrl.assign(process.pid, group)
    assert process.pid in resctrl.tasks()
    assert resctrl.tasks(group) == [process.pid]


def test_a_control_group_of_ones_own_lists_its_monitoring_groups_too(resctrl: Mounted, process: Companion) -> None:
    """And the default group lists neither."""
    parent = resctrl.new_control()
    group = resctrl.new_monitor(parent)
    child = process.fork()
    resctrl.write(f"{process.pid},{child}", parent, "tasks")
    resctrl.assign(child, group)
    assert set(resctrl.tasks(parent)) == {process.pid, child}
    assert resctrl.tasks(group) == [child]
    assert not {process.pid, child} & set(resctrl.tasks())


def test_a_monitoring_group_lists_only_its_own(resctrl: Mounted, group: str, process: Companion) -> None:
    """Not what its control group has beside it."""
    resctrl.assign(process.fork(), group)
    assert process.pid not in resctrl.tasks(group)
    assert len(resctrl.tasks(group)) == 1


def test_another_control_group_takes_a_thread_out_of_its_monitoring_group(resctrl: Mounted, group: str, process: Companion) -> None:
    """Both memberships change with the control group."""
    parent = resctrl.new_control()
    resctrl.assign(process.pid, group)
    resctrl.assign(process.pid, parent)
    assert resctrl.tasks(group) == []
    assert resctrl.tasks(parent) == [process.pid]
    assert process.pid not in resctrl.tasks()


def test_its_own_control_group_takes_a_thread_out_of_its_monitoring_group(resctrl: Mounted, group: str, process: Companion) -> None:
    """Written to the default group, it is counted there and nowhere else."""
    resctrl.assign(process.pid, group)
    resctrl.assign(process.pid)
    assert resctrl.tasks(group) == []
    assert process.pid in resctrl.tasks()


def test_one_monitoring_group_takes_a_thread_from_another(resctrl: Mounted, group: str, process: Companion) -> None:
    """Within one control group this needs no step between."""
    other = resctrl.new_monitor()
    resctrl.assign(process.pid, group)
    resctrl.assign(process.pid, other)
    assert (resctrl.tasks(group), resctrl.tasks(other)) == ([], [process.pid])


def test_a_monitoring_group_takes_no_thread_of_another_control_group(resctrl: Mounted, group: str, process: Companion) -> None:
    """EINVAL with two lines of complaint; the thread stays where it is, in both directions."""
    parent = resctrl.new_control()
    inner = resctrl.new_monitor(parent)
    complaint = f"Can't move task to different control group\nError while processing task {process.pid}\n"
    with refused(EINVAL):
        resctrl.assign(process.pid, inner)
    assert resctrl.status() == complaint
    assert process.pid in resctrl.tasks()
    resctrl.assign(process.pid, parent)
    with refused(EINVAL):
        resctrl.assign(process.pid, group)
    assert resctrl.status() == complaint
    assert resctrl.tasks(parent) == [process.pid]


def test_a_list_ends_at_a_thread_of_another_control_group(resctrl: Mounted, group: str, process: Companion) -> None:
    """Those before it are moved, those behind it are not."""
    foreign, last = process.fork(), process.fork()
    resctrl.assign(foreign, resctrl.new_control())
    with refused(EINVAL):
        resctrl.write(f"{process.pid},{foreign},{last}", group, "tasks")
    assert resctrl.tasks(group) == [process.pid]


def test_a_removed_monitoring_group_gives_its_threads_to_its_parent(resctrl: Mounted, process: Companion) -> None:
    """They stay in the control group."""
    parent = resctrl.new_control()
    group = resctrl.new_monitor(parent)
    resctrl.assign(process.pid, parent)
    resctrl.assign(process.pid, group)
    resctrl.remove(group)
    assert resctrl.tasks(parent) == [process.pid]


def test_a_removed_control_group_gives_all_threads_to_the_default_group(resctrl: Mounted, process: Companion) -> None:
    """Those of its monitoring groups as well, and these can then be moved as any other."""
    parent = resctrl.new_control()
    group = resctrl.new_monitor(parent)
    child = process.fork()
    resctrl.write(f"{process.pid},{child}", parent, "tasks")
    resctrl.assign(child, group)
    resctrl.remove(parent)
    assert {process.pid, child} <= set(resctrl.tasks())
    other = resctrl.new_monitor()
    resctrl.assign(child, other)
    assert resctrl.tasks(other) == [child]


def test_a_child_born_after_a_removal_is_where_its_parent_went(resctrl: Mounted, group: str, process: Companion) -> None:
    """Nothing of the old group is handed on, also if a new group has its ids."""
    resctrl.assign(process.pid, group)
    resctrl.remove(group)
    newer = resctrl.new_monitor()
    child = process.fork()
    assert resctrl.tasks(newer) == []
    assert child in resctrl.tasks()


def test_a_rename_to_another_control_group_hands_on_the_new_one(resctrl: Mounted, group: str, process: Companion) -> None:
    """A child born after it is of the new control group and of the group that moved."""
    parent = resctrl.new_control()
    resctrl.assign(process.pid, group)
    moved = f"{parent}/{group}"
    os.rename(resctrl.path(group), resctrl.path(moved))
    child = process.fork()
    assert set(resctrl.tasks(moved)) == {process.pid, child}
    assert set(resctrl.tasks(parent)) == {process.pid, child}


def test_many_threads_are_listed_whole(resctrl: Mounted, group: str, process: Companion) -> None:
    """Each once, also when the list takes several reads."""
    resctrl.assign(process.pid, group)
    born = {process.thread() for _ in range(MANY)}
    listed = resctrl.tasks(group)
    assert set(listed) == born | {process.pid}
    assert len(listed) == MANY + 1


def test_the_default_group_has_everybody_else(resctrl: Mounted, process: Companion) -> None:
    """Every thread of the machine that lives through the reading is in exactly one control group."""
    resctrl.assign(process.pid, resctrl.new_control())
    before = {int(task.name) for task in Path("/proc").glob("[0-9]*/task/[0-9]*")}
    groups = ["", *(name for name in resctrl.names() if resctrl.exists(name, "schemata"))]
    listed = [thread for group in groups for thread in resctrl.tasks(group)]
    after = {int(task.name) for task in Path("/proc").glob("[0-9]*/task/[0-9]*")}
    assert len(listed) == len(set(listed))
    assert before & after <= set(listed)
    assert {1, process.pid, os.getpid()} <= set(listed)
