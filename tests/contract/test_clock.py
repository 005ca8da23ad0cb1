"""Both clocks, the real one and the fake of the tests, answer alike."""

import os
import time

import pytest
from fakes.clock import FakeClock

from agent.clock import SystemClock
from agent.ports import Clock


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["system", "fake"])
def test_a_reading_never_goes_back(clock: Clock) -> None:
    """Each of its clocks is at or after the reading before; the time since boot is not behind the monotonic one."""
    before = clock.reading()
    after = clock.reading()
    assert clock.now_ns() >= after.now_ns >= before.now_ns
    assert after.boot_ns >= before.boot_ns >= before.now_ns - 1_000_000
    assert after.cpu_ns >= before.cpu_ns
    assert before.run_delay_ns is None or (after.run_delay_ns or 0) >= before.run_delay_ns


def test_the_system_clock_counts_what_this_thread_works() -> None:
    """Work shows as processor time; where the kernel counts waiting, a number is there."""
    clock = SystemClock()
    before = clock.reading()
    end_ns = time.thread_time_ns() + 5_000_000
    while time.thread_time_ns() < end_ns:
        pass
    after = clock.reading()
    assert after.cpu_ns - before.cpu_ns >= 5_000_000
    assert (after.run_delay_ns is not None) is os.path.exists("/proc/self/schedstat")


def test_a_reading_is_cheap() -> None:
    """Two a tick are not noticed: the best of many is within 30 microseconds of processor time, some 3 on an idle machine."""
    clock = SystemClock()
    costs = []
    for _ in range(20):
        before = time.thread_time_ns()
        for _ in range(50):
            clock.reading()
        costs.append((time.thread_time_ns() - before) / 50)
    assert min(costs) < 30_000
