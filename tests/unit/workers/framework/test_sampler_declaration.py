"""What a sampler's declaration says of its process."""

import pytest

from agent.config import Config
from agent.model.timebase import MINUTE, MS, S
from workers import registry
from workers.framework.sampler import ticks_per_second


@pytest.mark.parametrize(("interval_ns", "ticks"), [(50 * MS, 20), (250 * MS, 4), (300 * MS, 4), (1 * S, 1), (10 * MINUTE, 1)])
def test_ticks_of_a_second_are_counted_up(interval_ns: int, ticks: int) -> None:
    """A sampler of less than one tick a second counts as one of one: a tick takes what it takes."""
    assert ticks_per_second(interval_ns) == ticks


def test_the_default_limit_follows_the_interval() -> None:
    """Four ticks a second may take four times as much; samplers that share a process count by the quickest of them."""
    quick = Config({"sampler.process.interval": 250 * MS, "sampler.unit.interval": 500 * MS})
    assert registry.worker("sampler/process").cpu_factor(quick) == 4
    assert registry.worker("sampler/node").cpu_factor(quick) == 2
    assert registry.worker("writer").cpu_factor(quick) == 1
    alone = Config({"sampler.host.enabled": False, "sampler.unit.interval": 100 * MS})
    assert registry.worker("sampler/node").cpu_factor(alone) == 10
