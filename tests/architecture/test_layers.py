"""What holds for the shape of the whole source: who imports whom, and how long things may become."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "supervisor", "workers")
# The hard stops of CONTRIBUTING.md. What comes near is looked at in review.
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400


def sources(*more: str) -> Iterator[Path]:
    """Every Python file of the three packages, and of more folders."""
    for folder in (*PACKAGES, *more):
        yield from sorted((ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length in lines of every function of a file, from `def` to its end."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}: {node.name}", node.end_lineno - node.lineno + 1


def test_imports_go_one_way() -> None:
    """The contracts of setup.cfg hold, asked of import-linter itself."""
    command = [os.path.join(os.path.dirname(sys.executable), "lint-imports"), "--config", "setup.cfg", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_function_is_longer_than_a_screen() -> None:
    """Long functions are cut before they grow roots."""
    too_long = [
        (name, lines) for path in sources("scripts", "tests") for name, lines in functions(path) if lines > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_no_file_is_longer_than_one_purpose() -> None:
    """A file that outgrows the limit has a second purpose in it."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources("scripts", "tests/harness")}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_every_module_says_what_it_is_for() -> None:
    """A module opens with its one purpose."""
    assert [
        str(path)
        for path in sources("scripts", "tests")
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_bytes()))
    ] == []
