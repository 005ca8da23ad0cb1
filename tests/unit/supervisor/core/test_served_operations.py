"""Operations that a worker carries out, for a client that waits."""

from typing import Any

import pytest
from fakes.story import Story, spawns

from agent.model.control import READ_OPERATIONS, SERVED_OPERATIONS
from agent.model.control.workload import WorkloadChange, WorkloadList
from agent.model.errors import ExitCode
from agent.model.message import Ask, Reply
from agent.model.timebase import S
from supervisor.core.child import ChildState
from supervisor.core.effect import Effect, Problem, Respond, Send, StopRequested
from supervisor.core.served_operations import CHANGE_PATIENCE_NS, EMPTY, RESULTS

WHY = "no workload is configured"
PAIR = {"writer": "writer", "jobs": "on-demand"}


def _asleep() -> Story:
    story = Story({**PAIR, "control-plane": "control-plane"}, asleep={"jobs": WHY})
    for name in ("writer", "control-plane"):
        story.bring_up(name)
    story.look_complete()
    return story


def _up() -> Story:
    story = _asleep()
    story.ask("restart-worker", name="jobs")
    story.bring_up("jobs")
    return story


def _asks(effects: list[Effect]) -> list[Ask]:
    return [each.message for each in effects if isinstance(each, Send) and isinstance(each.message, Ask)]


def _problem(effects: list[Effect]) -> Problem:
    (answer,) = [each for each in effects if isinstance(each, Respond)]
    assert answer.problem is not None
    return answer.problem


def _reply(story: Story, effects: list[Effect], body: dict[str, Any]) -> Respond:
    (ask,) = _asks(effects)
    (answer,) = [each for each in story.say("jobs", Reply(ask.ask, body)) if isinstance(each, Respond)]
    return answer


def _come_back(story: Story) -> list[Effect]:
    """The next generation is started after its backoff and comes up."""
    story.advance(2 * S)
    assert story.state("jobs") is ChildState.STARTING
    return story.bring_up("jobs")


def test_every_served_operation_has_a_type_of_result() -> None:
    """What a worker answers is checked against it."""
    assert RESULTS.keys() == SERVED_OPERATIONS


def test_a_worker_on_demand_sleeps_and_is_no_reason_to_be_unready() -> None:
    """It has no process, its row says why, and the agent is ready without it."""
    story = _asleep()
    assert story.state("jobs") is ChildState.ASLEEP
    assert story.supervisor_state.is_ready
    assert story.supervisor_state.reasons_not_ready(story.now_ns) == []
    (row,) = [each for each in story.supervisor_state.workers(story.now_ns) if each.name == "jobs"]
    assert (row.state, row.asleep_why, row.pid) == ("asleep", WHY, None)


def test_a_worker_with_something_to_do_starts_with_the_others() -> None:
    """There is no reason to sleep."""
    assert spawns(Story(PAIR).begun) == [("writer", 1), ("jobs", 1)]


def test_the_first_operation_that_changes_something_wakes_it_and_waits_for_it() -> None:
    """It is handed over with its arguments once the worker is up, and the result goes back as it came."""
    story = _asleep()
    asked = story.command("run-workload", name="a", more={"x": 1})
    assert (spawns(asked), _asks(asked)) == ([("jobs", 1)], [])
    assert story.command("stop-workload", name="a") == []
    up = story.bring_up("jobs")
    assert [(ask.what, ask.arguments) for ask in _asks(up)] == [
        ("run-workload", {"name": "a", "more": {"x": 1}}),
        ("stop-workload", {"name": "a"}),
    ]
    first, _second = _asks(up)
    (answer,) = story.say("jobs", Reply(first.ask, {"name": "a", "state": "running", "pid": 7}))
    assert isinstance(answer, Respond)
    assert answer.result == WorkloadChange(name="a", state="running", pid=7)
    (row,) = [each for each in story.supervisor_state.workers(story.now_ns) if each.name == "jobs"]
    assert row.asleep_why is None


def test_a_look_wakes_nobody() -> None:
    """A reader starts no process; what sleeps has nothing to show."""
    story = _asleep()
    assert story.ask("list-workloads").result == WorkloadList(is_asked=False, problem=None, workloads=[])
    assert story.state("jobs") is ChildState.ASLEEP
    assert Story({"writer": "writer"}).ask("list-workloads").result == EMPTY["list-workloads"]


def test_a_refusal_of_the_worker_is_its_own_sentence() -> None:
    """With its code and exit code; one that cannot be read is an error of the worker."""
    story = _up()
    refused: dict[str, Any] = {"code": "name_taken", "sentence": "a runs already", "exit": 64}
    assert _reply(story, story.command("run-workload"), {"refused": refused}).problem == Problem(**refused)
    for body in ({"refused": {"code": 1}}, {"name": 7}, {}):
        problem = _reply(story, story.command("run-workload"), body).problem
        assert problem is not None
        assert (problem.code, problem.exit) == ("bad_answer", int(ExitCode.BAD_DATA))


@pytest.mark.parametrize("operation", sorted(SERVED_OPERATIONS - READ_OPERATIONS))
def test_a_worker_that_ends_in_between_leaves_a_sentence(operation: str) -> None:
    """It may have done what was asked: no change is asked for twice by itself."""
    story = _up()
    assert len(_asks(story.command(operation))) == 1
    problem = _problem(story.die("jobs"))
    assert (problem.code, problem.exit) == ("no_answer", int(ExitCode.TRY_AGAIN))
    assert "may have done it" in problem.sentence
    assert _asks(_come_back(story)) == []


@pytest.mark.parametrize("operation", sorted(SERVED_OPERATIONS & READ_OPERATIONS))
def test_a_look_is_handed_to_the_worker_that_comes_after_a_crash(operation: str) -> None:
    """The client notices nothing but the wait, whether the worker had died before the question or over it."""
    story = _up()
    (lost,) = _asks(story.command(operation, name="a"))
    assert not [each for each in story.die("jobs") if isinstance(each, Respond)]
    assert not _asks(story.command("run-workload"))
    again, _change = _asks(_come_back(story))
    assert (again.what, again.arguments) == (operation, {"name": "a"})
    assert again.ask != lost.ask
    refused: dict[str, Any] = {"code": "name_unknown", "sentence": "there is none", "exit": 64}
    answers = [each for each in story.say("jobs", Reply(again.ask, {"refused": refused})) if isinstance(each, Respond)]
    assert [each.problem for each in answers] == [Problem(**refused)]


def test_a_look_that_ends_its_workers_ends_two_at_most() -> None:
    """Then the client is told what state the worker is in."""
    story = _up()
    assert len(_asks(story.command("list-workloads"))) == 1
    story.die("jobs")
    assert len(_asks(_come_back(story))) == 1
    problem = _problem(story.die("jobs"))
    assert (problem.code, problem.sentence) == ("no_answer", "jobs is backoff and has not answered; try again")
    assert _asks(_come_back(story)) == []


def test_a_look_whose_worker_fails_or_is_ended_for_good_is_answered_at_once() -> None:
    """No other one comes: the sentence is that of a question asked afterwards."""
    failed = _up()
    failed.command("list-workloads")
    assert "reset-worker jobs" in _problem(failed.die("jobs", int(ExitCode.CONFIG))).sentence
    fails_before_it_is_up = _up()
    fails_before_it_is_up.die("jobs")
    assert _asks(fails_before_it_is_up.command("list-workloads")) == []
    fails_before_it_is_up.advance(2 * S)
    assert _problem(fails_before_it_is_up.die("jobs", int(ExitCode.CONFIG))).code == "worker_failed"
    ends = _up()
    ends.command("list-workloads")
    ends.tell(StopRequested("SIGTERM"))
    assert _problem(ends.die("jobs", 0)).code == "stopping"


def test_nobody_waits_longer_than_the_deadline() -> None:
    """The worker does not come up."""
    story = _asleep()
    story.command("run-workload")
    assert not [each for each in story.advance(CHANGE_PATIENCE_NS - 1 * S) if isinstance(each, Respond)]
    assert _problem(story.advance(1 * S)).code == "no_answer"


def test_a_failed_worker_and_an_agent_that_ends_or_has_none_say_so() -> None:
    """With what to do."""
    failed = _up()
    failed.die("jobs", int(ExitCode.CONFIG))
    assert "reset-worker jobs" in _problem(failed.command("run-workload")).sentence
    ends = _up()
    ends.tell(StopRequested("SIGTERM"))
    assert _problem(ends.command("run-workload")).code == "stopping"
    assert _problem(Story({"writer": "writer"}).command("run-workload")).exit == int(ExitCode.UNAVAILABLE)


def test_the_agents_end_finds_nothing_to_stop_of_one_that_sleeps() -> None:
    """It is down like those that ended."""
    story = _asleep()
    story.tell(StopRequested("SIGTERM"))
    assert story.state("jobs") is ChildState.DOWN
