"""The names of sockets and locks are gone: what is told, what is restarted, and when the agent gives up."""

import pytest
from fakes.story import Story

from agent.model.message import Stop
from supervisor.core.child import ChildState
from supervisor.core.effect import Effect, Finished, RuntimeSeen, Send
from supervisor.core.runtime_names import CONDITION, FAILED_LOOKS_MAX

WHOLE = RuntimeSeen((), 7)
BUS_LOST = RuntimeSeen(("bus.sock",), 7)
PROBLEM = "cannot be made again: no room"


@pytest.fixture
def story() -> Story:
    """A writer and a gateway, up and seen."""
    story = Story({"writer": "writer", "gateway": "gateway"})
    for name in ("writer", "gateway"):
        story.bring_up(name)
    story.tell(WHOLE)
    return story


def _detail(story: Story) -> str | None:
    held = story.supervisor_state.history.conditions.get(("supervisor", CONDITION))
    return None if held is None else held.detail


def _is_stopped(effects: list[Effect], name: str) -> bool:
    return any(isinstance(effect, Send) and effect.child == name and isinstance(effect.message, Stop) for effect in effects)


def test_nothing_is_said_while_nothing_is_lost(story: Story) -> None:
    """Look after look."""
    assert story.tell(WHOLE) == []
    assert story.noted("runtime_lost") == story.noted("runtime_remade") == []
    assert _detail(story) is None


def test_what_was_made_again_is_told_until_the_next_look(story: Story) -> None:
    """An event, a condition while it lasts, and an event at its end."""
    assert story.tell(BUS_LOST) == []
    assert story.noted("runtime_lost")[0].fields == {"names": "bus.sock"}
    assert _detail(story) == "bus.sock gone; made again"
    story.tell(WHOLE)
    assert _detail(story) is None
    assert len(story.noted("runtime_remade")) == 1


@pytest.mark.parametrize("found", [None, 8])
def test_a_writer_whose_socket_is_gone_or_anothers_is_restarted_once(story: Story, found: int | None) -> None:
    """The condition holds until its successor is up, whose socket is another file."""
    assert _is_stopped(story.tell(RuntimeSeen((), found)), "writer")
    assert story.noted("runtime_lost")[0].fields == {"names": "data.sock"}
    assert story.tell(RuntimeSeen((), found)) == []
    story.die("writer", 0)
    assert story.child("writer").epoch == 2
    story.tell(RuntimeSeen((), found))
    assert _detail(story) == "data.sock gone; made again"
    story.bring_up("writer")
    story.tell(RuntimeSeen((), 9))
    story.tell(RuntimeSeen((), 9))
    assert _detail(story) is None
    assert story.state("writer") is ChildState.UP


def test_a_writer_that_never_makes_a_socket_is_restarted_once(story: Story) -> None:
    """A second generation without one: restarting makes it no better."""
    story.tell(RuntimeSeen((), None))
    story.die("writer", 0)
    story.bring_up("writer")
    assert _is_stopped(story.tell(RuntimeSeen((), None)), "writer")
    story.die("writer", 0)
    story.bring_up("writer")
    assert story.tell(RuntimeSeen((), None)) == []


def test_without_a_writer_nobody_is_restarted() -> None:
    """A worker_set of others."""
    story = Story({"gateway": "gateway"})
    story.bring_up("gateway")
    story.tell(RuntimeSeen(("bus.sock",), None))
    assert story.tell(RuntimeSeen((), None)) == []
    assert _detail(story) is None


def test_what_cannot_be_made_again_ends_the_agent_after_some_looks(story: Story) -> None:
    """It stops cleanly; the service manager is asked to start it again."""
    failed = RuntimeSeen(("bus.sock",), 7, PROBLEM)
    for _ in range(FAILED_LOOKS_MAX - 1):
        assert story.tell(failed) == []
    assert _detail(story) == f"bus.sock gone; {PROBLEM}"
    assert _is_stopped(story.tell(failed), "gateway")
    assert story.noted("stopping")[0].fields == {"reason": f"the runtime folder is lost: {PROBLEM}"}
    assert story.tell(failed) == []
    story.die("gateway", 0)
    assert story.die("writer", 0) == [Finished(try_again=True)]


def test_a_success_between_failures_begins_the_count_again(story: Story) -> None:
    """A folder that is being removed at this moment."""
    for _ in range(2 * FAILED_LOOKS_MAX):
        story.tell(RuntimeSeen(("bus.sock",), 7, PROBLEM))
        story.tell(BUS_LOST)
    assert story.noted("stopping") == []


def test_a_folder_that_somebody_else_has_taken_ends_the_agent_at_once(story: Story) -> None:
    """The writer is not restarted before that: it would take the other's socket away."""
    effects = story.tell(RuntimeSeen(("runtime.lock",), None, "another agent uses it", is_taken=True))
    assert not _is_stopped(effects, "writer")
    assert _is_stopped(effects, "gateway")
    assert len(story.noted("stopping")) == 1


def test_an_agent_that_ends_restarts_no_writer(story: Story) -> None:
    """Its socket is not needed any more."""
    story.tell(RuntimeSeen(("runtime.lock",), 7, "another agent uses it", is_taken=True))
    assert story.tell(RuntimeSeen((), None)) == []
