"""The thread that places containers: in order, late ones left out, bounded, and its owner's death when it fails."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest
from fakes.clock import FakeClock

from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod, StartOutcome
from workers.control_plane.container_runtime.start_assignment import ContainerStart
from workers.control_plane.container_runtime.start_thread import WAITING_MAX, StartThread

SECONDS = 10


class GatedWork:
    """Each task waits at a gate that the test opens."""

    def __init__(self) -> None:
        self.begun: SimpleQueue[ContainerStart] = SimpleQueue()
        self.gate = threading.Semaphore(0)
        self.idle = threading.Event()

    def carry_out(self, task: ContainerStart) -> None:
        self.begun.put(task)
        self.gate.acquire(timeout=SECONDS)
        if task.pod.uid == "bug":
            raise ZeroDivisionError("a bug of the test")
        task.outcome = StartOutcome("done")

    def on_idle(self) -> None:
        self.idle.set()


class Bench:
    """A thread with its work."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.work = GatedWork()
        self.announced: SimpleQueue[None] = SimpleQueue()
        self.died = threading.Event()
        self.thread = StartThread(self.work, lambda: self.announced.put(None), self.clock.now_ns, self.died.set)

    def task(self, uid: str = "u", in_ns: int = 100) -> ContainerStart:
        """A container with so much time left."""
        return ContainerStart(RuntimePod("s", uid), RuntimeContainer("c", "s"), self.clock.now_ns() + in_ns, StartOutcome("none"))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A thread that runs."""
    bench = Bench()
    bench.thread.start()
    yield bench
    for _task in range(WAITING_MAX + 2):
        bench.work.gate.release()
    # One `stop` waits for a moment only.
    assert any(bench.thread.stop() for _try in range(50))


def test_tasks_are_carried_out_in_their_order(bench: Bench) -> None:
    """And announced when they are over."""
    first, second = bench.task("1"), bench.task("2")
    assert bench.thread.offer(first)
    assert bench.thread.offer(second)
    bench.work.gate.release()
    bench.announced.get(timeout=SECONDS)

    assert bench.work.begun.get(timeout=SECONDS) is first
    assert bench.thread.take_done() == [first]
    assert first.outcome == StartOutcome("done")
    bench.work.gate.release()
    bench.announced.get(timeout=SECONDS)
    assert bench.thread.take_done() == [second]
    assert bench.thread.take_done() == []


def test_what_is_late_when_its_turn_comes_is_left_out(bench: Bench) -> None:
    """It was answered at its deadline; the next one still has time."""
    first, late, timely = bench.task("1"), bench.task("2", 50), bench.task("3", 500)
    for task in (first, late, timely):
        bench.thread.offer(task)
    assert bench.work.begun.get(timeout=SECONDS) is first
    bench.clock.advance(60)
    bench.work.gate.release()

    assert bench.work.begun.get(timeout=SECONDS) is timely
    assert bench.thread.take_done() == [first, late]
    assert late.outcome == StartOutcome("none")


def test_how_long_the_current_task_is_late(bench: Bench) -> None:
    """Nothing before its deadline, and nothing without a task."""
    assert bench.thread.late_ns() == 0
    bench.thread.offer(bench.task(in_ns=100))
    bench.work.begun.get(timeout=SECONDS)
    assert bench.thread.late_ns() == 0
    bench.clock.advance(130)
    assert bench.thread.late_ns() == 30
    bench.work.gate.release()
    bench.announced.get(timeout=SECONDS)

    assert bench.thread.late_ns() == 0


def test_its_queue_is_bounded(bench: Bench) -> None:
    """Behind a task that hangs nothing gathers."""
    bench.thread.offer(bench.task())
    bench.work.begun.get(timeout=SECONDS)
    accepted = [bench.thread.offer(bench.task()) for _task in range(WAITING_MAX + 3)]

    assert accepted == [True] * WAITING_MAX + [False] * 3


def test_it_is_idle_once_it_has_worked(bench: Bench) -> None:
    """What its work holds is let go of; before the first task it sleeps without end."""
    bench.thread.offer(bench.task())
    bench.work.gate.release()

    assert bench.work.idle.wait(SECONDS)


def test_a_bug_ends_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    """Here the test's own stand-in for that."""
    bench = Bench()
    bench.thread.start()
    bench.work.gate.release()
    bench.thread.offer(bench.task("bug"))

    assert bench.died.wait(SECONDS)
    assert "a bug of the test" in capfd.readouterr().err


def test_a_task_that_hangs_does_not_hold_the_end() -> None:
    """It is a thread that ends with its process."""
    bench = Bench()
    bench.thread.start()
    bench.thread.offer(bench.task())
    bench.work.begun.get(timeout=SECONDS)

    assert not bench.thread.stop()
    bench.work.gate.release()
