"""The rows of a commit as one Parquet file for each table and date. It imports pyarrow.

*Range:* rows of one table with more dates than DATES_MAX are in the files of the first ones: a host with a mad clock must not make
thousands of files. The file of a date says the first and the last time of its rows in any case.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from pyarrow.parquet import ParquetWriter

from agent.lake.arrow_columns import NAME_TYPE
from agent.lake.known_columns import KnownColumns
from agent.model.column_type import DType
from agent.model.row_check import TIMESTAMP
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN
from agent.model.timebase import DAY, civil_date
from agent.store.arrow import arrow_type
from workers.merger.decoding import DecodedMessage

DATES_MAX = 64
# As all files of the agent.
_LEVEL = 3
_GROUP_ROWS = 1 << 20


class DayRows(Struct, frozen=True):
    """The rows of one table and UTC date. *Units:* `first_ns`, `last_ns`: of the column `timestamp`."""

    table: str
    date: str
    content: pa.Table
    hosts: frozenset[str]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.content)

    @property
    def first_ns(self) -> int:
        """The earliest."""
        return int(pc.min(self.content.column(TIMESTAMP)).as_py())

    @property
    def last_ns(self) -> int:
        """The latest."""
        return int(pc.max(self.content.column(TIMESTAMP)).as_py())

    def parquet(self, marks: Mapping[str, str]) -> memoryview:
        """As a Parquet file with these words in its footer."""
        return parquet_of(self.content.replace_schema_metadata(dict(marks)))


def by_day(messages: Sequence[DecodedMessage], known: KnownColumns) -> Iterator[DayRows]:
    """The rows of these messages, divided; one file's rows are made when it is asked for."""
    by_table: dict[str, list[DecodedMessage]] = {}
    for message in messages:
        if len(message.rows.batch):
            by_table.setdefault(message.rows.table, []).append(message)
    for table in sorted(by_table):
        yield from _days_of(table, by_table.pop(table), known)


def whole_table(messages: Sequence[DecodedMessage], known: KnownColumns) -> pa.Table:
    """The rows of messages of one table, host by host, with all columns that the table has."""
    table = messages[0].rows.table
    schema = schema_of(table, known)
    # A host's rows together are shorter, and a reader of one host reads less.
    ordered = sorted(messages, key=lambda each: (each.head.host, each.partition, each.offset))
    return pa.Table.from_batches([_in_schema(each.rows.batch, schema) for each in ordered], schema=schema).unify_dictionaries()


def schema_of(table: str, known: KnownColumns) -> pa.Schema:
    """All columns that a table has so far, `host` and `install`."""
    fields = [pa.field(column.name, arrow_type(DType(column.dtype))) for column in known.columns(table)]
    return pa.schema([*fields, pa.field(HOST_COLUMN, NAME_TYPE), pa.field(INSTALL_COLUMN, NAME_TYPE)])


def parquet_of(content: pa.Table) -> memoryview:
    """A table as a Parquet file of one row group for each million rows."""
    sink = pa.BufferOutputStream()
    with ParquetWriter(sink, content.schema, compression="zstd", compression_level=_LEVEL, write_page_checksum=True) as writer:
        writer.write_table(content, row_group_size=_GROUP_ROWS)
    return memoryview(sink.getvalue())


def _days_of(table: str, messages: Sequence[DecodedMessage], known: KnownColumns) -> Iterator[DayRows]:
    content = whole_table(messages, known)
    days = pc.divide(content.column(TIMESTAMP), pa.scalar(DAY, pa.int64()))
    kept = sorted(pc.unique(days).to_pylist())[:DATES_MAX]
    # The last of them has the rest.
    places = pc.min_element_wise(days, pa.scalar(kept[-1], pa.int64()))
    for day in kept:
        part = content if len(kept) == 1 else content.filter(pc.equal(places, pa.scalar(day, pa.int64())))
        hosts = pc.unique(part.column(HOST_COLUMN).cast(pa.utf8())).to_pylist()
        yield DayRows(table, civil_date(day * DAY), part, frozenset(hosts))


def _in_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch with all columns of a schema: null where it has none."""
    if batch.schema.equals(schema):
        return batch
    names = set(batch.schema.names)
    arrays = [batch.column(field.name) if field.name in names else pa.nulls(len(batch), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
