"""Finds, by their imports alone, the tests that a machine without Linux can run. Reads files, imports none of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from coverage_run.pure import ROOT, pure_modules

PRODUCT = ("agent", "evergauge", "supervisor", "workers")
# What a test may use beside the product: libraries that macOS has too, and parts of the standard library that are the same there.
# No subprocess, socket, signal or os: what they do elsewhere is not what the agent relies on.
_ALLOWED = """
__future__ abc array ast base64 binascii bisect bz2 collections configparser contextlib copy csv dataclasses datetime
decimal difflib enum errno functools gc gzip hashlib heapq html importlib inspect io ipaddress itertools json keyword
math numbers operator pathlib pickle pprint random re statistics string struct sys textwrap time tomllib traceback types
typing unicodedata uuid warnings weakref xml zlib zoneinfo ddsketch google hypothesis msgspec opentelemetry pytest
tenacity
"""
ALLOWED = frozenset(_ALLOWED.split())


def portable_tests(root: Path = ROOT) -> list[Path]:
    """The files below tests/unit, relative to the checkout."""
    graph = _Graph(root)
    return [path.relative_to(root) for path in sorted((root / "tests/unit").rglob("test_*.py")) if graph.is_portable(path)]


class _Graph:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._pure = {root / path for path in pure_modules(root)}
        self._known: dict[Path, bool] = {}

    def is_portable(self, path: Path) -> bool:
        """Whether all that a file imports is."""
        if path not in self._known:
            # While it is looked at: modules that import each other are as portable as their rest.
            self._known[path] = True
            self._known[path] = all(map(self._is_allowed, _imports(path)))
        return self._known[path]

    def _is_allowed(self, name: str) -> bool:
        first = name.partition(".")[0]
        if first in PRODUCT:
            found = self._file(self._root, name)
            return found is not None and (found in self._pure or _is_empty_package(found)) and self.is_portable(found)
        if first in ("fakes", "harness"):
            found = self._file(self._root / "tests", name)
            return found is not None and self.is_portable(found)
        return first in ALLOWED

    def _file(self, base: Path, name: str) -> Path | None:
        """The module of a name, or, of a name inside a module, that module."""
        parts = name.split(".")
        for count in (len(parts), len(parts) - 1):
            place = base.joinpath(*parts[:count])
            for found in (place.with_suffix(".py"), place / "__init__.py"):
                if found.is_file():
                    return found
            if place.is_dir():
                # A folder without a module of its own: what is imported from it is looked at by its own name.
                return None
        return None


def _is_empty_package(path: Path) -> bool:
    """A package that only says what it is for."""
    return path.name == "__init__.py" and len(ast.parse(path.read_bytes()).body) <= 1


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
