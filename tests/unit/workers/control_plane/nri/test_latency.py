"""How long replies took, in few buckets."""

import pytest

from agent.model.timebase import MS, S
from workers.control_plane.nri.latency import BOUNDS_NS, LatencyCount


def test_without_any_reply_all_is_zero() -> None:
    """Nothing was counted."""
    latency = LatencyCount()

    assert (latency.count, latency.max_ns, latency.percentile_ns(99)) == (0, 0, 0)


def test_a_percentile_is_the_bound_of_its_bucket() -> None:
    """Ninety-nine quick ones and one slow one: the 99th percentile is quick, the largest is slow."""
    latency = LatencyCount()
    for _ in range(99):
        latency.add(MS)
    latency.add(80 * MS)

    assert (latency.count, latency.max_ns) == (100, 80 * MS)
    assert MS <= latency.percentile_ns(99) <= 2 * MS
    assert latency.percentile_ns(100) == 80 * MS


def test_of_few_the_percentile_is_the_largest() -> None:
    """The rank is rounded up."""
    latency = LatencyCount()
    latency.add(1)
    latency.add(3 * MS)

    assert latency.percentile_ns(99) == 3 * MS


@pytest.mark.parametrize("elapsed_ns", [0, BOUNDS_NS[0], BOUNDS_NS[-1], BOUNDS_NS[-1] + 1, 60 * S])
def test_every_time_has_a_bucket(elapsed_ns: int) -> None:
    """Beyond the last bound the largest stands for all."""
    latency = LatencyCount()
    latency.add(elapsed_ns)

    assert latency.count == 1
    assert latency.percentile_ns(50) == elapsed_ns
