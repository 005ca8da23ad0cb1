"""What became of one kernel: kept in docs/platforms.json, shown in the table of docs/platforms.md. PURE."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from platform_runs.cases import CRASH_CASES, PROCESS_TESTS, CrashCase

BEGIN, END = "<!-- written by scripts/platforms -->", "<!-- written until here -->"

_REASON_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Ended:
    """One test: its name with parameters, how it ended, why it did not pass (`reason`), and what it recorded."""

    name: str
    outcome: str
    sentence: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One kernel: its release and all tests that ran on it."""

    release: str
    tests: tuple[Ended, ...]

    def of(self, test: str) -> list[Ended]:
        """A test with all its parameters, or a file with all its tests."""
        return [each for each in self.tests if each.name.partition("[")[0] == test or each.name.partition("::")[0] == test]

    def has_passed(self, test: str) -> bool:
        """Whether it ran, and all of it passed."""
        found = self.of(test)
        return bool(found) and all(each.outcome == "passed" for each in found)

    def failures(self) -> list[Ended]:
        """What did not pass."""
        return [each for each in self.tests if each.outcome != "passed"]


def merged(before: Outcome | None, now: Outcome) -> Outcome:
    """A later run of some tests replaces what an earlier one said of the same files and tests."""
    kept = {} if before is None else {each.name: each for each in before.tests}
    return Outcome(now.release, tuple((kept | {each.name: each for each in now.tests}).values()))


def to_json(outcomes: Mapping[str, Outcome]) -> str:
    """The kept form."""
    return json.dumps({kernel: asdict(each) for kernel, each in outcomes.items()}, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> dict[str, Outcome]:
    """The outcomes that were kept, by kernel."""
    found = json.loads(text)
    return {kernel: Outcome(row["release"], tuple(Ended(**test) for test in row["tests"])) for kernel, row in found.items()}


def table(outcomes: Mapping[str, Outcome]) -> str:
    """The tables of docs/platforms.md: sums first, then the sources, then each crash case."""
    kernels = list(outcomes)
    sums = [
        ["release", *(f"`{outcomes[kernel].release}`" for kernel in kernels)],
        ["crash cases passed", *(_crash_sum(outcomes[kernel]) for kernel in kernels)],
        ["tests of the process sampler passed", *(_process_sum(outcomes[kernel]) for kernel in kernels)],
    ]
    sources = [[name, *(_property(outcomes[kernel], name) for kernel in kernels)] for name in _properties(outcomes.values())]
    cases = [[case.name, *(_case_word(outcomes[kernel], case) for kernel in kernels)] for case in CRASH_CASES]
    parts = [_lines(["Linux", *kernels], sums), _lines(["source", *kernels], sources), _lines(["crash case", *kernels], cases)]
    bad = [
        [kernel, *(word.replace("|", "/") for word in (f"`{each.name.rpartition('/')[2]}`", each.outcome, f"`{each.sentence}`"))]
        for kernel, outcome in outcomes.items()
        for each in outcome.failures()
    ]
    if bad:
        parts.append(_lines(["Linux", "test that did not pass", "outcome", "reason"], bad))
    return "\n\n".join(parts)


def reason(message: str) -> str:
    """Of what pytest says of a test that did not pass, the line with the error; of a skipped one all. Cut to a line of a table."""
    lines = message.strip().splitlines()
    # An error may have several lines, and another one may have led to it: the first line of the last one.
    errors = [
        line for before, line in zip(["", *lines], lines, strict=False) if line.startswith("E ") and not before.startswith("E ")
    ]
    line = errors[-1][1:] if errors else (lines or [""])[-1]
    return line.strip()[:_REASON_LENGTH_MAX].replace("`", "'")


def placed(page: str, text: str) -> str:
    """The page with this text between its two marks. *Raises:* ValueError where it has not both."""
    head, rest = page.split(BEGIN)
    _old, tail = rest.split(END)
    return f"{head}{BEGIN}\n{text}\n{END}{tail}"


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def _crash_sum(outcome: Outcome) -> str:
    ran = [case for case in CRASH_CASES if outcome.of(case.test)]
    return f"{sum(outcome.has_passed(case.test) for case in ran)} of {len(ran)}" if ran else "not run"


def _process_sum(outcome: Outcome) -> str:
    found = [each for path in PROCESS_TESTS for each in outcome.of(path)]
    return f"{sum(each.outcome == 'passed' for each in found)} of {len(found)}" if found else "not run"


def _case_word(outcome: Outcome, case: CrashCase) -> str:
    if outcome.has_passed(case.test):
        return "passed"
    bad = [each.outcome for each in outcome.of(case.test) if each.outcome != "passed"]
    return bad[0] if bad else "not run"


def _property(outcome: Outcome, name: str) -> str:
    return next((each.properties[name] for each in outcome.tests if name in each.properties), "not run")


def _properties(outcomes: Iterable[Outcome]) -> list[str]:
    return list(dict.fromkeys(name for outcome in outcomes for each in outcome.tests for name in each.properties))
