"""The columns of rows that other hosts measured: how they travel, how a record has them, which are refused. PURE.

The other host may run an older or a newer version than this one, and nothing that it says is believed unseen.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.model.row_check import TIMESTAMP
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN
from agent.store.record import Entry, EntryOrigin, OtherForm, SegmentHead, TableForm

# Ours have at most 67 columns.
COLUMNS_MAX = 256
# Encoded; 256 columns of long names are below it.
FORM_BYTES_MAX = 32 << 10
VERSION_MAX = 1_000_000
# Names of tables are names of folders and begin those of files, which have 255 bytes at most beside a host's name of any length
# that `agent.store.layout.host_bytes_max` allows; ours have at most 16. All are words of SQL that need no quotes.
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,62}")
# Columns that every stored table has behind its own.
_ADDED = frozenset({HOST_COLUMN, INSTALL_COLUMN})
_TYPES = frozenset(map(str, DType))
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(TableForm)


class FormColumn(NamedTuple):
    """One column of a form."""

    name: str
    dtype: str
    nullable: bool


def encode_form(form: TableForm) -> bytes:
    """The columns of a table, as they travel beside its rows."""
    return _ENCODER.encode(form)


def decode_form(data: bytes) -> TableForm:
    """*Raises:* FormatError."""
    if len(data) > FORM_BYTES_MAX:
        raise FormatError("columns of a table", f"{len(data)} bytes are more than {FORM_BYTES_MAX}")
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("columns of a table", str(cause)) from cause


def is_table_name(name: str) -> bool:
    """Whether a table of another host can be called so here."""
    return _TABLE.fullmatch(name) is not None


def why_unfit(form: TableForm) -> str:
    """Why no rows of these columns are stored; empty: they are."""
    if not 1 <= form.version <= VERSION_MAX:
        return f"version {form.version} is none"
    if not 1 <= len(form.names) <= COLUMNS_MAX:
        return f"{len(form.names)} columns, not 1 to {COLUMNS_MAX}"
    if len(form.dtypes) != len(form.names) or len(form.nullable) > len(form.names):
        return "columns, types and nulls differ in number"
    if len(set(form.names)) != len(form.names):
        return "two columns of one name"
    if not all(_COLUMN.fullmatch(name) for name in form.names) or not _ADDED.isdisjoint(form.names):
        return "a column has a name that none can have"
    if not _TYPES.issuperset(form.dtypes):
        return "a column has a type that is not known here"
    if TIMESTAMP not in form.names or form.dtypes[form.names.index(TIMESTAMP)] != DType.INT64:
        return f"no column {TIMESTAMP} of type {DType.INT64}"
    return ""


def columns_of(form: TableForm) -> Iterator[FormColumn]:
    """The columns one by one."""
    nullable = (*form.nullable, *(True,) * (len(form.names) - len(form.nullable)))
    return map(FormColumn, form.names, form.dtypes, nullable)


def other_form(form: TableForm, declared: TableForm | None) -> OtherForm | None:
    """What a record says of columns in a segment that declares others; None: none of the table.

    *Absent:* None where they are equal.
    """
    own = () if declared is None else tuple(columns_of(declared))
    columns = tuple(columns_of(form))
    kept = 0
    while kept < min(len(own), len(columns)) and own[kept] == columns[kept]:
        kept += 1
    if declared is not None and kept == len(own) == len(columns) and form.version == declared.version:
        return None
    rest = columns[kept:]
    return OtherForm(
        form.version,
        kept,
        tuple(column.name for column in rest),
        tuple(column.dtype for column in rest),
        tuple(column.nullable for column in rest),
    )


def form_in(head: SegmentHead, entry: Entry) -> TableForm | None:
    """The columns of a stored batch of any host. *Absent:* None where neither its segment nor itself says them."""
    declared = head.tables.get(entry.measured_table)
    if entry.origin is None or entry.origin.form is None:
        return declared
    other = entry.origin.form
    if declared is None:
        return TableForm(other.version, other.names, other.dtypes, f"{entry.origin.table}-", other.nullable)
    kept = tuple(columns_of(declared))[: other.kept]
    return TableForm(
        other.version,
        (*(column.name for column in kept), *other.names),
        (*(column.dtype for column in kept), *other.dtypes),
        declared.prefix,
        (*(column.nullable for column in kept), *other.nullable),
    )


def own_entry(entry: Entry, origin: EntryOrigin) -> Entry:
    """The head of another host's batch as it stood there."""
    return Entry(origin.run, origin.worker, origin.epoch, origin.seq, origin.table, entry.stamp_wall_ns, entry.rows)
