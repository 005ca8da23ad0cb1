"""`scripts/bench/nri` in its shortest form: each part over a runtime of the tests measures what it says."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORTEST = {
    "--inside-starts": 12,
    "--inside-pods": 3,
    "--deadline-rules": 20,
    "--deadline-units": 20,
    "--deadline-seconds": 1,
    "--before-pods": 4,
    "--drops": 2,
    "--drop-pods": 20,
    "--memory-pods": 20,
    "--repeats": 1,
}
# What a busy machine cannot change.
ALWAYS = ("operations that failed", "groups that went though their pod stayed")

pytestmark = [pytest.mark.timeout(180), pytest.mark.skipif(os.geteuid() != 0, reason="only root makes control groups")]


def test_the_parts_measure_what_they_say(tmp_path: Path) -> None:
    """Every part has its figures, and those that no machine may miss are met."""
    result = tmp_path / "nri.json"
    words = [word for option, value in SHORTEST.items() for word in (option, str(value))]
    command = [
        str(ROOT / "scripts/bench/nri"),
        "--only",
        "inside,deadline,before,drops,memory",
        "--no-rival",
        "--json",
        str(result),
        *words,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)

    assert ended.returncode in (0, 1), ended.stderr
    document = json.loads(result.read_text())
    assert document["failures"] == []
    parts = {part["part"]: {figure["what"]: figure["value"] for figure in part["figures"]} for part in document["parts"]}
    assert list(parts) == ["inside", "deadline", "before", "drops", "memory"]
    assert [parts[name][what] for name in ("inside", "drops") for what in ALWAYS if what in parts[name]] == [0, 0, 0]
    # One is outside only where the agent itself was too late, and says so.
    outside = parts["inside"]["containers with an instruction outside of their group"]
    assert outside <= parts["inside"]["starts that were answered before their threads were placed"]
    assert len(document["parts"][0]["samples"]["reply_ms"]) == 12
    assert parts["memory"]["control plane, proportional memory"] < 30
