"""Judges what was asked for, prints a line for each goal; the exit code is the verdict: see scripts/verify."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from scenarios.document import near
from scenarios.running import circumstances
from scenarios.stage import NotPossible

from verification.architecture import architecture_lines
from verification.collecting import Collector
from verification.judges import SCENARIO
from verification.milestones import milestone_lines
from verification.scenario_record import read_scenario_record
from verification.sources import source_digest
from verification.test_record import PASSED, commit_of, read_record, record_path
from verification.verdict import GOAL_TITLES, all_hold, verdict_document, verdict_page

FAILED, MISUSE, UNAVAILABLE, INTERRUPTED = 1, 64, 69, 130
PROGRAM = "scripts/verify"


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What is judged or reported, how thoroughly, and what is written."""

    goals: tuple[str, ...]
    is_short: bool
    architecture: bool
    milestones: bool
    json: Path | None
    report: Path | None


class _VerifyWords(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[0] if message.startswith("unrecognized") else ""
        options = [word for action in self._actions for word in action.option_strings]
        print(f"{PROGRAM}: {message}{near(unknown, options) if unknown else ''}; see {PROGRAM} --help", file=sys.stderr)
        raise SystemExit(MISUSE)


def parse(arguments: Sequence[str]) -> VerifyOptions:
    """The options; ends the program with 64 when they make no sense."""
    parser = _VerifyWords(
        prog=PROGRAM,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Judge the goals; a line for each with its evidence. The exit code is the verdict:\n0 all hold, 1 one does "
        "not, 64 wrong words, 69 something needed is missing.",
        epilog="goals:\n"
        + "\n".join(f"  {goal:5} {title}" for goal, title in GOAL_TITLES.items())
        + "\n\nSee docs/verification.md",
    )
    parser.add_argument(
        "--short", action="store_true", help="two real runs; tests and long scenarios by their last recorded results"
    )
    parser.add_argument("--only", default="", metavar="G-2,G-5", help="only these goals")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="write everything as Markdown")
    parser.add_argument("--architecture", action="store_true", help="report modules, lifecycle, patterns, limits and deviations")
    parser.add_argument("--milestones", action="store_true", help="report what proves each milestone, and its last result")
    found = parser.parse_args(arguments)
    named = [word.strip() for word in found.only.split(",") if word.strip()]
    for goal in named:
        if goal not in GOAL_TITLES:
            parser.error(f"there is no goal '{goal}'{near(goal, GOAL_TITLES)}")
    goals = tuple(goal for goal in GOAL_TITLES if goal in named or not named)
    return VerifyOptions(goals, found.short, found.architecture, found.milestones, found.json, found.report)


def main(arguments: Sequence[str]) -> int:
    """Everything; gives the exit code."""
    wanted = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if wanted.architecture or wanted.milestones:
            return _reports(wanted)
        return _judge(wanted)
    except NotPossible as problem:
        _tell(str(problem))
        return UNAVAILABLE
    except OSError as problem:
        _tell(f"{problem.filename or ''}: {problem.strerror or problem}")
        return UNAVAILABLE
    except ValueError as problem:
        _tell(str(problem))
        return UNAVAILABLE
    except KeyboardInterrupt:
        _tell("interrupted; what it had started is ended")
        return INTERRUPTED


def _judge(wanted: VerifyOptions) -> int:
    begun = time.monotonic()
    about = circumstances() | {"commit": commit_of(), "sources": source_digest(), "short": wanted.is_short}
    collector = Collector(wanted.is_short, _tell)
    verdicts = collector.judge(wanted.goals)
    about |= {"took_seconds": round(time.monotonic() - begun), "load_after": os.getloadavg()[0]}
    for verdict in verdicts:
        print(verdict.line())
    kind = "short verification" if wanted.is_short else "verification"
    good = sum(each.is_good for each in verdicts)
    print(
        f"{good} of {len(verdicts)} goals hold: {kind} of {about['commit'] or 'no commit'} in {about['took_seconds']} s, "
        f"load {about['load_before']:.2f} before, {about['load_after']:.2f} after"
    )
    if wanted.json:
        runs = [result.document() for result in collector.results.values()]
        wanted.json.write_text(json.dumps(verdict_document(verdicts, about) | {"runs": runs}, indent=1, ensure_ascii=False) + "\n")
    if wanted.report:
        wanted.report.write_text(verdict_page(verdicts, about))
    return 0 if all_hold(verdicts) else FAILED


def _reports(wanted: VerifyOptions) -> int:
    code, lines = 0, []
    if wanted.architecture:
        found, is_good = architecture_lines()
        lines += found
        code = 0 if is_good else FAILED
    if wanted.milestones:
        lines += milestone_lines(_last_result)
    print("\n".join(lines))
    if wanted.report:
        wanted.report.write_text("\n".join(lines) + "\n")
    return code


def _last_result(proof: str) -> str:
    if proof.startswith(SCENARIO):
        kept = read_scenario_record(proof.removeprefix(SCENARIO))
        if kept is None:
            return "not run yet"
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(kept.at))
        age = "these sources" if kept.sources == source_digest() else "earlier sources"
        good = [each for each in kept.result.judgements if each.is_good]
        verdict = "pass" if kept.result.has_passed else "FAIL"
        return f"{verdict}, {len(good)} of {len(kept.result.judgements)} figures good, {when}, {age}"
    record = read_record(record_path())
    outcomes = [outcome for name, outcome in (record.outcomes if record else {}).items() if name.startswith(f"{proof}::")]
    if record is None or not outcomes:
        return "not run yet"
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(record.began_at))
    return f"{sum(each == PASSED for each in outcomes)} of {len(outcomes)} tests passed, {when}"


def _tell(text: str) -> None:
    print(f"verify: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
