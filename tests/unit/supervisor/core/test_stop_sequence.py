"""The end of the agent, worker by worker."""

from fakes.story import POLICY, Story

from agent.model.timebase import S
from supervisor.core.child import ChildState
from supervisor.core.effect import Announce, Effect, Finished, Signal
from supervisor.core.event_delivery import EventDelivery
from supervisor.core.stop_sequence import GRACE_LEAST_NS, StopSequence

CHILDREN = {"writer": "writer", "control-plane": "control-plane"}


def _up() -> tuple[Story, StopSequence]:
    story = Story(CHILDREN)
    for number, name in enumerate(CHILDREN):
        story.bring_up(name, 100 + number)
    return story, StopSequence(story.supervisor_state, EventDelivery(story.supervisor_state), POLICY.stop_timeout_ns)


def _finished(effects: list[Effect]) -> list[Finished]:
    return [effect for effect in effects if isinstance(effect, Finished)]


def test_nothing_is_stopped_before_the_agent_is_asked_to_end() -> None:
    """Deaths before that have nothing to do with it."""
    story, stop = _up()
    assert not stop.has_begun
    assert stop.go_on(story.now_ns) == []


def test_workers_stop_in_the_reverse_order_of_their_start() -> None:
    """The control plane first, and the writer only when it is gone, so that what it says at its end is stored."""
    story, stop = _up()
    effects = stop.begin("SIGTERM", story.now_ns)
    assert Announce("stopping", is_stopping=True) in effects
    assert stop.has_begun
    assert story.state("control-plane") is ChildState.STOPPING
    assert story.state("writer") is ChildState.UP


def test_the_time_of_the_stop_is_shared_by_the_workers_that_are_left() -> None:
    """Half of it for the first of two; never less than the least."""
    story, stop = _up()
    stop.begin("SIGTERM", story.now_ns)
    assert story.child("control-plane").deadline_ns == story.now_ns + POLICY.stop_timeout_ns // 2
    late_ns = story.now_ns + 2 * POLICY.stop_timeout_ns
    first = story.child("control-plane")
    first.deadline_ns = late_ns
    assert Signal("control-plane", 1, "KILL") in stop.on_child_deadline(first, late_ns)
    first.deadline_ns = late_ns
    stop.on_child_deadline(first, late_ns)
    assert story.child("writer").deadline_ns == late_ns + GRACE_LEAST_NS


def test_a_worker_that_outlives_sigkill_is_left_behind() -> None:
    """It waits inside the kernel; the agent ends without it and names it."""
    story, stop = _up()
    stop.begin("SIGTERM", story.now_ns)
    effects: list[Effect] = []
    for name in ("control-plane", "writer"):
        for _ in range(2):
            child = story.child(name)
            assert child.deadline_ns is not None
            effects = stop.on_child_deadline(child, child.deadline_ns)
    assert [finished.left_behind for finished in _finished(effects)] == [("writer", "control-plane")]
    assert stop.go_on(story.now_ns + 60 * S) == [], "it ends once"


def test_asked_a_second_time_every_worker_is_out_of_time() -> None:
    """The person at the terminal has no more patience; a third time changes nothing."""
    story, stop = _up()
    stop.begin("SIGINT", story.now_ns)
    stop.begin("SIGINT", story.now_ns)
    assert {child.deadline_ns for child in story.supervisor_state.children.values()} == {story.now_ns}
    for child in story.supervisor_state.children.values():
        stop.on_child_deadline(child, story.now_ns)
    assert stop.begin("SIGINT", story.now_ns) == []


def test_the_service_manager_is_asked_to_start_an_agent_again_that_lost_its_folder() -> None:
    """`try_again` of the first request is what the end says."""
    story, stop = _up()
    stop.begin("the runtime folder is lost", story.now_ns, try_again=True)
    story.die("control-plane", 0)
    assert _finished(stop.go_on(story.now_ns)) == [], "the writer is still there"
    story.die("writer", 0)
    effects = stop.go_on(story.now_ns)
    assert [finished.try_again for finished in _finished(effects)] == [True]
