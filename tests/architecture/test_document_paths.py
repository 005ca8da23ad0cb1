"""Pages name files that exist: `a/path.py` in full, or `name.py` beside the file that was named before it."""

import re
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
TOP = {path.name for path in ROOT.iterdir() if path.is_dir()}
QUOTED = re.compile(r"`([A-Za-z0-9_./-]+)`")
# Pages of other projects, and files that a reader makes.
FOREIGN = ("/", "~", ".evergauge", ".venv", ".bench")


def paths_of(text: str) -> list[str]:
    """Everything in backquotes that is a path into this project."""
    found = (word.rstrip("/") for word in QUOTED.findall(text) if "/" in word and not word.startswith(FOREIGN))
    return [word for word in found if PurePosixPath(word).parts[0] in TOP]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_a_page_exists(page: str) -> None:
    """A file that is moved or renamed takes its mention along."""
    assert [path for path in paths_of((ROOT / page).read_text()) if not (ROOT / path).exists()] == []


def test_every_file_of_a_row_is_in_the_folder_before_it() -> None:
    """In ARCHITECTURE.md a name without a folder is in that of the path before it on its line."""
    lost = []
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        folder: Path | None = None
        for word in QUOTED.findall(line):
            if "/" in word:
                there = ROOT / word
                folder = there if there.is_dir() else there.parent
            elif word.endswith(".py") and folder is not None and not (folder / word).exists():
                lost.append(f"{folder.relative_to(ROOT)}/{word}")
    assert lost == []
