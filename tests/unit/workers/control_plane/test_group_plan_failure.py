"""What a plan of groups keeps and tries again when something fails."""

from agent.model.timebase import S
from workers.control_plane.group_plan import LOCKED_RETRY_NS, GroupPlan
from workers.control_plane.group_step import Check, CheckResult, Create, DesiredGroup
from workers.resctrl.problem import ProblemKind

RETRY_NS = 5 * S


def planned(*uids: str) -> GroupPlan:
    """These groups are wanted, each with one container."""
    plan = GroupPlan(check_interval_ns=10 * S, retry_interval_ns=RETRY_NS)
    plan.want([DesiredGroup(uid, 0, ((uid, "c"),)) for uid in uids], 0)
    return plan


def problem_of(plan: GroupPlan, uid: str) -> tuple[str, str]:
    """What is said about a unit's group."""
    told = plan.monitoring(uid)
    assert told is not None
    return told.problem, told.detail


def test_resctrl_that_stays_away_is_told_once() -> None:
    """A group that has failed for this reason already is not changed again."""
    plan = planned("a")
    plan.on_lost(ProblemKind.NOT_MOUNTED, "not mounted")
    assert plan.take_changed() == {"a"}
    plan.on_lost(ProblemKind.NOT_MOUNTED, "not mounted either")
    assert plan.take_changed() == set()
    assert problem_of(plan, "a") == ("not_mounted", "not mounted")


def test_all_that_failed_is_tried_at_once_when_it_is_asked_for() -> None:
    """Groups without a directory, and threads that are outside; what is whole is left alone."""
    plan = planned("failed", "partial", "whole")
    for uid, outside in (("partial", 3), ("whole", 0)):
        plan.on_created(uid, f"mon_groups/{uid}", 0)
        plan.on_checked(uid, CheckResult((f"mon_groups/{uid}",), {(uid, "c"): outside}, refused=outside), 0)
    plan.on_create_failed("failed", ProblemKind.IO, "no", 0)
    assert plan.next_step(1) is None
    plan.retry_all_once(1)
    steps = [plan.next_step(1)]
    plan.on_create_failed("failed", ProblemKind.IO, "no", 1)
    steps.append(plan.next_step(1))
    assert steps == [Create("failed"), Check("partial", ("mon_groups/partial",), (("partial", "c"),))]


def test_a_directory_that_fails_by_itself_keeps_its_reason() -> None:
    """A failure that all others share says nothing about it before its own turn."""
    plan = planned("own", "other")
    plan.on_create_failed("own", ProblemKind.IO, "a bad name", 0)
    plan.on_create_failed("other", ProblemKind.NO_PERMISSION, "not allowed", 1)
    assert (problem_of(plan, "own"), problem_of(plan, "other")) == (("io", "a bad name"), ("no_permission", "not allowed"))
    plan.on_create_failed("gone", ProblemKind.IO, "nobody wants it", 1)
    plan.take_changed()
    plan.on_create_failed("own", ProblemKind.IO, "a bad name", 2)
    assert plan.take_changed() == set(), "the same is no news"


def test_a_held_lock_pauses_removals_too() -> None:
    """Its holder holds up every change."""
    plan = planned("a")
    plan.on_created("a", "mon_groups/a", 0)
    plan.want([], 0)
    step = plan.next_step(0)
    assert step is not None
    plan.on_delete_failed("mon_groups/a", ProblemKind.LOCKED, 0)
    assert plan.next_step(LOCKED_RETRY_NS - 1) is None
    assert plan.next_step(LOCKED_RETRY_NS) == step
    plan.on_delete_failed("mon_groups/unknown", ProblemKind.IO, LOCKED_RETRY_NS)
    assert plan.paths() == ["mon_groups/a"]


def test_every_directory_is_known_until_it_is_gone() -> None:
    """Those that are held, and those on their way out."""
    plan = planned("a", "b")
    for uid in ("a", "b"):
        plan.on_created(uid, f"mon_groups/{uid}", 0)
    plan.want([DesiredGroup("a", 0, (("a", "c"),))], 0)
    assert plan.paths() == ["mon_groups/a", "mon_groups/b"]
    assert plan.is_checked("a")
    assert plan.is_checked("nobody")
    plan.on_deleted("mon_groups/b", 0)
    assert plan.paths() == ["mon_groups/a"]
