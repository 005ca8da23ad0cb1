"""A process that several samplers share: it is one worker, and what it says of a sampler is shown under the sampler's name."""

from typing import Any

import pytest
from fakes.story import Story

from agent.model.control.document import plain
from agent.model.errors import ExitCode
from agent.model.message import Ask, Condition, Note, Reply
from supervisor.core.effect import Effect, Respond, Send

WORKER, MEMBERS = "sampler/node", ("sampler/host", "sampler/unit")
CONDITION = Condition("unreadable", active=True, detail="no files", blocks_ready=True, member="sampler/host")


def _up() -> Story:
    story = Story({"writer": "writer", WORKER: "sampler"}, members={WORKER: MEMBERS})
    for name in ("writer", WORKER):
        story.bring_up(name)
    return story


def _stats(story: Story, body: dict[str, Any]) -> dict[str, Any]:
    effects: list[Effect] = story.command("status")
    asks = {each.child: each.message.ask for each in effects if isinstance(each, Send) and isinstance(each.message, Ask)}
    answers = [*story.say("writer", Reply(asks["writer"], {})), *story.say(WORKER, Reply(asks[WORKER], body))]
    (answer,) = [each for each in answers if isinstance(each, Respond)]
    assert answer.result is not None
    stats: dict[str, Any] = plain(answer.result)["stats"]  # type: ignore[assignment]
    return stats


def test_list_workers_names_the_samplers_inside() -> None:
    """A worker with a process for itself has none."""
    result = _up().ask("list-workers").result
    assert result is not None
    assert [(row["name"], row["members"]) for row in plain(result)["workers"]] == [("writer", []), (WORKER, list(MEMBERS))]  # type: ignore[attr-defined]


def test_status_has_the_statistics_of_each_sampler_by_its_name() -> None:
    """And those of the process under its own."""
    told = {"members": {"sampler/host": {"ticks": 3}, "sampler/unit": {"ticks": 4}}, "bus_malformed": 0}
    assert _stats(_up(), told) == {
        "writer": {},
        WORKER: {"bus_malformed": 0},
        "sampler/host": {"ticks": 3},
        "sampler/unit": {"ticks": 4},
    }


@pytest.mark.parametrize("members", [None, 7, [], {"sampler/host": 1, "sampler/strange": {"ticks": 1}}])
def test_statistics_that_it_does_not_give_are_absent(members: object) -> None:
    """Whatever a confused process says, nobody is shown under a name that is not its own."""
    assert _stats(_up(), {"members": members}) == {"writer": {}, WORKER: {}, "sampler/host": None, "sampler/unit": None}


def test_conditions_and_notes_are_shown_under_the_samplers_name() -> None:
    """Two samplers may have one kind of condition at a time."""
    story = _up()
    story.say(WORKER, CONDITION)
    story.say(WORKER, Condition("unreadable", active=True, detail="no cgroups", member="sampler/unit"))
    story.say(WORKER, Note("dropped", "warning", {}, member="sampler/unit"))
    assert set(story.supervisor_state.history.conditions) == {("sampler/host", "unreadable"), ("sampler/unit", "unreadable")}
    assert "sampler/host: no files" in story.supervisor_state.reasons_not_ready(story.now_ns)
    assert story.log[-1].fields["worker"] == "sampler/unit"


def test_a_name_that_is_no_member_is_not_believed() -> None:
    """What a process says of others is said of itself."""
    story = _up()
    story.say(WORKER, Condition("unreadable", active=True, detail="x", member="writer"))
    assert set(story.supervisor_state.history.conditions) == {(WORKER, "unreadable")}


def test_the_conditions_of_all_samplers_end_with_the_process() -> None:
    """The next one announces its own."""
    story = _up()
    story.say(WORKER, CONDITION)
    story.die(WORKER)
    assert story.supervisor_state.history.conditions == {}


@pytest.mark.parametrize("operation", ["restart-worker", "reset-worker", "worker-state"])
def test_an_operation_on_a_sampler_inside_says_where_it_lives(operation: str) -> None:
    """It names the worker, and whom a restart would meet as well."""
    problem = _up().ask(operation, name="sampler/host").problem
    assert problem is not None
    assert (problem.code, problem.exit) == ("shares_a_process", int(ExitCode.MISUSE))
    assert problem.sentence == "sampler/host shares the process of worker sampler/node with sampler/unit; name sampler/node instead"


def test_a_sampler_that_is_alone_there_has_no_company() -> None:
    """The other one is switched off."""
    story = Story({WORKER: "sampler"}, members={WORKER: MEMBERS[:1]})
    problem = story.ask("restart-worker", name="sampler/host").problem
    assert problem is not None
    assert "with no other sampler" in problem.sentence
