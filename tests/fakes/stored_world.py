"""The rows of a world as Parquet files: in a state folder, or in a fleet's store."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from fakes.router_world import WorldRow
from fakes.sealed_files import seal
from fakes.stored_data import row_of

from agent.model.table import Row, Table
from agent.store.record import form_of
from workers.registry import tables

# What the tables want, and a world does not say.
_FILLED = {
    "start_ticks": 7,
    "state": "S",
    "chosen_for": "cpu",
    "commands": 1,
    "source": "taskstats",
    "unseen": 0,
    "run": "r",
    "epoch": 1,
}
_COUNTS = ("exit_records_lost", "io_unreadable", "unreadable")
DATE = "date=2024-01-02"


def store_world(state: Path, rows: Sequence[WorldRow]) -> dict[str, Path]:
    """One sealed file for each table; by table where it is."""
    declared = {table.name: table for table in tables()}
    by_table: dict[str, list[WorldRow]] = defaultdict(list)
    for row in rows:
        by_table[row.table].append(row)
    found = {}
    for number, (name, own) in enumerate(sorted(by_table.items()), start=1):
        table = declared[name]
        found[name] = seal(state, name, number, [_row(table, row) for row in own], form=form_of(table))
    return found


def land(lake: Path, files: dict[str, Path], host: str) -> list[str]:
    """The same files as a sink of kind `object` puts them; their paths in the store."""
    found = []
    for table, path in files.items():
        name = f"{table}/{DATE}/host={host}/{path.name}"
        (lake / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, lake / name)
        found.append(name)
    return found


def _row(table: Table, row: WorldRow) -> Row:
    values = {**_FILLED, **dict.fromkeys(_COUNTS, 0), **row.columns}
    return row_of(table, {name: values[name] for name in table.column_names if name in values})
