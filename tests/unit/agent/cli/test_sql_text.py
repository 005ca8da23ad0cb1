"""Names and texts for SQL, and the column whose name is a word of the language."""

import duckdb
import pytest

from agent.cli.sql_text import literal, quoted, with_quoted_at
from agent.cli.statement_bounds import tokens_of


def marked(statement: str) -> str:
    return with_quoted_at(statement, tokens_of(statement))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT at FROM p", 'SELECT "at" FROM p'),
        ("FROM p WHERE at > now() - INTERVAL 1 HOUR", 'FROM p WHERE "at" > now() - INTERVAL 1 HOUR'),
        ("SELECT AT, é.at FROM é ORDER BY at", 'SELECT "AT", é."at" FROM é ORDER BY "at"'),
        ("SELECT at AT TIME ZONE 'UTC' FROM p", "SELECT \"at\" AT TIME ZONE 'UTC' FROM p"),
        ("SELECT min(at) AS at FROM p", 'SELECT min("at") AS "at" FROM p'),
        ("SELECT 'at', \"at\", $$at$$ -- at\n/* at */ FROM at_once", "SELECT 'at', \"at\", $$at$$ -- at\n/* at */ FROM at_once"),
        ("FROM p AT (VERSION => 1)", "FROM p AT (VERSION => 1)"),
        ("SELECT at /* x */ AT -- y\n TIME ZONE 'UTC'", "SELECT \"at\" /* x */ AT -- y\n TIME ZONE 'UTC'"),
        ("", ""),
    ],
)
def test_the_column_may_be_written_without_quotation_marks(statement: str, expected: str) -> None:
    """DuckDB keeps `at` for itself; where it can only be the column, it is."""
    assert marked(statement) == expected


@pytest.mark.parametrize("text", ["", "a", "it's", 'a "b"', "é\n"])
def test_names_and_texts_come_back_as_they_are(text: str) -> None:
    """Quotation marks within are doubled."""
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {literal(text)}").fetchall() == [(text,)]
        assert connection.sql(f"SELECT 1 AS {quoted(text or 'x')}").columns == [text or "x"]
