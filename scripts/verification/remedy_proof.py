"""What proves a remedy: a test by `file::name` or a scenario by name. Each names its sections of the runbook in turn:

    @pytest.mark.runbook("Governor")        a test
    runbook: [Governor]                     the file of a scenario

so that who changes it sees what relies on it. PURE but for reading files.
"""

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

SCENARIO = "scenario "
MARK = "runbook"
_MARK_WRITTEN = b"pytest.mark.runbook("


@cache
def named_tests(path: Path) -> Mapping[str, frozenset[str]]:
    """The tests of a file by name, `Class::name` in classes, with the sections that each names. *Absent:* empty: no such file."""
    try:
        tree = ast.parse(path.read_bytes())
    except OSError:
        return {}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found[node.name] = _sections(node)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}": _sections(each) for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def _sections(test: ast.FunctionDef) -> frozenset[str]:
    marks = [each for each in test.decorator_list if isinstance(each, ast.Call) and getattr(each.func, "attr", "") == MARK]
    return frozenset(str(word.value) for mark in marks for word in mark.args if isinstance(word, ast.Constant))


def marked_tests(root: Path) -> dict[str, frozenset[str]]:
    """All tests below `root` that name a section, as `file::name`, with the sections."""
    files = (path for path in sorted((root / "tests").rglob("test_*.py")) if _MARK_WRITTEN in path.read_bytes())
    return {
        f"{path.relative_to(root)}::{name}": sections for path in files for name, sections in named_tests(path).items() if sections
    }


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


def unlike_marks(wanted: Mapping[str, frozenset[str]], found: Mapping[str, frozenset[str]]) -> list[str]:
    """A sentence for each proof whose sections are not those with a remedy that names it.

    `wanted`: proofs of the runbook with their sections; `found`: tests and scenarios with the sections that they name. PURE.
    """
    nothing: frozenset[str] = frozenset()
    problems = []
    for proof in dict.fromkeys((*wanted, *found)):
        for section in sorted(wanted.get(proof, nothing) - found.get(proof, nothing)):
            how = f"runbook: [{section}]" if proof.startswith(SCENARIO) else f'@pytest.mark.runbook("{section}")'
            problems.append(f"section {section}: {proof} does not name it: {how}")
        for section in sorted(found.get(proof, nothing) - wanted.get(proof, nothing)):
            problems.append(f"{proof} names section {section}, of which no remedy names it")
    return problems
