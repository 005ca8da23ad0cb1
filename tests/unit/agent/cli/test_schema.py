"""`agentctl schema --ddl`: statements for engines; the engines of its help are those there are."""

import io

import pytest

from agent.cli.program import find_command, run
from agent.lake.sql_table import SqlEngine, create_table
from agent.model.tables import GAP
from workers.registry import tables


def shown(*words: str) -> tuple[int, str]:
    output = io.StringIO()
    return run(["schema", *words], {}, output, io.StringIO()), output.getvalue()


def test_the_engines_of_the_help_are_those_there_are() -> None:
    """A new one is offered."""
    option, _ = find_command("schema").options
    assert option.choices == tuple(SqlEngine)
    assert all(engine in option.about for engine in SqlEngine)


@pytest.mark.parametrize("engine", SqlEngine)
def test_a_table_is_one_statement(engine: SqlEngine) -> None:
    """With a semicolon, for the engine's client."""
    assert shown("gap", "--ddl", engine) == (0, f"{create_table(engine, GAP)};\n\n")


def test_without_a_name_all_tables_are_made() -> None:
    """In the order of their names."""
    code, text = shown("--ddl", "spark")
    statements = [statement.strip() for statement in text.split(";\n")]
    wanted = sorted(tables(), key=lambda table: table.name)
    assert (code, statements) == (0, [*(create_table(SqlEngine.SPARK, table) for table in wanted), ""])
