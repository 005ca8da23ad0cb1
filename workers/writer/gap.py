"""What is missing, and why, as a row of table `gap`. PURE."""

from enum import StrEnum

from msgspec import Struct

from agent.model.message import Identity
from agent.model.table import Row
from agent.store.record import Entry

# A sender's own word for a loss is kept; longer ones than this are cut, a column is no place for prose.
REASON_CHARACTERS_MAX = 64


class Reason(StrEnum):
    """The reasons that the writer itself finds or is told by a worker's successor.

    A sender's own come with its batches: `buffer_full` in its `lost` ranges, those of `agent.model.gap_cause.GapCause` in its
    `missed` ones.
    """

    WORKER_DIED = "worker_died"
    """A worker ended without its Bye: whatever it had not sent died with it."""
    WORKER_HUNG = "worker_hung"
    """The same; the supervisor ended it because it made no progress."""
    WORKER_STOPPED = "worker_stopped"
    """It was told to end. It had no time for a Bye, or ticks went by before its successor measured."""
    SEQUENCE_HOLE = "sequence_hole"
    """Numbers that never came, although the sender was asked to send again."""
    CORRUPT_RECORD = "corrupt_record"
    """Bytes of a spool that are no record any more."""
    SEGMENT_REMOVED = "segment_removed"
    """A segment of the spool was removed from outside before it was sealed."""
    UNKNOWN_TABLE = "unknown_table"
    """A batch for a table, or a version of one, that this writer has no columns for."""
    MALFORMED_ROWS = "malformed_rows"
    """A batch whose rows are not the array that its head announces."""
    BAD_ROW = "bad_row"
    """Rows that do not fit the columns of their table; the others of their batch are stored."""
    FOREIGN_ORIGIN = "foreign_origin"
    """A batch of another host that does not say whose it is, or of no time of this era."""
    FOREIGN_TABLE = "foreign_table"
    """A batch of another host for a table whose name none can have, or that is one unknown table too many."""
    FOREIGN_COLUMNS = "foreign_columns"
    """Rows of another host with columns that none can have, or with another type than the table has here."""
    UNKNOWN = "unknown"
    """Ticks that are missing although neither a batch nor a word of their worker is."""


class Gap(Struct, frozen=True):
    """One loss. `last_seq` and `rows` are None where unknown, the stamps where no batch stands beside the hole.

    `first_seq` is None where no batch is missing, but ticks that never became one. `ticks` says how many whole ticks are
    missing (None: unknown, or the worker does not tick), `last_tick` which is the last of them.
    """

    who: Identity
    first_seq: int | None
    last_seq: int | None
    rows: int | None
    table: str | None
    from_wall_ns: int | None
    until_wall_ns: int | None
    reason: str
    ticks: int | None = None
    last_tick: int | None = None

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
            self.ticks,
            self.last_tick,
        )


def bad_rows_gap(entry: Entry, rows: int) -> Gap:
    """Rows of one stored batch that do not fit their table."""
    who = Identity(entry.run, entry.worker, entry.epoch)
    stamp = entry.stamp_wall_ns
    return Gap(who, entry.seq, entry.seq, rows, entry.measured_table, stamp, stamp, Reason.BAD_ROW)
