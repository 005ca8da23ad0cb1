"""Kinds of workers are known by what they declare, never by their names."""

import ast
from pathlib import Path

from workers import registry

ROOT = Path(__file__).parents[2]
# What must serve a kind that nobody has written yet.
FOR_ALL_KINDS = ("supervisor", "workers/runtime", "workers/framework", "workers/registry.py", "agent/worker_set.py", "agent/daemon")


def test_nothing_that_serves_all_kinds_names_one() -> None:
    """No text there is the name of a worker or of its kind; the declaration of samplers names its own."""
    names = {name for worker in registry.all_workers() for name in (worker.name, worker.kind.name)} - {"sampler"}
    found = []
    for place in FOR_ALL_KINDS:
        path = ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
                if isinstance(node, ast.Constant) and node.value in names:
                    found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {node.value}")
    assert found == []


def test_worker_modules_import_their_work_only_when_it_is_made() -> None:
    """The supervisor imports them too, for what they declare."""
    heavy = []
    for file in sorted((ROOT / "workers").glob("*/worker.py")):
        for node in ast.parse(file.read_bytes(), filename=str(file)).body:
            if (
                isinstance(node, ast.ImportFrom)
                and (node.module or "").startswith("workers.")
                and "framework" not in str(node.module)
            ):
                heavy.append(f"{file.relative_to(ROOT)}: {node.module}")
    assert heavy == []
