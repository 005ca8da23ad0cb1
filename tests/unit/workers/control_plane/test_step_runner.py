"""What becomes of steps that fail; `test_group_controller` shows the others."""

import errno

import pytest
from fakes.clock import FakeClock
from fakes.kernel_tree import MemoryTree
from fakes.memory_resctrl import MemoryResctrl
from fakes.thread_table import ThreadTable

from agent.model.timebase import S
from workers.control_plane.group_plan import GroupPlan
from workers.control_plane.group_step import Check, Create, Delete, DesiredGroup
from workers.control_plane.step_runner import StepRunner
from workers.control_plane.unit_threads import UnitThreads
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.problem import ProblemKind, ResctrlError
from workers.resctrl.reconciliation import Reconciliation

PATH = "mon_groups/pod_a"
PARTS = (("a", "c0"),)


class _FailingGroups(MonitoringGroups):
    """A resctrl in which everything fails in one way."""

    def __init__(self, kind: ProblemKind, number: int | None = None) -> None:
        super().__init__(MemoryResctrl(ThreadTable([1]), FakeClock()))
        self._problem = ResctrlError(kind, PATH, "refused", errno=number)

    def create_group(self, uid: str) -> str:
        raise self._problem

    def delete_group(self, path: str) -> bool:
        raise self._problem

    def reconciliation(self, *_arguments: object) -> Reconciliation:
        raise self._problem


class Story:
    """A plan whose group `a` has a directory, and `b` none."""

    def __init__(self, groups: MonitoringGroups) -> None:
        self.plan = GroupPlan(check_interval_ns=10 * S, retry_interval_ns=5 * S)
        self.lost: list[ResctrlError] = []
        self.plan.want([DesiredGroup("a", 0, PARTS), DesiredGroup("b", 0, (("b", "c0"),))], 0)
        self.plan.on_created("a", PATH, 0)
        self.runner = StepRunner(
            groups, self.plan, lambda places: UnitThreads(MemoryTree(), ["."], places), FakeClock(0), self.lost.append
        )

    def problem(self, uid: str) -> str:
        monitoring = self.plan.monitoring(uid)
        assert monitoring is not None
        return monitoring.problem


@pytest.mark.parametrize("kind", [ProblemKind.NOT_MOUNTED, ProblemKind.UNSUPPORTED])
def test_a_failure_of_the_whole_mount_is_reported_as_that_and_to_no_group(kind: ProblemKind) -> None:
    """Whichever step meets it; the plan then gets it for all groups at once."""
    story = Story(_FailingGroups(kind))
    for step in (Create("b"), Delete("a", PATH), Check("a", (PATH,), PARTS)):
        story.runner.carry_out(step)
    assert [problem.kind for problem in story.lost] == [kind] * 3
    assert (story.problem("a"), story.problem("b"), story.runner.failures[kind.value]) == ("", "", 3)


def test_a_group_that_cannot_be_made_has_the_reason_without_its_path() -> None:
    """The reason stands for all that wait. Who asked for the group gets it too."""
    story = Story(_FailingGroups(ProblemKind.CAPACITY))
    assert story.runner.carry_out(Create("b")) is not None
    monitoring = story.plan.monitoring("b")
    assert monitoring is not None
    assert (monitoring.problem, monitoring.detail) == ("capacity", "refused")


def test_a_look_that_fails_is_the_groups_own_problem() -> None:
    """Its directory and counters stay."""
    story = Story(_FailingGroups(ProblemKind.IO, errno.EIO))
    assert story.runner.carry_out(Check("a", (PATH,), PARTS)) is None
    assert (story.problem("a"), story.runner.failures["io"], story.plan.path_by_group()) == ("io", 1, {"a": PATH})


def test_a_directory_that_has_gone_is_counted_and_made_again() -> None:
    """Another program has removed it."""
    story = Story(_FailingGroups(ProblemKind.IO, errno.ENOENT))
    story.runner.carry_out(Check("a", (PATH,), PARTS))
    assert (story.runner.failures["vanished"], story.plan.path_by_group()) == (1, {})


def test_without_any_thread_a_container_is_pending_and_nothing_has_failed() -> None:
    """It has not started yet."""
    story = Story(_FailingGroups(ProblemKind.EMPTY_THREAD_SET))
    story.runner.carry_out(Check("a", (PATH,), PARTS))
    assert (story.problem("a"), story.plan.unreconciled(), sum(story.runner.failures.values())) == ("", ["a"], 0)
