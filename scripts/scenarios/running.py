"""The way for other programs: a definition, a platform, and what was judged.

    result = run(load_scenario("standard"), say=print)
    result.of_goal("G-2"), result.has_passed, result.document()

Everything that a run starts ends with it, also where it is interrupted.
"""

import dataclasses
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import machine
import psutil
from harness.agent_process import end_strays
from process_bench.load import LoadError

from scenarios.command_run import run_step
from scenarios.definition import Failure, Scenario, parse_scenario
from scenarios.document import near
from scenarios.guest import IN_GUEST, run_in_machine
from scenarios.judgement import ScenarioResult
from scenarios.judging import judge
from scenarios.measured import measure
from scenarios.profiling import profiles
from scenarios.shapes import HOST
from scenarios.stage import NotPossible

FOLDER = Path(__file__).parent / "definitions"
# Work of others that would be in the figures.
QUIET_LOAD_MAX = 0.5
Say = Callable[[str], None]


class UnknownScenario(ValueError):
    """There is no scenario of this name; the words have those that are near."""


def names() -> list[str]:
    """The scenarios that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_scenario(name: str) -> Scenario:
    """By name, or by the path of a file. *Raises:* UnknownScenario, DefinitionError, OSError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) or "/" in name else FOLDER / f"{name}.yaml"
    if not path.exists():
        raise UnknownScenario(f"there is no scenario '{name}'{near(name, names())}")
    return read_scenario(path)


def with_members(names_wanted: Sequence[str]) -> list[Scenario]:
    """These scenarios, each followed by those that belong to it; each once. *Raises:* as load_scenario."""
    found: dict[str, Scenario] = {}
    waiting = list(names_wanted)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = load_scenario(name)
            waiting = [*found[name].scenarios, *waiting]
    return [each for each in found.values() if each.validators or each.commands]


def short(scenario: Scenario) -> Scenario:
    """The short form, where it has one."""
    return shortened(scenario, scenario.short_seconds or None)


def read_scenario(path: Path) -> Scenario:
    """*Raises:* DefinitionError with line and column; OSError."""
    return parse_scenario(path.read_text(errors="replace"), origin=str(path))


def shortened(scenario: Scenario, seconds: float | None) -> Scenario:
    """The same for so many seconds; failures keep their place in it, and those of programs their part of it."""
    if seconds is None or not scenario.duration_seconds:
        return scenario
    part = seconds / scenario.duration_seconds
    failures = tuple(_moved(each, part) for each in scenario.failures)
    return dataclasses.replace(scenario, duration_seconds=seconds, failures=failures)


def _moved(failure: Failure, part: float) -> Failure:
    kind = failure.kind
    if failure.programs and "lasts" in kind.values:
        kind = dataclasses.replace(kind, values={**kind.values, "lasts": float(kind.values["lasts"]) * part})
    return dataclasses.replace(failure, at_seconds=failure.at_seconds * part, kind=kind)


def prefixed(say: Say, name: str) -> Say:
    """Lines that begin with this name."""
    return lambda text: say(f"{name}: {text}")


def run(scenario: Scenario, *, say: Say, platform: str = HOST, profile: bool = False, takes_last: bool = False) -> ScenarioResult:
    """Run it once. *Raises:* NotPossible where something needed is missing, with the remedy; KeyboardInterrupt."""
    # Inside of a guest this is its host.
    is_guest = os.environ.get(IN_GUEST) == "1"
    if platform not in scenario.platforms and not is_guest:
        raise NotPossible(f"scenario {scenario.name} runs on {', '.join(scenario.platforms)}, and not on {platform}")
    result = ScenarioResult(scenario.name, scenario.about, platform, scenario.workload.name, scenario.configuration)
    result.circumstances = circumstances()
    if result.circumstances["load_before"] > QUIET_LOAD_MAX:
        result.notes.append(f"the machine was not quiet: load {result.circumstances['load_before']:.2f} before the run")
    begun = time.monotonic()
    if scenario.commands:
        result.judgements = [run_step(step, platform, say, takes_last=takes_last) for step in scenario.commands]
    elif platform != HOST:
        result = run_in_machine(scenario, platform, result, say)
    else:
        _measure_into(result, scenario, say, profile)
    result.circumstances |= {"load_after": os.getloadavg()[0], "took_seconds": round(time.monotonic() - begun, 1)}
    return result


def _measure_into(result: ScenarioResult, scenario: Scenario, say: Say, profile: bool) -> None:
    if shutil.which("gcc") is None:
        raise NotPossible("needs gcc for the load; on Debian: apt-get install gcc libc6-dev")
    # A short name: sockets have at most 107 bytes of path.
    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        try:
            if profile:
                result.profile = profiles(scenario, Path(name), say)
            (Path(name) / "m").mkdir()
            done = measure(scenario, Path(name) / "m", say)
        except LoadError as problem:
            raise NotPossible(str(problem)) from problem
        except (AssertionError, RuntimeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as problem:
            # The run is lost, and says why; a report of several goes on.
            result.failures.append(f"{type(problem).__name__}: {str(problem)[:2000]}")
            return
        finally:
            end_strays()
    result.judgements = judge(scenario.validators, done.evidence)
    result.circumstances["programs"] = done.programs
    result.notes += done.notes
    result.series = done.series


def circumstances() -> dict[str, Any]:
    """Machine, kernel, load before."""
    return machine.circumstances() | {"psutil": psutil.__version__}
