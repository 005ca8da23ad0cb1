"""The command query: one SELECT over the agent's tables, with or without a running agent."""

from collections.abc import Iterable, Sequence
from itertools import islice

from agent.cli.call import Call
from agent.cli.option import WHOLE, Argument, Command, Option
from agent.cli.render import Column, counted, cut, text_of
from agent.model.errors import FormatError, MisuseError, UnavailableError

# `agentctl --help` imports this module: DuckDB itself is imported by the first query.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.statement import Answer
    from agent.cli.warehouse import Warehouse

QUERY_SECONDS = 60.0
# A storage quota removes files a few times an hour at most, and a query that has begun to read is not harmed.
ATTEMPTS = 3
TABLE_ROWS = 1_000
# A table is laid out as a whole; beyond this the stream of CSV or JSON is the way.
TABLE_ROWS_MAX = 100_000
# So wide a value on a terminal helps nobody; pipes and files have it whole.
CELL_COLUMNS = 60


def query(call: Call) -> int:
    """`agentctl query SQL`."""
    chosen = "json" if call.wants_json else call.text("--format") or "table"
    rows_max = call.whole("--max-rows", TABLE_ROWS)
    if not 0 < rows_max <= TABLE_ROWS_MAX:
        raise MisuseError("--max-rows", f"{rows_max} is not accepted", f"write 1 to {TABLE_ROWS_MAX}, or use --format csv")
    statement, state_dir = call.words[0], call.state_dir()
    # It brings msgspec, which the help of the program need not wait for.
    from agent.cli.spool_reader import check_state_dir

    check_state_dir(state_dir)
    try:
        import duckdb

        from agent.cli.statement import VanishedError, answer, first_line
        from agent.cli.warehouse import open_warehouse
    except ImportError as cause:
        raise UnavailableError("query", f"a package is missing ({cause})", "install duckdb and pyarrow beside it") from cause
    from workers.catalogue import tables

    for attempt in range(ATTEMPTS):
        try:
            warehouse = open_warehouse(state_dir, statement, tables())
        except duckdb.Error as cause:
            raise FormatError(state_dir, first_line(cause), "a damaged Parquet file can be moved out of the data folder") from cause
        try:
            answered = answer(warehouse, statement, seconds=call.timeout_seconds, seconds_left=call.seconds_left())
            _warn_of_damage(call, warehouse)
            _show(call, answered, chosen, rows_max)
            return 0
        except VanishedError:
            if attempt == ATTEMPTS - 1:
                raise
        finally:
            warehouse.close()
    raise AssertionError("the last attempt answers or raises")


def _show(call: Call, answered: "Answer", form: str, rows_max: int) -> None:
    if form == "table":
        show_table(call, answered, rows_max)
    elif form == "csv":
        show_csv(call, answered)
    else:
        show_json(call, answered)


def _warn_of_damage(call: Call, warehouse: "Warehouse") -> None:
    if warehouse.damaged:
        left_out = counted(warehouse.damaged, "damaged record")
        call.warn(f"query: {left_out} of the spool left out; table gap tells what is missing")
    from agent.cli.left_out import warnings_of

    for line in warnings_of(warehouse.left_out):
        call.warn(f"query: {line}")


def show_table(call: Call, answered: "Answer", rows_max: int) -> None:
    """Print at most so many rows, and whether there are more."""
    rows = answered.rows()
    shown = list(islice(rows, rows_max))
    is_cut = next(rows, None) is not None
    # Numbers stand right; a column is one of numbers when its first known value is.
    firsts = [next((row[index] for row in shown if row[index] is not None), None) for index in range(len(answered.names))]
    columns = [
        Column(text_of(name), right=_is_number(first), yields=not _is_number(first))
        for name, first in zip(answered.names, firsts, strict=True)
    ]
    columns_max = CELL_COLUMNS if call.output.isatty() else None
    call.show_table(columns, [[_cell(value, columns_max) for value in row] for row in shown])
    if is_cut:
        call.show([f"… more than {rows_max} rows; --max-rows N shows more of them, --format csv all"])


def _is_number(value: object) -> bool:
    return type(value).__name__ in ("int", "float", "Decimal")


def _cell(value: object, columns_max: int | None) -> str:
    # Six digits behind the point are finer than anything that is measured here.
    text = f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else text_of(value)
    return text if columns_max is None else cut(text, columns_max)


def show_csv(call: Call, answered: "Answer") -> None:
    """Print all rows as CSV with a line of names; absent values are empty."""
    import csv

    writer = csv.writer(call.output, lineterminator="\n")
    writer.writerow(answered.names)
    writer.writerows(answered.rows())


def show_json(call: Call, answered: "Answer") -> None:
    """Print all rows as one JSON array of objects, row by row."""
    import json

    names = _unique(answered.names)
    separator = "["
    for row in answered.rows():
        document = dict(zip(names, map(_json_value, row), strict=True))
        call.output.write(separator + json.dumps(document, default=str))
        separator = ",\n"
    call.output.write("[]\n" if separator == "[" else "]\n")


def _unique(names: Iterable[str]) -> Sequence[str]:
    """The names, equal ones numbered: a JSON object holds each once."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique


def _json_value(value: object) -> object:
    """The value as JSON can hold it: exact numbers as numbers; what is not finite has no number in JSON and is null."""
    from decimal import Decimal

    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


COMMANDS = (
    Command(
        "query",
        query,
        about="one SELECT over all data, sealed files and open spool alike; the agent need not run",
        details="""\
The tables are those of `agentctl schema`. The language is DuckDB's. Nothing is changed, no other file is read.
`timestamp` is unix time in nanoseconds; utc(timestamp) makes it readable, and a span is counted in nanoseconds:
60e9 are a minute. CPU and bytes are as the kernel tells them; absent values are null, never 0.""",
        arguments=(Argument("SQL", "one statement: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW TABLES"),),
        options=(
            Option("--format", "FORMAT", "table (default), csv, or json: one array", choices=("table", "csv", "json")),
            Option("--max-rows", "N", f"at most so many rows of a table (default {TABLE_ROWS})", kind=WHOLE),
        ),
        examples=(
            "# Who used most CPU in the last minute, in seconds of one core?",
            'agentctl query "SELECT pid, any_value(comm) AS command, sum(cpu_ns) / 1e9 AS cpu_seconds FROM process',
            "    WHERE timestamp > (SELECT max(timestamp) FROM process) - 60e9",
            '    GROUP BY pid, start_ticks ORDER BY cpu_seconds DESC NULLS LAST LIMIT 10"',
            "# The resident memory of each pod in its last sample, by name, with all its processes:",
            'agentctl query "WITH latest AS (SELECT max(timestamp) AS t FROM process),',
            "    named AS (SELECT pod_uid, arg_max(coalesce(pod_name, pod_uid), timestamp) AS pod FROM pod_group GROUP BY ALL),",
            "    held AS (SELECT pod_uid, rss_bytes FROM process, latest WHERE timestamp = t",
            "             UNION ALL SELECT pod_uid, rss_bytes FROM process_tail, latest WHERE timestamp = t)",
            "    SELECT pod, round(sum(rss_bytes) / 1048576, 1) AS rss_mib FROM held LEFT JOIN named USING (pod_uid)",
            '    GROUP BY pod ORDER BY rss_mib DESC"',
            "# What is missing, and why?",
            'agentctl query "SELECT utc(timestamp) AS at, worker, reason, rows FROM gap ORDER BY timestamp DESC"',
        ),
        timeout_seconds=QUERY_SECONDS,
    ),
)
