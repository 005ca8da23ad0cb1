"""Puts the threads of a starting container into their pod's group before its first instruction runs.

The runtime has made the container's cgroup, with its own first process waiting there. What starts later inherits the group of its
creator, so these few threads are enough. All that is not done by the deadline is left to the worker's loop.
"""

import threading
import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from agent.failpoint import failpoint
from agent.model.timebase import MS, S
from agent.ports import KernelTree
from workers.control_plane.container_runtime.container_threads import CgroupRoots, ContainerThreads
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod, StartOutcome
from workers.control_plane.container_runtime.link import GroupSnapshot
from workers.control_plane.container_runtime.pod_unit import unit_of_pod
from workers.resctrl.name import group_name
from workers.resctrl.place import under
from workers.resctrl.ports import Filesystem
from workers.resctrl.problem import ProblemKind, ResctrlError
from workers.resctrl.tree import GONE, GroupTree

# Others hold the lock for single changes of a millisecond. One that holds it longer is not waited for at every start.
LOCK_WAIT_NS = 20 * MS
LOCKED_NS = 1 * S
# Of the time until the deadline, the part for which a removal of a directory is waited for.
_SHARE_FOR_REMOVAL = 4
# The runtime's first process has a handful of threads and forks seldom: the second pass finds nobody new.
PASSES_MAX = 5
# Groups that the loop does not know yet; one that is forgotten is found by making it again.
_MADE_MAX = 1_000


class ContainerStart(Struct):
    """One container to be placed by `deadline_ns`. `outcome` grows while that is done: any thread may read it at any time."""

    pod: RuntimePod
    container: RuntimeContainer
    deadline_ns: int
    outcome: StartOutcome


class StartAssignment:
    """The work of the thread `start`; it has descriptors of its own, as one filesystem object serves one thread."""

    def __init__(
        self,
        snapshot: Callable[[], GroupSnapshot],
        filesystem: Filesystem,
        tree: KernelTree,
        proc: KernelTree,
        placing: "threading.Lock | None" = None,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep_seconds: Callable[[float], object] = time.sleep,
    ) -> None:
        self._snapshot = snapshot
        self._filesystem = filesystem
        self._roots = CgroupRoots(tree)
        self._proc = proc
        self._placing = placing or threading.Lock()
        self._now_ns = now_ns
        self._patient = GroupTree(filesystem, now_ns=now_ns, sleep_seconds=sleep_seconds, lock_wait_ns=LOCK_WAIT_NS)
        self._hasty = GroupTree(filesystem, now_ns=now_ns, sleep_seconds=sleep_seconds, lock_wait_ns=0)
        self._hasty_until_ns = 0
        # By group the directory, in the order in which they were made.
        self._made: dict[str, str] = {}

    def carry_out(self, task: ContainerStart) -> None:
        """Place the container; `task.outcome` says what came of it. Nothing is raised for what can fail."""
        snapshot = self._snapshot()
        group, _rule = snapshot.binder.bind_quietly(unit_of_pod(task.pod, (task.container,)))
        task.outcome = StartOutcome(group)
        if group is None or not snapshot.is_measured:
            return
        threads = ContainerThreads(self._roots, self._proc, task.pod, task.container)
        # A directory is removed within a millisecond or two; what holds that up must not take the time that there is.
        is_held = self._placing.acquire(timeout=max(0, task.deadline_ns - self._now_ns()) / _SHARE_FOR_REMOVAL / S)
        try:
            self._place(task, group, snapshot.paths.get(group) or self._made.get(group, ""), threads)
        except ResctrlError as problem:
            task.outcome = replace(task.outcome, problem=problem.kind, detail=problem.sentence)
        except OSError as problem:
            detail = f"its threads cannot be listed: {problem.strerror or problem} ({problem.filename or 'cgroup'})"
            task.outcome = replace(task.outcome, problem=ProblemKind.IO, detail=detail)
        finally:
            if is_held:
                self._placing.release()

    def on_idle(self) -> None:
        """To be called about once a second: a resctrl that was unmounted is let go of."""
        try:
            self._filesystem.mount_id()
        except OSError:
            # The worker's loop reports it.
            return

    # ---- inside ------------------------------------------------------------------------------------

    def _place(self, task: ContainerStart, group: str, known_path: str, threads: ContainerThreads) -> None:
        path = known_path or self._made_path(task, group)
        if not path:
            return
        task.outcome = replace(task.outcome, path=path, is_new=not known_path)
        try:
            self._assign(task, path, threads)
        except ResctrlError as problem:
            if problem.kind is not ProblemKind.IO or problem.errno not in GONE:
                raise
            # Somebody removed it. Once more: a second removal at this very moment is no accident.
            self._made.pop(group, None)
            task.outcome = replace(task.outcome, path="", is_new=False)
            if path := self._made_path(task, group):
                task.outcome = replace(task.outcome, path=path, is_new=True)
                self._assign(task, path, threads)

    def _made_path(self, task: ContainerStart, group: str) -> str:
        """The directory of a group, made where it is missing; empty when there is no time left for it."""
        if not self._has_time(task):
            return ""
        now_ns = self._now_ns()
        try:
            path = (self._hasty if now_ns < self._hasty_until_ns else self._patient).create_group(group)
        except ResctrlError as problem:
            if problem.kind is not ProblemKind.LOCKED:
                raise
            self._hasty_until_ns = self._now_ns() + LOCKED_NS
            return self._existing_path(group, problem)
        failpoint("nri.group_made")
        if len(self._made) >= _MADE_MAX:
            del self._made[next(iter(self._made))]
        self._made[group] = path
        return path

    def _existing_path(self, group: str, locked: ResctrlError) -> str:
        """A group that is there already needs no lock. *Raises:* the failure to get the lock where it is not."""
        path = under("", group_name(group))
        try:
            self._hasty.list_group_tasks(path)
        except ResctrlError as problem:
            raise (locked if problem.errno in GONE else problem) from problem
        return path

    def _assign(self, task: ContainerStart, path: str, threads: ContainerThreads) -> None:
        """Move the threads until a pass finds nobody new: who was not moved began where its creator is."""
        moved: set[int] = set()
        for _pass in range(PASSES_MAX):
            if not self._has_time(task):
                return
            listed = threads.threads()
            outside = listed - moved
            if not outside:
                self._finish(task, listed)
                return
            done = self._patient.assign_unlocked(path, outside)
            failpoint("nri.assigned")
            if done.foreign or done.refused:
                reason = done.refused[0].reason if done.refused else "they live in another control group"
                detail = f"{len(done.foreign) + len(done.refused)} threads cannot be moved: {reason}"
                task.outcome = replace(task.outcome, problem=ProblemKind.NO_PERMISSION, detail=detail, threads=len(moved))
                return
            moved |= outside
            task.outcome = replace(task.outcome, threads=len(moved))

    def _finish(self, task: ContainerStart, listed: frozenset[int]) -> None:
        if listed:
            task.outcome = replace(task.outcome, is_whole=True, threads=len(listed))
        else:
            detail = "no thread of the container was found where its runtime says that it is"
            task.outcome = replace(task.outcome, problem=ProblemKind.EMPTY_THREAD_SET, detail=detail)

    def _has_time(self, task: ContainerStart) -> bool:
        """Whether the deadline is still to come; else the outcome says that it has passed."""
        if self._now_ns() < task.deadline_ns:
            return True
        task.outcome = replace(task.outcome, problem=ProblemKind.TIMEOUT, detail="the deadline of the start came first")
        return False
