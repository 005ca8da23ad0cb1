"""What is announced of readiness, and when a start is over."""

from fakes.story import Story

from supervisor.core.effect import Announce, Log, Settled
from supervisor.core.readiness_announcer import SETTLE_NS, ReadinessAnnouncer


def _begun() -> tuple[Story, ReadinessAnnouncer]:
    story = Story({"writer": "writer"})
    announcer = ReadinessAnnouncer(story.supervisor_state)
    announcer.begin(story.now_ns)
    return story, announcer


def test_a_start_that_takes_too_long_is_over_with_its_reasons() -> None:
    """A person who waits for it is told why, once."""
    story, announcer = _begun()
    assert announcer.next_deadline_ns() == story.now_ns + SETTLE_NS
    assert announcer.on_deadline(story.now_ns + SETTLE_NS - 1) == []
    (settled,) = announcer.on_deadline(story.now_ns + SETTLE_NS)
    assert isinstance(settled, Settled)
    assert any("writer" in reason for reason in settled.reasons)
    assert announcer.next_deadline_ns() is None
    assert announcer.on_deadline(story.now_ns + 2 * SETTLE_NS) == []


def test_each_change_is_announced_once() -> None:
    """Ready with the end of the start; then not ready with the reasons; nothing while it stays so."""
    story, announcer = _begun()
    story.bring_up("writer")
    story.supervisor_state.looked_at_host = True
    assert announcer.on_change(story.now_ns) == [Log("ready", "info", {}), Announce("ready, 1 workers up"), Settled(())]
    assert announcer.on_change(story.now_ns) == []
    story.die("writer", 78)
    log, announced = announcer.on_change(story.now_ns)
    assert isinstance(log, Log)
    assert isinstance(announced, Announce)
    assert announced.status == f"not ready: {log.fields['reasons']}"
    assert announcer.on_change(story.now_ns) == []


def test_the_end_of_the_agent_is_announced_as_stopping_alone() -> None:
    """That workers go down one after another then is no news."""
    story, announcer = _begun()
    story.bring_up("writer")
    story.supervisor_state.looked_at_host = True
    announcer.on_change(story.now_ns)
    story.supervisor_state.is_stopping = True
    assert announcer.on_change(story.now_ns) == []


def test_an_agent_that_is_ready_again_was_started_long_ago() -> None:
    """Its start is over once."""
    story, announcer = _begun()
    story.bring_up("writer")
    story.supervisor_state.looked_at_host = True
    announcer.on_change(story.now_ns)
    story.die("writer")
    announcer.on_change(story.now_ns)
    story.bring_up("writer")
    assert announcer.on_change(story.now_ns) == [Log("ready", "info", {}), Announce("ready, 1 workers up")]
