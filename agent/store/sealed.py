"""Which sealed files of a table are read: those that the agent wrote, whose columns have the table's types."""

import os
from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.foreign import readable
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN, Table
from agent.store.footer import Footer, read_footer
from agent.store.layout import parse_sealed_name
from agent.store.left_out import OTHER_INSTALL, LeftOut
from agent.store.record import TableForm

_HOST = {HOST_COLUMN: COLUMN_TYPES[DType.UTF8].arrow}
# Only files that have rows of other hosts have it.
_INSTALL = {INSTALL_COLUMN: COLUMN_TYPES[DType.UTF8].arrow}


class WantedFiles(Struct, frozen=True):
    """What the files of a table must be.

    `prefix` begins the names of its files; empty: a folder of the user's own, in which files of any name are read.
    `columns` are the types by name in `version`; columns are only ever added. `exact`: files of that version have these
    columns and no others. `install`: of files with the table's prefix those of this installation alone; empty: of any.
    """

    table: str
    prefix: str
    version: int
    columns: Mapping[str, str]
    exact: bool = False
    install: str = ""


class Chosen(Struct, frozen=True):
    """The files to read, in order, and what was left out."""

    files: list[str]
    left_out: list[LeftOut]


def wanted_of(table: Table, install: str = "") -> WantedFiles:
    """What the files of a declared table must be."""
    types = {column.name: COLUMN_TYPES[column.dtype].arrow for column in table.columns}
    return WantedFiles(table.name, table.prefix, table.version, {**types, **_HOST}, exact=True, install=install)


def wanted_of_form(table: str, form: TableForm, install: str = "") -> WantedFiles:
    """What the files of a table must be that only the spool declares."""
    types = {name: _arrow_word(dtype) for name, dtype in zip(form.names, form.dtypes, strict=True)}
    return WantedFiles(table, form.prefix, form.version, {**types, **_HOST}, install=install)


def _arrow_word(dtype: str) -> str:
    try:
        return COLUMN_TYPES[DType(dtype)].arrow
    except ValueError:
        return dtype


def owners_of(data_dir: str) -> frozenset[int]:
    """Whose files are taken: those of the folder's owner, of root, and the caller's own."""
    try:
        return frozenset({0, os.geteuid(), os.stat(data_dir).st_uid})
    except OSError:
        return frozenset({0, os.geteuid()})


def choose(paths: Sequence[str], wanted: WantedFiles, owners: frozenset[int], *, verify: bool = False) -> Chosen:
    """The files among these that are read. Files that have gone meanwhile are in neither list.

    `verify`: each is read from end to end, and left out where its digest is another.
    """
    files: list[str] = []
    left_out: list[LeftOut] = []
    # Columns that a newer agent added are taken from the first file that has them; others must agree with it.
    types = dict(wanted.columns)
    for path in paths:
        if (reason := why_not_named_so(os.path.basename(path))) is not None:
            left_out.append(LeftOut(path, reason))
            continue
        try:
            found = read_footer(path, owners, verify=verify)
        except FileNotFoundError:
            continue
        reason = None if isinstance(found, LeftOut) else why_foreign(path, found, wanted, types)
        if isinstance(found, LeftOut):
            left_out.append(found)
        elif reason is not None:
            left_out.append(LeftOut(path, reason))
        else:
            types.update(found.columns)
            files.append(path)
    return Chosen(files, left_out)


def why_foreign(path: str, footer: Footer, wanted: WantedFiles, types: Mapping[str, str]) -> str | None:
    """Why a whole Parquet file is not one of this table; None: it is. `types` are the columns known so far."""
    if wanted.prefix:
        reason = _why_not_written_here(path, footer, wanted)
        if reason is not None:
            return reason
    types = {**_INSTALL, **types} if wanted.prefix else types
    for name, dtype in footer.columns.items():
        if types.get(name, dtype) != dtype:
            return f"its column {readable(name)} is {dtype}, not {types[name]}"
    return None


def why_not_named_so(name: str) -> str | None:
    """Why no file of this name is read, whatever it holds; None: it may be."""
    # DuckDB takes these for patterns, and text only.
    if any(letter in name for letter in "*?[]"):
        return "its name is a pattern"
    return None if name.isprintable() else "its name has characters that are not printable"


def _why_not_written_here(path: str, footer: Footer, wanted: WantedFiles) -> str | None:
    if not os.path.basename(path).startswith(wanted.prefix):
        return f"its name does not begin with {wanted.prefix}"
    version = footer.marks.get("schema_version", "")
    if footer.marks.get("table") != wanted.table or not (version.isascii() and version.isdecimal() and len(version) < 10):
        return "the agent did not write it for this table"
    named = parse_sealed_name(os.path.basename(path), wanted.prefix)
    if named is None:
        return "its name does not say from when to when its rows are"
    # A copy beside its original would have its rows counted twice: the name ends with the segment.
    if named.segment != footer.marks.get("segment"):
        return "its name is not that of its segment"
    if wanted.install and footer.marks.get("install") != wanted.install:
        return OTHER_INSTALL
    if not wanted.exact:
        return None
    missing = next((name for name in wanted.columns if name not in footer.columns), None)
    if missing is not None and int(version) >= wanted.version:
        return f"it has no column {missing}"
    known = {*wanted.columns, *_INSTALL, *footer.marks.get("foreign_columns", "").split()}
    surplus = next((name for name in footer.columns if name not in known), None)
    if surplus is not None and int(version) <= wanted.version:
        return f"its column {readable(surplus)} is none of the table"
    return None
