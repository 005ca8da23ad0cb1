"""DuckDB, in the process of the test."""

from typing import Any, Self

import duckdb
from harness.engines.query_engine import StatementRefused


class DuckEngine:
    """A database in memory. Use it as a context."""

    name = "duckdb"

    def __init__(self) -> None:
        self._connection = duckdb.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_rest: object) -> None:
        self._connection.close()

    def run(self, statement: str) -> list[list[Any]]:
        """The rows of an answer. *Raises:* StatementRefused."""
        try:
            return [list(row) for row in self._connection.execute(statement).fetchall()]
        except duckdb.Error as cause:
            raise StatementRefused(f"{self.name}: {cause}\n{statement}") from cause

    def columns(self, statement: str) -> list[str]:
        """The names of the columns of an answer."""
        described = self._connection.execute(statement).description
        return [str(column[0]) for column in described or ()]
