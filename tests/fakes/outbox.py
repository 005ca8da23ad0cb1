"""An outbox that keeps what it is offered and checks every row against its table."""

from collections.abc import Sequence

from fakes.row_problem import problem_of_row
from msgspec import Struct

from agent.model.message import Tick
from agent.model.table import Row, Table, Value


class Offer(Struct, frozen=True):
    """One accepted batch."""

    table: Table
    rows: tuple[Row, ...]
    stamp_wall_ns: int
    tick: Tick | None = None


class RecordingOutbox:
    """`agent.ports.Outbox`; with `is_full` set it refuses, as the real one does when its buffer is full."""

    def __init__(self) -> None:
        self.offers: list[Offer] = []
        self.refused: list[Offer] = []
        self.is_full = False

    def offer(self, table: Table, rows: Sequence[Row], stamp_wall_ns: int, tick: Tick | None = None) -> bool:
        """Keep one batch. A row that does not fit its table is a bug of who offers it."""
        for row in rows:
            problem = problem_of_row(table, row)
            assert problem is None, problem
        (self.refused if self.is_full else self.offers).append(Offer(table, tuple(rows), stamp_wall_ns, tick))
        return not self.is_full

    def records(self, table: Table) -> list[dict[str, Value]]:
        """Every accepted row of a table, by column name, in the order of the offers."""
        names = table.column_names
        return [dict(zip(names, row, strict=True)) for offer in self.offers if offer.table.name == table.name for row in offer.rows]
