"""The judge over recordings of real runs: what was done is known; scripts/bench/neighbours varies them by seeds."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
RECORDINGS = sorted((ROOT / "tests" / "fixtures" / "neighbours").glob("*.json.gz"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_real_runs_are_judged_right(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The noisy unit is named for its victim in every noisy run, nobody in a quiet one."""
    # The benches are no package of the source.
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "scripts" / "bench")])
    from neighbours_bench.replay import unvaried

    found = unvaried([path])
    assert found["noisy"]["runs"] > 0
    assert [each for each in found["verdicts"] if not each["is_right"]] == []
