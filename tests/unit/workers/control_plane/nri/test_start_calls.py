"""Starts that wait for their answer: done or late, whichever is first, by a clock of the test and a thread that it steps."""

import pytest
from fakes.clock import FakeClock
from msgspec.structs import replace

from agent.model.timebase import MS, S
from workers.control_plane.container_runtime.event import ContainerStarting, RuntimeContainer, RuntimePod, StartOutcome
from workers.control_plane.container_runtime.start_assignment import ContainerStart
from workers.control_plane.nri.session import StartCall, StartRequested
from workers.control_plane.nri.start_calls import StartCalls
from workers.resctrl.problem import ProblemKind

DEADLINE_NS = 100 * MS
UID = "u"
POD = RuntimePod("s", UID)
DONE = StartOutcome("g", "mon_groups/pod_g", is_whole=True, threads=3)


class SteppedThread:
    """`StartThread` without a thread."""

    def __init__(self) -> None:
        self.offered: list[ContainerStart] = []
        self.over: list[ContainerStart] = []
        self.late = 0
        self.is_full = False

    def offer(self, task: ContainerStart) -> bool:
        if not self.is_full:
            self.offered.append(task)
        return not self.is_full

    def take_done(self) -> list[ContainerStart]:
        over, self.over = self.over, []
        return over

    def late_ns(self) -> int:
        return self.late

    def finish(self, outcome: StartOutcome = DONE) -> None:
        """The oldest task is over."""
        task = self.offered.pop(0)
        task.outcome = outcome
        self.over.append(task)


class Starts:
    """The calls of one plugin."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.thread = SteppedThread()
        self.calls = StartCalls(self.thread, DEADLINE_NS, self.clock.now_ns)

    def request(self, stream: int = 1, timeout_ns: int = 0) -> None:
        """A container is about to start, and waits."""
        start = StartRequested(StartCall(stream, timeout_ns), POD, RuntimeContainer(str(stream), "s"))
        assert self.calls.request(start, self.clock.now_ns()) is None


@pytest.fixture
def starts() -> Starts:
    """A plugin on a host with resctrl."""
    return Starts()


def test_a_start_is_answered_when_it_is_done(starts: Starts) -> None:
    """With what was done for it, and how long that took."""
    starts.request()
    assert starts.calls.take_answers() == []
    starts.clock.advance(2 * MS)
    starts.thread.finish()

    (answer,) = starts.calls.take_answers()
    starts.calls.on_sent(answer)

    assert answer.call == StartCall(1)
    assert answer.event == ContainerStarting(POD, RuntimeContainer("1", "s"), replace(DONE, elapsed_ns=2 * MS))
    assert starts.calls.take_answers() == []
    assert starts.calls.next_deadline_ns() is None
    assert starts.calls.stats() == {
        "starts": 1,
        "deadline_misses": 0,
        "refused": 0,
        "start_ns_p50": 2 * MS,
        "start_ns_p99": 2 * MS,
        "start_ns_max": 2 * MS,
    }


def test_a_start_is_answered_at_its_deadline(starts: Starts) -> None:
    """Not a moment before, and whatever the thread does."""
    began_ns = starts.clock.now_ns()
    starts.request()
    assert starts.calls.next_deadline_ns() == began_ns + DEADLINE_NS
    starts.clock.advance(DEADLINE_NS - 1)
    assert starts.calls.take_answers() == []
    starts.clock.advance(1)

    (answer,) = starts.calls.take_answers()

    assert answer.call == StartCall(1)
    assert answer.event.outcome is not None
    assert (answer.event.outcome.group, answer.event.outcome.problem) == (UID, ProblemKind.TIMEOUT)
    assert "deadline" in answer.event.outcome.detail
    assert starts.calls.deadline_misses == 1
    assert starts.calls.next_deadline_ns() is None


def test_what_is_done_after_the_deadline_is_told_without_an_answer(starts: Starts) -> None:
    """The loop need not make the group again, and the runtime is not answered twice."""
    starts.request()
    starts.clock.advance(DEADLINE_NS)
    assert len(starts.calls.take_answers()) == 1
    starts.thread.finish()

    (late,) = starts.calls.take_answers()
    starts.calls.on_sent(late)

    assert late.call is None
    assert late.event.outcome is not None
    assert late.event.outcome.path == DONE.path
    assert starts.calls.latency.count == 0
    assert starts.calls.take_answers() == []


def test_a_late_start_for_which_nothing_was_done_is_not_told_twice(starts: Starts) -> None:
    """There is nothing new."""
    starts.request()
    starts.clock.advance(DEADLINE_NS)
    starts.calls.take_answers()
    starts.thread.finish(StartOutcome("g"))

    assert starts.calls.take_answers() == []


def test_what_was_done_until_the_deadline_is_in_the_answer(starts: Starts) -> None:
    """A group that was made, and threads that were moved."""
    starts.request()
    starts.thread.offered[0].outcome = StartOutcome("g", "mon_groups/pod_g", is_new=True, threads=2)
    starts.clock.advance(DEADLINE_NS)

    (answer,) = starts.calls.take_answers()

    assert answer.event.outcome is not None
    assert (answer.event.outcome.path, answer.event.outcome.threads) == ("mon_groups/pod_g", 2)
    assert answer.event.outcome.problem is ProblemKind.TIMEOUT


def test_a_reason_that_is_known_is_kept_at_the_deadline(starts: Starts) -> None:
    """It says more than that the time is over."""
    starts.request()
    starts.thread.offered[0].outcome = StartOutcome("g", problem=ProblemKind.LOCKED, detail="held")
    starts.clock.advance(DEADLINE_NS)

    (answer,) = starts.calls.take_answers()

    assert answer.event.outcome is not None
    assert answer.event.outcome.problem is ProblemKind.LOCKED


@pytest.mark.parametrize(
    ("of_all_ns", "of_call_ns", "expected_ns"),
    [
        (2 * S, 0, DEADLINE_NS),
        (0, 2 * S, DEADLINE_NS),
        (50 * MS, 0, 25 * MS),
        (2 * S, 80 * MS, 40 * MS),
        (-1, 0, DEADLINE_NS),
    ],
)
def test_a_runtime_with_little_patience_gets_its_answer_in_half_of_it(of_all_ns: int, of_call_ns: int, expected_ns: int) -> None:
    """A plugin that is too late once is dropped."""
    starts = Starts()
    starts.calls.on_limit(of_all_ns)
    began_ns = starts.clock.now_ns()
    starts.request(1, of_call_ns)

    assert starts.calls.next_deadline_ns() == began_ns + expected_ns


def test_while_a_call_of_resctrl_hangs_starts_are_answered_at_once(starts: Starts) -> None:
    """With an outcome that says so, until it is back; none of them gathers."""
    starts.thread.late = DEADLINE_NS + 1
    start = StartRequested(StartCall(3), POD, RuntimeContainer("3", "s"))

    answer = starts.calls.request(start, starts.clock.now_ns())

    assert answer is not None
    assert answer.call == StartCall(3)
    assert answer.event.outcome is not None
    assert "has not returned" in answer.event.outcome.detail
    assert (starts.calls.refused, starts.thread.offered) == (1, [])
    starts.thread.late = 0
    starts.request(5)


def test_a_full_queue_is_answered_at_once(starts: Starts) -> None:
    """It is bounded."""
    starts.thread.is_full = True

    answer = starts.calls.request(StartRequested(StartCall(1), POD, RuntimeContainer("1", "s")), 0)

    assert answer is not None
    assert starts.calls.refused == 1
    assert starts.calls.next_deadline_ns() is None


def test_without_resctrl_no_start_waits() -> None:
    """There is nothing to be done for it, and so no outcome."""
    clock = FakeClock()
    calls = StartCalls(None, DEADLINE_NS, clock.now_ns)

    answer = calls.request(StartRequested(StartCall(1), POD, RuntimeContainer("1", "s")), clock.now_ns())

    assert answer is not None
    assert answer.event == ContainerStarting(POD, RuntimeContainer("1", "s"))
    assert calls.take_answers() == []


def test_a_connection_that_ends_gives_up_its_starts(starts: Starts) -> None:
    """What is known of each is told once; what is done later is told without an answer, also beside a new connection."""
    starts.request(1)
    starts.request(3)

    assert [answer.call for answer in starts.calls.take_all()] == [StartCall(1), StartCall(3)]
    assert starts.calls.take_all() == []
    assert starts.calls.next_deadline_ns() is None
    starts.thread.finish()
    starts.thread.finish()
    assert [answer.call for answer in starts.calls.take_answers()] == [None, None]
    assert starts.calls.deadline_misses == 0
