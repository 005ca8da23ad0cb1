"""A module is PURE because its docstring says so. These tests keep that word, and the list in setup.cfg that import-linter reads.

PURE means: what the module touches, it is handed. It imports no operating system, no clock, no socket; it opens nothing.
"""

import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "evergauge", "supervisor", "workers")
# As a word of its own. In brackets it speaks of another module: "`judgement` decides (PURE)".
PURE = re.compile(r"(?<!\()\bPURE\b")
# They reach the world without an import.
FORBIDDEN_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__"})
FORBIDDEN_METHODS = frozenset({"now", "utcnow", "today"})


def modules() -> dict[str, ast.Module]:
    """Every module of the source, parsed."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_bytes(), filename=str(path))
    return found


def pure_modules() -> dict[str, ast.Module]:
    """Those whose docstring says that they are PURE."""
    return {name: tree for name, tree in modules().items() if PURE.search(ast.get_docstring(tree) or "")}


def shortest(pure: set[str], every: set[str]) -> list[str]:
    """The names for setup.cfg, sorted: a package stands for all that is below it, where all of that is PURE."""
    whole = {
        name
        for name in pure
        if any(other.startswith(f"{name}.") for other in every) and {o for o in every if o.startswith(f"{name}.")} <= pure
    }
    return sorted(name for name in pure if not any(name.startswith(f"{package}.") for package in whole))


def world_calls(tree: ast.Module) -> Iterator[str]:
    """Calls that reach the world without an import, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) if name in FORBIDDEN_CALLS:
                    yield f"line {node.lineno}: {name}()"
                case ast.Attribute(attr=name) if name in FORBIDDEN_METHODS:
                    yield f"line {node.lineno}: {ast.unparse(node.func)}()"


def test_setup_cfg_lists_the_modules_whose_docstring_says_pure() -> None:
    """Docstrings and the law of imports name the same modules, so that the word cannot be said without being checked."""
    law = configparser.ConfigParser()
    law.read(ROOT / "setup.cfg")
    listed = law["importlinter:contract:pure"]["source_modules"].split()
    wanted = shortest(set(pure_modules()), set(modules()))
    lines = "\n".join(["source_modules =", *(f"    {name}" for name in wanted)])
    assert listed == wanted, (
        f"the docstring says PURE, setup.cfg does not list it: {sorted(set(wanted) - set(listed))}\n"
        f"setup.cfg lists it, the docstring does not say PURE: {sorted(set(listed) - set(wanted))}\n"
        f"Say PURE in the module's docstring, or take the word out. Then put this into [importlinter:contract:pure]:\n{lines}"
    )


def test_pure_modules_call_nothing_that_reaches_the_world() -> None:
    """`open`, `print` and `datetime.now` need no forbidden import, and are as forbidden."""
    found = {name: calls for name, tree in pure_modules().items() if (calls := list(world_calls(tree)))}
    assert found == {}


# Modules that are not PURE and that PURE ones name: the class of what they are handed, or constants. It only shrinks.
HANDED = {
    ("agent.cli.render", "agent.cli.output"),
    ("workers.process.process_table", "workers.process.files"),
    ("workers.resctrl.cleanup", "workers.resctrl.tree"),
    ("workers.resctrl.emulator.fuse_node", "workers.resctrl.emulator.fuse_protocol"),
    ("workers.resctrl.groups", "workers.resctrl.tree"),
    ("workers.resctrl.reconciliation", "workers.resctrl.tree"),
    ("workers.resctrl.row", "workers.resctrl.event_file"),
    ("workers.resctrl.row", "workers.resctrl.reader"),
}


def imported_names(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """The modules of the source that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in known else node.module


def test_pure_modules_rest_on_pure_modules() -> None:
    """What decides does not reach the world through a neighbour either."""
    every, pure = set(modules()), pure_modules()
    pairs = {(name, found) for name, tree in pure.items() for found in imported_names(tree, every)}
    assert {(name, found) for name, found in pairs if found in every and found not in pure} == HANDED
