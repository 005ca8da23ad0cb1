"""The command query: one SELECT over the agent's tables, with or without a running agent."""

from contextlib import suppress

from agent.cli.call import Call
from agent.cli.option import SWITCH, WHOLE, Argument, Command, Option
from agent.cli.render import counted
from agent.model.errors import MisuseError, UnavailableError

# `agentctl --help` imports this module: DuckDB itself is imported by the first query.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.progress import Progress
    from agent.cli.query_database import Earlier, QueryDatabase, QueryRequest
    from agent.cli.statement import QueryAnswer
    from agent.cli.time_bounds import TimeBounds

# Longest time without a row, after which a query is given up.
QUERY_SECONDS = 60.0
# Open files cannot go, and a storage quota and compaction remove others a few times an hour; where a long history is compacted for
# the first time, about once a second.
ATTEMPTS = 6
TABLE_ROWS = 1_000
# A table is laid out as a whole; beyond this the stream of CSV or JSON is the way.
TABLE_ROWS_MAX = 100_000
# The endings of files that say their format, and all formats.
FORMAT_BY_ENDING = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".arrow": "arrow", ".parquet": "parquet"}
FORMATS = ("table", *FORMAT_BY_ENDING.values())
BINARY_FORMATS = ("arrow", "parquet")


def query(call: Call) -> int:
    """`agentctl query SQL`. *Raises:* EvergaugeError with a sentence and an exit code."""
    form = _format(call)
    rows_max = call.whole("--max-rows", TABLE_ROWS)
    if not 0 < rows_max <= TABLE_ROWS_MAX:
        raise MisuseError("--max-rows", f"{rows_max} is not accepted", f"write 1 to {TABLE_ROWS_MAX}, or use --format csv")
    state_dir = call.state_dir()
    # It brings msgspec, which the help of the program need not wait for.
    from agent.cli.memory_limit import VARIABLE, held_to, limit_bytes
    from agent.cli.span import span_of
    from agent.cli.state_dir import check_state_dir

    span = span_of(call)
    memory_bytes = limit_bytes(call.text("--memory-limit"), call.environment.get(VARIABLE))
    check_state_dir(state_dir)
    try:
        # It is here before memory is counted.
        from agent.cli.statement import too_large
    except ImportError as cause:
        raise UnavailableError("query", f"a package is missing ({cause})", "install duckdb and pyarrow beside it") from cause
    try:
        with held_to(memory_bytes):
            _answer(call, _request(call, state_dir, span, memory_bytes), form, rows_max)
    except MemoryError as cause:
        # Arrow's and Python's own; what DuckDB says of it is a failure already.
        raise too_large(memory_bytes) from cause
    return 0


def _format(call: Call) -> str:
    """The format that is asked for: by an option, or by the ending of the file. *Raises:* MisuseError."""
    path = call.text("--output")
    named = "json" if call.wants_json else call.text("--format")
    if named is None and path is not None:
        named = next((form for ending, form in FORMAT_BY_ENDING.items() if path.endswith(ending)), None)
        if named is None:
            raise MisuseError("--output", "the name does not tell the format", "give --format too, or end the name in .parquet")
    form = named or "table"
    if form == "table" and path is not None:
        raise MisuseError("--output", "a table is for eyes", f"write --format {', '.join(FORMATS[1:-1])} or {FORMATS[-1]}")
    if form in BINARY_FORMATS and path is None and call.output.isatty():
        raise MisuseError("--format", f"{form} is not for a terminal", "write it into a file with --output FILE, or into a pipe")
    return form


def _request(call: Call, state_dir: str, span: "TimeBounds", memory_bytes: int) -> "QueryRequest":
    from agent.cli.query_database import QueryRequest
    from agent.cli.sql_text import with_quoted_at
    from agent.cli.statement_bounds import tokens_of

    statement = call.words[0]
    # A text that is none in UTF-8 is refused when it is run.
    with suppress(UnicodeEncodeError):
        statement.encode()
        statement = with_quoted_at(statement, tokens_of(statement))
    return QueryRequest(state_dir, statement, span, memory_bytes, verify=call.has("--verify"))


def _answer(call: Call, request: "QueryRequest", form: str, rows_max: int) -> None:
    from agent.cli.answer_output import show
    from agent.cli.progress import progress_for

    output = call.output if call.text("--output") is None else None
    progress = progress_for(call.warnings, output, call.environment.get("TERM"), "rows")
    database, answered = _asked(call, request, progress, as_arrow=form in BINARY_FORMATS)
    try:
        _warn_of_damage(call, database)
        show(call, answered, form, rows_max)
    finally:
        progress.end()
        database.close()


def _asked(call: Call, request: "QueryRequest", progress: "Progress", *, as_arrow: bool) -> "tuple[QueryDatabase, QueryAnswer]":
    """The open database and the answer, before any row is read. *Raises:* EvergaugeError."""
    from agent.cli.query_database import Earlier, MovedError
    from agent.cli.statement import VanishedError
    from agent.model.errors import FormatError

    earlier = Earlier()
    for attempt in range(ATTEMPTS):
        is_last = attempt == ATTEMPTS - 1
        try:
            database = _opened(call, request, earlier)
        except MovedError as moved:
            if is_last:
                raise
            earlier = Earlier(earlier.compacted | moved.compacted, earlier.unreadable)
            continue
        try:
            return database, _begun(call, database, request, progress, as_arrow=as_arrow)
        except BaseException as failure:
            progress.end()
            # Looked for once: each file is opened for it.
            unreadable = database.unreadable_files() if isinstance(failure, FormatError) and not earlier.unreadable else []
            database.close()
            if is_last or not (unreadable or isinstance(failure, VanishedError)):
                raise
            earlier = Earlier(earlier.compacted, frozenset(unreadable))
    raise AssertionError("the last attempt answers or raises")


def _opened(call: Call, request: "QueryRequest", earlier: "Earlier") -> "QueryDatabase":
    """*Raises:* MovedError where the question has to start over, EvergaugeError."""
    import duckdb

    from agent.cli import query_database
    from agent.cli.statement import failure_of_opening
    from workers.registry import tables

    try:
        return query_database.open_query_database(request, tables(), earlier)
    except (duckdb.Error, MemoryError) as cause:
        raise failure_of_opening(cause, request.state_dir, request.memory_bytes) from cause


def _begun(
    call: Call, database: "QueryDatabase", request: "QueryRequest", progress: "Progress", *, as_arrow: bool
) -> "QueryAnswer":
    from agent.cli.statement import answer

    return answer(
        database,
        request.statement,
        seconds=call.timeout_seconds,
        seconds_left=call.seconds_left(),
        progress=progress,
        as_arrow=as_arrow,
    )


def _warn_of_damage(call: Call, database: "QueryDatabase") -> None:
    from agent.store.left_out import warnings_of

    if database.damaged:
        left_out = counted(database.damaged, "damaged record")
        call.warn(f"query: {left_out} of the spool left out; table gap tells what is missing")
    for line in warnings_of(database.left_out):
        call.warn(f"query: {line}")


COMMANDS = (
    Command(
        "query",
        query,
        about="run one SELECT over all data, sealed files and open spool; works without a running agent",
        details="""\
The tables are those of `agentctl schema`; the view `pod` is pod_group with each interval once, and the name of its pod. The
language is DuckDB's. A query changes nothing and reads no other files.
Each table has its time twice: `at` is a moment (`WHERE at > now() - INTERVAL 1 HOUR`), `timestamp` the same as unix time in
nanoseconds. Files outside the bounds that --since, --until or the statement set on either column are not opened.
CPU and bytes are the kernel's numbers; absent values are null, never 0.
Rows are printed as they arrive, without a limit: --timeout is the longest time without a row. A file of --output gets its
name when it is finished. Files that are not the agent's are left out and named on standard error.""",
        arguments=(Argument("SQL", "one statement: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW TABLES"),),
        options=(
            Option(
                "--format",
                "FORMAT",
                "table (default), csv, json: one array, jsonl: an object a line, arrow (a stream; --output: a file), parquet",
                choices=FORMATS,
            ),
            Option("--output", "FILE", "write to this file; its ending gives the format; an existing file is replaced at the end"),
            Option("--max-rows", "N", f"the largest number of rows that a table shows (default {TABLE_ROWS})", kind=WHOLE),
            Option("--since", "WHEN", "only rows since then: 1h, 2d, 03:12, 2024-01-31 or 2024-01-31T03:12, with Z or +01:00"),
            Option("--until", "WHEN", "only rows before this time"),
            Option("--verify", "", "first read each sealed file from end to end; leave out changed files", kind=SWITCH),
            Option(
                "--memory-limit",
                "SIZE",
                "such as 512MiB (else AGENTCTL_MEMORY_LIMIT, else a quarter of the memory, at most 1GiB)",
            ),
        ),
        examples=(
            "# Who used most CPU in the last minute, in seconds of one core?",
            'agentctl query "SELECT pid, any_value(comm) AS command, sum(cpu_ns) / 1e9 AS cpu_seconds FROM process',
            "    WHERE timestamp > (SELECT max(timestamp) FROM process) - 60e9",
            '    GROUP BY pid, start_ticks ORDER BY cpu_seconds DESC NULLS LAST LIMIT 10"',
            "# The resident memory of each pod in its last sample, by name, with all its processes:",
            "agentctl query \"SELECT coalesce(p.name, u.pod_uid, 'no pod') AS pod, round(sum(rss_bytes) / 1048576, 1) AS rss_mib",
            "    FROM (FROM process UNION ALL BY NAME FROM process_tail) u",
            "    ASOF LEFT JOIN pod p ON u.pod_uid = p.pod_uid AND u.timestamp >= p.valid_from",
            '    WHERE u.timestamp = (SELECT max(timestamp) FROM process) GROUP BY ALL ORDER BY rss_mib DESC"',
            "# What is missing, and why?",
            'agentctl query "SELECT at, worker, reason, rows FROM gap ORDER BY at DESC" --since 1d',
            "# All rows of a table, for another program:",
            'agentctl query "FROM process" --output process.parquet',
        ),
        timeout_seconds=QUERY_SECONDS,
    ),
)
