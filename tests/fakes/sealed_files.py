"""Sealed and compacted files whose names say which times their rows have."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from fakes.stored_data import FORMS, HOST, marks_of

from agent.model.table import Row
from agent.store.arrow import Conversion
from agent.store.layout import SealedName, file_name
from agent.store.parquet_writer import ParquetFile
from agent.store.record import TableForm

S = 10**9


def seal(
    state: Path,
    table: str,
    generation: int,
    rows: Sequence[Row],
    *,
    form: TableForm | None = None,
    is_compacted: bool = False,
    sources: tuple[str, ...] = (),
) -> Path:
    """A file of rows, the first value of each being its time, as made of a segment of this generation, or of these `sources`."""
    form = form or FORMS[table]
    times = [at // S * S for row in rows if isinstance(at := row[0], int)]
    segment = f"{generation:08x}00000000"
    name = SealedName(form.prefix, HOST, min(times), max(times), is_compacted, segment)
    path = state / "data" / table / "date=2024-01-02" / file_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    conversion = Conversion(form, HOST)
    converted = conversion.convert(msgspec.msgpack.encode(rows))
    assert not converted.bad
    file = ParquetFile(str(path), conversion.schema, marks_of(table, segment, form, sources))
    file.write_group([converted.batch])
    file.close()
    return path
