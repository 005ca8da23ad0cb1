"""What is missing, and why, as a row of table `gap`. PURE."""

from enum import StrEnum

from msgspec import Struct

from agent.model.message import Identity
from agent.model.table import Row

# A sender's own word for a loss is kept; longer ones than this are cut, a column is no place for prose.
REASON_CHARACTERS_MAX = 64


class Reason(StrEnum):
    """The reasons that the writer itself finds; a sender's own (`buffer_full`) come in its `lost` ranges."""

    WORKER_DIED = "worker_died"
    """A worker ended without its Bye: whatever it had not sent died with it."""
    SEQUENCE_HOLE = "sequence_hole"
    """Numbers that never came, although the sender was asked to send again."""
    CORRUPT_RECORD = "corrupt_record"
    """Bytes of a spool that are no record any more."""
    SEGMENT_REMOVED = "segment_removed"
    """A segment of the spool that somebody removed before it was sealed."""
    UNKNOWN_TABLE = "unknown_table"
    """A batch for a table, or a version of one, that this writer has no columns for."""
    MALFORMED_ROWS = "malformed_rows"
    """A batch whose rows are not the array that its head announces."""


class Gap(Struct, frozen=True):
    """One loss. `last_seq` and `rows` are None where unknown, the stamps where no batch stands beside the hole."""

    who: Identity
    first_seq: int
    last_seq: int | None
    rows: int | None
    table: str | None
    from_wall_ns: int | None
    until_wall_ns: int | None
    reason: str

    def row(self, noticed_wall_ns: int) -> Row:
        """The row of table `gap`, in the order of its columns."""
        return (
            noticed_wall_ns,
            self.who.worker,
            self.who.run,
            self.who.epoch,
            self.table,
            self.first_seq,
            self.last_seq,
            self.rows,
            self.from_wall_ns,
            self.until_wall_ns,
            self.reason[:REASON_CHARACTERS_MAX],
        )
