"""Every failpoint that the source names, and how one is armed."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def failpoints() -> Iterator[str]:
    """Their names, in the order of the files."""
    for package in ("agent", "supervisor", "workers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
                    (argument,) = node.args
                    assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}: the name of a failpoint is written out"
                    assert isinstance(argument.value, str)
                    yield argument.value


def arm(folder: Path, point: str, order: str) -> Path:
    """The file of an order, which goes when a process meets it. It is there with its whole text or not at all."""
    unfinished = folder / f".{point}"
    unfinished.write_text(order)
    return unfinished.rename(folder / point)
