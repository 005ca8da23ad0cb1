"""Moving threads with few writes, and sorting out those that cannot be moved, on old and new kernels, and beside other programs."""

import errno
import os

import pytest
from fakes.resctrl_world import MemoryWorld
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.resctrl.emulator.profile import PROFILES, Profile
from workers.resctrl.mover import Mover
from workers.resctrl.problem import ProblemKind, ResctrlError
from workers.resctrl.report import Assigned, MoveRefused

OLD_KERNEL = replace(PROFILES["tiny"], task_lists=False)
GROUP = "mon_groups/pod_x"
TASKS = f"{GROUP}/tasks"


def _world(profile: Profile = PROFILES["tiny"]) -> MemoryWorld:
    world = MemoryWorld(profile)
    assert world.groups.create_group("x") == GROUP
    world.filesystem.calls.clear()
    return world


def _writes(world: MemoryWorld) -> int:
    return sum(operation == "write" for operation, _path in world.filesystem.calls)


def test_one_dead_thread_costs_two_more_writes() -> None:
    """The kernel names it; it is tried alone, and the list goes on behind it."""
    world = _world()
    living = world.pod(100).threads()
    dead = sorted(living)[50]
    world.exit(dead)

    assert world.groups.assign(GROUP, living) == Assigned(99, 1)
    assert _writes(world) == 3
    assert world.groups.list_group_tasks(GROUP) == living - {dead}


def test_an_old_kernel_takes_one_id_at_a_time() -> None:
    """It answers EINVAL to a list, once: that is remembered."""
    world = _world(OLD_KERNEL)
    first, second = world.pod(10).threads(), world.pod(10).threads()

    assert world.groups.assign(GROUP, first) == Assigned(10)
    assert _writes(world) == 11
    assert world.groups.assign(GROUP, second) == Assigned(10)
    assert _writes(world) == 21
    assert world.groups.list_group_tasks(GROUP) == first | second


def test_an_old_kernel_with_dead_and_foreign_threads() -> None:
    """Each is sorted out by its own write, although the kernel names nobody."""
    world = _world(OLD_KERNEL)
    foreign = world.pod(2).threads()
    world.other.mkdir("gold")
    for thread_id in foreign:
        world.other.write("gold/tasks", b"%d" % thread_id)
    here = world.pod(5).threads()
    dead = min(here)
    world.exit(dead)

    assert world.groups.assign(GROUP, here | foreign) == Assigned(4, 1, foreign)


@pytest.mark.parametrize("status", ["ok", "Out of RMIDs", "Error while processing task 999999", "LAST", "FIRST"])
def test_another_programs_words_mislead_nobody(status: str) -> None:
    """Somebody who takes no lock makes the status speak of his own failure: nobody is lost or counted twice."""
    world = _world()
    pod = sorted(world.pod(30).threads())
    dead = pod[10]
    world.exit(dead)
    words = {"LAST": f"Error while processing task {pod[-1]}", "FIRST": f"Error while processing task {pod[0]}"}.get(status, status)
    world.filesystem.answers = {"info/last_cmd_status": f"{words}\n".encode()}

    assert world.groups.assign(GROUP, pod) == Assigned(29, 1)
    assert world.groups.list_group_tasks(GROUP) == set(pod) - {dead}


def test_threads_of_other_users_are_refused_one_by_one_with_the_reason() -> None:
    """Who is not root moves his own threads, and is told why not the others."""
    world = _world()
    own = {world.fork(1, uid=1000) for _ in range(5)}
    roots = world.pod(2).threads()
    world.resctrl.emulation.set_mode(TASKS, 0o666)
    user = world.make_groups(filesystem=world.resctrl.view(uid=1000))

    assigned = user.assign(GROUP, own | roots)

    assert (assigned.assigned, assigned.missing, assigned.foreign) == (5, 0, frozenset())
    assert [refused.thread_id for refused in assigned.refused] == sorted(roots)
    assert {f"No permission to move task {thread_id}" in reason for thread_id, reason in map(_pair, assigned.refused)} == {True}


def _pair(refused: MoveRefused) -> tuple[int, str]:
    return refused.thread_id, refused.reason


def test_a_tasks_file_that_may_not_be_opened_refuses_everything() -> None:
    """That is a matter of the group and not of single threads."""
    world = _world()
    user = world.make_groups(filesystem=world.resctrl.view(uid=1000))

    with pytest.raises(ResctrlError) as caught:
        user.assign(GROUP, world.pod(2).threads())
    assert (caught.value.kind, caught.value.errno) == (ProblemKind.NO_PERMISSION, errno.EACCES)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.EIO, ProblemKind.IO), (errno.ENODEV, ProblemKind.IO), (errno.ENOSPC, ProblemKind.CAPACITY),
     (errno.EBUSY, ProblemKind.BUSY)],
)  # fmt: skip
def test_errors_of_no_single_thread_end_the_work(code: int, kind: ProblemKind) -> None:
    """What another id would meet as well is not tried with every id."""
    world = _world()
    pod = world.pod(50)

    def before(operation: str, path: str) -> None:
        if operation == "write":
            raise OSError(code, os.strerror(code), path)

    world.filesystem.before = before
    with pytest.raises(ResctrlError) as caught:
        world.groups.assign(GROUP, pod.threads())
    assert (caught.value.kind, caught.value.errno) == (kind, code)
    assert _writes(world) == 1


def test_releasing_is_proved_by_writes_and_not_by_a_list() -> None:
    """The default group lists the threads of its monitoring groups too: being in it is no proof of having left ours."""
    world = _world()
    pod = sorted(world.pod(20).threads())
    world.groups.assign(GROUP, pod)
    world.exit(pod[0])
    # The kernel stopped at the first; somebody else's words let it look as if it had been the last.
    mover = Mover(world.filesystem, lambda: f"Error while processing task {pod[-1]}")

    assert mover.move("", pod) == Assigned(19, 1)
    assert world.groups.list_group_tasks(GROUP) == frozenset()


def test_few_dead_threads_cost_few_writes() -> None:
    """Twenty among five hundred: a list and a single for each, and not one write for everybody."""
    world = _world()
    pod = sorted(world.pod(500).threads())
    for thread_id in pod[10::25]:
        world.exit(thread_id)

    assert world.groups.assign(GROUP, pod) == Assigned(480, 20)
    assert _writes(world) <= 2 * 20 + 2


def test_many_dead_threads_do_not_cost_many_lists() -> None:
    """Where almost all are dead they are soon tried one by one: asking the kernel for each name would cost three times as much."""
    world = _world()
    pod = sorted(world.pod(200).threads())
    for thread_id in pod[1:]:
        world.exit(thread_id)

    assert world.groups.assign(GROUP, pod) == Assigned(1, 199)
    assert len(world.filesystem.calls) < 2 * len(pod)


def test_a_new_kernel_stays_one_whatever_others_make_its_status_say() -> None:
    """A list that fails without a usable name is tried one by one, this once."""
    world = _world()
    pod = sorted(world.pod(30).threads())
    world.exit(pod[3])
    world.filesystem.answers = {"info/last_cmd_status": b"ok\n"}
    world.groups.assign(GROUP, pod)
    world.filesystem.calls.clear()

    assert world.groups.assign(GROUP, pod[10:]) == Assigned(20)
    assert _writes(world) == 1


def test_a_refusal_that_is_none_of_the_control_groups() -> None:
    """The kernel answers EINVAL for other reasons too: such a thread is refused with that reason, and not looked for elsewhere."""
    world = _world()
    pod = world.pod(2).threads()
    world.filesystem.answers = {"info/last_cmd_status": b"Pseudo-locking in progress\n"}

    def before(operation: str, path: str) -> None:
        if operation == "write":
            raise OSError(errno.EINVAL, "Invalid argument", path)

    world.filesystem.before = before
    assigned = world.groups.assign(GROUP, pod)
    assert (assigned.assigned, assigned.foreign) == (0, frozenset())
    assert assigned.refused == tuple(MoveRefused(thread_id, "Pseudo-locking in progress") for thread_id in sorted(pod))


@given(
    kinds=st.lists(st.sampled_from(["living", "dead", "foreign", "refused"]), min_size=1, max_size=60),
    takes_lists=st.booleans(),
    status_is_lost=st.booleans(),
)
def test_everybody_is_counted_exactly_once(kinds: list[str], takes_lists: bool, status_is_lost: bool) -> None:
    """Whatever the mixture, each thread is in one of the four parts of the result, and exactly the living ones are moved."""
    world = _world(PROFILES["tiny"] if takes_lists else OLD_KERNEL)
    world.resctrl.emulation.set_mode(TASKS, 0o666)
    world.other.mkdir("gold")
    ids = {kind: frozenset[int]() for kind in ("living", "dead", "foreign", "refused")}
    for kind in kinds:
        thread_id = world.fork(1, uid=0 if kind == "refused" else 1000)
        ids[kind] |= {thread_id}
        if kind == "foreign":
            world.other.write("gold/tasks", b"%d" % thread_id)
        if kind == "dead":
            world.exit(thread_id)
    user = world.make_groups(filesystem=world.filesystem.over(world.resctrl.view(uid=1000)))
    if status_is_lost:
        world.filesystem.answers = {"info/last_cmd_status": b"ok\n"}

    assigned = user.assign(GROUP, frozenset().union(*ids.values()))

    assert (assigned.assigned, assigned.missing, assigned.foreign) == (len(ids["living"]), len(ids["dead"]), ids["foreign"])
    assert {refused.thread_id for refused in assigned.refused} == ids["refused"]
    assert world.groups.list_group_tasks(GROUP) == ids["living"]
