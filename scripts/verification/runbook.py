"""scripts/runbook: checks docs/runbook.md against the code, or writes its tables."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from scenarios.definition import parse_scenario
from scenarios.document import near

from verification.remedy_proof import SCENARIO, marked_tests, missing_proofs, unlike_marks
from verification.runbook_facts import code_facts
from verification.runbook_page import parse_runbook, problems_of, rewritten
from verification.sources import ROOT

PAGE = ROOT / "docs" / "runbook.md"
DEFINITIONS = ROOT / "scripts" / "scenarios" / "definitions"
FAILED, MISUSE = 1, 64


class _RunbookWords(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"scripts/runbook: {message}; see scripts/runbook --help", file=sys.stderr)
        raise SystemExit(MISUSE)


def scenario_names() -> list[str]:
    """The scenarios that there are."""
    return sorted(path.stem for path in DEFINITIONS.glob("*.yaml"))


def page_problems(text: str) -> list[str]:
    """Everything that the page lacks, says twice or says otherwise than the code; nothing of remedies."""
    return problems_of(parse_runbook(text), code_facts())


def proof_problems(text: str, root: Path = ROOT) -> list[str]:
    """Remedies whose test or scenario does not exist, or does not name their section; and those that name one for nothing."""
    remedies = [remedy for section in parse_runbook(text) for remedy in section.remedies]
    missing = [
        f"section {remedy.section}: {problem}"
        for remedy in remedies
        for problem in missing_proofs(remedy.proofs, root, scenario_names())
    ]
    wanted: dict[str, frozenset[str]] = {}
    for remedy in remedies:
        for proof in remedy.proofs:
            wanted[proof] = wanted.get(proof, frozenset()) | {remedy.section}
    return missing or unlike_marks(wanted, marked_tests(root) | _marked_scenarios())


def _marked_scenarios() -> dict[str, frozenset[str]]:
    found = {}
    for path in sorted(DEFINITIONS.glob("*.yaml")):
        if sections := parse_scenario(path.read_text(), origin=path.name).runbook:
            found[SCENARIO + path.stem] = frozenset(sections)
    return found


def main(arguments: Sequence[str]) -> int:
    """Check or write; gives the exit code."""
    parser = _RunbookWords(
        prog="scripts/runbook",
        description="Check docs/runbook.md: every feature, setting, metric and event is in one section, tables are as the code "
        "says, and every remedy names a test or scenario that exists and names its section. Ends with 0 or 1.",
    )
    parser.add_argument("--write", action="store_true", help="write the tables of settings, metrics and events between their marks")
    parser.add_argument(
        "--proofs", metavar="SECTION", help="only print the tests and scenarios that prove the remedies of a section"
    )
    options = parser.parse_args(arguments)
    text = PAGE.read_text()
    if options.proofs is not None:
        found = {each.title: each for each in parse_runbook(text)}
        if options.proofs not in found:
            parser.error(f"there is no section '{options.proofs}'{near(options.proofs, found)}")
        proofs = dict.fromkeys(proof for each in found[options.proofs].remedies for proof in each.proofs)
        print("\n".join(proofs))
        return 0
    if options.write:
        text = rewritten(text, code_facts())
        PAGE.write_text(text)
    problems = [*page_problems(text), *proof_problems(text)]
    for problem in problems:
        print(f"docs/runbook.md: {problem}")
    sections = parse_runbook(text)
    if not problems:
        print(f"runbook: {len(sections)} sections, {sum(len(each.remedies) for each in sections)} remedies")
    return FAILED if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
