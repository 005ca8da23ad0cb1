"""The rows of a fleet's story as the sealed files that sink `object` puts into a folder."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from fakes.fleet_story import DATE, HOSTS, TABLES, FleetHost

from agent.model.table import Row, Table
from agent.store.arrow import Conversion
from agent.store.layout import SealedName, file_name
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.record import form_of


def write_landing(folder: Path, hosts: Sequence[FleetHost]) -> None:
    """The sealed files of all hosts, as sink `object` puts them into a folder."""
    for host in hosts:
        for table in TABLES:
            if rows := host.rows[table.name]:
                _write_file(folder, table, host.name, rows)


def landing_files(folder: Path) -> dict[str, list[str]]:
    """The files of each table of the story below a landing prefix."""
    return {table.name: sorted(map(str, (folder / table.name).rglob("*.parquet"))) for table in TABLES}


def _write_file(folder: Path, table: Table, host: str, rows: Sequence[Row]) -> None:
    form = form_of(table)
    segment = f"{HOSTS.index(host):016x}"
    times = [int(str(row[0])) for row in rows]
    name = SealedName(form.prefix, host, min(times), max(times), is_compacted=False, segment=segment)
    path = folder / table.name / f"date={DATE}" / f"host={host}" / file_name(name)
    path.parent.mkdir(parents=True)
    conversion = Conversion(form, host)
    marks = FileMarks(table.name, segment, host, f"install-{host}", form.version, "0", 1, "run-1", 0, ())
    file = ParquetFile(str(path), conversion.schema, marks)
    file.write_group([conversion.convert(msgspec.msgpack.encode(rows)).batch])
    file.close()
