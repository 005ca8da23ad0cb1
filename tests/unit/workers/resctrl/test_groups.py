"""Mounting, what cannot be made and why, and the proof of the clean pass against every interleaving of forks."""

import errno
import os
import random

import pytest
from fakes.resctrl_world import MemoryWorld, Told
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.resctrl.cleanup import REMOVALS_PER_STEP, Cleanup
from workers.resctrl.emulator.profile import PROFILES
from workers.resctrl.failure import SourceError
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.problem import ProblemKind, ResctrlError
from workers.resctrl.report import CleanupReport, Mounted

ROOT = "/sys/fs/resctrl"


def _unmounted() -> MemoryWorld:
    world = MemoryWorld("tiny")
    world.unmount()
    return world


def _failure(operation: object, *arguments: object) -> ResctrlError:
    assert callable(operation)
    with pytest.raises(ResctrlError) as caught:
        operation(*arguments)
    return caught.value


# ---- mounting --------------------------------------------------------------------------------------


def test_what_is_mounted_is_left_as_it_is() -> None:
    """A second mount would be refused, and is not asked for."""
    world = MemoryWorld("tiny")

    assert world.groups.ensure_mounted(auto_mount=True) is Mounted.ALREADY
    assert ("mount", "") not in world.filesystem.calls


def test_nobody_mounts_without_being_asked() -> None:
    """Without auto_mount the failure names the place and both remedies, and nothing is mounted."""
    world = _unmounted()
    failure = _failure(world.groups.ensure_mounted, False)

    assert (failure.kind, failure.path) == (ProblemKind.NOT_MOUNTED, ROOT)
    assert "mount -t resctrl resctrl /sys/fs/resctrl" in failure.sentence
    assert "resctrl.auto_mount" in failure.sentence
    assert world.filesystem.mount_id() is None


def test_it_is_mounted_when_asked_for() -> None:
    """Afterwards groups can be made."""
    world = _unmounted()

    assert world.groups.ensure_mounted(auto_mount=True) is Mounted.NOW
    assert world.groups.create_group("x") == "mon_groups/pod_x"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [(errno.EACCES, ProblemKind.NO_PERMISSION, "run as root"), (errno.EPERM, ProblemKind.NO_PERMISSION, "run as root"),
     (errno.ENODEV, ProblemKind.UNSUPPORTED, "has no resctrl"), (errno.EINVAL, ProblemKind.UNSUPPORTED, "has no resctrl"),
     (errno.ENOTSUP, ProblemKind.UNSUPPORTED, "has no resctrl"), (errno.ENOSYS, ProblemKind.UNSUPPORTED, "has no resctrl"),
     (errno.EBUSY, ProblemKind.IO, "mounted at /mnt/resctrl"), (errno.EIO, ProblemKind.IO, "Input/output error")],
)  # fmt: skip
def test_a_mount_that_fails(code: int, kind: ProblemKind, words: str) -> None:
    """The kernel's word decides on the kind; the sentence says what to do."""
    world = _unmounted()
    world.resctrl.host.mount_errno = code
    world.resctrl.host.elsewhere = ["/mnt/resctrl"]

    failure = _failure(world.groups.ensure_mounted, True)

    assert (failure.kind, failure.errno) == (kind, code)
    assert words in failure.sentence


def test_a_mount_that_takes_no_effect_is_an_error() -> None:
    """Success without a mount is not believed."""
    world = _unmounted()
    world.resctrl.host.mount_takes_effect = False

    failure = _failure(world.groups.ensure_mounted, True)

    assert (failure.kind, failure.errno) == (ProblemKind.IO, None)
    assert "still no resctrl is mounted" in failure.sentence


def test_somebody_elses_quicker_mount_is_as_good() -> None:
    """Two programs start at once: the second's mount is refused, and what the first has mounted is there."""
    world = _unmounted()

    def before(operation: str, path: str) -> None:
        if operation == "mount":
            world.mount_again()
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), ROOT)

    world.filesystem.before = before
    assert world.groups.ensure_mounted(auto_mount=True) is Mounted.ALREADY


def test_a_mount_that_cannot_be_looked_at_is_an_error() -> None:
    """No permission to look is not the same as not mounted."""
    world = MemoryWorld("tiny")

    def before(operation: str, path: str) -> None:
        if operation == "mount_id":
            raise PermissionError(errno.EACCES, "Permission denied", ROOT)

    world.filesystem.before = before
    assert _failure(world.groups.ensure_mounted, True).kind is ProblemKind.NO_PERMISSION
    assert _failure(world.groups.create_group, "x").kind is ProblemKind.NO_PERMISSION


# ---- groups ----------------------------------------------------------------------------------------


def test_another_user_may_look_and_not_change() -> None:
    """Without root groups are listed, and the refusal of a change says who may."""
    world = MemoryWorld("tiny")
    path = world.groups.create_group("x")
    user = world.make_groups(filesystem=world.resctrl.view(uid=1000))

    assert [group.path for group in user.list_groups()] == [path]
    for operation in (lambda: user.create_group("y"), lambda: user.delete_group(path), user.check_writable):
        failure = _failure(operation)
        assert failure.kind is ProblemKind.NO_PERMISSION
        assert "run as root" in failure.sentence
    assert [group.path for group in world.groups.list_groups()] == [path]


def test_a_resctrl_that_only_allocates_is_unsupported() -> None:
    """Without `mon_groups` no group can be made, ever; that is not the same as a vanished one."""
    world = MemoryWorld("tiny")

    def before(operation: str, path: str) -> None:
        if operation == "mkdir":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    world.filesystem.before = before
    assert _failure(world.groups.create_group, "x").kind is ProblemKind.UNSUPPORTED
    assert _failure(world.groups.create_group_under, "gold", "x").kind is ProblemKind.IO


def test_a_group_under_a_control_group() -> None:
    """It spends a monitoring id of that control group; the control group has to be there."""
    world = MemoryWorld("tiny")
    world.other.mkdir("gold")

    assert world.groups.create_group_under("gold", "x") == "gold/mon_groups/pod_x"
    assert world.groups.directories_of("gold/mon_groups/pod_x") == ("gold/mon_groups/pod_x",)
    assert _failure(world.groups.create_group_under, "silver", "x").errno == errno.ENOENT
    with pytest.raises(ValueError, match="path of no group"):
        world.groups.create_group_under("../etc", "x")


def test_a_failure_keeps_its_cause_and_the_kernels_words() -> None:
    """Anyone who reads the log sees the path, the errno's text, the kernel's sentence and the remedy, and the cause is chained."""
    world = MemoryWorld(replace(PROFILES["tiny"], rmids=1))
    failure = _failure(world.groups.create_group, "x")

    assert failure.sentence == (
        f"{ROOT}/mon_groups/pod_x: the group cannot be made: No space left on device (Out of RMIDs); "
        "every monitoring id is in use: remove groups that nobody needs any more"
    )
    assert isinstance(failure.__cause__, OSError)


def test_a_prefix_of_ones_own() -> None:
    """Two users of the library with prefixes of their own do not see each other's groups as theirs."""
    world = MemoryWorld("tiny")
    other = world.make_groups("job-")
    path = other.create_group("x")

    assert path == "mon_groups/job-x"
    assert world.groups.list_groups() == ()
    assert world.groups.cleanup_all() == CleanupReport(non_prefix_groups=1)
    with pytest.raises(ValueError, match="no group of ours"):
        world.groups.delete_group(path)
    with pytest.raises(ValueError, match="no prefix"):
        MonitoringGroups(world.filesystem, "")


def test_a_tasks_file_with_garbage_is_an_error_that_names_the_line() -> None:
    """Nothing is assigned by half-understood lists."""
    world = MemoryWorld("tiny")
    path = world.groups.create_group("x")
    world.filesystem.answers = {f"{path}/tasks": b"1\ntwo\n"}

    failure = _failure(world.groups.list_group_tasks, path)

    assert (failure.kind, failure.errno) == (ProblemKind.IO, errno.EINVAL)
    assert "line 2 of the task list" in failure.sentence


def test_a_thread_that_lives_nowhere_is_told_with_a_reason() -> None:
    """A kernel that refuses a thread as foreign while no control group lists it: counted outside, passes are bounded."""
    world = MemoryWorld("tiny")
    pod = world.pod(2)
    path = world.groups.create_group("x")
    world.other.mkdir("gold")
    world.other.write("gold/tasks", ",".join(map(str, pod.threads())).encode())
    world.filesystem.answers = {"gold/tasks": b""}

    result = world.groups.reconcile_group(path, pod, max_passes=3)

    assert (result.is_clean, result.outside, result.passes, result.paths) == (False, 2, 3, (path,))
    assert {refused.reason for refused in result.refused} == {"it lives in another control group, and was found in none"}


def test_refused_threads_do_not_cost_every_pass() -> None:
    """When a pass could move nobody the next one cannot either: it ends, and says who and why."""
    world = MemoryWorld("tiny")
    path = world.groups.create_group("x")
    world.resctrl.emulation.set_mode(f"{path}/tasks", 0o666)
    user = world.make_groups(filesystem=world.resctrl.view(uid=1000))

    result = user.reconcile_group(path, world.pod(2), max_passes=100)

    assert (result.passes, result.outside, len(result.refused)) == (1, 2, 2)


def test_a_pass_of_dead_threads_is_no_reason_to_end() -> None:
    """Everybody listed had ended when they were to be moved: nothing was moved, and still the next pass is another one."""
    world = MemoryWorld("tiny")
    gone, pod = world.pod(3), world.pod(3)
    dead = gone.threads()
    gone.end()
    path = world.groups.create_group("x")

    result = world.groups.reconcile_group(path, Told(dead, pod.threads()))

    assert (result.is_clean, result.assigned, result.passes) == (True, 3, 3)


def test_what_stood_against_a_pass_is_forgotten_by_the_next() -> None:
    """Step by step: the problem of one pass, and who was refused in it, are no longer told when they are over."""
    world = MemoryWorld("tiny")
    pod = world.pod(2)
    path = world.groups.create_group("x")
    world.other.mkdir("gold")
    world.other.write("gold/tasks", ",".join(map(str, pod.threads())).encode())
    for number in range(5):
        world.other.mkdir(f"mon_groups/theirs_{number}")
    work = world.groups.reconciliation(path, pod)

    assert (work.step().problem, work.is_stuck) == (ProblemKind.CAPACITY, True)
    problem = work.problem
    assert problem is not None
    assert "Out of RMIDs" in problem.sentence
    assert work.outside_threads == pod.threads()
    world.other.rmdir("mon_groups/theirs_0")
    world.pass_limbo()
    assert (work.step().problem, work.is_stuck, work.problem) == (None, False, None)
    assert (work.step().is_clean, work.outside_threads) == (True, frozenset())


def test_a_lock_taken_in_the_midst_ends_the_pass() -> None:
    """It would stand against every other directory as well."""
    world = MemoryWorld("tiny")
    pod = world.pod(2)
    path = world.groups.create_group("x")
    world.other.mkdir("gold")
    world.other.write("gold/tasks", ",".join(map(str, pod.threads())).encode())

    def take_lock(_operation: str, path_read: str) -> None:
        if path_read == "gold/tasks":
            world.other.try_lock()

    world.filesystem.before = take_lock

    assert _failure(world.groups.reconcile_group, path, pod).kind is ProblemKind.LOCKED
    world.other.unlock()


def test_a_group_in_a_control_group_whose_threads_are_elsewhere() -> None:
    """The other way round: threads of the default group get a directory there, and each is measured where it lives."""
    world = MemoryWorld("tiny")
    pod = world.pod(2)
    world.other.mkdir("gold")
    path = world.groups.create_group_under("gold", "x")

    result = world.groups.reconcile_group(path, pod)

    assert (result.is_clean, result.paths) == (True, (path, "mon_groups/pod_x"))
    assert world.groups.list_group_tasks("mon_groups/pod_x") == pod.threads()


def test_a_thread_that_comes_while_others_are_placed_is_put_beside_the_others_of_its_control_group() -> None:
    """The directory that was made there for them holds it too; none is made or named twice."""
    world = MemoryWorld("tiny")
    early, late = world.pod(2), world.pod(1)
    world.other.mkdir("gold")
    path = world.groups.create_group_under("gold", "x")

    result = world.groups.reconcile_group(path, Told(early.threads(), early.threads() | late.threads()))

    assert (result.is_clean, result.paths, result.assigned) == (True, (path, "mon_groups/pod_x"), 3)
    assert world.groups.list_group_tasks("mon_groups/pod_x") == early.threads() | late.threads()


def test_further_threads_are_those_that_the_source_does_not_list() -> None:
    """After a step the caller sees whether it is worth to look for strays."""
    world = MemoryWorld("tiny")
    pod, stranger = world.pod(2), world.pod(1)
    path = world.groups.create_group("x")
    world.groups.assign(path, pod.threads() | stranger.threads())
    work = world.groups.reconciliation(path, pod)

    assert work.step().is_clean
    assert work.further_threads == stranger.threads()


def test_a_cleanup_removes_from_the_inside_out() -> None:
    """A control group of ours takes what is in it along: that is no race."""
    world = MemoryWorld("tiny")
    for path in ("pod_control", "pod_control/mon_groups/pod_inside"):
        world.other.mkdir(path)

    assert world.groups.cleanup_all(also_in_control_groups=True) == CleanupReport(removed=2)


def test_a_cleanup_that_meets_a_lock_goes_on_later() -> None:
    """The steps done stay done; the report counts them all in the end."""
    world = MemoryWorld(replace(PROFILES["tiny"], rmids=64))
    for number in range(REMOVALS_PER_STEP + 3):
        world.groups.create_group(str(number))
    cleanup = Cleanup(world.groups)

    assert not cleanup.step()
    assert cleanup.report == CleanupReport(removed=REMOVALS_PER_STEP)
    assert world.other.try_lock()
    assert _failure(cleanup.step).kind is ProblemKind.LOCKED
    world.other.unlock()
    assert cleanup.step()
    assert cleanup.report == CleanupReport(removed=REMOVALS_PER_STEP + 3)


def test_thousands_of_threads_in_a_foreign_control_group_are_not_refused_one_by_one() -> None:
    """Each refusal costs three calls, and a reconciling loop has a heartbeat to send: the control group's list says the rest."""
    world = MemoryWorld("tiny")
    world.other.mkdir("batch")
    path, pod = world.groups.create_group("a"), world.pod(2000)
    for thread_id in pod.threads():
        world.other.write("batch/tasks", b"%d" % thread_id)
    work = world.groups.reconciliation(path, pod, (path,))
    world.filesystem.calls.clear()
    work.step()

    assert len(world.filesystem.calls) < 1000
    assert work.step().is_clean
    assert work.result.paths == (path, "batch/mon_groups/pod_a")


# ---- the clean pass --------------------------------------------------------------------------------


class Storm:
    """A pod whose threads fork and end at every call that the library makes, by a seed; after `calls_max` it keeps still."""

    def __init__(self, world: MemoryWorld, seed: int, calls_max: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.living = set(world.pod(3).threads())
        self.calls_left = calls_max
        world.filesystem.before = lambda operation, path: self.blow()

    def blow(self) -> None:
        """One moment of the storm."""
        if self.calls_left:
            self.calls_left -= 1
            for _event in range(self.random.randint(0, 3)):
                if self.random.random() < 0.4 and len(self.living) > 1:
                    self.world.exit(victim := self.random.choice(sorted(self.living)))
                    self.living.discard(victim)
                else:
                    self.living.add(self.world.fork(self.random.choice(sorted(self.living))))

    def threads(self) -> frozenset[int]:
        """The listing is no instant either: half of it is from before a moment of the storm, half from after."""
        before = sorted(self.living)
        self.blow()
        half = set(before[: len(before) // 2]) | {
            thread_id for thread_id in self.living if thread_id > before[len(before) // 2 - 1]
        }
        return frozenset(half or before)


@given(seed=st.integers(0, 1 << 32), calls_max=st.integers(0, 200))
def test_after_a_clean_pass_nobody_is_outside_and_nobody_will_be(seed: int, calls_max: int) -> None:
    """However forks, exits and the library's calls are interleaved: what a clean pass says is true, and stays true."""
    world = MemoryWorld("tiny")
    path = world.groups.create_group("x")
    storm = Storm(world, seed, calls_max)
    work = world.groups.reconciliation(path, storm)

    for _pass in range(300):
        if work.step().is_clean:
            break
    assert work.result.is_clean

    members = world.resctrl.emulation
    assert {members.group_of(thread_id) for thread_id in storm.living} == {path}
    storm.calls_left = 20
    for _moment in range(20):
        storm.blow()
    assert {members.group_of(thread_id) for thread_id in storm.living} == {path}


class ListedThreads:
    """A source that lists these, or fails."""

    def __init__(self, *ids: int, problem: OSError | None = None) -> None:
        self._ids, self._problem = frozenset(ids), problem

    def threads(self) -> frozenset[int]:
        if self._problem is not None:
            raise self._problem
        return self._ids


def test_strays_are_threads_of_a_group_that_its_source_does_not_list() -> None:
    """Their ids were used again, or they were moved to another pod; directories without any are not named."""
    world = MemoryWorld("tiny")
    path = world.groups.create_group("x")
    pod = world.pod(2)
    world.groups.reconcile_group(path, pod)
    assert world.groups.strays(path, pod) == {}
    listed = pod.threads()
    assert world.groups.strays(path, ListedThreads(*sorted(listed)[1:]), [path]) == {path: frozenset({min(listed)})}
    assert world.groups.strays(path, ListedThreads(), ["mon_groups/gone"]) == {}


def test_all_groups_are_removed_in_as_many_steps_as_it_takes() -> None:
    """More of them than one step removes."""
    world = MemoryWorld("amd-abmc")
    for number in range(REMOVALS_PER_STEP + 1):
        world.groups.create_group(f"x{number}")
    report = world.groups.cleanup_all()
    assert (report.removed, report.removal_failures) == (REMOVALS_PER_STEP + 1, 0)


def test_a_group_that_cannot_be_removed_is_counted_and_a_mount_that_went_is_not() -> None:
    """Without resctrl nothing is left to do here: the caller goes on when it is back."""
    world = MemoryWorld("tiny")
    world.groups.create_group("x")

    def before(operation: str, path: str) -> None:
        if operation == "rmdir":
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    world.filesystem.before = before
    assert world.groups.cleanup_all() == CleanupReport(removal_failures=1)
    work = Cleanup(world.groups)

    def gone(operation: str, path: str) -> None:
        if operation == "rmdir":
            world.unmount()

    world.filesystem.before = gone
    assert _failure(work.step).kind is ProblemKind.NOT_MOUNTED


def test_a_source_that_fails_or_lists_nobody_is_told() -> None:
    """The path is that of the file that failed, where that is known."""
    world = MemoryWorld("tiny")
    path = world.groups.create_group("x")
    assert _failure(world.groups.reconciliation(path, ListedThreads()).step).kind is ProblemKind.EMPTY_THREAD_SET
    for problem, where in ((OSError(errno.EIO, "bad", "/pod/threads"), "/pod/threads"), (OSError(errno.EIO, "bad"), path)):
        with pytest.raises(SourceError, match="bad") as failure:
            world.groups.reconciliation(path, ListedThreads(problem=problem)).step()
        assert where in failure.value.sentence
