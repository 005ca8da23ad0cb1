"""One statement of a user, run in a `QueryDatabase`: its columns, its rows as they come, its failures in one sentence.

There is no deadline while rows flow: the timeout runs from one portion of rows to the next.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import duckdb

from agent.cli.memory_limit import shown
from agent.cli.option import near
from agent.cli.progress import Progress
from agent.cli.query_database import QueryDatabase
from agent.model.errors import BusyError, EvergaugeError, FormatError, MisuseError
from agent.store.memory_room import ARROW_CALL_BYTES, import_uncounted, need_room

FETCH_ROWS, BATCH_ROWS = 2_000, 20_000
# An interrupted statement ends within milliseconds; the wait still has a limit.
INTERRUPT_SECONDS, INTERRUPT_AGAIN_SECONDS = 2.0, 0.02
# How often the progress may be drawn while nothing comes.
DRAW_SECONDS = 0.25
# Types whose Python values need other packages (time zones) or lose digits (nanoseconds): DuckDB writes them as text.
_TYPES_AS_TEXT = ("TIME", "DATE", "INTERVAL", "UUID", "BLOB", "BIT")
# Types that Parquet cannot hold, or that would come as unreadable bytes.
_TYPES_AS_TEXT_IN_ARROW = ("INTERVAL", "UUID", "BIT", "TIME WITH TIME ZONE")
# What a user can correct in the statement; all other failures are of the data.
_FAULTS_OF_STATEMENT = (
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException,
    duckdb.NotImplementedException,
    duckdb.PermissionException,
)
_NO_MEMORY = re.compile(r"bad allocation|failed to allocate|could not allocate|malloc of size|failed: MemoryError\b", re.IGNORECASE)
_UNKNOWN_TABLE = re.compile(r"Table with name (\S+) does not exist")

Row = Sequence[object]
T = TypeVar("T")


class QueryAnswer:
    """The names of a result's columns and its rows or batches, fetched as they are read. `progress` counts the rows."""

    def __init__(self, runner: "QueryRunner", asked: "Asked", progress: Progress) -> None:
        self.names = asked.names
        self.progress = progress
        self._runner = runner
        self._reader = asked.reader
        self._first: Any = None

    def read_first(self) -> None:
        """Read the first portion now: what fails before any row was given can be asked again. *Raises:* EvergaugeError."""
        self._first = self._portion() if self._reader is None else self._batch()

    def rows(self) -> Iterator[Row]:
        """The rows, once. *Raises:* EvergaugeError."""
        portion, self._first = self._first, None
        while portion:
            yield from portion
            portion = self._portion()

    def _portion(self) -> Sequence[Row]:
        portion = self._runner.do(lambda connection: connection.fetchmany(FETCH_ROWS))
        if portion:
            self._arrived(len(portion))
        return portion

    @property
    def schema(self) -> Any:
        """The columns as Arrow has them, where it was asked for batches."""
        return self._reader.schema

    def batches(self) -> Iterator[Any]:
        """The rows as Arrow's batches, where it was asked for these. *Raises:* EvergaugeError."""
        batch, self._first = self._first, None
        while batch is not None:
            yield batch
            batch = self._batch()

    def _batch(self) -> Any:
        batch = self._runner.do(self._next_batch)
        if batch is not None:
            self._arrived(batch.num_rows)
        return batch

    def _next_batch(self, _: object) -> Any:
        need_room(ARROW_CALL_BYTES)
        return next(self._reader, None)

    def _arrived(self, rows: int) -> None:
        self._runner.begin_again()
        self.progress.add(rows)


class Asked(NamedTuple):
    """A statement that was begun: the names of its columns, and what gives batches where these are wanted."""

    names: list[str]
    reader: Any = None


class QueryRunner:
    """Runs DuckDB in the database's thread, so that the deadline and Ctrl-C work whatever DuckDB does.

    DuckDB 2.0 checks for signals only now and then, and never in some operators.
    """

    def __init__(self, database: QueryDatabase, *, seconds: float, seconds_left: float, progress: Progress) -> None:
        self._database = database
        self._seconds = seconds
        self._progress = progress
        self._deadline: float | None = time.monotonic() + seconds_left

    def begin_again(self) -> None:
        """Rows came: the timeout starts again with the next fetch, and does not run while the caller reads the rows."""
        self._deadline = None

    def do(self, work: "Callable[[duckdb.DuckDBPyConnection], T]") -> T:
        """The result of the work. *Raises:* EvergaugeError, BusyError after the deadline, KeyboardInterrupt."""
        outcome: list[T] = []
        failure: list[Exception] = []

        def attempt() -> None:
            try:
                outcome.append(work(self._database.connection))
            except Exception as cause:  # noqa: BLE001 - raised again where the work was asked for
                failure.append(cause)

        done = self._database.thread.begin(attempt)
        try:
            is_in_time = self._wait(done)
        except KeyboardInterrupt:
            self._interrupt(done)
            raise
        if not is_in_time:
            self._interrupt(done)
            raise self._late()
        if outcome:
            return outcome[0]
        if isinstance(failure[0], duckdb.Error):
            raise failure_of(failure[0], self._database) from failure[0]
        raise failure[0]

    def _wait(self, done: threading.Event) -> bool:
        """Whether it is done before the deadline; the progress is drawn meanwhile."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._seconds
        while not done.wait(max(0.0, min(DRAW_SECONDS, self._deadline - time.monotonic()))):
            if time.monotonic() >= self._deadline:
                return False
            self._progress.draw()
        return True

    def _interrupt(self, done: threading.Event) -> None:
        # Repeatedly: DuckDB forgets an interrupt that comes just before it begins.
        give_up = time.monotonic() + INTERRUPT_SECONDS
        while not done.is_set() and time.monotonic() < give_up:
            self._database.connection.interrupt()
            done.wait(INTERRUPT_AGAIN_SECONDS)

    def _late(self) -> BusyError:
        remedy = "ask for a shorter span of `timestamp`, or give --timeout"
        return BusyError("query", f"it took longer than {self._seconds:g} s until a row came", remedy)


def answer(
    database: QueryDatabase, statement: str, *, seconds: float, seconds_left: float, progress: Progress, as_arrow: bool = False
) -> QueryAnswer:
    """The answer to a statement; `seconds` is what the user gave, `seconds_left` what is left of it until the first rows.

    `as_arrow`: it is read as batches, and Arrow has a value for what Python needs other packages for.
    *Raises:* MisuseError for a statement that cannot run, FormatError for data that cannot be read, BusyError at the
    deadline, KeyboardInterrupt.
    """
    runner = QueryRunner(database, seconds=seconds, seconds_left=seconds_left, progress=progress)
    answered = QueryAnswer(runner, runner.do(lambda connection: _execute(connection, statement, as_arrow=as_arrow)), progress)
    answered.read_first()
    return answered


def _execute(connection: "duckdb.DuckDBPyConnection", statement: str, *, as_arrow: bool) -> Asked:
    try:
        statement.encode()
    except UnicodeEncodeError as cause:
        raise MisuseError("query", "the statement is no text in UTF-8", "write its names and values in UTF-8") from cause
    found = connection.extract_statements(statement)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        problem = "nothing but one SELECT is taken" if found else "the statement is empty"
        raise MisuseError("query", problem, "write SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW TABLES")
    text = found[0].query.strip().removesuffix(";")
    types = _described(connection, text)
    types_as_text = _TYPES_AS_TEXT_IN_ARROW if as_arrow else _TYPES_AS_TEXT
    names = [name for name, _ in types]
    is_wrapped = any(dtype.startswith(types_as_text) for _, dtype in types)
    if is_wrapped:
        text = _as_text(text, [dtype for _, dtype in types], types_as_text)
    if as_arrow:
        import_uncounted("pyarrow")
        # `execute` would copy the whole answer before it gives the first batch.
        reader = _reader_of(connection.sql(text))
        return Asked(names if is_wrapped else list(reader.schema.names), reader)
    connection.execute(text)
    return Asked(names if is_wrapped else [str(column[0]) for column in connection.description or ()])


def _reader_of(relation: Any) -> Any:
    # DuckDB 1 has another name for it.
    make = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    return make(BATCH_ROWS)


def _described(connection: "duckdb.DuckDBPyConnection", text: str) -> list[tuple[str, str]]:
    """Name and type of each column of the answer, without asking for it; nothing where DuckDB cannot tell."""
    try:
        described = connection.execute(f"DESCRIBE {text}").fetchall()
    except duckdb.ParserException:
        # DuckDB 1 does not describe SHOW and DESCRIBE; a wrong statement fails again when it runs.
        return []
    return [(str(column[0]), str(column[1])) for column in described]


def _as_text(text: str, types: list[str], types_as_text: tuple[str, ...]) -> str:
    """The statement around another that makes text of the columns whose type asks for it."""
    aliases = [f"column_{index}" for index in range(len(types))]
    chosen = (_value(alias, dtype, types_as_text) for alias, dtype in zip(aliases, types, strict=True))
    # The line break ends a comment that the text may end with.
    return f"SELECT {', '.join(chosen)} FROM ({text}\n) AS answer({', '.join(aliases)})"


def _value(alias: str, dtype: str, types_as_text: tuple[str, ...]) -> str:
    if not dtype.startswith(types_as_text):
        return alias
    # As JSON documents have bytes everywhere; DuckDB's own writing is one of its own.
    return f"to_base64({alias})" if dtype == "BLOB" else f"CAST({alias} AS VARCHAR)"


def failure_of(cause: Exception, database: QueryDatabase) -> EvergaugeError:
    """The failure that an error of DuckDB is, with the tables that are alike where one is unknown."""
    problem = database.held.paths_in(first_line(cause))
    if _is_for_memory(cause):
        return too_large(database.memory_bytes)
    tables = database.tables
    unknown = _UNKNOWN_TABLE.search(problem)
    if unknown is not None:
        remedy = near(unknown[1], tables) or f"the tables are {', '.join(tables)}"
        return MisuseError("query", f"there is no table {unknown[1]}", remedy)
    if isinstance(cause, duckdb.PermissionException):
        return MisuseError("query", problem, "only the agent's own tables can be read")
    if isinstance(cause, _FAULTS_OF_STATEMENT):
        return MisuseError("query", problem, "`agentctl schema TABLE` shows the columns")
    remedy = "a damaged Parquet file can be moved out of the data folder"
    if isinstance(cause, duckdb.IOException) and ("No files found" in problem or "No such file" in problem):
        return VanishedError("query", problem, remedy)
    return FormatError("query", problem, remedy)


class VanishedError(FormatError):
    """A sealed file was removed between the listing of its folder and the statement, by the storage quota or by a person."""


def failure_of_opening(cause: Exception, state_dir: str, memory_bytes: int | None) -> EvergaugeError:
    """The failure of making the tables, before any statement of the user has run: the spool is read into memory."""
    if _is_for_memory(cause):
        problem = f"what waits in the spool needs more memory than {_memory(memory_bytes)}"
        return MisuseError("query", problem, "`agentctl rotate` makes Parquet of it, which needs none; or give --memory-limit SIZE")
    return FormatError(state_dir, first_line(cause), "a damaged Parquet file can be moved out of the data folder")


def _is_for_memory(cause: Exception) -> bool:
    """Whether memory was refused; some of DuckDB's errors wrap that in another kind."""
    return isinstance(cause, duckdb.OutOfMemoryException | MemoryError) or _NO_MEMORY.search(str(cause)) is not None


def too_large(memory_bytes: int | None) -> MisuseError:
    """What to do about a question that needs more memory than it may have."""
    remedy = "ask for less at once (a shorter span of `timestamp`, fewer columns or groups), or give --memory-limit SIZE"
    return MisuseError("query", f"it needs more memory than {_memory(memory_bytes)}", remedy)


def _memory(limit_bytes: int | None) -> str:
    return "this machine has" if limit_bytes is None else f"its limit of {shown(limit_bytes)}"


def first_line(cause: Exception) -> str:
    """What an error of DuckDB says, without the marked statement and what follows. Candidates are kept."""
    lines = [line.strip() for line in str(cause).split("\n\n")[0].splitlines()]
    return " ".join(line for line in lines if line)
