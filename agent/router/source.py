"""Where a router's rows come from, and what it asks of that place."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow

# A batch is held as columns; one of sketches has a thousand counts a row.
BATCH_ROWS, SKETCH_BATCH_ROWS = 65_536, 512


class RowSource(Protocol):
    """Stored rows of many hosts, each once. `shown`: as sentences name it. `is_delivered`: its rows come from elsewhere, so those
    of the last minutes may still come."""

    @property
    def shown(self) -> str:
        """As sentences name it."""
        ...

    @property
    def is_delivered(self) -> bool:
        """Whether its rows come from elsewhere."""
        ...

    def batches(
        self, table: str, since_ns: int, until_ns: int, columns: Sequence[str], rows_max: int
    ) -> "Iterator[pyarrow.RecordBatch]":
        """The rows with a `timestamp` from `since_ns` on and before `until_ns`, in no order.

        *Shape:* these columns, `host` and `timestamp` among them; one that some rows lack may be missing in their batch.
        *Raises:* EvergaugeError.
        """
        ...

    def marks(self, table: str) -> Mapping[str, int] | None:
        """By host: every row with an earlier time is there. *Absent:* None: the place knows no marks."""
        ...

    def warnings(self) -> list[str]:
        """What was left out, a sentence each."""
        ...
