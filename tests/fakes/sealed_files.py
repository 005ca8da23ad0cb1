"""Sealed and compacted files whose names say which times their rows have."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow
from fakes.stored_data import FORMS, marks_of
from pyarrow import parquet

from agent.model.table import Row
from agent.store.layout import SealedName, file_name
from agent.store.record import TableForm

S = 10**9


def seal(
    state: Path, table: str, generation: int, rows: Sequence[Row], *, form: TableForm | None = None, is_compacted: bool = False
) -> Path:
    """A file of rows, the first value of each being its time, as made of a segment of this generation."""
    form = form or FORMS[table]
    times = [at // S * S for row in rows if isinstance(at := row[0], int)]
    name = SealedName(form.prefix, "node-1", min(times), max(times), is_compacted, f"{generation:08x}00000000")
    known = {"int64": pyarrow.int64(), "float64": pyarrow.float64(), "bool": pyarrow.bool_()}
    types = [known.get(word, pyarrow.utf8()) for word in form.dtypes]
    arrays = [pyarrow.array(column, dtype) for column, dtype in zip(zip(*rows, strict=True), types, strict=True)]
    made = pyarrow.table(arrays, names=list(form.names)).replace_schema_metadata(marks_of(table, name.segment, form))
    path = state / "data" / table / "date=2024-01-02" / file_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(made, path, write_page_checksum=True)
    return path
