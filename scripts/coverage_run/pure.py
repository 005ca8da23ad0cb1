"""Which modules are PURE, and which tests are each one's own."""

import ast
import configparser
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Tests below tests/unit that are a module's own too, although they are named after something else.
ALSO = {
    # The doctor is told what it finds on whole hosts.
    "agent/doctor/judgement.py": ("agent/test_doctor.py",),
    # The machine hands every event to one of its parts, and the stories of a part are told to the machine.
    "supervisor/core/machine.py": (
        "supervisor/core/test_authority.py",
        "supervisor/core/test_control_documents.py",
        "supervisor/core/test_event_delivery.py",
        "supervisor/core/test_reload.py",
        "supervisor/core/test_runtime_names.py",
        "supervisor/core/test_takeover.py",
    ),
    # The end of the agent waits for its last events.
    "supervisor/core/stop_sequence.py": ("supervisor/core/test_event_delivery.py", "supervisor/core/test_machine.py"),
    # An emulated tree is the files of its directories, and a command is a write to one of them.
    "workers/resctrl/emulator/command.py": (
        "workers/resctrl/emulator/test_cpus.py",
        "workers/resctrl/emulator/test_directory.py",
        "workers/resctrl/emulator/test_tree.py",
    ),
    "workers/resctrl/emulator/tree.py": (
        "workers/resctrl/emulator/test_directory.py",
        "workers/resctrl/emulator/test_values.py",
    ),
    # The table asks the budget for room with each entity.
    "workers/export/series/table.py": ("workers/export/series/test_budget.py",),
    # Which files are read when, and the rows that are made of them, are what the sampler does.
    "workers/resctrl/plan.py": ("workers/samplers/test_resctrl.py",),
    "workers/resctrl/row.py": ("workers/samplers/test_resctrl.py",),
    # Both generations of control groups have files of one form.
    "workers/unit/cgroup_file.py": ("workers/unit/test_cgroup_v1.py", "workers/unit/test_cgroup_v2.py"),
    # Which ticks are missing is decided with the batch that tells it.
    "workers/writer/core.py": ("workers/writer/test_ticks.py",),
}


@dataclass(frozen=True)
class OwnTests:
    """The tests of a module's own. `by`: `name`, where files are named after it, else `folder`, or `none`."""

    module: Path
    files: tuple[Path, ...]
    by: str


def pure_modules(root: Path = ROOT) -> list[Path]:
    """The files of the PURE modules that setup.cfg lists, relative to the checkout; a package stands for all below it."""
    law = configparser.ConfigParser()
    law.read(root / "setup.cfg")
    found = []
    for name in law["importlinter:contract:pure"]["source_modules"].split():
        place = root / name.replace(".", "/")
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        found += [path.relative_to(root) for path in files if path.stat().st_size]
    return found


def own_tests(module: Path, root: Path = ROOT) -> OwnTests:
    """`test_NAME.py` and `test_NAME_….py` in the mirror of its folder, and what `ALSO` adds; where there are none, all tests of
    that mirror.

    A file that is named after another module is that one's: `test_secret_option.py` is not of `secret`.
    """
    mirror = root / "tests/unit" / module.parent
    name = module.parent.name if module.stem == "__init__" else module.stem
    others = {path.stem for path in (root / module.parent).glob("*.py")} - {module.stem}
    named = [path for path in _tests(mirror) if _is_named(path.stem, name) and path.stem.removeprefix("test_") not in others]
    named += [root / "tests/unit" / path for path in ALSO.get(str(module), ())]
    if named:
        return OwnTests(module, _relative(named, root), "name")
    beside = _tests(mirror) or [path for path in _tests(mirror.parent) if _is_named(path.stem, module.parent.name)]
    return OwnTests(module, _relative(beside, root), "folder" if beside else "none")


def import_lines(source: bytes) -> set[int]:
    """The lines that run when a module is imported: all that are in no function."""
    tree = ast.parse(source)
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside |= set(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
    return set(range(1, source.count(b"\n") + 2)) - inside


def _is_named(test: str, name: str) -> bool:
    return test == f"test_{name}" or test.startswith(f"test_{name}_")


def _tests(folder: Path) -> list[Path]:
    return sorted(folder.glob("test_*.py"))


def _relative(paths: list[Path], root: Path) -> tuple[Path, ...]:
    return tuple(path.relative_to(root) for path in paths)
