"""The rows of a state folder, of all hosts that are stored there, for the router."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from agent.cli.stored_rows import StoredRows
from agent.cli.time_bounds import TimeBounds
from agent.model.table import Table
from agent.store.left_out import LeftOut, warnings_of

if TYPE_CHECKING:
    import pyarrow


class StateRows:
    """A `agent.router.source.RowSource` of a node's or a hub's folder. `tables` are all that there can be."""

    def __init__(self, state_dir: str, tables: Mapping[str, Table]) -> None:
        self._state_dir = state_dir
        self._tables = tables
        self._opened: dict[str, StoredRows] = {}
        self.is_delivered = False

    @property
    def shown(self) -> str:
        """See RowSource."""
        return self._state_dir

    def batches(
        self, table: str, since_ns: int, until_ns: int, columns: Sequence[str], rows_max: int
    ) -> "Iterator[pyarrow.RecordBatch]":
        """See RowSource."""
        if table not in self._opened:
            self._opened[table] = StoredRows(self._state_dir, self._tables[table], all_hosts=True)
        bounds = TimeBounds(since_ns, until_ns)
        with self._opened[table].held(bounds, columns) as held:
            yield from held.batches(bounds, columns, rows_max=rows_max)

    def marks(self, table: str) -> Mapping[str, int] | None:
        """None: a folder's rows come in order."""
        return None

    def warnings(self) -> list[str]:
        """See RowSource."""
        left_out = {path: reason for rows in self._opened.values() for path, reason in rows.left_out.items()}
        return warnings_of([LeftOut(path, reason) for path, reason in sorted(left_out.items())])
