"""The agent's tables as views of an in-memory DuckDB: sealed Parquet and open spool in one, each row once.

The database is closed against everything else: no extension is installed or loaded, no file outside the data folder is
read, and its settings are locked before any statement of a user runs.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

import duckdb

from agent.cli.parquet_file import parted
from agent.cli.spool_reader import Part, Spool, read_spool, sealed_files, sealed_tables
from agent.model.table import DType, Table

_SQL_TYPES = {DType.INT64: "BIGINT", DType.FLOAT64: "DOUBLE", DType.UTF8: "VARCHAR", DType.BOOL: "BOOLEAN"}
# Words that look at all tables without naming them.
_LISTING = re.compile(r"\b(show|information_schema|sqlite_master|duckdb_\w+|pragma_\w+)\b", re.IGNORECASE)
# Where a table's rows of the spool lie, out of sight of SHOW TABLES.
_SPOOL_SCHEMA = "spool"


class Warehouse:
    """An open database with the tables that a statement names.

    `tables` are the names of all there are, `damaged` counts what of the spool could not be read, `damaged_files` are
    the sealed files that are left out.
    """

    def __init__(self, connection: "duckdb.DuckDBPyConnection", tables: list[str], damaged: int, damaged_files: list[str]) -> None:
        self.connection = connection
        self.tables = tables
        self.damaged = damaged
        self.damaged_files = damaged_files

    def close(self) -> None:
        """Give the memory back. A statement that nothing could interrupt keeps it until this process ends."""
        with suppress(duckdb.Error):
            self.connection.close()


def open_warehouse(state_dir: str, statement: str, declared: Iterable[Table]) -> Warehouse:
    """A database for one statement. *Raises:* PermissionRefused, StorageError, duckdb.Error."""
    state_dir = os.path.realpath(state_dir)
    known = {table.name: table for table in declared}
    # The spool comes first: of a segment that is sealed from now on, the Parquet files are left out below.
    spool = read_spool(state_dir, cache(lambda name: is_named(name, statement)))
    names = sorted({*known, *spool.forms, *sealed_tables(state_dir)})
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    # It would be drawn into the answer.
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"CREATE SCHEMA {_SPOOL_SCHEMA}")
    damaged = spool.damaged
    damaged_files: list[str] = []
    for name in names:
        if is_named(name, statement):
            files = sealed_files(state_dir, name, spool.segments)
            damaged += _load_spool(connection, name, spool.parts.get(name, []))
            damaged_files += _make_view(connection, name, known.get(name), spool, files)
    connection.execute("CREATE MACRO utc(unix_ns) AS make_timestamp_ns(unix_ns)")
    _close_doors(connection, os.path.join(state_dir, "data"))
    return Warehouse(connection, names, damaged, damaged_files)


def is_named(table: str, statement: str) -> bool:
    """Whether a statement may look at a table: names its word anywhere, or lists all tables."""
    word = rf"(?<!\w){re.escape(table)}(?!\w)"
    return bool(_LISTING.search(statement) or re.search(word, statement, re.IGNORECASE))


def _load_spool(connection: "duckdb.DuckDBPyConnection", name: str, parts: list[Part]) -> int:
    """Copy a table's rows of the spool into the database; how many batches were unreadable."""
    if not parts:
        return 0
    # pyarrow costs 60 ms; without spooled rows of the named tables it is not needed.
    from agent.cli.arrow_rows import arrow_table

    rows, unreadable = arrow_table(parts)
    if rows is not None:
        connection.register("arriving", rows)
        connection.execute(f"CREATE TABLE {_SPOOL_SCHEMA}.{quoted(name)} AS FROM arriving")
        connection.unregister("arriving")
    return unreadable


def _has_spool(connection: "duckdb.DuckDBPyConnection", name: str) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?", [_SPOOL_SCHEMA, name]
    ).fetchone()
    return found is not None and found[0] > 0


def _make_view(
    connection: "duckdb.DuckDBPyConnection", name: str, table: Table | None, spool: Spool, files: list[str]
) -> list[str]:
    """Make the view of a table; the damaged files that are left out of it. *Raises:* PermissionRefused, StorageError."""
    whole, damaged = parted(files)
    has_spool = _has_spool(connection, name)
    try:
        connection.execute(_view(name, table, spool, whole, has_spool=has_spool))
    except duckdb.Error:
        # A footer whose ends are good may be damaged within; DuckDB does not say whose, so each is tried.
        readable = [path for path in whole if _has_readable_footer(connection, path)]
        if readable == whole:
            raise
        unreadable = {*damaged, *whole} - {*readable}
        damaged = [path for path in files if path in unreadable]
        connection.execute(_view(name, table, spool, readable, has_spool=has_spool))
    return damaged


def _has_readable_footer(connection: "duckdb.DuckDBPyConnection", path: str) -> bool:
    try:
        connection.execute(f"DESCRIBE FROM read_parquet({literal(path)})")
    except duckdb.Error:
        return False
    return True


def _view(name: str, table: Table | None, spool: Spool, files: list[str], *, has_spool: bool) -> str:
    """The statement that makes the view of a table: its declared columns first, also when there is no data."""
    sources = []
    form = spool.forms.get(name)
    if table is not None:
        sources.append(_empty([(column.name, column.dtype) for column in table.columns]))
    elif form is not None:
        sources.append(_empty(list(zip(form.names, form.dtypes, strict=True))))
    if files:
        listed = ", ".join(map(literal, files))
        # The date of the folder is no column: it repeats `timestamp`, and the spool has none.
        sources.append(f"SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)")
    if has_spool:
        sources.append(f"SELECT * FROM {_SPOOL_SCHEMA}.{quoted(name)}")
    # A folder of a table that nobody declares and that has no file in it.
    sources = sources or ["SELECT NULL AS empty WHERE false"]
    return f"CREATE VIEW {quoted(name)} AS " + " UNION ALL BY NAME ".join(sources)


def _empty(columns: list[tuple[str, str]]) -> str:
    """A source without rows that has these columns."""
    typed = (f"CAST(NULL AS {_SQL_TYPES.get(DType(dtype), 'VARCHAR')}) AS {quoted(column)}" for column, dtype in columns)
    return f"SELECT {', '.join(typed)} WHERE false"


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever its letters."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def _close_doors(connection: "duckdb.DuckDBPyConnection", data_dir: str) -> None:
    for setting in (
        # Else `SELECT * FROM x` would find variables of this program.
        "python_enable_replacements = false",
        f"allowed_directories = [{literal(data_dir)}]",
        # No spilling: the default is a folder where the user happens to stand.
        "temp_directory = ''",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
