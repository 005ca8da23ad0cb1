"""Carries out one step of the plan of monitoring groups through the resctrl library, and tells the plan how it ended."""

from collections import Counter
from collections.abc import Callable, Mapping

from agent.failpoint import failpoint
from agent.ports import Clock
from workers.control_plane.group_check import check_group, release_strays
from workers.control_plane.group_plan import GroupPlan
from workers.control_plane.group_step import Check, CheckResult, Create, Delete, Step
from workers.control_plane.pods import Places
from workers.control_plane.unit_threads import UnitThreads
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.problem import ProblemKind, ResctrlError
from workers.resctrl.tree import GONE

# Kinds that hold for everything: nothing is tried until they are over.
_OF_THE_MOUNT = frozenset({ProblemKind.NOT_MOUNTED, ProblemKind.UNSUPPORTED})
MakeThreads = Callable[[Mapping[tuple[str, str], tuple[str, ...]]], UnitThreads]


class StepRunner:
    """Carries out steps. `on_lost` is called with a failure that holds for the whole mount."""

    def __init__(
        self,
        groups: MonitoringGroups,
        plan: GroupPlan,
        make_threads: MakeThreads,
        clock: Clock,
        on_lost: Callable[[ResctrlError], object],
    ) -> None:
        self._groups = groups
        self._plan = plan
        self._make_threads = make_threads
        self._clock = clock
        self._on_lost = on_lost
        # Asked before anything leaves a group: no container may be placed meanwhile, or was and is not known yet.
        self.begin_removal: Callable[[], bool] = lambda: True
        self.end_removal: Callable[[], None] = lambda: None
        self.places: Mapping[str, Places] = {}
        # By group, the threads of its containers as they were listed last.
        self._in_containers: dict[str, frozenset[int]] = {}
        self.done: Counter[str] = Counter()
        """How many steps of each kind were taken."""
        self.failures: Counter[str] = Counter()
        """How many failed, by kind of failure."""

    def forget(self, group: str) -> None:
        """A group is not wanted any more."""
        self._in_containers.pop(group, None)

    def keep(self, groups: Mapping[str, object]) -> None:
        """No others are wanted."""
        self._in_containers = {group: threads for group, threads in self._in_containers.items() if group in groups}

    def carry_out(self, step: Step) -> ResctrlError | None:
        """Do what the plan asks for. Gives why a group could not be made; every other failure is the plan's alone."""
        match step:
            case Delete():
                self._delete(step)
            case Create():
                return self._create(step)
            case Check():
                self._check(step)
        return None

    def _create(self, step: Create) -> ResctrlError | None:
        self.done["create"] += 1
        failpoint("resctrl.before_create")
        try:
            path = self._groups.create_group(step.group)
            failpoint("resctrl.created")
        except ResctrlError as problem:
            if not self.count_failure(problem):
                # It stands for all who wait, so it names no directory.
                detail = problem.sentence.removeprefix(f"{problem.path}: ")
                self._plan.on_create_failed(step.group, problem.kind, detail, self._clock.now_ns())
            return problem
        self._plan.on_created(step.group, path, self._clock.now_ns())
        return None

    def _delete(self, step: Delete) -> None:
        self.done["delete"] += 1
        failpoint("resctrl.before_delete")
        try:
            self._groups.delete_group(step.path)
            failpoint("resctrl.deleted")
        except ResctrlError as problem:
            if not self.count_failure(problem):
                self._plan.on_delete_failed(step.path, problem.kind, self._clock.now_ns())
            return
        self._plan.on_deleted(step.path, self._clock.now_ns())

    def _check(self, step: Check) -> None:
        self.done["check"] += 1
        threads = self._make_threads({part: self.places.get(part[0], {}).get(part[1], ()) for part in step.parts})
        if any(not container for _uid, container in step.parts):
            # Only units without containers can have others' containers counted to them.
            threads.of_others = frozenset().union(*(held for group, held in self._in_containers.items() if group != step.group))
        failpoint("resctrl.before_check")
        try:
            found = check_group(self._groups, threads, step.paths)
            failpoint("resctrl.checked")
        except ResctrlError as problem:
            self._on_check_failed(step, problem)
            return
        self._in_containers[step.group] = threads.in_containers
        if found.may_hold_strays:
            self._release_strays(step, threads, found.result.paths)
        self._plan.on_checked(step.group, found.result, self._clock.now_ns())

    def _on_check_failed(self, step: Check, problem: ResctrlError) -> None:
        now_ns = self._clock.now_ns()
        if problem.kind is ProblemKind.EMPTY_THREAD_SET:
            self._plan.on_checked(step.group, CheckResult(step.paths, dict.fromkeys(step.parts)), now_ns)
        elif problem.kind is ProblemKind.IO and problem.errno in GONE:
            self.failures["vanished"] += 1
            self._plan.on_vanished(step.group, now_ns)
        elif not self.count_failure(problem):
            self._plan.on_check_failed(step.group, problem.kind, problem.sentence, now_ns)

    def _release_strays(self, step: Check, threads: UnitThreads, paths: tuple[str, ...]) -> None:
        if not self.begin_removal():
            # Threads that a start has just moved in look like strays until its report is taken in.
            return
        try:
            self.done["release"] += release_strays(self._groups, threads, step.paths[0], paths)
        except ResctrlError as problem:
            # The next check tries again.
            self.failures[problem.kind.value] += 1
        finally:
            self.end_removal()

    def count_failure(self, problem: ResctrlError) -> bool:
        """Count it. One that holds for the whole mount gives the mount up until it is looked at again: True."""
        self.failures[problem.kind.value] += 1
        if problem.kind in _OF_THE_MOUNT:
            self._on_lost(problem)
            return True
        return False
