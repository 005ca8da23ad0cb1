"""One meaning per word: a class name belongs to one class of the source."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "supervisor", "workers")
# Names that still belong to several classes, with how many: none is added, and each leaves the list when it has become unique.
STILL_SHARED: dict[str, int] = {
    "Child": 2,
    "Finding": 2,
    "Spool": 2,
}


def classes() -> dict[str, list[str]]:
    """Where each class at the top of a module is, by its name."""
    found = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_bytes(), filename=str(path)).body:
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_class_names_are_unique() -> None:
    """Two classes of one name cannot be told apart in a traceback, a search or a sentence."""
    shared = {name: places for name, places in classes().items() if len(places) > 1}
    new = {name: places for name, places in shared.items() if len(places) > STILL_SHARED.get(name, 1)}
    assert new == {}, "rename all of them but one"
