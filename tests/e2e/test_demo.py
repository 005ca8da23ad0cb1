"""`scripts/run --demo` as a person runs it: a fleet to look at, of which nothing is left."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
from harness.waiting import DEADLINE_SECONDS, wait_until

RUN = Path(__file__).parents[2] / "scripts" / "run"

pytestmark = pytest.mark.timeout(240)


def test_a_fleet_to_look_at_says_where_and_leaves_nothing(tmp_path: Path) -> None:
    """Two nodes report with their loads; Ctrl-C ends all of it: processes, mounts, cgroups, folder."""
    output = tmp_path / "output"
    with output.open("w") as file:
        demo = subprocess.Popen(
            [str(RUN), "--demo", "--nodes", "2"], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        said = wait_until(
            lambda: text if "by hand" in (text := output.read_text()) or demo.poll() is not None else None,
            "it says where to look",
            seconds=4 * DEADLINE_SECONDS,
        )
        assert demo.poll() is None, said
        (page,) = re.findall(r"the fleet +(http://127\.0\.0\.1:\d+)/", said)
        (folder,) = re.findall(r"--runtime-dir (/tmp/eg-demo-\w+)/hub/r", said)

        def reporting() -> bool:
            with urllib.request.urlopen(f"{page}/v1/nodes", timeout=10) as answer:
                nodes = json.load(answer)["nodes"]
            return sorted(row["host"] for row in nodes if row["state"] == "fresh" and row["workers"]) == ["demo-1", "demo-2"]

        wait_until(reporting, "both nodes report their loads", seconds=2 * DEADLINE_SECONDS)
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait(2 * DEADLINE_SECONDS)
    assert demo.returncode == 0, output.read_text()
    assert not Path(folder).exists()
    assert folder not in Path("/proc/self/mountinfo").read_text()
    trees = [
        path for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") for path in Path(root).glob(f"evergauge-demo-{demo.pid}-*")
    ]
    assert trees == []


def test_a_wrong_option_is_named() -> None:
    """One sentence, as of every program."""
    ended = subprocess.run([str(RUN), "--demo", "--nodes", "9"], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "invalid choice: 9" in ended.stderr
