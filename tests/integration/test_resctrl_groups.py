"""Stories of groups, told over the emulator's rules in memory and over the mounted emulator."""

import errno
from collections.abc import Iterator

import pytest
from fakes.resctrl_world import MakeWorld, World, foreign_lock, outside, refusal_of, resting, worlds

from workers.resctrl.place import GroupPlace
from workers.resctrl.problem import ProblemKind
from workers.resctrl.report import CleanupReport, Mounted

# All ids of the profile `tiny` but the default group's own.
TINY_IDS = 7
UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"


@pytest.fixture(params=["memory", "emulated"])
def make_world(request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """Makes the world of a story by the name of a profile; everything in it ends with the story."""
    with worlds(request.param) as make:
        yield make


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A small machine: 8 monitoring ids, 4 control ids."""
    return make_world("tiny")


# ---- groups ---------------------------------------------------------------------------------------


def test_a_group_is_made_where_it_costs_no_control_id(world: World) -> None:
    """It stands in the root's `mon_groups`, is listed as ours, and is gone after its removal; a second removal is no failure."""
    path = world.groups.create_group(UID)

    assert path == f"mon_groups/pod_{UID}"
    assert world.groups.absolute(path) == f"{world.filesystem.root}/mon_groups/pod_{UID}"
    assert [(group.path, group.place, group.is_ours) for group in world.groups.survey()] == [(path, GroupPlace.MON_GROUPS, True)]
    assert world.groups.delete_group(path)
    assert not world.groups.delete_group(path)
    assert world.groups.list_groups() == ()


def test_a_group_that_is_there_is_adopted_with_its_threads(world: World) -> None:
    """Anyone who begins again finds the group as it was: same directory, same threads, same id, so counters go on."""
    pod = world.pod(3)
    path = world.groups.create_group(UID)
    world.groups.reconcile_group(path, pod)
    successor = world.make_groups()

    assert successor.create_group(UID) == path
    assert successor.list_group_tasks(path) == pod.threads()
    assert successor.reconcile_group(path, pod).assigned == 0


def test_removing_a_group_gives_its_threads_back(world: World) -> None:
    """They are measured with the default group again, and can be put into another group."""
    pod = world.pod(3)
    path = world.groups.create_group(UID)
    world.groups.reconcile_group(path, pod)
    world.groups.delete_group(path)
    world.pass_limbo()

    assert world.groups.reconcile_group(world.groups.create_group("other"), pod).is_clean


@pytest.mark.parametrize("path", ["mon_groups/theirs", "theirs", "info", "mon_groups", "", "mon_groups/pod_x/tasks", "../pod_x"])
def test_what_is_not_ours_cannot_be_removed(world: World, path: str) -> None:
    """A path without our prefix, or of no group at all, is refused before the kernel hears of it."""
    world.other.mkdir("mon_groups/theirs")

    with pytest.raises(ValueError, match=r"no group of ours|path of no group"):
        world.groups.delete_group(path)
    assert world.other.list_directories("mon_groups") == ["theirs"]


# ---- ids ------------------------------------------------------------------------------------------


@pytest.mark.runbook("Cache and memory bandwidth")
def test_all_ids_taken_by_others(world: World) -> None:
    """Full says so, with the kernel's own words; released ids are busy for a moment; then the group can be made."""
    for number in range(TINY_IDS):
        world.other.mkdir(f"mon_groups/theirs_{number}")
    full = refusal_of(lambda: world.groups.create_group(UID))
    assert (full.kind, full.errno, full.status) == (ProblemKind.CAPACITY, errno.ENOSPC, "Out of RMIDs")
    assert full.path == f"{world.filesystem.root}/mon_groups/pod_{UID}"
    assert "every monitoring id is in use" in full.sentence

    with resting(world):
        world.other.rmdir("mon_groups/theirs_3")
        busy = refusal_of(lambda: world.groups.create_group(UID))
    assert (busy.kind, busy.errno, busy.status) == (ProblemKind.BUSY, errno.EBUSY, "Out of RMIDs")

    world.pass_limbo()
    assert world.groups.create_group(UID) == f"mon_groups/pod_{UID}"
    assert refusal_of(lambda: world.groups.create_group("another")).kind is ProblemKind.CAPACITY


# ---- cleanup --------------------------------------------------------------------------------------


def test_cleanup_removes_what_is_ours_and_counts_what_is_not(world: World) -> None:
    """At the root and in its `mon_groups`; never inside another program's control group, unless that is asked for."""
    for path in ("gold", "pod_at_root", "mon_groups/pod_a", "mon_groups/pod_b", "mon_groups/theirs", "gold/mon_groups/pod_inside"):
        world.other.mkdir(path)

    assert world.groups.cleanup_all() == CleanupReport(removed=3, non_prefix_groups=2)
    assert [group.path for group in world.groups.survey()] == ["gold", "gold/mon_groups/pod_inside", "mon_groups/theirs"]
    assert [(group.path, group.place) for group in world.groups.list_groups()] == [
        ("gold/mon_groups/pod_inside", GroupPlace.CONTROL_GROUP)
    ]

    assert world.groups.cleanup_all(also_in_control_groups=True) == CleanupReport(removed=1, non_prefix_groups=2)
    assert world.groups.cleanup_all() == CleanupReport(non_prefix_groups=2)


def test_cleanup_goes_on_past_races_and_failures(world: World) -> None:
    """A group that somebody else removes first is a race, one that cannot be removed a failure, and the others go."""
    for name in ("pod_a", "pod_b", "pod_c"):
        world.other.mkdir(f"mon_groups/{name}")

    def before(operation: str, path: str) -> None:
        if operation == "rmdir" and path.endswith("pod_a"):
            world.other.rmdir(path)
        if operation == "rmdir" and path.endswith("pod_b"):
            raise OSError(errno.EIO, "Input/output error", path)

    world.filesystem.before = before
    assert world.groups.cleanup_all() == CleanupReport(removed=1, removal_failures=1, removal_races=1)


def test_without_groups_of_ours_nothing_is_locked(world: World) -> None:
    """Looking takes no lock."""
    world.other.mkdir("mon_groups/theirs")
    with foreign_lock(world.other):
        assert world.groups.cleanup_all() == CleanupReport(non_prefix_groups=1)
        assert len(world.groups.survey()) == 1


def test_on_a_monitor_only_machine_there_are_no_control_groups(make_world: MakeWorld) -> None:
    """Groups are made, filled and cleaned up where nothing can be allocated."""
    world = make_world("monitor-only")
    pod = world.pod(3)
    path = world.groups.create_group(UID)

    assert world.groups.reconcile_group(path, pod).is_clean
    assert outside(world, path, pod) == frozenset()
    assert world.groups.release(path, pod.threads()).assigned == 3
    assert world.groups.list_group_tasks(path) == frozenset()
    assert world.groups.cleanup_all() == CleanupReport(removed=1)


# ---- others meddle --------------------------------------------------------------------------------


@pytest.mark.runbook("Cache and memory bandwidth")
def test_a_group_that_somebody_removes_in_the_midst_can_be_made_again(world: World) -> None:
    """The failure is one of this group, with its errno; made again it holds all threads."""
    pod = world.pod(5)
    path = world.groups.create_group(UID)

    def before(operation: str, written: str) -> None:
        if operation == "write":
            world.filesystem.before = lambda operation, path: None
            world.other.rmdir(path)

    world.filesystem.before = before
    problem = refusal_of(lambda: world.groups.reconcile_group(path, pod))
    assert problem.kind is ProblemKind.IO
    assert problem.errno in (errno.ENOENT, errno.ENODEV)
    assert refusal_of(lambda: world.groups.list_group_tasks(path)).errno in (errno.ENOENT, errno.ENODEV)

    world.pass_limbo()
    assert world.groups.create_group(UID) == path
    assert world.groups.reconcile_group(path, pod).is_clean


def test_threads_that_somebody_moves_away_are_moved_back(world: World) -> None:
    """Comparing again finds them outside."""
    pod = world.pod(3)
    path = world.groups.create_group(UID)
    world.groups.reconcile_group(path, pod)
    world.other.write("tasks", str(min(pod.threads())).encode())

    result = world.groups.reconcile_group(path, pod)

    assert (result.assigned, result.is_clean) == (1, True)


def test_a_lock_held_by_somebody_else(world: World) -> None:
    """Changes fail with a kind of their own after a short wait and change nothing; looking goes on."""
    pod = world.pod(2)
    path = world.groups.create_group(UID)
    with foreign_lock(world.other):
        for change in (
            lambda: world.groups.create_group("other"),
            lambda: world.groups.delete_group(path),
            lambda: world.groups.assign(path, pod.threads()),
            lambda: world.groups.reconcile_group(path, pod),
            lambda: world.groups.release(path, pod.threads()),
            lambda: world.groups.cleanup_all(),
        ):
            assert refusal_of(change).kind is ProblemKind.LOCKED
        assert world.groups.list_group_tasks(path) == frozenset()
        assert [group.path for group in world.groups.list_groups()] == [path]

    assert world.groups.reconcile_group(path, pod).is_clean


def test_changes_are_made_under_the_lock_and_none_is_kept(world: World) -> None:
    """Whenever something is changed nobody else could take the lock, and afterwards everybody can."""
    pod = world.pod(2)
    seen: list[str] = []

    def before(operation: str, path: str) -> None:
        if operation in ("mkdir", "rmdir", "write"):
            seen.append(operation)
            assert not world.other.try_lock()

    world.filesystem.before = before
    path = world.groups.create_group(UID)
    world.groups.reconcile_group(path, pod)
    world.groups.release(path, pod.threads())
    world.groups.delete_group(path)

    assert {"mkdir", "rmdir", "write"} == set(seen)
    assert world.other.try_lock()
    world.other.unlock()


# ---- the mount ------------------------------------------------------------------------------------


def test_an_unmounted_resctrl_and_another_in_its_place(world: World) -> None:
    """Every operation says that nothing is mounted; a new mount is told from the old one, and has no groups."""
    pod = world.pod(2)
    path = world.groups.create_group(UID)
    before = world.filesystem.mount_id()
    assert world.groups.ensure_mounted(False) is Mounted.ALREADY
    world.unmount()

    for operation in (
        lambda: world.groups.ensure_mounted(False),
        world.groups.check_writable,
        lambda: world.groups.create_group(UID),
        lambda: world.groups.delete_group(path),
        lambda: world.groups.reconcile_group(path, pod),
        world.groups.cleanup_all,
    ):
        problem = refusal_of(operation)
        assert (problem.kind, problem.path) == (ProblemKind.NOT_MOUNTED, world.filesystem.root)
        assert "mount -t resctrl" in problem.sentence
    assert world.filesystem.mount_id() is None

    world.mount_again()
    assert world.filesystem.mount_id() not in (before, None)
    assert world.groups.survey() == ()
    assert world.groups.reconcile_group(world.groups.create_group(UID), pod).is_clean


def test_a_mount_that_is_read_only(world: World) -> None:
    """Changes are refused with the remedy, and what is there can be read."""
    path = world.groups.create_group(UID)
    world.make_read_only()

    for change in (
        lambda: world.groups.create_group("other"),
        lambda: world.groups.delete_group(path),
        lambda: world.groups.assign(path, {1}),
        world.groups.check_writable,
    ):
        problem = refusal_of(change)
        assert problem.kind is ProblemKind.NO_PERMISSION
        assert "read-write" in problem.sentence
    assert world.groups.list_group_tasks(path) == frozenset()
