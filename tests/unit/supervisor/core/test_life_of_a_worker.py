"""Turns in the life of one worker that stories of many seldom take."""

from fakes.story import Story

from supervisor.core.child import ChildState
from supervisor.core.effect import SpawnFailed, StopRequested


def test_a_worker_without_a_process_has_nothing_to_do_at_a_deadline() -> None:
    """One that was left over is cleared, and nothing is started."""
    story = Story({"writer": "writer", "jobs": "on-demand"}, asleep={"jobs": "no workload"})
    sleeping = story.child("jobs")
    sleeping.deadline_ns = 5
    assert story.child("jobs").on_deadline(5) == []
    assert (story.state("jobs"), story.child("jobs").deadline_ns) == (ChildState.ASLEEP, None)


def test_a_start_that_fails_at_the_end_of_the_agent_is_not_tried_again() -> None:
    """Nobody wants the worker any more."""
    story = Story({"writer": "writer"})
    story.tell(StopRequested("SIGTERM"))
    story.tell(SpawnFailed("writer", story.child("writer").epoch, "no memory"))
    assert (story.state("writer"), story.child("writer").last_exit) == (ChildState.DOWN, "not started: no memory")


def test_a_worker_without_limits_is_told_to_who_asks_for_one() -> None:
    """Its name is right, and there is nothing to set."""
    story = Story({"writer": "writer"}, budgets={})
    problem = story.ask("set-limit", name="writer", cpu=5).problem
    assert problem is not None
    assert problem.sentence == "writer has no limits"
