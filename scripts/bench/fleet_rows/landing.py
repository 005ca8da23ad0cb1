"""What a fleet stores as the sealed files that sink `object` puts into a landing prefix: one file per node, table and date."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
from pyarrow import compute

from agent.model.row_check import TIMESTAMP
from agent.model.table import HOST_COLUMN
from agent.model.timebase import MINUTE, civil_date
from agent.store.arrow import Conversion
from agent.store.layout import SealedName, file_name
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.record import TableForm
from fleet_rows.fleet import NAMES, FleetClock, FleetNode, is_time, is_window_time
from fleet_rows.identity import MARK, marked, number_text
from fleet_rows.recording import NodeMinute
from fleet_rows.variant import Variant, varied

# Rows that all nodes share have the name of no host yet.
_NOBODY = ""


class LandingWriter:
    """Writes files below a folder. `rows`, `bytes` and `files` count what was written.

    A minute of a table is converted once for all nodes that play it in the same variant, with the sketches of that minute, which a
    node sends a moment after its end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = self.bytes = self.files = 0
        self._tables: dict[tuple[int, Variant], dict[str, Any]] = {}

    def write(self, clock: FleetClock, minutes: int) -> None:
        """What all nodes store in so many minutes, each as of one segment."""
        every = (*clock.recorded, *filter(None, [clock.names]))
        forms = {batch.table: batch.form for minute in every for batch in minute.batches}
        for node in clock.nodes:
            by_file: dict[tuple[str, str], list[Any]] = defaultdict(list)
            for minute in range(minutes):
                date = civil_date(clock.begin_ns + minute * MINUTE)
                played = [clock.played(node, minute), *([NAMES] if minute == 0 and clock.names else [])]
                for number in played:
                    for table, found in self._moved(clock, node, minute, number).items():
                        by_file[table, date].append(found)
            for (table, date), parts in sorted(by_file.items()):
                self._write_file(node, forms[table], date, table, pyarrow.concat_tables(parts))

    def _write_file(self, node: FleetNode, form: TableForm, date: str, table: str, rows: Any) -> None:
        times = compute.min_max(rows.column(TIMESTAMP)).as_py()
        segment = f"{node.number:016x}"
        name = SealedName(form.prefix, node.name, times["min"], times["max"], is_compacted=False, segment=segment)
        path = self.folder / table / f"date={date}" / f"host={node.name}" / file_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        marks = FileMarks(table, segment, node.name, node.install, form.version, "0", times["min"], node.run)
        file = ParquetFile(str(path), rows.schema, marks)
        file.write_group([rows])
        file.close()
        self.rows += file.rows
        self.bytes += path.stat().st_size
        self.files += 1

    def _moved(self, clock: FleetClock, node: FleetNode, minute: int, played: int) -> dict[str, Any]:
        """The tables of one minute of a node, with its times, its identities and its name."""
        key = (played, node.variant)
        if key not in self._tables:
            self._tables[key] = _tables_of(clock.minute_of(played), node.variant)
        shift_ns = clock.shift_ns(played, minute)
        return {table: _with(rows, node, shift_ns) for table, rows in self._tables[key].items()}


def _tables_of(minute: NodeMinute, variant: Variant) -> dict[str, Any]:
    conversions: dict[str, Conversion] = {}
    found: dict[str, list[Any]] = defaultdict(list)
    for batch in minute.batches:
        conversion = conversions.setdefault(batch.table, Conversion(batch.form, _NOBODY))
        rows = marked(varied(batch.table, batch.form.names, batch.rows, variant))
        converted = conversion.convert(msgspec.msgpack.encode(rows))
        assert not converted.bad, converted.bad[:3]
        found[batch.table].append(converted.batch)
    return {table: pyarrow.Table.from_batches(batches).combine_chunks() for table, batches in found.items()}


def _with(rows: Any, node: FleetNode, shift_ns: int) -> Any:
    columns = []
    for field in rows.schema:
        column = rows.column(field.name)
        if field.name == HOST_COLUMN:
            (chunk,) = column.chunks
            column = pyarrow.chunked_array([pyarrow.DictionaryArray.from_arrays(chunk.indices, pyarrow.array([node.name]))])
        elif field.type == pyarrow.string():
            column = compute.replace_substring(column, MARK, number_text(node.number))
        elif is_time(field.name):
            column = compute.add(column, shift_ns + (0 if is_window_time(field.name) else node.phase_ns))
        columns.append(column)
    return pyarrow.table(columns, schema=rows.schema)
