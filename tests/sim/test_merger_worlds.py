"""Random worlds of mergers: kills, standstills, rebalances, lost answers and removed messages; no row is lost or doubled."""

import os
from random import Random

import pytest
from fakes.merger_world import MergerWorld

WORLDS = int(os.environ.get("EVERGAUGE_WORLDS", "16"))
STEPS = 1_500


@pytest.mark.parametrize("is_with_intents", [False, True], ids=["log", "intents"])
@pytest.mark.parametrize("seed", range(WORLDS))
def test_each_row_is_stored_once_and_no_mark_is_ahead(seed: int, *, is_with_intents: bool) -> None:
    """Up to three mergers die, stand still and get each other's partitions: after each step nothing is double, at the end all is
    there."""
    world = MergerWorld(Random(seed), is_with_intents=is_with_intents)
    for _ in range(STEPS):
        world.step()
        world.check()
    while not world.mergers:
        world.start()
    world.settle()
    world.check()
    world.check_whole()
