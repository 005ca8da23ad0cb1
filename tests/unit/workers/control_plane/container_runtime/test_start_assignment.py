"""A starting container's threads into its pod's group, over the emulator's rules in memory and a clock of the test."""

import errno
import threading
from collections.abc import Mapping

import pytest
from fakes.kernel_tree import MemoryTree
from fakes.memory_resctrl import MemoryResctrl
from fakes.resctrl_world import MemoryWorld

from agent.model.rule import Action, GroupRule, Match
from agent.model.timebase import MS, S
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod, StartOutcome
from workers.control_plane.container_runtime.link import GroupSnapshot
from workers.control_plane.container_runtime.start_assignment import (
    LOCK_WAIT_NS,
    LOCKED_NS,
    ContainerStart,
    StartAssignment,
)
from workers.resctrl.problem import ProblemKind

UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
ID = "0123456789abcdef" * 4
PLACE = f"/kubepods/besteffort/pod{UID}/{ID}"
GROUP = f"mon_groups/pod_{UID}"
POD = RuntimePod("s", UID, "shop", "web-0", {"app": "web"})
CONTAINER = RuntimeContainer(ID, "s", cgroups_path=PLACE)
DEADLINE_NS = 100 * MS


class Host:
    """One host with a container about to start, and the fast path's work on it."""

    def __init__(self, threads: int = 3, profile: str = "tiny") -> None:
        self.world = MemoryWorld(profile)
        self.placing = threading.Lock()
        self.pod = self.world.pod(threads)
        self.tree = MemoryTree({"cgroup.controllers": b""})
        self.list_threads()
        self.snapshot = GroupSnapshot(Binder([]), {}, is_measured=True)
        self.work = self.make_work()

    def make_work(self) -> StartAssignment:
        """The work, with what it was not told forgotten."""
        return StartAssignment(
            lambda: self.snapshot,
            self.world.filesystem,
            self.tree,
            MemoryTree(),
            self.placing,
            now_ns=self.world.clock.now_ns,
            sleep_seconds=lambda seconds: self.world.clock.advance(round(seconds * S)),
        )

    def list_threads(self) -> None:
        """The cgroup lists the container's threads as they are now."""
        self.tree.put(f"{PLACE.lstrip('/')}/cgroup.threads", b"".join(b"%d\n" % each for each in sorted(self.pod.threads())))

    def know(self, paths: Mapping[str, str], *rules: GroupRule) -> None:
        """What the loop knows."""
        self.snapshot = GroupSnapshot(Binder(list(rules)), paths, is_measured=True)

    def start(self, pod: RuntimePod = POD, container: RuntimeContainer = CONTAINER) -> StartOutcome:
        """The container starts; what came of it."""
        task = ContainerStart(pod, container, self.world.clock.now_ns() + DEADLINE_NS, StartOutcome(pod.uid))
        self.work.carry_out(task)
        return task.outcome

    def held(self, path: str = GROUP) -> frozenset[int]:
        """The threads that a group holds."""
        return self.world.groups.list_group_tasks(path)

    def calls(self, operation: str) -> list[str]:
        """The paths of one kind of call, so far."""
        return [path for name, path in self.world.filesystem.calls if name == operation]


@pytest.fixture
def host() -> Host:
    """A small machine: 8 monitoring ids, 4 control ids."""
    return Host()


def test_a_new_group_is_made_and_holds_all_threads(host: Host) -> None:
    """Every thread of the runtime's waiting process, for any of them may run the container's first program."""
    outcome = host.start()

    assert outcome == StartOutcome(UID, GROUP, is_new=True, is_whole=True, threads=3)
    assert host.held() == host.pod.threads()


def test_a_known_group_is_not_made_again(host: Host) -> None:
    """The second container of a pod: no change but the move, and so no lock."""
    path = host.world.groups.create_group(UID)
    host.know({UID: path})
    before = len(host.world.filesystem.calls)

    outcome = host.start()

    assert (outcome.path, outcome.is_new, outcome.is_whole) == (GROUP, False, True)
    done = {name for name, _path in host.world.filesystem.calls[before:]}
    assert not done & {"mkdir", "try_lock"}


def test_a_group_made_a_moment_ago_is_known(host: Host) -> None:
    """The loop has not heard of it yet when the next container starts."""
    host.start()
    host.start()

    assert len(host.calls("mkdir")) == 1


def test_one_write_moves_all_threads(host: Host) -> None:
    """Not one for each."""
    host.start()

    assert host.calls("write") == [f"{GROUP}/tasks"]


def test_a_rule_chooses_the_group(host: Host) -> None:
    """By namespace, name, labels and class, as the runtime reported them."""
    host.know({}, GroupRule("r", 1, Match("shop", "web-*", {"app": "web"}), Action("shared", "webs")))

    outcome = host.start()

    assert (outcome.group, outcome.path, outcome.is_whole) == ("webs", "mon_groups/pod_webs", True)


def test_an_ignored_pod_is_left_alone(host: Host) -> None:
    """A rule says so."""
    host.know({}, GroupRule("r", 1, Match("shop"), Action("ignore")))

    assert host.start() == StartOutcome(None)
    assert host.world.filesystem.calls == []


def test_without_resctrl_nothing_is_done(host: Host) -> None:
    """The group stays what the rules say."""
    host.snapshot = GroupSnapshot(Binder([]))

    assert host.start() == StartOutcome(UID)
    assert host.world.filesystem.calls == []


def test_threads_that_start_meanwhile_are_moved_too(host: Host) -> None:
    """It is over when a pass finds nobody new."""

    def fork(operation: str, path: str) -> None:
        if (operation, path) == ("write", f"{GROUP}/tasks") and len(host.pod.threads()) < 5:
            # It begins outside: its creator is moved by this very write.
            host.pod.start_threads(1)
            host.list_threads()

    host.world.filesystem.before = fork
    outcome = host.start()

    assert (outcome.is_whole, outcome.threads) == (True, 5)
    assert host.held() == host.pod.threads()


def test_a_fork_storm_ends_after_some_passes(host: Host) -> None:
    """The loop goes on with it; the start is not held."""

    def fork(operation: str, path: str) -> None:
        if operation == "write":
            host.pod.start_threads(1)
            host.list_threads()

    host.world.filesystem.before = fork
    outcome = host.start()

    assert (outcome.path, outcome.is_whole, outcome.problem) == (GROUP, False, None)
    assert outcome.threads == 7


def test_a_container_without_threads_is_pending(host: Host) -> None:
    """The group stands; its threads come with the next look."""
    host.pod.end()
    host.list_threads()

    outcome = host.start()

    assert (outcome.path, outcome.is_whole, outcome.problem) == (GROUP, False, ProblemKind.EMPTY_THREAD_SET)


def test_a_thread_that_ended_meanwhile_is_none_that_is_missing(host: Host) -> None:
    """The cgroup listed it a moment before."""
    host.world.exit(max(host.pod.threads()))

    outcome = host.start()

    assert outcome.is_whole
    assert len(host.held()) == 2


def test_threads_in_anothers_control_group_are_left_to_the_loop(host: Host) -> None:
    """A group of the root cannot take them; the loop makes a directory there."""
    other = host.world.resctrl.view()
    other.mkdir("foreign")
    other.write("foreign/tasks", str(min(host.pod.threads())).encode())

    outcome = host.start()

    assert (outcome.is_whole, outcome.problem) == (False, ProblemKind.NO_PERMISSION)
    assert "another control group" in outcome.detail


def test_a_group_that_is_gone_is_made_again_once(host: Host) -> None:
    """Somebody removed it after the loop had listed it."""
    host.know({UID: GROUP})

    outcome = host.start()

    assert (outcome.path, outcome.is_new, outcome.is_whole) == (GROUP, True, True)
    assert len(host.calls("mkdir")) == 1


def test_a_group_that_goes_again_is_given_up(host: Host) -> None:
    """Once is an accident."""

    def remove(operation: str, path: str) -> None:
        if operation == "write":
            host.world.resctrl.view().rmdir(GROUP)

    host.world.filesystem.before = remove
    outcome = host.start()

    assert (outcome.is_whole, outcome.problem) == (False, ProblemKind.IO)
    assert len(host.calls("mkdir")) == 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, ProblemKind.CAPACITY),
        (errno.EBUSY, ProblemKind.BUSY),
        (errno.EACCES, ProblemKind.NO_PERMISSION),
        (errno.EIO, ProblemKind.IO),
    ],
)
def test_a_group_that_cannot_be_made_has_its_reason(host: Host, code: int, kind: ProblemKind) -> None:
    """The start goes on; the loop tries again when it can be better."""

    def refuse(operation: str, path: str) -> None:
        if operation == "mkdir":
            raise OSError(code, "refused", path)

    host.world.filesystem.before = refuse
    outcome = host.start()

    assert (outcome.path, outcome.is_whole, outcome.problem) == ("", False, kind)
    assert outcome.detail


def test_an_unmounted_resctrl_is_a_reason(host: Host) -> None:
    """Between the loop's look and now."""
    host.world.unmount()

    assert host.start().problem is ProblemKind.NOT_MOUNTED


def test_a_container_whose_threads_cannot_be_listed_has_its_reason(host: Host) -> None:
    """The group stands."""
    host.tree.fail(f"{PLACE.lstrip('/')}/cgroup.threads", errno.EACCES)

    outcome = host.start()

    assert (outcome.path, outcome.problem) == (GROUP, ProblemKind.IO)
    assert "cannot be listed" in outcome.detail


def test_a_host_without_cgroups_is_a_reason(host: Host) -> None:
    """No hierarchy is mounted where the agent looks."""
    host.tree.remove("cgroup.controllers")

    assert host.start().problem is ProblemKind.IO


# ---- the lock --------------------------------------------------------------------------------------


def _hold(host: Host) -> MemoryResctrl:
    other = host.world.resctrl.view()
    assert other.try_lock()
    return other


def test_a_held_lock_is_waited_for_briefly(host: Host) -> None:
    """Never for as long as its holder takes."""
    other = _hold(host)
    began_ns = host.world.clock.now_ns()

    outcome = host.start()

    assert outcome.problem is ProblemKind.LOCKED
    assert host.world.clock.now_ns() - began_ns == LOCK_WAIT_NS
    other.unlock()


def test_after_a_held_lock_nobody_waits_for_a_while(host: Host) -> None:
    """A holder that takes long delays one start and not all of them."""
    other = _hold(host)
    host.start()
    began_ns = host.world.clock.now_ns()

    assert host.start().problem is ProblemKind.LOCKED
    assert host.world.clock.now_ns() == began_ns

    host.world.clock.advance(LOCKED_NS)
    began_ns = host.world.clock.now_ns()
    host.start()
    assert host.world.clock.now_ns() - began_ns == LOCK_WAIT_NS
    other.unlock()


def test_a_lock_that_is_given_back_is_taken(host: Host) -> None:
    """Within the short wait."""
    other = _hold(host)
    free_at_ns = host.world.clock.now_ns() + LOCK_WAIT_NS // 2

    def give_back(operation: str, path: str) -> None:
        if host.world.clock.now_ns() >= free_at_ns:
            other.unlock()

    host.world.filesystem.before = give_back

    assert host.start().is_whole


def test_a_group_that_stands_needs_no_lock(host: Host) -> None:
    """One write is a single step of the kernel; also where the loop does not know the group yet."""
    host.world.groups.create_group(UID)
    other = _hold(host)

    outcome = host.start()

    assert (outcome.path, outcome.is_whole) == (GROUP, True)
    assert host.held() == host.pod.threads()
    other.unlock()


def test_a_failure_behind_a_held_lock_is_its_own(host: Host) -> None:
    """Not that of the lock."""
    other = _hold(host)

    def refuse(operation: str, path: str) -> None:
        if (operation, path) == ("read", f"{GROUP}/tasks"):
            raise OSError(errno.EIO, "refused", path)

    host.world.filesystem.before = refuse

    assert host.start().problem is ProblemKind.IO
    other.unlock()


# ---- the deadline ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["mkdir", "write"])
def test_after_a_slow_step_there_is_no_other(host: Host, operation: str) -> None:
    """The container runs already; what is left is the loop's."""

    def delay(done: str, path: str) -> None:
        if done == operation:
            host.world.clock.advance(DEADLINE_NS)

    host.world.filesystem.before = delay
    outcome = host.start()

    assert (outcome.path, outcome.is_whole, outcome.problem) == (GROUP, False, ProblemKind.TIMEOUT)
    assert "deadline" in outcome.detail
    assert len(host.calls("write")) == (operation == "write")


def test_a_start_that_is_late_already_makes_no_group(host: Host) -> None:
    """Not even the first step."""
    task = ContainerStart(POD, CONTAINER, host.world.clock.now_ns(), StartOutcome(UID))
    host.work.carry_out(task)

    assert (task.outcome.path, task.outcome.problem) == ("", ProblemKind.TIMEOUT)
    assert host.calls("mkdir") == []


# ---- what is kept ----------------------------------------------------------------------------------


def test_a_mount_that_was_taken_away_is_asked_for_when_idle(host: Host) -> None:
    """Nothing of ours keeps it busy; what cannot be looked at is the loop's to report."""
    host.work.on_idle()
    assert host.calls("mount_id") == [""]

    def refuse(operation: str, path: str) -> None:
        raise OSError(errno.EIO, "refused", path)

    host.world.filesystem.before = refuse
    host.work.on_idle()


def test_what_was_made_is_forgotten_at_a_limit(host: Host) -> None:
    """The oldest goes first, and making it again finds it."""
    for number in range(3):
        host.start(RuntimePod("s", f"pod-{number}"))
    made = host.work._made
    assert list(made) == ["pod-0", "pod-1", "pod-2"]
    made.update({f"old-{number}": "" for number in range(1_000)})
    host.start(RuntimePod("s", "pod-3"))

    assert "pod-0" not in made
    assert host.start(RuntimePod("s", "pod-0")).is_whole


def test_a_removal_that_goes_on_is_waited_for_a_moment_only(host: Host) -> None:
    """What holds the removal up must not hold the start up."""
    host.placing.acquire()
    assert host.start().is_whole
    assert host.placing.locked()
    host.placing.release()
    assert host.start().is_whole
    assert not host.placing.locked()
