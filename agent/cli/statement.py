"""One statement of a user, run in a `Warehouse` within a deadline: its columns, its rows, its failures in one sentence."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import duckdb

from agent.cli.option import near
from agent.cli.warehouse import Warehouse
from agent.model.errors import BusyError, EvergaugeError, FormatError, MisuseError

FETCH_ROWS = 2_000
# An interrupted statement ends within milliseconds; a bound all the same.
INTERRUPT_SECONDS, INTERRUPT_AGAIN_SECONDS = 2.0, 0.02
# Types whose Python values need other packages (time zones) or lose digits (nanoseconds): DuckDB writes them as text.
_TYPES_AS_TEXT = ("TIME", "DATE", "INTERVAL", "UUID", "BLOB", "BIT")
# What a user can put right in the statement; all else is the data's fault.
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
_UNKNOWN_TABLE = re.compile(r"Table with name (\S+) does not exist")

Row = Sequence[object]
T = TypeVar("T")


class Answer:
    """The names of a result's columns and its rows, fetched as they are read."""

    def __init__(self, clerk: "Clerk", names: list[str]) -> None:
        self.names = names
        self._clerk = clerk

    def rows(self) -> Iterator[Row]:
        """The rows, once. *Raises:* EvergaugeError."""
        while portion := self._clerk.do(lambda connection: connection.fetchmany(FETCH_ROWS)):
            yield from portion


class Clerk:
    """Does DuckDB's work in a thread, so that the deadline and Ctrl-C reach this one whatever DuckDB is at.

    DuckDB 2.0 looks for signals only now and then, and not at all in some operators.
    """

    def __init__(self, warehouse: Warehouse, *, seconds: float, seconds_left: float) -> None:
        self._warehouse = warehouse
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds_left

    def do(self, work: "Callable[[duckdb.DuckDBPyConnection], T]") -> T:
        """What the work gives. *Raises:* EvergaugeError, BusyError behind the deadline, KeyboardInterrupt."""
        outcome: list[T] = []
        failure: list[Exception] = []

        # An event, for Python 3.11 takes a thread for ended whose join was interrupted.
        done = threading.Event()

        def attempt() -> None:
            try:
                outcome.append(work(self._warehouse.connection))
            except Exception as cause:  # noqa: BLE001 - raised again where the work was asked for
                failure.append(cause)
            finally:
                done.set()

        threading.Thread(target=attempt, daemon=True).start()
        try:
            is_in_time = done.wait(max(0.0, self._deadline - time.monotonic()))
        except KeyboardInterrupt:
            self._interrupt(done)
            raise
        if not is_in_time:
            self._interrupt(done)
            raise self._late()
        if outcome:
            return outcome[0]
        if isinstance(failure[0], duckdb.Error):
            raise failure_of(failure[0], self._warehouse.tables) from failure[0]
        raise failure[0]

    def _interrupt(self, done: threading.Event) -> None:
        # Again and again: an interrupt that comes just before DuckDB begins is forgotten.
        give_up = time.monotonic() + INTERRUPT_SECONDS
        while not done.is_set() and time.monotonic() < give_up:
            self._warehouse.connection.interrupt()
            done.wait(INTERRUPT_AGAIN_SECONDS)

    def _late(self) -> BusyError:
        remedy = "ask for a shorter span of `timestamp`, or give --timeout"
        return BusyError("query", f"it took longer than {self._seconds:g} s", remedy)


def answer(warehouse: Warehouse, statement: str, *, seconds: float, seconds_left: float) -> Answer:
    """The answer to a statement; `seconds` is what the user gave, `seconds_left` what is left of it.

    *Raises:* MisuseError for a statement that cannot be run, FormatError for data that cannot be read, BusyError when
    the time is over, KeyboardInterrupt.
    """
    clerk = Clerk(warehouse, seconds=seconds, seconds_left=seconds_left)
    return Answer(clerk, clerk.do(lambda connection: _execute(connection, statement)))


def _execute(connection: "duckdb.DuckDBPyConnection", statement: str) -> list[str]:
    found = connection.extract_statements(statement)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        problem = "nothing but one SELECT is taken" if found else "the statement is empty"
        raise MisuseError("query", problem, "write SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW TABLES")
    text = found[0].query.strip().removesuffix(";")
    types = _described(connection, text)
    if any(dtype.startswith(_TYPES_AS_TEXT) for _, dtype in types):
        names = [name for name, _ in types]
        connection.execute(_as_text(text, [dtype for _, dtype in types]))
        return names
    connection.execute(text)
    return [str(column[0]) for column in connection.description or ()]


def _described(connection: "duckdb.DuckDBPyConnection", text: str) -> list[tuple[str, str]]:
    """Name and type of each column of the answer, without asking for it; nothing where DuckDB cannot tell."""
    try:
        described = connection.execute(f"DESCRIBE {text}").fetchall()
    except duckdb.ParserException:
        # DuckDB 1 does not describe SHOW and DESCRIBE; a statement that is wrong fails again when it is run.
        return []
    return [(str(column[0]), str(column[1])) for column in described]


def _as_text(text: str, types: list[str]) -> str:
    """The statement around another that makes text of the columns whose type asks for it."""
    aliases = [f"column_{index}" for index in range(len(types))]
    chosen = (
        f"CAST({alias} AS VARCHAR)" if dtype.startswith(_TYPES_AS_TEXT) else alias
        for alias, dtype in zip(aliases, types, strict=True)
    )
    # The line break ends a comment that the text may end with.
    return f"SELECT {', '.join(chosen)} FROM ({text}\n) AS answer({', '.join(aliases)})"


def failure_of(cause: Exception, tables: Sequence[str]) -> EvergaugeError:
    """The failure that an error of DuckDB is, with the tables that are alike where one is unknown."""
    problem = first_line(cause)
    unknown = _UNKNOWN_TABLE.search(problem)
    if unknown is not None:
        remedy = near(unknown[1], tables) or f"the tables are {', '.join(tables)}"
        return MisuseError("query", f"there is no table {unknown[1]}", remedy)
    if isinstance(cause, duckdb.PermissionException):
        return MisuseError("query", problem, "only the agent's own tables can be read")
    if isinstance(cause, _FAULTS_OF_STATEMENT):
        return MisuseError("query", problem, "`agentctl schema TABLE` shows the columns")
    remedy = "a damaged Parquet file can be moved out of the data folder"
    if isinstance(cause, duckdb.IOException) and "No files found" in problem:
        return VanishedError("query", problem, remedy)
    return FormatError("query", problem, remedy)


class VanishedError(FormatError):
    """A sealed file went between the look at the folder and the statement: the storage quota removed it, or a person."""


def first_line(cause: Exception) -> str:
    """What an error of DuckDB says, without the picture of the statement and what follows; candidates are kept."""
    lines = [line.strip() for line in str(cause).split("\n\n")[0].splitlines()]
    return " ".join(line for line in lines if line)
