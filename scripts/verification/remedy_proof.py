"""What proves a remedy: a test by `file::name` or a scenario by name. PURE but for looking whether they are there."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

SCENARIO = "scenario "


@cache
def named_tests(path: Path) -> frozenset[str]:
    """The names of the tests of a file, `Class::name` in classes. *Absent:* empty where there is no such file."""
    try:
        tree = ast.parse(path.read_bytes())
    except OSError:
        return frozenset()
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return frozenset(found)


def missing_proofs(proofs: Iterable[str], root: Path, scenarios: Iterable[str]) -> list[str]:
    """A sentence for each that does not exist."""
    known, problems = set(scenarios), []
    for proof in dict.fromkeys(proofs):
        if proof.startswith(SCENARIO):
            if proof.removeprefix(SCENARIO) not in known:
                problems.append(f"there is no {proof}")
            continue
        file, mark, name = proof.partition("::")
        if not mark or not file.startswith("tests/") or name not in named_tests(root / file):
            problems.append(f"there is no test {proof}")
    return problems
