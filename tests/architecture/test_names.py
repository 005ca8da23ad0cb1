"""One meaning per word: a class name belongs to one class of the source."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "supervisor", "workers")


def classes() -> dict[str, list[str]]:
    """Where each class is, by its name; also one that only the checker of types sees."""
    found = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_class_names_are_unique() -> None:
    """Two classes of one name cannot be told apart in a traceback, a search or a sentence."""
    shared = {name: places for name, places in classes().items() if len(places) > 1}
    assert shared == {}, "rename all of them but one"
