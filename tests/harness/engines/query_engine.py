"""An engine that answers SQL: DuckDB in this process, ClickHouse's and Spark in a child's, Trino over HTTP."""

from collections.abc import Sequence
from typing import Any, Protocol


class QueryEngine(Protocol):
    """What tests and benchmarks ask of an engine."""

    name: str

    def run(self, statement: str) -> list[list[Any]]:
        """The rows of an answer, as plain values: whole numbers of any width are int. *Raises:* StatementRefused."""
        ...


class StatementRefused(AssertionError):
    """An engine could not answer a statement, and says why."""


def run_all(engine: QueryEngine, statements: Sequence[str]) -> None:
    """Run statements whose answers do not matter."""
    for statement in statements:
        engine.run(statement)
