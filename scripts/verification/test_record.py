"""What a whole run of the tests gave, kept as JSON for verdicts that do not run them again. Run as a program it writes one.

python -m verification.test_record --junit FILE --code N --sources DIGEST --began SECONDS
"""

import argparse
import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from verification.sources import ROOT, results_folder

NAME = "tests.json"
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(slots=True)
class RecordedTests:
    """A run: when it began (UNIX seconds), how long it took (seconds), its exit code, commit and digest of the sources then,
    and the outcome of each test by `file::name`. *Absent:* `commit` empty outside of git; no outcomes where nothing ran."""

    began_at: float
    took_seconds: float
    code: int
    commit: str
    sources: str
    outcomes: dict[str, str] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        """How many tests ended so."""
        return sum(each == outcome for each in self.outcomes.values())

    def failed(self) -> list[str]:
        """The tests that did not pass and were not skipped."""
        return sorted(name for name, outcome in self.outcomes.items() if outcome == FAILED)


def record_path() -> Path:
    """Where the last whole run is kept."""
    return results_folder() / NAME


def read_record(path: Path) -> RecordedTests | None:
    """*Absent:* None where there is no record. *Raises:* ValueError with a sentence where it is damaged; OSError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    try:
        return RecordedTests(**json.loads(text))
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{path} is damaged: {problem}; run scripts/test again") from problem


def write_record(record: RecordedTests, path: Path) -> None:
    """Whole or not at all. *Raises:* OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(json.dumps(asdict(record), indent=0, sort_keys=True) + "\n")
    part.replace(path)


def outcomes_of(junit: str) -> dict[str, str]:
    """Outcomes by `file::name` of a report in the form of JUnit, family xunit1; names of classes stand between the two."""
    found: dict[str, str] = {}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        file, name = case.get("file", ""), case.get("name", "")
        module = file.removesuffix(".py").replace("/", ".")
        inner = case.get("classname", "").removeprefix(module).strip(".")
        key = "::".join(part for part in (file or module, *inner.split("."), name) if part)
        kinds = {child.tag for child in case}
        outcome = FAILED if kinds & {"failure", "error"} else SKIPPED if "skipped" in kinds else PASSED
        # A test may stand twice: its call and an error of its end.
        if found.get(key) != FAILED:
            found[key] = outcome
    return found


def commit_of(root: Path = ROOT) -> str:
    """*Absent:* empty outside of git."""
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    """Write the record; a run that left no report has its exit code only."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--junit", type=Path, required=True)
    parser.add_argument("--code", type=int, required=True)
    parser.add_argument("--sources", required=True)
    parser.add_argument("--began", type=float, required=True)
    options = parser.parse_args()
    outcomes = outcomes_of(options.junit.read_text()) if options.junit.exists() else {}
    took = max(0.0, time.time() - options.began)
    record = RecordedTests(options.began, took, options.code, commit_of(), options.sources, outcomes)
    write_record(record, record_path())


if __name__ == "__main__":
    main()
