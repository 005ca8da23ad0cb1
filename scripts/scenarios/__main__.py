"""Runs what was asked for, says how it goes, writes the report; the exit code is the verdict: see scripts/scenario."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from verification.scenario_record import keep_results

from scenarios import options
from scenarios.definition import Scenario
from scenarios.document import DefinitionError
from scenarios.judgement import ScenarioResult
from scenarios.report import TITLE, say_result, write_json, write_report
from scenarios.running import UnknownScenario, load_scenario, names, prefixed, read_scenario, run, short, shortened, with_members
from scenarios.stage import NotPossible

NOT_POSSIBLE = "not possible on this machine"
FAILED, MISUSE, UNAVAILABLE, INTERRUPTED = 1, 64, 69, 130


def main(arguments: Sequence[str]) -> int:
    """Everything; gives the exit code."""
    wanted = options.parse(arguments)
    # What a shell starts in the background ignores Ctrl-C, and SIGTERM would leave the agent to its parent's death.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if wanted.lists:
            return _list()
        if wanted.checks:
            return _check(wanted.names)
        if wanted.matrix:
            from scenarios.matrix import run_matrix

            return _give(run_matrix(wanted, _say), wanted) if not wanted.plan else run_matrix_plan(wanted)
        return _run_all(with_members(wanted.names), wanted)
    except (UnknownScenario, DefinitionError) as problem:
        _say(str(problem))
        return MISUSE
    except OSError as problem:
        _say(f"{problem.filename or ''}: {problem.strerror or problem}")
        return MISUSE if isinstance(problem, FileNotFoundError) else UNAVAILABLE
    except NotPossible as problem:
        _say(str(problem))
        return UNAVAILABLE
    except KeyboardInterrupt:
        _say("interrupted; what it had started is ended")
        return INTERRUPTED


def run_matrix_plan(wanted: options.Options) -> int:
    """Print what a matrix would run."""
    from scenarios.matrix import plan, planned_lines

    print("\n".join(planned_lines(plan(quick=wanted.quick, guests=wanted.guests))))
    return 0


def _run_all(scenarios: Sequence[Scenario], wanted: options.Options) -> int:
    results: list[ScenarioResult] = []
    for scenario in scenarios:
        if wanted.goals and not set(wanted.goals) & set(scenario.goals):
            _say(f"{scenario.name} judges {', '.join(scenario.goals) or 'no goal'}, and not {', '.join(wanted.goals)}")
            return MISUSE
        platforms = scenario.platforms if wanted.platform == "all" else (wanted.platform,)
        for platform in platforms:
            for number in range(wanted.repeat):
                is_alone = len(scenarios) == 1
                result = _run_one(scenario, platform, wanted, number, is_alone=is_alone)
                results.append(result.only(wanted.goals) if wanted.goals else result)
                say_result(results[-1])
    return _give(results, wanted)


def _run_one(scenario: Scenario, platform: str, wanted: options.Options, number: int, *, is_alone: bool) -> ScenarioResult:
    """*Raises:* NotPossible where nothing else is run that a report is to have."""
    turn = f" {number + 1}/{wanted.repeat}" if wanted.repeat > 1 else ""
    try:
        return run(
            short(scenario) if wanted.short else shortened(scenario, wanted.seconds),
            say=prefixed(_say, scenario.name + turn),
            platform=platform,
            profile=wanted.profile and number == 0,
            takes_last=wanted.last,
        )
    except NotPossible as problem:
        if is_alone:
            raise
        result = ScenarioResult(scenario.name, scenario.about, platform, scenario.workload.name, scenario.configuration)
        result.failures.append(f"{NOT_POSSIBLE}: {problem}")
        return result


def _give(results: list[ScenarioResult], wanted: options.Options) -> int:
    keep_results(results)
    if wanted.json:
        write_json(results, wanted.json)
    if wanted.report:
        write_report(results, wanted.report, _say, title=_title(wanted))
    good = sum(result.has_passed for result in results)
    if len(results) > 1:
        print(f"{good} of {len(results)} runs passed")
    if good == len(results):
        return 0 if results else FAILED
    is_missing = all(each.has_passed or any(words.startswith(NOT_POSSIBLE) for words in each.failures) for each in results)
    return UNAVAILABLE if is_missing else FAILED


def _title(wanted: options.Options) -> str:
    """A group of scenarios has a report of its own name."""
    only = load_scenario(wanted.names[0]) if len(wanted.names) == 1 else None
    return f"{only.name.capitalize()} report" if only is not None and only.scenarios else TITLE


def _list() -> int:
    for name in names():
        scenario = load_scenario(name)
        print(f"{name:22} {','.join(scenario.goals):20} {scenario.about}")
    return 0


def _check(paths: Sequence[str]) -> int:
    bad = 0
    for path in paths:
        try:
            if path in names():
                load_scenario(path)
            else:
                read_scenario(Path(path))
            print(f"{path}: fits")
        except DefinitionError as problem:
            bad += 1
            print(problem, file=sys.stderr)
    return MISUSE if bad else 0


def _say(text: str) -> None:
    print(f"scenario: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
