"""The agent's tables as views of an in-memory DuckDB: sealed Parquet and open spool in one, each row once.

The database is closed against everything else before a statement of a user is even planned: no extension is installed or
loaded, and no file outside the data folder is read, except the sealed files that are held open here. Its settings are locked
before the statement runs.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import groupby

import duckdb
from msgspec import Struct

from agent.cli.held_files import DESCRIPTORS_DIR, HeldChoice, HeldFile, HeldFiles
from agent.cli.memory_limit import threads
from agent.cli.query_sketch import SKETCH_MACROS
from agent.cli.query_sketch import WORD as SKETCH_WORD
from agent.cli.query_thread import QueryThread
from agent.cli.query_view import (
    AT_TYPE,
    DERIVED_VIEWS,
    TIMESTAMP,
    UTC_MACRO,
    DerivedView,
    FileGroup,
    ViewParts,
    sql_columns,
    sql_type,
    view_statement,
)
from agent.cli.sealed_listing import list_sealed, reaches_spool
from agent.cli.sql_text import COLUMN_AT, literal, quoted
from agent.cli.statement_bounds import bounds_of_statement
from agent.cli.time_bounds import EVERYTHING, NOTHING, TimeBounds
from agent.model.column_type import DType
from agent.model.errors import BusyError
from agent.model.table import INSTALL_COLUMN, Table
from agent.store.install import read_install
from agent.store.layout import COMPACTING_FOLDER, DATA_FOLDER
from agent.store.left_out import LeftOut
from agent.store.memory_room import import_uncounted
from agent.store.sealed import WantedFiles, owners_of, wanted_of, wanted_of_form
from agent.store.spool_reader import Part, SpoolContents, read_spool, refusal, sealed_tables

# Words that look at all tables without naming them.
_LISTING = re.compile(r"\b(show|information_schema|sqlite_master|duckdb_\w+|pragma_\w+)\b", re.IGNORECASE)
# Where a table's rows of the spool lie, out of sight of SHOW TABLES, and the rows of all times that derived views are made of.
_SPOOL_SCHEMA = "spool"
_DERIVED_FROM = {view.source: view for view in DERIVED_VIEWS}


class QueryRequest(Struct, frozen=True):
    """One question: over which folder, which statement, within which range of time, and how.

    `memory_bytes` is what it may take, None: DuckDB's own limit. `verify`: sealed files are read from end to end first.
    """

    state_dir: str
    statement: str
    span: TimeBounds = EVERYTHING
    memory_bytes: int | None = None
    verify: bool = False


class Earlier(Struct, frozen=True):
    """What earlier attempts at the same question found: the compacted files that there are, and files that DuckDB cannot read."""

    compacted: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()


class MovedError(BusyError):
    """Sealed files went, or were compacted, between the look at the spool and the look at them: the question starts over."""

    def __init__(self, compacted: Iterable[str]) -> None:
        super().__init__("query", "sealed files went while they were looked at", "ask again")
        self.compacted = frozenset(compacted)


class _GoneError(Exception):
    """A sealed file of a table went, or one was compacted that may hold what was read from the spool."""


class QueryDatabase:
    """An open database with the tables that a statement names.

    `tables` are the names of all there are, `damaged` counts what of the spool could not be read, `left_out` are the
    entries of spool and data folder that were not read, `memory_bytes` is the limit, None: DuckDB's own. `thread` runs the
    statement, as `agent.cli.statement` does it.
    """

    def __init__(self, connection: "duckdb.DuckDBPyConnection", held: HeldFiles, memory_bytes: int | None = None) -> None:
        self.connection = connection
        self.memory_bytes = memory_bytes
        self.held = held
        self.thread = QueryThread()
        self.files: list[HeldFile] = []
        self.tables: list[str] = []
        self.damaged = 0
        self.left_out: list[LeftOut] = []

    def unreadable_files(self) -> list[str]:
        """The files whose footer one library reads and DuckDB does not, which does not say whose it is; so each is tried."""
        # Another connection of the database: the one of the statement may be in a transaction that failed.
        with self.connection.cursor() as trial:
            return [file.path for file in self.files if not _is_readable(trial, file)]

    def close(self) -> None:
        """Give the memory back. A statement that nothing could interrupt keeps it until this process ends."""
        self.thread.close()
        with suppress(duckdb.Error):
            self.connection.close()
        self.held.close()


def _is_readable(connection: "duckdb.DuckDBPyConnection", file: HeldFile) -> bool:
    try:
        connection.execute(f"DESCRIBE FROM read_parquet({literal(file.place)})")
    except duckdb.Error:
        return False
    return True


def open_query_database(request: QueryRequest, declared: Iterable[Table], earlier: Earlier | None = None) -> QueryDatabase:
    """A database for one statement.

    *Raises:* MovedError where the question has to start over, PermissionRefused, StorageError, duckdb.Error.
    """
    return _Opening(request, {table.name: table for table in declared}, earlier or Earlier()).open()


class _Opening:
    """One attempt to make the database of a question."""

    def __init__(self, request: QueryRequest, known: Mapping[str, Table], earlier: Earlier) -> None:
        self._request = request
        self._known = known
        self._earlier = earlier
        self._state_dir = os.path.realpath(request.state_dir)
        self._data_dir = os.path.join(self._state_dir, DATA_FOLDER)
        self._install = read_install(self._state_dir) or ""
        self._is_read = cache(self._is_read_by_statement)
        # Tables with rows of several installations.
        self._shared: set[str] = set()

    def open(self) -> QueryDatabase:
        connection, bounds = self._planned()
        database = QueryDatabase(connection, HeldFiles(), self._request.memory_bytes)
        try:
            self._fill(database, bounds)
        except BaseException:
            database.close()
            raise
        return database

    def _is_read_by_statement(self, name: str) -> bool:
        return is_named(name, self._request.statement) or self._derived_from(name) is not None

    def _derived_from(self, name: str) -> DerivedView | None:
        """The view of all rows of a table that the statement may look at."""
        view = _DERIVED_FROM.get(name)
        return view if view is not None and is_named(view.name, self._request.statement) else None

    def _macros(self) -> list[str]:
        return [UTC_MACRO, *(SKETCH_MACROS if SKETCH_WORD in self._request.statement.lower() else ())]

    def _planned(self) -> "tuple[duckdb.DuckDBPyConnection, dict[str, TimeBounds]]":
        """A connection, and the times of the tables that the statement looks at."""
        connection = self._connect()
        tables = {
            name: [(COLUMN_AT, AT_TYPE), *sql_columns(table)]
            for name, table in self._known.items()
            if self._is_read(name) and any(column.name == TIMESTAMP for column in table.columns)
        }
        if not tables or _LISTING.search(self._request.statement):
            return connection, {}
        views = [*self._macros(), *(view.statement(view.source) for view in DERIVED_VIEWS if view.source in tables)]
        bounds = bounds_of_statement(connection, self._request.statement, tables, views)
        # Where planning failed, its transaction did too.
        return (self._connect(), {}) if bounds is None else (connection, bounds)

    def _connect(self) -> "duckdb.DuckDBPyConnection":
        connection = duckdb.connect(":memory:", config=_settings(self._request.memory_bytes))
        # DuckDB asks where a descriptor's file lies now: between its exchange and its removal that is the folder of compaction.
        allowed = (self._data_dir, os.path.join(self._state_dir, COMPACTING_FOLDER), DESCRIPTORS_DIR)
        for setting in (
            # It would be drawn into the answer.
            "enable_progress_bar = false",
            # Else `SELECT * FROM x` would find variables of this program.
            "python_enable_replacements = false",
            f"allowed_directories = [{', '.join(map(literal, allowed))}]",
            "enable_external_access = false",
        ):
            connection.execute(f"SET {setting}")
        return connection

    def _fill(self, database: QueryDatabase, bounds: Mapping[str, TimeBounds]) -> None:
        # The spool comes first: of a segment that is sealed from now on, the Parquet files are left out below.
        spool = read_spool(self._state_dir, self._is_read)
        names = sorted({*self._known, *spool.forms, *sealed_tables(self._state_dir)})
        read = [name for name in names if self._is_read(name)]
        database.damaged = spool.damaged
        database.left_out += spool.left_out
        database.connection.execute(f"CREATE SCHEMA {_SPOOL_SCHEMA}")
        try:
            for name in read:
                self._add(database, name, spool, bounds.get(name, EVERYTHING).both(self._request.span))
        except _GoneError as gone:
            raise MovedError(self._compacted_files(read, spool)) from gone
        # A folder of the user's own keeps its name.
        for view in DERIVED_VIEWS:
            if view.source in names and view.name not in names and self._is_read(view.source):
                database.connection.execute(view.statement(_of_all_times(view.source), is_shared=view.source in self._shared))
                names = sorted([*names, view.name])
        database.tables = names
        for macro in self._macros():
            database.connection.execute(macro)
        database.connection.execute("SET lock_configuration = true")

    def _add(self, database: QueryDatabase, name: str, spool: SpoolContents, bounds: TimeBounds) -> None:
        """Make the view of a table."""
        # An interval of a pod may have begun, and been recorded, long before the times that are asked for.
        wanted = self._wanted(name, spool)
        chosen = self._choose(database, name, wanted, spool, EVERYTHING if self._derived_from(name) else bounds)
        # What is loaded is let go of.
        is_shared = any(part.is_shared for part in spool.parts.get(name, []))
        database.damaged += _load_spool(database.connection, name, spool.parts.get(name, []))
        has_spool = bool(spool.parts.get(name))
        if any(INSTALL_COLUMN in dict(file.columns) for file in chosen.files) or is_shared:
            self._shared.add(name)
        parts = _parts_of(self._known.get(name), chosen.files, spool, name, has_spool=has_spool)
        database.connection.execute(view_statement(quoted(name), parts, bounds))
        if name in _DERIVED_FROM:
            database.connection.execute(view_statement(_of_all_times(name), parts, EVERYTHING))

    def _compacted_files(self, names: Iterable[str], spool: SpoolContents) -> Iterator[str]:
        """Those of all tables of the statement, so that one further attempt knows them all, however many tables there are."""
        for name in names:
            yield from list_sealed(self._state_dir, name, self._wanted(name, spool).prefix, NOTHING, frozenset()).compacted

    def _wanted(self, name: str, spool: SpoolContents) -> WantedFiles:
        if name in self._known:
            return wanted_of(self._known[name], self._install)
        form = spool.forms.get(name)
        # A folder that is none of the agent's tables is the user's own table.
        return WantedFiles(name, "", 0, {}) if form is None else wanted_of_form(name, form, self._install)

    def _choose(
        self, database: QueryDatabase, name: str, wanted: WantedFiles, spool: SpoolContents, bounds: TimeBounds
    ) -> HeldChoice:
        listing = list_sealed(self._state_dir, name, wanted.prefix, bounds, spool.segments)
        if reaches_spool(listing, sorted(spool.segments), self._earlier.compacted):
            raise _GoneError
        paths = [path for path in listing.paths if path not in self._earlier.unreadable]
        chosen = database.held.choose(paths, wanted, owners_of(self._data_dir), verify=self._request.verify)
        if chosen.has_gone:
            raise _GoneError
        _refuse_if_all_are_refused(chosen)
        damaged = [path for path in listing.paths if path in self._earlier.unreadable]
        left_out = [*chosen.left_out, *(LeftOut(path, "its footer is damaged", damaged=True) for path in damaged)]
        database.left_out += sorted(left_out, key=lambda entry: entry.path)
        database.files += chosen.files
        return chosen


def _of_all_times(name: str) -> str:
    return f"{_SPOOL_SCHEMA}.{quoted(f'{name} of all times')}"


def _parts_of(table: Table | None, files: list[HeldFile], spool: SpoolContents, name: str, *, has_spool: bool) -> ViewParts:
    """What the view of a table is made of: its declared columns first, also when there is no data."""
    form = spool.forms.get(name)
    columns: list[tuple[str, str]] = []
    if table is not None:
        columns = list(sql_columns(table))
    elif form is not None:
        columns = [(column, sql_type(dtype)) for column, dtype in zip(form.names, form.dtypes, strict=True)]
    names = {column for column, _ in columns} | {column for file in files for column, _ in file.columns}
    # The user's own tables may have times of another kind, and a column of our name.
    is_whole = (TIMESTAMP, sql_type(DType.INT64)) in columns or any((TIMESTAMP, DType.INT64) in file.columns for file in files)
    by_columns = groupby(sorted(files, key=lambda file: (file.columns, file.path)), key=lambda file: file.columns)
    sources = tuple(FileGroup(of_group, tuple(file.place for file in group)) for of_group, group in by_columns)
    spooled = f"{_SPOOL_SCHEMA}.{quoted(name)}" if has_spool else None
    return ViewParts(columns, sources, spooled, is_whole and COLUMN_AT not in names)


def _refuse_if_all_are_refused(chosen: HeldChoice) -> None:
    """Refuse an empty answer where this user may read none of the files. *Raises:* PermissionRefused."""
    if not chosen.files and any(entry.refused for entry in chosen.left_out):
        first = next(entry for entry in chosen.left_out if entry.refused)
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
    """Copy a table's rows of the spool into the database; how many batches and rows were unreadable."""
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
    return portions.unreadable + portions.bad_rows
