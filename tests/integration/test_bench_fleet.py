"""scripts/bench/fleet gives figures: each subject in its smallest form."""

import json
import subprocess
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "scripts" / "bench" / "fleet"

pytestmark = pytest.mark.timeout(180)


def figures(tmp_path: Path, *words: str) -> dict[str, float]:
    """The rows that a subject writes, by their names."""
    found = tmp_path / "figures.json"
    ended = subprocess.run([str(BENCH), *words, "--json", str(found)], capture_output=True, text=True, timeout=170, check=False)
    assert ended.returncode == 0, ended.stderr
    return {row["name"]: row["value"] for row in json.loads(found.read_text())["rows"]}


def test_bytes_are_within_what_was_promised(tmp_path: Path) -> None:
    """A beat of 64 bytes at most, an idle update of 1 KB, a hundred whole rows of 25 KB."""
    found = figures(tmp_path, "bytes")
    assert found["beat"] <= 64
    assert found["update of a node none of whose units changes"] <= 1000
    assert found["100 whole rows, raw"] <= 25_000


def test_a_small_crowd_is_heard_and_loses_nothing(tmp_path: Path) -> None:
    """All are fresh, all of their workers known, no beat lost."""
    found = figures(tmp_path, "scale", "--nodes", "8", "--units", "5", "--seconds", "3", "--questions", "3")
    assert found["nodes fresh"] == 8
    assert found["workers known"] == 40
    assert found["beats lost"] == 0


def test_those_who_fall_silent_are_stale_when_they_should_be(tmp_path: Path) -> None:
    """Within a second of the time, clocks an hour off, and nobody else."""
    found = figures(tmp_path, "silence", "--nodes", "8", "--silent", "2", "--stale", "4", "--stop", "0")
    assert found["of them stale"] == 2
    assert -0.2 <= found["earliest against hub.stale"] <= found["latest against hub.stale"] <= 1.0
    assert found["others that were not fresh meanwhile"] == 0
