"""What must always be true is checked: a state that was broken on purpose is told, sentence by sentence."""

from collections.abc import Callable

import pytest
from fakes.story import Story

from agent.model.message import Condition
from supervisor.core.child import ChildState
from supervisor.core.invariants import broken_invariants

CHILDREN = {"writer": "writer", "control-plane": "control-plane", "jobs": "on-demand"}


def make_story() -> Story:
    """A worker that is up, one that starts, one that sleeps."""
    story = Story(CHILDREN, asleep={"jobs": "no workload"})
    story.bring_up("writer")
    return story


def broken(story: Story) -> list[str]:
    """What is wrong now."""
    return list(broken_invariants(story.supervisor_state, story.now_ns))


def give_no_deadline(story: Story) -> None:
    """A start that could take for ever."""
    story.child("control-plane").deadline_ns = None


def let_sleep_with_a_process(story: Story) -> None:
    """A pid that nobody would look after."""
    story.child("jobs").pid = 5


def let_sleep_with_rules(story: Story) -> None:
    """Deltas would be sent to nobody."""
    story.supervisor_state.authority.on_hello("jobs", 0)


def let_sleep_without_a_reason(story: Story) -> None:
    """A person could not know why."""
    story.child("jobs").asleep_why = ""


def forget_since_when(story: Story) -> None:
    """Its uptime would be unknown."""
    story.child("writer").up_at_ns = None


def miss_a_deadline(story: Story) -> None:
    """It came and nothing was done."""
    story.child("writer").deadline_ns = story.now_ns


def mix_up_generations(story: Story) -> None:
    """Acknowledgements would be taken for those of another process."""
    story.supervisor_state.authority.replicas["writer"].epoch = 7


def lose_a_rule(story: Story) -> None:
    """What binds pods is not what workers hold."""
    story.supervisor_state.authority.apply([("rule/a", b'{"name":"a"}')])
    del story.supervisor_state.authority.rules["a"]


def keep_a_condition(story: Story) -> None:
    """It would stand for ever."""
    story.supervisor_state.history.set_condition("jobs", Condition("spool", active=True, detail="x"), 0)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (give_no_deadline, "control-plane is starting without a deadline: it could stay so for ever"),
        (let_sleep_with_a_process, "jobs is asleep and has a process"),
        (let_sleep_with_rules, "jobs is asleep and has a replica of the rules"),
        (let_sleep_without_a_reason, "jobs is asleep without a reason, with a deadline, or at the agent's end"),
        (forget_since_when, "writer is up without a time since when"),
        (miss_a_deadline, "writer has a deadline in the past that was not acted on"),
        (mix_up_generations, "the rules of writer are tracked for epoch 7, it is in 1"),
        (lose_a_rule, "the decoded rules are not those of the state"),
        (keep_a_condition, "condition spool of jobs outlived it"),
    ],
)
def test_a_broken_state_is_told(damage: Callable[[Story], None], sentence: str) -> None:
    """Before the damage nothing is wrong, after it this is."""
    story = make_story()
    assert broken(story) == []
    damage(story)
    assert sentence in broken(story)


def test_a_condition_of_a_worker_that_runs_is_no_fault() -> None:
    """It says what is the matter, and somebody is there to take it back."""
    story = make_story()
    story.supervisor_state.history.set_condition("writer", Condition("spool", active=True, detail="x"), 0)
    assert broken(story) == []


def test_readiness_and_its_reasons_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not ready without a reason leaves a person with nothing to do."""
    story = make_story()
    assert story.state("control-plane") is ChildState.STARTING
    monkeypatch.setattr(type(story.supervisor_state), "reasons_not_ready", lambda _state, _now_ns: [])
    assert broken(story) == ["the agent counts as not ready, and the reasons say otherwise"]
