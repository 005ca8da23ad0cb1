"""Where CPU and memory of the agent go during a scenario: two runs of their own, whose cost says nothing of the agent's."""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from process_bench.checkout import HERE
from profile_bench.inside import FOLDER, KIND
from profile_bench.summary import functions, memory

from scenarios.agent_under_scenario import Profile
from scenarios.definition import Scenario
from scenarios.measured import measure

SECONDS_MAX = 20.0
_ENTRY = (
    "import sys; sys.path[:0] = {paths!r}; from agent.multiprocess_bootstrap import hide_unused_packages; hide_unused_packages(); "
    "from profile_bench.inside import main; main()"
)


def profiles(scenario: Scenario, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """By `cpu` and `memory`, each worker's hot spots. Failures are left out: what is replaced is profiled twice or not at all."""
    settings = dict(scenario.settings) | {"supervisor.hang_timeout": "60s"}
    short = dataclasses.replace(
        scenario,
        failures=(),
        validators=(),
        configuration="custom" if scenario.configuration == "standard" else scenario.configuration,
        settings=settings,
        duration_seconds=min(scenario.duration_seconds, SECONDS_MAX),
    )
    found: dict[str, Any] = {}
    for kind in ("cpu", "memory"):
        say(f"{kind} profile, {short.duration_seconds:g} s")
        written = folder / f"{kind}-profile"
        written.mkdir()
        (folder / kind).mkdir()
        entry = _ENTRY.format(paths=[str(HERE), str(HERE / "scripts/bench")])
        program = (sys.executable, "-c", entry)
        measure(short, folder / kind, lambda _text: None, Profile(program, {FOLDER: str(written), KIND: kind}))
        found[kind] = {path.stem: _summary(kind, json.loads(path.read_text())) for path in sorted(written.iterdir())}
    return found


def _summary(kind: str, profile: dict[str, Any]) -> dict[str, Any]:
    return memory(profile) if kind == "memory" else dict(functions(Counter(profile)))
