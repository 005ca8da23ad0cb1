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

from agent.cli.memory_limit import threads
from agent.model.column_type import DType
from agent.model.table import Table
from agent.store.left_out import LeftOut
from agent.store.memory_room import import_uncounted
from agent.store.sealed import Chosen, Wanted, choose, owners_of, wanted_of, wanted_of_form
from agent.store.spool_reader import Part, Spool, read_spool, refusal, sealed_files, sealed_tables

_SQL_TYPES = {DType.INT64: "BIGINT", DType.FLOAT64: "DOUBLE", DType.UTF8: "VARCHAR", DType.BOOL: "BOOLEAN"}
# Words that look at all tables without naming them.
_LISTING = re.compile(r"\b(show|information_schema|sqlite_master|duckdb_\w+|pragma_\w+)\b", re.IGNORECASE)
# Where a table's rows of the spool lie, out of sight of SHOW TABLES.
_SPOOL_SCHEMA = "spool"

# The view that says of a moment which pod was what, and what it is made from.
PODS, PODS_FROM = "pod", "pod_group"
# Each interval once, by the last row that was written of it. Where the agent ended before it could close one, the pod's
# next ends it. A name that came later counts from the beginning, one that nobody told any more goes on.
_PODS_VIEW = f"""
CREATE VIEW {PODS} AS
WITH told AS (
    SELECT *, coalesce(pod_namespace || '/', '') || pod_name AS told_name FROM {PODS_FROM}
    QUALIFY row_number() OVER (PARTITION BY pod_uid, valid_from ORDER BY timestamp DESC, valid_until DESC NULLS LAST) = 1)
SELECT pod_uid,
       coalesce(first_value(told_name IGNORE NULLS) OVER later, last_value(told_name IGNORE NULLS) OVER earlier, pod_uid) AS name,
       valid_from, least(valid_until, lead(valid_from) OVER (PARTITION BY pod_uid ORDER BY valid_from)) AS valid_until,
       * EXCLUDE (pod_uid, valid_from, valid_until, timestamp, told_name)
FROM told
WINDOW later AS (PARTITION BY pod_uid ORDER BY valid_from ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
       earlier AS (PARTITION BY pod_uid ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
"""


class QueryDatabase:
    """An open database with the tables that a statement names.

    `tables` are the names of all there are, `damaged` counts what of the spool could not be read, `left_out` are the
    entries of spool and data folder that were not read, `memory_bytes` is the limit, None: DuckDB's own.
    """

    def __init__(
        self,
        connection: "duckdb.DuckDBPyConnection",
        tables: list[str],
        damaged: int,
        left_out: list[LeftOut],
        memory_bytes: int | None = None,
    ) -> None:
        self.connection = connection
        self.memory_bytes = memory_bytes
        self.tables = tables
        self.damaged = damaged
        self.left_out = left_out

    def close(self) -> None:
        """Give the memory back. A statement that nothing could interrupt keeps it until this process ends."""
        with suppress(duckdb.Error):
            self.connection.close()


def open_query_database(
    state_dir: str, statement: str, declared: Iterable[Table], memory_bytes: int | None = None, *, verify: bool = False
) -> QueryDatabase:
    """A database for one statement, which may take so much memory. `verify`: sealed files are read from end to end first.

    *Raises:* PermissionRefused, StorageError, duckdb.Error.
    """
    state_dir = os.path.realpath(state_dir)
    known = {table.name: table for table in declared}
    # The spool comes first: of a segment that is sealed from now on, the Parquet files are left out below.
    is_read = cache(lambda name: is_named(name, statement) or (name == PODS_FROM and is_named(PODS, statement)))
    spool = read_spool(state_dir, is_read)
    names = sorted({*known, *spool.forms, *sealed_tables(state_dir)})
    connection = duckdb.connect(":memory:", config=_settings(memory_bytes))
    # It would be drawn into the answer.
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"CREATE SCHEMA {_SPOOL_SCHEMA}")
    damaged = spool.damaged
    left_out = list(spool.left_out)
    owners = owners_of(os.path.join(state_dir, "data"))
    for name in names:
        if is_read(name):
            wanted = _wanted(name, known.get(name), spool)
            sealed = choose(sealed_files(state_dir, name, spool.segments), wanted, owners, verify=verify)
            _refuse_if_all_are_refused(sealed)
            damaged += _load_spool(connection, name, spool.parts.get(name, []))
            left_out += _make_view(connection, name, known.get(name), spool, sealed)
    # A folder of the user's own keeps its name.
    if PODS_FROM in names and PODS not in names and is_read(PODS_FROM):
        connection.execute(_PODS_VIEW)
        names = sorted([*names, PODS])
    connection.execute("CREATE MACRO utc(unix_ns) AS make_timestamp_ns(unix_ns)")
    _close_doors(connection, os.path.join(state_dir, "data"))
    return QueryDatabase(connection, names, damaged, left_out, memory_bytes)


def _wanted(name: str, table: Table | None, spool: Spool) -> Wanted:
    if table is not None:
        return wanted_of(table)
    form = spool.forms.get(name)
    # A folder that is none of the agent's tables is the user's own table.
    return Wanted(name, "", 0, {}) if form is None else wanted_of_form(name, form)


def _refuse_if_all_are_refused(sealed: Chosen) -> None:
    """An empty answer would be a lie where this user may read nothing. *Raises:* PermissionRefused."""
    if not sealed.files and any(entry.refused for entry in sealed.left_out):
        first = next(entry for entry in sealed.left_out if entry.refused)
        raise refusal(first.path, PermissionError())


def _settings(memory_bytes: int | None) -> dict[str, str | bool | int | float | list[str]]:
    """What holds from the first row of the spool on."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        # No spilling: the default is a folder where the user happens to stand, and whatever lies there outlives a SIGKILL.
        "temp_directory": "",
        "threads": str(threads()),
    }
    if memory_bytes is not None:
        # The rest of the limit is for what DuckDB does not count.
        settings["memory_limit"] = f"{memory_bytes * 3 // 4} B"
    return settings


def is_named(table: str, statement: str) -> bool:
    """Whether a statement may look at a table: names its word anywhere, or lists all tables."""
    word = rf"(?<!\w){re.escape(table)}(?!\w)"
    return bool(_LISTING.search(statement) or re.search(word, statement, re.IGNORECASE))


def _load_spool(connection: "duckdb.DuckDBPyConnection", name: str, parts: list[Part]) -> int:
    """Copy a table's rows of the spool into the database; how many batches were unreadable."""
    if not parts:
        return 0
    # pyarrow costs 60 ms; without spooled rows of the named tables it is not needed.
    import_uncounted("pyarrow")
    from agent.store.arrow import Portions

    portions = Portions(parts)
    target = f"{_SPOOL_SCHEMA}.{quoted(name)}"
    connection.register("decoded", portions.schema().empty_table())
    connection.execute(f"CREATE TABLE {target} AS FROM decoded")
    connection.unregister("decoded")
    for rows in portions:
        connection.register("decoded", rows)
        connection.execute(f"INSERT INTO {target} BY NAME FROM decoded")
        connection.unregister("decoded")
    return portions.unreadable


def _has_spool(connection: "duckdb.DuckDBPyConnection", name: str) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?", [_SPOOL_SCHEMA, name]
    ).fetchone()
    return found is not None and found[0] > 0


def _make_view(
    connection: "duckdb.DuckDBPyConnection", name: str, table: Table | None, spool: Spool, sealed: Chosen
) -> list[LeftOut]:
    """Make the view of a table; what is left out of it. *Raises:* duckdb.Error."""
    has_spool = _has_spool(connection, name)
    try:
        connection.execute(_view(name, table, spool, sealed.files, has_spool=has_spool))
    except duckdb.Error:
        # A footer that one library reads may be none to DuckDB, which does not say whose it is; so each is tried.
        readable = [path for path in sealed.files if _has_readable_footer(connection, path)]
        if readable == sealed.files:
            raise
        connection.execute(_view(name, table, spool, readable, has_spool=has_spool))
        unreadable = [LeftOut(path, "its footer is damaged", damaged=True) for path in sealed.files if path not in {*readable}]
        return sorted([*sealed.left_out, *unreadable], key=lambda entry: entry.path)
    return sealed.left_out


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
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
