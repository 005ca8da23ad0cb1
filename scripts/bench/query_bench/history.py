"""A made-up history, written through the store's own writer: finished days as compaction leaves them, and files as the sealer does.

    python -m query_bench.history FOLDER DAYS ROWS UNCOMPACTED_DAYS

It is a process of its own: what a process has held is counted as the peak memory of the commands that it starts.

The rows are those of one base day, moved to each date: what is measured depends on their number and spread, and a year is made
in a minute. The same options give the same rows. Compacted days have row groups of an hour.
"""

import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import compute

from agent.model.column_type import DType
from agent.model.table import Table
from agent.model.timebase import DAY, S, civil_date
from agent.store.arrow import schema_of
from agent.store.install import keep_install
from agent.store.layout import SealedName, date_folder, file_name
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.record import form_of
from agent.store.segment import segment_id
from workers.process.schema import PROCESS, PROCESS_TAIL

TABLES = (PROCESS, PROCESS_TAIL)
HOST, SEED = "node-1", 9
FILES_OF_DAY = 96
# So many processes have a row in each tick.
ROWS_OF_TICK = 50
GROUPS_OF_DAY = 24
DONE = "generated.json"

_VALUES: Mapping[str, Callable[[int, random.Random], Any]] = {
    "pid": lambda number, chance: 1_000 + number % ROWS_OF_TICK,
    "start_ticks": lambda number, chance: 77 * (number % ROWS_OF_TICK),
    "comm": lambda number, chance: f"task-{number % 30}",
    "command_line": lambda number, chance: f"/usr/bin/task-{number % 30} --shard {number % ROWS_OF_TICK}",
    "cgroup": lambda number, chance: f"/kubepods.slice/pod-{number % 20}",
    "pod_uid": lambda number, chance: f"0000-{number % 20}",
    "state": lambda number, chance: "S",
    "cpu_share": lambda number, chance: chance.random(),
    "rss_bytes": lambda number, chance: chance.randrange(1 << 8, 1 << 18) * 4096,
    "absent": lambda number, chance: None,
}
_BY_TYPE: Mapping[DType, Callable[[int, random.Random], Any]] = {
    DType.INT64: lambda number, chance: chance.randrange(10_000_000),
    DType.FLOAT64: lambda number, chance: chance.random(),
    DType.UTF8: lambda number, chance: f"text-{number % 7}",
    DType.BOOL: lambda number, chance: number % 2 == 0,
}


def make(folder: Path, *, days: int, rows: int, uncompacted_days: int) -> None:
    """Make what is not there yet: `days` compacted ones and a day of 96 files that ends now, or days of 96 files alone."""
    wanted = {"days": days, "rows": rows, "uncompacted_days": uncompacted_days, "form": 1}
    done = folder / DONE
    today_ns = time.time_ns() // DAY * DAY
    if not (done.exists() and json.loads(done.read_text()) == wanted | {"today": civil_date(today_ns)}):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "spool").mkdir(parents=True)
        keep_install(str(folder))
        _make_days(folder, today_ns, days, rows)
    _make_recent(folder, rows, max(1, uncompacted_days))
    done.write_text(json.dumps(wanted | {"today": civil_date(today_ns)}))


def _make_days(folder: Path, today_ns: int, days: int, rows: int) -> None:
    rows_of_group = -(-rows // GROUPS_OF_DAY)
    for table in TABLES:
        day = _base(table, rows, DAY)
        for back in range(days, 0, -1):
            _say(f"{table.name}: {days - back + 1} of {days} days")
            # The day before today is that of the 96 files, or a part of it.
            begin_ns = today_ns - (back + 1) * DAY
            groups = [_moved(day.slice(at, rows_of_group), begin_ns) for at in range(0, rows, rows_of_group)]
            _write(folder, table, groups, generation=days - back + 1, is_compacted=True)
    _say("")


def _make_recent(folder: Path, rows: int, days: int) -> None:
    """The files of the last day or days, up to now: those of an earlier run are too old to have a last hour."""
    for path in folder.glob("data/*/date=*/*.parquet"):
        if "-day-" not in path.name:
            path.unlink()
    span_ns = DAY // FILES_OF_DAY
    now_ns = time.time_ns()
    for table in TABLES:
        quarter = _base(table, rows // FILES_OF_DAY, span_ns)
        for back in range(days * FILES_OF_DAY, 0, -1):
            begin_ns = now_ns // S * S - back * span_ns
            _write(folder, table, [_moved(quarter, begin_ns)], generation=1_000_000 - back, is_compacted=False)


def _base(table: Table, rows: int, span_ns: int) -> "pyarrow.Table":
    """Rows of a table from time 0 on, in order, in ticks that are spread evenly over the span."""
    chance = random.Random(f"{SEED} {table.name}")
    ticks = max(1, rows // ROWS_OF_TICK)
    schema = schema_of(form_of(table))
    columns: list[Any] = []
    for column in table.columns:
        if column.name == "timestamp":
            columns.append([number // ROWS_OF_TICK * span_ns // ticks for number in range(rows)])
        else:
            value = _VALUES.get(column.name) or _BY_TYPE[column.dtype]
            columns.append([value(number, chance) for number in range(rows)])
    columns.append([HOST] * rows)
    arrays = [
        pyarrow.array(values, pyarrow.utf8() if field.name == "host" else field.type)
        for values, field in zip(columns, schema, strict=True)
    ]
    arrays[-1] = arrays[-1].dictionary_encode()
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def _moved(rows: "pyarrow.Table", by_ns: int) -> "pyarrow.Table":
    at = rows.schema.get_field_index("timestamp")
    return rows.set_column(at, rows.schema.field(at), compute.add(rows.column(at), by_ns))


def _write(folder: Path, table: Table, groups: Sequence["pyarrow.Table"], *, generation: int, is_compacted: bool) -> None:
    segment = segment_id(generation, "bbbbbbbb")
    first, last = (int(group.column("timestamp")[at].as_py()) // S * S for group, at in ((groups[0], 0), (groups[-1], -1)))
    name = SealedName(table.prefix, HOST, first, last, is_compacted, segment)
    path = folder / "data" / table.name / date_folder(civil_date(first)) / file_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    marks = FileMarks(table.name, segment, HOST, keep_install(str(folder)), table.version, "bench", first)
    file = ParquetFile(str(path), groups[0].schema, marks)
    for group in groups:
        file.write_group([group])
    file.close()


def _say(text: str) -> None:
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]), days=int(sys.argv[2]), rows=int(sys.argv[3]), uncompacted_days=int(sys.argv[4]))
