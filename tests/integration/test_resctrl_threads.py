"""Stories of threads, told over the emulator's rules in memory and over the mounted emulator with real processes."""

import errno
from collections.abc import Iterator

import pytest
from fakes.resctrl_world import MakeWorld, Told, World, outside, refusal_of, resting, worlds

from workers.resctrl.failure import SourceError
from workers.resctrl.problem import ProblemKind

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


# ---- threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 17, 200])
def test_every_thread_of_a_running_pod(world: World, count: int) -> None:
    """Not only its leader: after one clean pass each thread is in the group, seen by another program, and so are later ones."""
    pod = world.pod(count)
    path = world.groups.create_group(UID)

    result = world.groups.reconcile_group(path, pod)

    assert (result.assigned, result.passes, result.outside, result.is_clean, result.paths) == (count, 2, 0, True, (path,))
    assert world.groups.list_group_tasks(path) == pod.threads()
    pod.start_threads(5)
    assert len(pod.threads()) == count + 5
    assert outside(world, path, pod) == frozenset()
    assert world.groups.list_group_tasks(path) == pod.threads()


def test_lists_are_written_and_not_ids(world: World) -> None:
    """200 threads are one write or two, not 200."""
    path = world.groups.create_group(UID)
    world.groups.assign(path, world.pod(200).threads())

    writes = [path for operation, path in world.filesystem.calls if operation == "write"]
    assert 1 <= len(writes) <= 2


def test_a_pod_without_threads_is_pending(world: World) -> None:
    """A container that has not started is no failure, and nothing is done."""
    path = world.groups.create_group(UID)

    assert refusal_of(lambda: world.groups.reconcile_group(path, Told(frozenset()))).kind is ProblemKind.EMPTY_THREAD_SET
    assert "write" not in [operation for operation, _path in world.filesystem.calls]


def test_threads_that_ended_are_counted_and_the_rest_goes_on(world: World) -> None:
    """The kernel stops a list at the first dead thread; all living ones are moved anyway."""
    gone = world.pod(3)
    dead = gone.threads()
    gone.end()
    pod = world.pod(40)
    path = world.groups.create_group(UID)

    assigned = world.groups.assign(path, pod.threads() | dead)

    assert (assigned.assigned, assigned.missing, assigned.foreign, assigned.refused) == (40, 3, frozenset(), ())
    assert outside(world, path, pod) == frozenset()


def test_threads_born_between_listing_and_assigning_are_found_by_the_next_pass(world: World) -> None:
    """A pass is clean only when nobody was outside; forks during one require another."""
    pod = world.pod(3)
    path = world.groups.create_group(UID)
    forks = [2, 1]

    def listing() -> frozenset[int]:
        listed = pod.threads()
        if forks:
            pod.start_threads(forks.pop(0))
        return listed

    result = world.groups.reconcile_group(path, Told(listing))

    assert result.is_clean
    assert result.passes >= 2
    assert outside(world, path, pod) == frozenset()
    assert len(pod.threads()) == 6


def test_passes_are_bounded_and_the_rest_is_counted(world: World) -> None:
    """With one pass allowed, the look after it tells who is still outside."""
    pod, late = world.pod(3), world.pod(2)
    path = world.groups.create_group(UID)
    source = Told(pod.threads(), pod.threads() | late.threads())

    result = world.groups.reconcile_group(path, source, max_passes=1)

    assert (result.assigned, result.passes, result.outside, result.is_clean) == (3, 1, 2, False)
    assert world.groups.reconcile_group(path, source, max_passes=1).is_clean


def test_an_id_that_is_somebody_elses_by_now_is_found_and_given_back(world: World) -> None:
    """A source told an id, its thread ended, and the id was used again: the stranger is a stray, and goes where he was."""
    pod, stranger = world.pod(3), world.pod(1)
    path = world.groups.create_group(UID)
    source = Told(pod.threads() | stranger.threads(), pod.threads())
    assert world.groups.reconcile_group(path, source, max_passes=1).is_clean

    strays = world.groups.strays(path, pod)
    assert strays == {path: stranger.threads()}
    assert world.groups.release(path, strays[path]).assigned == 1
    assert world.groups.list_group_tasks(path) == pod.threads()
    assert world.groups.strays(path, pod) == {}


def test_a_thread_born_into_the_group_is_no_stray(world: World) -> None:
    """A thread that starts during the search for strays is not removed."""
    pod = world.pod(3)
    path = world.groups.create_group(UID)
    world.groups.reconcile_group(path, pod)
    world.filesystem.before = lambda operation, read: pod.start_threads(1) if read == f"{path}/tasks" else None

    assert world.groups.strays(path, pod) == {}


def test_only_members_are_released(world: World) -> None:
    """A thread that is in another pod's group by now stays there."""
    pod, other = world.pod(2), world.pod(2)
    path, other_path = world.groups.create_group("a"), world.groups.create_group("b")
    world.groups.reconcile_group(path, pod)
    world.groups.reconcile_group(other_path, other)

    assert world.groups.release(path, pod.threads() | other.threads()).assigned == 2
    assert world.groups.list_group_tasks(path) == frozenset()
    assert world.groups.list_group_tasks(other_path) == other.threads()


def test_a_source_that_fails_is_not_taken_for_a_group_that_does(world: World) -> None:
    """That a cgroup is gone is told with its own words and without an errno of resctrl."""
    path = world.groups.create_group(UID)
    source = Told(FileNotFoundError(errno.ENOENT, "there is no such cgroup", "kubepods/pod1"))

    problem = refusal_of(lambda: world.groups.reconcile_group(path, source))

    assert isinstance(problem, SourceError)
    assert (problem.kind, problem.errno, problem.path) == (ProblemKind.IO, None, "kubepods/pod1")


# ---- control groups of others ---------------------------------------------------------------------


def test_threads_in_a_control_group_of_others_keep_their_allocation(world: World) -> None:
    """They get a directory of the same name there; the group then has two directories, and all threads are in one of them."""
    here, there = world.pod(3), world.pod(40)
    world.other.mkdir("gold")
    world.other.write("gold/tasks", ",".join(map(str, there.threads())).encode())
    path = world.groups.create_group(UID)
    both = Told(here.threads() | there.threads())

    result = world.groups.reconcile_group(path, both)

    inner = f"gold/mon_groups/pod_{UID}"
    assert (result.is_clean, result.assigned, result.paths, result.problem) == (True, 43, (path, inner), None)
    assert world.groups.list_group_tasks(path) == here.threads()
    assert world.groups.list_group_tasks(inner) == there.threads()
    assert world.groups.list_group_tasks("gold") == there.threads()
    assert world.groups.directories_of(path) == (path, inner)
    assert world.groups.reconcile_group(path, both).assigned == 0
    assert world.groups.strays(path, here) == {inner: there.threads()}
    assert world.groups.release(inner, there.threads()).assigned == 40
    assert world.groups.list_group_tasks("gold") == there.threads()


def test_no_id_for_the_second_directory(world: World) -> None:
    """Those in the default group are measured anyway; why the others are not is told, and is over with the next release."""
    here, there = world.pod(2), world.pod(2)
    world.other.mkdir("gold")
    world.other.write("gold/tasks", ",".join(map(str, there.threads())).encode())
    path = world.groups.create_group(UID)
    for number in range(TINY_IDS - 2):
        world.other.mkdir(f"mon_groups/theirs_{number}")
    both = Told(here.threads() | there.threads())

    result = world.groups.reconcile_group(path, both)
    assert (result.is_clean, result.outside, result.problem, result.paths) == (False, 2, ProblemKind.CAPACITY, (path,))
    assert world.groups.list_group_tasks(path) == here.threads()

    with resting(world):
        world.other.rmdir("mon_groups/theirs_0")
        assert world.groups.reconcile_group(path, both).problem is ProblemKind.BUSY
    world.pass_limbo()
    result = world.groups.reconcile_group(path, both)
    assert (result.is_clean, result.problem) == (True, None)


def test_a_control_group_that_is_removed_in_the_midst(world: World) -> None:
    """Its threads fall back to the default group, from where the main directory takes them."""
    pod = world.pod(3)
    world.other.mkdir("gold")
    world.other.write("gold/tasks", ",".join(map(str, pod.threads())).encode())
    path = world.groups.create_group(UID)

    def before(operation: str, made: str) -> None:
        if operation == "mkdir":
            world.filesystem.before = lambda operation, path: None
            world.other.rmdir("gold")

    world.filesystem.before = before
    result = world.groups.reconcile_group(path, pod)

    assert (result.is_clean, result.paths) == (True, (path,))
    assert world.groups.list_group_tasks(path) == pod.threads()
