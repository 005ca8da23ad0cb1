"""The rows of a recorded host do not depend on how Python happens to order its sets."""

import subprocess
import sys
from pathlib import Path

from harness.replay import names

TESTS = Path(__file__).parents[1]
DIGESTS = "from fakes.replay_host import rows_text; from harness.replay import load, names; " + (
    "print([rows_text(load(name)).splitlines()[-1] for name in names()])"
)


def _digests(seed: str) -> str:
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    done = subprocess.run([sys.executable, "-c", DIGESTS], capture_output=True, text=True, check=True, env=environment, timeout=60)
    return done.stdout


def test_three_processes_with_other_hashes_give_the_same_bytes() -> None:
    """Nor on anything else that differs between two processes."""
    first = _digests("1")
    assert first.count("sha256") == len(names())
    assert first == _digests("2") == _digests("3")
