"""Writes the outputs of docs/engines/questions.md again: PYTHONPATH=tests .venv/bin/python -m harness.engines.page_outputs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes.fleet_files import landing_files, write_landing
from fakes.fleet_story import TABLES, fleet_of
from harness.engines.duck_engine import DuckEngine
from harness.engines.fleet_tables import prepare_duckdb, write_lists
from harness.engines.page import PAGES, blocks_of

PAGE = "questions.md"
OUTPUT = "output of "


def table_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a page shows them: null is a dash, numbers are on the right."""
    cells = [[_shown(value) for value in row] for row in rows]
    widths = [max(map(len, (name, *(row[place] for row in cells)))) for place, name in enumerate(columns)]
    is_number = [all(isinstance(row[place], int | float | None) for row in rows) for place in range(len(columns))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, is_number, strict=True)
        )
        for row in (list(columns), *cells)
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def questions() -> list[str]:
    """The names of the statements of the page."""
    return [name for name in blocks_of(PAGE) if not name.startswith(OUTPUT)]


def main() -> None:
    """Ask DuckDB, and put what it says below each statement."""
    with tempfile.TemporaryDirectory() as folder, DuckEngine() as engine:
        write_landing(Path(folder) / "lake", fleet_of())
        write_lists(Path(folder) / "lists", landing_files(Path(folder) / "lake"))
        prepare_duckdb(engine, TABLES, Path(folder) / "lists")
        text = (PAGES / PAGE).read_text()
        for name, statement in blocks_of(PAGE).items():
            if not name.startswith(OUTPUT):
                before, mark, rest = text.partition(f"<!-- {OUTPUT}{name} -->\n```\n")
                assert mark, f"{name} has no output on the page"
                shown = table_text(engine.columns(statement), engine.run(statement))
                text = before + mark + shown + rest[rest.index("```\n") :]
        (PAGES / PAGE).write_text(text)


if __name__ == "__main__":
    main()
