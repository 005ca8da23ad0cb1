"""Waiting for the lock of the root directory: bounded, and by a clock that the test holds."""

import pytest
from fakes.clock import FakeClock

from agent.model.timebase import MS, S
from workers.resctrl.lock import WAIT_NS, ChangeLock
from workers.resctrl.problem import ProblemKind, ResctrlError


class Door:
    """Of a file system only the lock; somebody else holds it until `free_at_ns`."""

    root = "/sys/fs/resctrl"

    def __init__(self, clock: FakeClock, free_at_ns: int) -> None:
        self._clock = clock
        self._free_at_ns = free_at_ns
        self.is_held = False
        self.tries = 0

    def try_lock(self) -> bool:
        assert not self.is_held
        self.tries += 1
        self.is_held = self._clock.now_ns() >= self._free_at_ns
        return self.is_held

    def unlock(self) -> None:
        assert self.is_held
        self.is_held = False


def _lock(free_in_ns: int) -> tuple[ChangeLock, Door, FakeClock]:
    clock = FakeClock()
    door = Door(clock, clock.now_ns() + free_in_ns)
    lock = ChangeLock(door, now_ns=clock.now_ns, sleep_seconds=lambda seconds: clock.advance(round(seconds * S)))
    return lock, door, clock


def test_a_free_lock_is_taken_at_once_and_given_back() -> None:
    """Nobody waits; afterwards it is free, also when what was done failed."""
    lock, door, clock = _lock(0)
    started_at_ns = clock.now_ns()
    with pytest.raises(KeyError), lock.held():
        raise KeyError(door.is_held)

    assert not door.is_held
    assert (door.tries, clock.now_ns()) == (1, started_at_ns)


def test_a_lock_that_becomes_free_in_time_is_taken() -> None:
    """Anyone who changes one group holds it for a moment only; it is waited for in small steps."""
    lock, door, clock = _lock(42 * MS)
    started_at_ns = clock.now_ns()
    with lock.held():
        assert door.is_held

    assert 42 * MS <= clock.now_ns() - started_at_ns < 50 * MS


def test_a_lock_held_for_longer_is_given_up_after_a_tenth_of_a_second() -> None:
    """The wait is bounded, and the failure says what it was waiting for."""
    lock, door, clock = _lock(3600 * S)
    started_at_ns = clock.now_ns()
    with pytest.raises(ResctrlError, match="has held the lock of this directory for more than 100 ms") as caught, lock.held():
        raise AssertionError("the lock is not ours")

    assert caught.value.kind is ProblemKind.LOCKED
    assert clock.now_ns() - started_at_ns == WAIT_NS
    assert not door.is_held


def test_the_holder_may_take_it_again() -> None:
    """It is free when the outermost has given it back, and not before."""
    lock, door, _clock = _lock(0)
    held = []
    with lock.held():
        with lock.held():
            held.append(door.is_held)
        held.append(door.is_held)
    held.append(door.is_held)
    assert held == [True, True, False]
    assert door.tries == 1
