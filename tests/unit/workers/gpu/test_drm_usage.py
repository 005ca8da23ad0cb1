"""Use of DRM devices by process: clients counted once, counters that step back, the first look."""

import pytest

from workers.gpu.drm_fdinfo import DrmClient
from workers.gpu.drm_usage import DrmCounters, DrmUse

PCI = "0000:03:00.0"


def client(number: int, *, memory: int | None = 100, **busy_ns: int) -> DrmClient:
    """One on the only device."""
    return DrmClient(PCI, number, "amdgpu", busy_ns, memory)


def test_shares_are_increases_over_the_time_between() -> None:
    """Of the busiest engine; at the first look there is none."""
    counters = DrmCounters()
    assert counters.use([(5, client(1, gfx=50))], 0)[PCI] == {5: DrmUse(100, None)}
    assert counters.use([(5, client(1, gfx=550, video=100))], 1000)[PCI] == {5: DrmUse(100, 0.5)}


def test_a_client_that_is_open_twice_counts_once() -> None:
    """In one process or in two."""
    counters = DrmCounters()
    counters.use([], 0)
    found = counters.use([(5, client(1, gfx=200)), (5, client(1, gfx=200)), (6, client(1, gfx=200)), (6, client(2, gfx=100))], 1000)
    assert found[PCI] == {5: DrmUse(100, 0.2), 6: DrmUse(100, 0.1)}


def test_several_clients_of_a_process_are_added() -> None:
    """Engine by engine."""
    counters = DrmCounters()
    counters.use([], 0)
    found = counters.use([(5, client(1, gfx=200)), (5, client(2, gfx=300, memory=None))], 1000)
    assert found[PCI] == {5: DrmUse(100, 0.5)}


def test_a_counter_that_steps_back_is_held() -> None:
    """And what it gains until it is where it was counts for nothing."""
    counters = DrmCounters()
    counters.use([(5, client(1, gfx=900))], 0)
    assert counters.use([(5, client(1, gfx=100))], 1000)[PCI][5].busy == 0
    assert counters.use([(5, client(1, gfx=1000))], 2000)[PCI][5].busy == pytest.approx(0.1)


def test_unknown_memory_and_engines_are_absent() -> None:
    """Not zero."""
    counters = DrmCounters()
    counters.use([], 0)
    assert counters.use([(5, client(1, memory=None))], 1000)[PCI] == {5: DrmUse(None, None)}
