"""The tables of a fleet's files in each engine, made by the blocks of docs/engines with our folders in place of its examples."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.engines.page import blocks_of, statements_of
from harness.engines.query_engine import QueryEngine, run_all

from agent.lake.sql_table import SqlEngine, create_table
from agent.model.table import Table

# What the pages call the folders, the table and the file of their examples.
LISTS, LAKE, TABLE, FILE = "/srv/lists", "/srv/lake", "process_sketch", "/srv/lists/file"


class PythonEngine(QueryEngine, Protocol):
    """Spark takes lines of Python as well."""

    def run_python(self, program: str) -> None:
        """Run lines in which `spark` is the session."""
        ...


def write_lists(folder: Path, files: Mapping[str, Sequence[str]]) -> None:
    """The files of each table, one a line, as `agentctl lake files` prints them."""
    folder.mkdir()
    for table, paths in files.items():
        (folder / table).write_text("".join(f"{path}\n" for path in paths))


def prepare_duckdb(engine: QueryEngine, tables: Iterable[Table], lists: Path) -> None:
    """Views over the files, views and functions of the page, and the roll-up. A table without files is empty."""
    blocks = blocks_of("duckdb.md")
    for table in tables:
        if (lists / table.name).read_text():
            run_all(engine, statements_of(of_table(blocks["tables.sql"], table.name).replace(LISTS, str(lists))))
        else:
            engine.run(create_table(SqlEngine.DUCKDB, table))
    run_all(engine, statements_of(blocks["setup.sql"] + blocks["rollup.sql"]))


def prepare_clickhouse(engine: QueryEngine, tables: Sequence[Table], files: Mapping[str, Sequence[str]]) -> None:
    """Tables, the roll-up that fills itself, rows by one insert a file, views and functions."""
    blocks = blocks_of("clickhouse.md")
    run_all(engine, [create_table(SqlEngine.CLICKHOUSE, table) for table in tables])
    run_all(engine, statements_of(blocks["session.sql"] + blocks["rollup.sql"]))
    for table in tables:
        insert_files(engine, table.name, files[table.name])
    run_all(engine, statements_of(blocks["setup.sql"]))


def insert_files(engine: QueryEngine, table: str, files: Iterable[str]) -> None:
    """ClickHouse: the page's insert, for each file."""
    block = of_table(blocks_of("clickhouse.md")["insert.sql"], table)
    for path in files:
        run_all(engine, statements_of(block.replace(FILE, path)))


def prepare_spark(engine: PythonEngine, tables: Iterable[Table], lists: Path) -> None:
    """Declarations, views over the files by them, views and functions of the page, and the roll-up."""
    blocks = blocks_of("spark.md")
    for table in tables:
        engine.run(create_table(SqlEngine.SPARK, table))
        if (lists / table.name).read_text():
            engine.run_python(of_table(blocks["tables.py"], table.name).replace(LISTS, str(lists)))
    run_all(engine, statements_of(blocks["session.sql"] + blocks["setup.sql"] + blocks["rollup.sql"]))


def prepare_trino(engine: QueryEngine, tables: Iterable[Table]) -> None:
    """Tables over landing and merged files below its root, the lists of live files in `lists`, views, functions, the roll-up."""
    blocks = blocks_of("trino.md")
    run_all(engine, statements_of(blocks["schemas.sql"] + blocks["live.sql"]))
    for table in tables:
        for schema, place in (("landing", "local:///lake"), ("merged", "local:///lake/_merged")):
            statement = create_table(SqlEngine.TRINO, table, place)
            engine.run(statement.replace("IF NOT EXISTS ", f"IF NOT EXISTS fleet.{schema}."))
        run_all(engine, statements_of(of_table(blocks["tables.sql"], table.name)))
    run_all(engine, statements_of(blocks["setup.sql"] + blocks["rollup.sql"]))


def of_table(block: str, table: str) -> str:
    """The block of the page's example table, for another one."""
    assert TABLE in block
    return block.replace(TABLE, table)
