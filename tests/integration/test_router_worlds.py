"""In random worlds with random losses the true number is inside what the router says, always."""

from collections import Counter

import pytest
from fakes.router_trial import trial

WORLDS = 15


@pytest.mark.parametrize("first", range(0, 8 * WORLDS, WORLDS))
def test_the_truth_is_inside_every_interval(first: int) -> None:
    """Sketches, rows and scans lost or late, samplers killed, clocks set, keys folded together, values unknown.

    `scripts/bench/exports router` does it for 10,000 worlds.
    """
    for seed in range(first, first + WORLDS):
        found = trial(seed)
        assert found.wrong == [], (seed, found.question, found.answer.legs)


@pytest.mark.parametrize("seed", [1_004_134, 1_005_848])
def test_a_clock_that_was_set_back_while_rows_are_late_is_no_proof(seed: int) -> None:
    """A window has a second part, whose rows come behind those of a later window; these worlds were wrong once."""
    assert trial(seed).wrong == []


def test_worlds_go_every_way() -> None:
    """From sketches, from rows, and not at all; else the test above would show nothing."""
    ways: Counter[str] = Counter()
    for seed in range(20):
        covered = trial(seed).answer.coverage
        ways.update({"sketch": covered.sketch, "raw": covered.raw, "unknown": covered.unknown})
    assert min(ways[way] for way in ("sketch", "raw", "unknown")) > 5, ways
