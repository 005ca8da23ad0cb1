"""Work in a thread beside: answers in order, what never comes back, bugs."""

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import pytest
from harness.waiting import wait_until

from agent.side_reader import Unanswered
from workers.unit.model.side_queue import SideQueue

Queue = SideQueue[str, str]


@contextmanager
def queue(do: Callable[[str], str], *, patience_ticks: int = 2, stuck_max: int = 2) -> Iterator[Queue]:
    """A queue that is closed with the block."""
    made: Queue = SideQueue(do, patience_ticks=patience_ticks, stuck_max=stuck_max)
    try:
        yield made
    finally:
        made.close()


def collected(side: Queue, count: int) -> list[tuple[Hashable, str | Unanswered]]:
    """Answers of as many ticks as it takes."""
    found: list[tuple[Hashable, str | Unanswered]] = []

    def enough() -> bool:
        found.extend(side.collect())
        return len(found) >= count

    wait_until(enough, f"{count} answers")
    return found


def test_answers_come_in_the_order_of_the_asks() -> None:
    """Once each; a key without an answer yet is not asked twice, later it is."""
    with queue(str.upper) as side:
        assert side.collect() == []
        for word in ("a", "b", "a"):
            side.put(word, word)
        assert side.waiting == 2
        assert collected(side, 2) == [("a", "A"), ("b", "B")]
        assert (side.waiting, side.collect()) == (0, [])
        side.put("a", "x")
        assert collected(side, 1) == [("a", "X")]


def test_one_that_does_not_come_back_is_left_behind() -> None:
    """After some ticks, not before; another thread does the rest, and it is asked again only when it has come back."""
    stands, done = threading.Event(), threading.Event()

    def do(ask: str) -> str:
        if ask == "stuck":
            stands.set()
            done.wait(30)
        return ask

    with queue(do) as side:
        side.put("s", "stuck")
        side.put("b", "b")
        assert stands.wait(10)
        assert [side.collect(), side.collect()] == [[], []]
        assert side.collect() == [("s", Unanswered.STUCK)]
        assert collected(side, 1) == [("b", "b")]
        assert side.stuck == 1
        side.put("s", "again")
        assert side.collect() == [("s", Unanswered.NOT_ASKED)]
        done.set()
        wait_until(lambda: side.stuck == 0, "it has come back")
        side.put("s", "again")
        assert collected(side, 1) == [("s", "again")]


def test_beyond_so_many_stuck_ones_nothing_is_asked() -> None:
    """Each costs a thread."""
    done = threading.Event()
    with queue(lambda ask: str(done.wait(30)) + ask, patience_ticks=0, stuck_max=2) as side:
        for word in ("a", "b", "c", "d"):
            side.put(word, word)
        found = [answer for _ in range(4) for answer in side.collect()]
        done.set()
    assert dict(found) == {"a": Unanswered.STUCK, "b": Unanswered.STUCK, "c": Unanswered.NOT_ASKED, "d": Unanswered.NOT_ASKED}
    wait_until(lambda: side.stuck == 0, "all have come back")


def test_a_bug_is_raised_where_answers_are_collected() -> None:
    """It is no answer."""
    with queue(lambda ask: ask[5]) as side:
        side.put("a", "a")
        with pytest.raises(IndexError):
            wait_until(side.collect, "an answer")


def test_the_threads_end() -> None:
    """With the queue; one that was never asked has none."""

    # Those of other tests may still be about to end.
    before = set(threading.enumerate())

    def threads() -> list[str]:
        return [each.name for each in set(threading.enumerate()) - before]

    with queue(str.upper) as side:
        assert threads() == []
        side.put("a", "a")
        assert threads() == ["side-queue"]
    wait_until(lambda: not threads(), "it has ended")
