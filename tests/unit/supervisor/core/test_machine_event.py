"""Events that reach no part of the machine, or one that answers nobody."""

from fakes.story import Story

from agent.model.message import Ask
from agent.model.timebase import MS
from supervisor.core.effect import RotateRequested, Send, WorkerObservation, WorkersObserved
from supervisor.core.watchdog import ProcessState

SEEN = ProcessState("S", 0)


def test_a_signal_asks_the_writer_for_its_files() -> None:
    """As the operation does, and it is told who asked."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    effects = story.tell(RotateRequested())
    assert [effect.message.what for effect in effects if isinstance(effect, Send) and isinstance(effect.message, Ask)] == ["rotate"]
    assert [line.fields for line in story.noted("rotate_asked")] == [{"by": "SIGUSR1"}]


def test_an_observation_of_what_is_not_there_any_more_is_dropped() -> None:
    """Another name, another generation, or a worker without a process."""
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    epoch = story.child("writer").epoch
    stale = (WorkerObservation("gone", 1, None, SEEN), WorkerObservation("writer", epoch - 1, None, SEEN))
    assert story.tell(WorkersObserved(stale)) == []
    story.die("writer", 78)
    assert story.tell(WorkersObserved((WorkerObservation("writer", epoch, None, SEEN),))) == []


def test_a_worker_whose_page_is_torn_is_still_observed() -> None:
    """Its last good beat stays, also before it has said hello."""
    story = Story({"writer": "writer"})
    story.spawned("writer")
    story.now_ns += 500 * MS
    assert story.tell(WorkersObserved((WorkerObservation("writer", story.child("writer").epoch, None, SEEN),))) == []
    assert "writer" not in story.supervisor_state.beats_at_ns
