"""Random worlds of a lake: nodes, mergers, compactors and readers at once, killed between any two requests; after each of them
every row is seen exactly once."""

import os
from pathlib import Path

import pytest
from fakes.lake_world import BAD, LakeWorld

WORLDS = int(os.environ.get("EVERGAUGE_WORLDS", "4"))
STEPS = int(os.environ.get("EVERGAUGE_LAKE_STEPS", "4000"))


@pytest.mark.parametrize("seed", range(WORLDS))
def test_each_row_is_seen_once_at_every_moment(seed: int, tmp_path: Path) -> None:
    """Whatever is killed, fails or sleeps for a day; and somebody who comes new reads the same from the log."""
    world = LakeWorld(seed, tmp_path)
    try:
        for step in range(STEPS):
            world.step()
            if step % 500 == 0:
                fresh = world.fresh_state()
                assert fresh.number >= 0
    finally:
        world.end()
    left = world.settle()
    world.check()
    assert len([name for name in left if name.startswith("_log/")]) < 200, "the log is not pruned"
    assert world.counts["compacted"] > 5, world.counts
    assert world.counts["reads"] > 0, world.counts
    bad = {path for path, content in world.landed.items() if content == BAD}
    state = world.fresh_state()
    unexpected = [name for name in left if not name.startswith("_") and name not in bad]
    assert unexpected == [], "landed files are left"
    waiting = set(state.removed)
    assert {name for name in left if name.startswith("_merged/")} - waiting == set(state.files), "files are left that nobody names"
    assert {name for name in left if name.startswith("_consumed/")} - waiting == set(state.ledgers.values())
