"""The command schema: what each table and column means."""

from collections.abc import Sequence
from textwrap import wrap

from agent.cli.call import Call
from agent.cli.option import Argument, Command, Option, near
from agent.cli.render import TextColumn, text_of
from agent.model.errors import MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.model.table import Table


def schema(call: Call) -> int:
    """`agentctl schema [TABLE] [--ddl ENGINE]`. *Raises:* EvergaugeError."""
    from workers.registry import tables

    known = {table.name: table for table in tables()}
    if call.words and call.words[0] not in known:
        remedy = _of_view(call.words[0]) or near(call.words[0], known) or f"the tables are {', '.join(sorted(known))}"
        raise MisuseError("schema", f"there is no table {call.words[0]}", remedy)
    chosen = [known[call.words[0]]] if call.words else sorted(known.values(), key=lambda table: table.name)
    if engine := call.text("--ddl"):
        _show_statements(call, chosen, engine, call.text("--location") or "")
    elif call.wants_json:
        from msgspec import to_builtins

        from agent.model.table import HOST

        call.show_json({"tables": [{**to_builtins(table), "columns": to_builtins((*table.columns, HOST))} for table in chosen]})
    elif call.words:
        _show_columns(call, chosen[0])
    else:
        _show_tables(call, chosen)
    return 0


def _of_view(name: str) -> str:
    """What to do for the name of a view, which is no table. *Absent:* empty for any other name."""
    from agent.cli.query_view import DERIVED_VIEWS

    source = next((view.source for view in DERIVED_VIEWS if view.name == name), "")
    return f"it is a view of table {source}: `agentctl query 'DESCRIBE {name}'` shows its columns" if source else ""


def _show_statements(call: Call, tables: Sequence["Table"], engine: str, location: str) -> None:
    """The statements that make tables in an engine, to be piped into its client."""
    from agent.lake.sql_table import SqlEngine, create_table

    for table in tables:
        call.show([f"{create_table(SqlEngine(engine), table, location)};", ""])


def _show_tables(call: Call, tables: Sequence["Table"]) -> None:
    columns = (TextColumn("TABLE"), TextColumn("COLUMNS", right=True), TextColumn("ABOUT"))
    call.show_wrapped_table(columns, [(table.name, str(len(table.columns) + 1), table.about) for table in tables])


def _show_columns(call: Call, table: "Table") -> None:
    call.show([f"{table.name}, version {table.version}"])
    call.show(wrap(table.about, call.text_columns()))
    from agent.model.table import HOST

    call.show([f"unique: {HOST.name}, {', '.join(table.key)}", ""])
    columns = (TextColumn("COLUMN"), TextColumn("TYPE"), TextColumn("UNIT"), TextColumn("NULL"), TextColumn("ABOUT"))
    rows = [
        (
            column.name,
            str(column.dtype),
            text_of(column.unit),
            "null" if column.nullable else "never",
            f"{column.about} (source: {column.source})",
        )
        for column in (*table.columns, HOST)
    ]
    call.show_wrapped_table(columns, rows)
    if any(column.name == "timestamp" for column in table.columns):
        call.show(["", "In a query column at stands before these: timestamp as TIMESTAMP WITH TIME ZONE."])
    call.show(["On a hub column install stands behind host: which installation measured a row of another host, null for its own."])


COMMANDS = (
    Command(
        "schema",
        schema,
        about="the tables, or the columns of one table: type, unit, null or not, meaning, source",
        arguments=(Argument("TABLE", "a table of the list", required=False),),
        options=(
            Option(
                "--ddl",
                "ENGINE",
                "the statements that make the tables in an engine: duckdb, clickhouse, spark or trino",
                choices=("duckdb", "clickhouse", "spark", "trino"),
            ),
            Option("--location", "URL", "with --ddl spark or trino: the folder whose folders of each table have the files"),
        ),
        examples=("agentctl schema", "agentctl schema pod_group", "agentctl schema --ddl clickhouse", "agentctl schema --json"),
    ),
)
