"""Which state of the sources something was recorded for: one digest of all files that tests can depend on."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Reports that somebody writes beside them are none.
ROOT_FILES = (".gitignore", "ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "pyproject.toml", "setup.cfg", "setup.py")
FOLDERS = (".ci", ".github", "agent", "docs", "evergauge", "scripts", "supervisor", "tests", "workers")
# What programs leave there.
PASSED_OVER = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".bench", "node_modules"})
# Where results lie that outlive a run; outside of git. The variable names another folder. It is taken out of the environment:
# agents refuse EVERGAUGE_ variables which are no setting.
FOLDER_VARIABLE = "EVERGAUGE_RESULTS"
_FOLDER = os.environ.pop(FOLDER_VARIABLE, "")


def results_folder(root: Path = ROOT) -> Path:
    """Where results of tests and scenarios are kept."""
    return Path(_FOLDER or root / ".evergauge").absolute()


def source_files(root: Path = ROOT) -> Iterator[Path]:
    """Every file of the sources, in order; also files that are not committed yet."""
    yield from (root / name for name in ROOT_FILES if (root / name).is_file())
    for folder in FOLDERS:
        for at, folders, names in os.walk(root / folder):
            folders[:] = sorted(name for name in folders if name not in PASSED_OVER and not name.endswith(".egg-info"))
            yield from (Path(at) / name for name in sorted(names) if not name.endswith((".pyc", "~", ".swp")))


def source_digest(root: Path = ROOT) -> str:
    """One word for the content of all sources: 16 hexadecimal digits. The mode and the time of a file do not matter."""
    found = hashlib.sha256()
    for path in source_files(root):
        try:
            content = path.read_bytes()
        except OSError:
            # A link that leads nowhere, or a file that is being written: its name counts.
            content = b""
        found.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()[:16]


if __name__ == "__main__":
    sys.stdout.write(source_digest() + "\n")
