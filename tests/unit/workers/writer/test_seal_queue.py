"""The order of sealing, and the patience after failures."""

from agent.model.timebase import S
from workers.writer.seal_queue import SealQueue


def queue_of(*names: str) -> SealQueue:
    """A queue with these segments."""
    queue = SealQueue()
    queue.add(names)
    return queue


def test_one_at_a_time_the_oldest_first() -> None:
    """A second segment waits until the first is sealed."""
    queue = queue_of("a", "b")
    assert (queue.take(0), queue.take(0), len(queue)) == ("a", None, 2)
    queue.on_sealed()
    assert (queue.take(0), queue.names()) == ("b", frozenset("b"))
    queue.on_sealed()
    assert (queue.take(0), len(queue), queue.next_deadline_ns()) == (None, 0, None)


def test_failures_wait_ever_longer() -> None:
    """The delays are 1 s, doubled each time, and 60 s at most."""
    queue, now_ns, delays = queue_of("a"), 0, []
    for _ in range(20):
        assert queue.take(now_ns) == "a"
        queue.on_failed(now_ns)
        deadline = queue.next_deadline_ns()
        assert deadline is not None
        assert queue.take(deadline - 1) is None
        delays.append((deadline - now_ns) // S)
        now_ns = deadline
    assert delays == [1, 2, 4, 8, 16, 32, *[60] * 14]


def test_failed_segment_keeps_no_other_waiting() -> None:
    """The next attempt is with another segment, and its success forgives."""
    queue = queue_of("a", "b")
    queue.take(0)
    queue.on_failed(0)
    assert queue.take(1 * S) == "b"
    queue.on_sealed()
    assert queue.take(1 * S) == "a"
