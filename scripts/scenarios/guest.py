"""A scenario in a virtual machine with a kernel of its own: the same program runs in there, and its JSON comes back."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.lab.guest_tests import SLOWNESS
from process_bench.checkout import HERE

from scenarios.definition import Scenario
from scenarios.judgement import ScenarioResult, from_document
from scenarios.stage import NotPossible

Say = Callable[[str], None]
# Said to the program inside.
IN_GUEST = "SCENARIO_GUEST"
# A guest boots, and everything takes so much longer there.
BOOT_SECONDS = 240.0
SHOWN_LETTERS = 1500


def run_in_machine(scenario: Scenario, platform: str, result: ScenarioResult, say: Say) -> ScenarioResult:
    """The scenario, run inside. *Raises:* NotPossible where the machine cannot be had."""
    kernel = platform.removeprefix("guest-")
    seconds = round(BOOT_SECONDS + 12 * (scenario.warm_up_seconds + scenario.duration_seconds + 30))
    say(f"boots Linux {kernel}; at most {seconds} s")
    paths = ":".join(str(HERE / path) for path in ("scripts", "scripts/bench", "tests", "."))
    inner = [
        "env", "--chdir", str(HERE), f"PYTHONPATH={paths}", f"{IN_GUEST}=1", f"LAB_SLOWNESS={SLOWNESS}",
        sys.executable, "-m", "scenarios", "/mnt/share/scenario.yaml",
        "--seconds", f"{scenario.duration_seconds:g}", "--json", "/mnt/share/result.json",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="guest-") as folder:
        command = [str(HERE / "scripts/lab/guest"), "--kernel", kernel, "--bare", "run", folder, *inner]
        limit = os.environ | {"LAB_GUEST_SECONDS": str(seconds)}
        (Path(folder) / "scenario.yaml").write_text(scenario.source)
        begun = time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=limit
        ) as guest:
            try:
                output, _none = guest.communicate()
            finally:
                guest.terminate()
        if guest.returncode == 69:
            raise NotPossible(f"the guest could not be run: {output.strip()[-SHOWN_LETTERS:]}")
        found = Path(folder) / "result.json"
        if not found.exists():
            result.failures.append(f"the guest gave no result after {time.monotonic() - begun:.0f} s: {output[-SHOWN_LETTERS:]}")
            return result
        inside = from_document(json.loads(found.read_text())["runs"][0])
        inside.platform = platform
        return inside
