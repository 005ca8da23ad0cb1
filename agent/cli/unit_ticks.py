"""The last minute of an open spool for `agentctl top --units`: batches are decoded once, when they are looked at. PURE."""

from collections.abc import Iterable

from agent.cli.top_sample import Named
from agent.cli.unit_sample import UnitMinute, UnitSample
from agent.model.errors import FormatError
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder

# More wait only where nobody looked for long: the newest count.
WAITING_MAX = 1_000


class UnitTicks:
    """Takes batches in, and gives the newest sample."""

    def __init__(self) -> None:
        self._minute = UnitMinute()
        self._waiting: list[tuple[str, TableForm, bytes]] = []
        self._bad_rows = 0

    def put(self, table: str, stamp_wall_ns: int, form: TableForm, rows: bytes) -> None:
        """Take a batch in."""
        self._waiting.append((table, form, rows))
        del self._waiting[:-WAITING_MAX]

    def take(self, table: str, rows: Iterable[Named]) -> None:
        """Take rows in that were read elsewhere."""
        self._minute.take(table, rows)

    def newest(self, host: str) -> UnitSample | None:
        """The newest sample.

        *Absent:* None before the first row. *Raises:* FormatError for a batch that cannot be read; the next call takes the others.
        """
        while self._waiting:
            table, form, encoded = self._waiting.pop(0)
            rows, bad = RowDecoder(form).decode(encoded)
            if bad and not rows:
                raise FormatError("spool rows", f"no row of a batch fits its table: {bad[0].problem}")
            self._bad_rows += len(bad)
            self._minute.take(table, [dict(zip(form.names, row, strict=True)) for row in rows])
        return self._minute.sample(host, self._bad_rows)
