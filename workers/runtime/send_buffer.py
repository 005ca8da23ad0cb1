"""Batches from their making to their acknowledgement. PURE: it says what to send, its caller sends.

ZeroMQ acknowledges nothing: a batch that it accepted can die with the writer's process. So each batch stays here
until the writer names it (or a later one), and is given out again when a new writer says what it has.

What does not fit into the buffer is refused, the newest and not the oldest: an old batch may already be in the
spool, and a row of table `gap` about it would be false. The refused range travels with the next accepted batch.

A buffer may also be bound by how many ticks wait in it. Batches with one stamp are one tick, whatever their tables and
parts: it is taken whole or refused whole, save where the bytes end in the middle of it.
"""

from collections import deque
from collections.abc import Iterator
from typing import TypeGuard

from msgspec import Struct

from agent.model.message import Batch, Bye, Ending, ForeignBatch, Lost, Missed, Tick

# The head of a batch and its place in the buffer, beside its rows.
OVERHEAD_BYTES = 256
# While the buffer is full, at most this many ranges of missed ticks keep their reasons. The writer counts further ones as
# ticks of the refused batches.
MISSED_MAX = 64
# A full buffer is what the supervisor slows a worker for (80 %, `agent.model.limit`); for who only hands on it is the usual state
# after an outage of others.
HANDED_ON_SHARE = 0.75


class PendingBatch(Struct, frozen=True):
    """One batch, or the Bye that ends them, with its encoded rows."""

    head: Batch | Bye
    rows: bytes

    @property
    def seq(self) -> int:
        """The number whose acknowledgement covers this batch."""
        return self.head.seq

    @property
    def size_bytes(self) -> int:
        """What it counts for against the bound."""
        origin = self.head.origin if isinstance(self.head, Batch) else None
        return len(self.rows) + OVERHEAD_BYTES + (0 if origin is None else len(origin.form))


class SendBuffer:
    """The unacknowledged batches of one generation of one worker, in order."""

    def __init__(self, *, bytes_max: int, ticks_max: int | None = None, endings: tuple[Ending, ...] = ()) -> None:
        self._bytes_max = bytes_max
        self._ticks_max = ticks_max
        # How many batches wait of each tick, by its stamp.
        self._waiting: dict[int, int] = {}
        self._refused_stamp: int | None = None
        self._pending: deque[PendingBatch] = deque()
        self._sent = 0
        self._size_bytes = 0
        self._last_seq = 0
        self._lost: list[Lost] = []
        self._missed: list[Missed] = []
        self._endings = endings
        self.is_ended = False
        self.offered_rows = 0
        self.refused_rows = 0
        self.refused_batches = 0
        self.acknowledged_seq = 0
        self.resent_batches = 0

    def offer(
        self, table: str, table_version: int, stamp_wall_ns: int, rows: bytes, count: int, tick: Tick | None = None,
        *, bad_rows: int = 0,
    ) -> bool:  # fmt: skip
        """Count a batch and keep it, or (False) count it as refused because the buffer is full.

        `bad_rows`: rows that are not in it, since they do not fit the table.
        """
        assert not self.is_ended, "nothing is offered after the end"
        self._last_seq += 1
        self.offered_rows += count
        # All batches of a tick name the same ranges: what the writer has counted once it does not count again.
        new = () if tick is None else tuple(item for item in tick.missed if item not in self._missed)
        self._missed += new[: MISSED_MAX - len(self._missed)]
        if self._refuses_tick(stamp_wall_ns) or self._size_bytes + len(rows) + OVERHEAD_BYTES > self._bytes_max:
            self._refuse(count + bad_rows)
            return False
        number = None if tick is None else tick.number
        lost, missed = tuple(self._lost), tuple(self._missed)
        head = Batch(self._last_seq, table, table_version, stamp_wall_ns, count, lost, number, missed, self._endings, bad_rows)
        self._keep(PendingBatch(head, rows))
        self._told()
        return True

    def hand_on(self, batch: ForeignBatch) -> int | None:
        """Keep a batch of another host; its number. *Absent:* None where it has no room: nothing is counted, its sender has it.

        *Range:* such batches fill three quarters of the buffer, or one of them all that it needs.
        """
        assert not self.is_ended, "nothing is offered after the end"
        size_bytes = len(batch.encoded) + OVERHEAD_BYTES + len(batch.origin.form)
        if self._pending and self._size_bytes + size_bytes > HANDED_ON_SHARE * self._bytes_max:
            return None
        self._last_seq += 1
        lost, missed = tuple(self._lost), tuple(self._missed)
        head = Batch(
            self._last_seq, batch.table, 0, batch.stamp_wall_ns, batch.rows, lost, None, missed, self._endings, origin=batch.origin
        )
        self._keep(PendingBatch(head, batch.encoded))
        self._told()
        return self._last_seq

    def end(self) -> None:
        """No batch follows: the writer is to know that none is missing. Calling it again changes nothing."""
        if not self.is_ended:
            self.is_ended = True
            self._last_seq += 1
            self._keep(PendingBatch(Bye(self._last_seq, tuple(self._lost), self._endings), b""))
            self._told()

    def unsent(self) -> Iterator[PendingBatch]:
        """What waits to be sent, in order; each is to be followed by `mark_sent` before the next is taken."""
        while self._sent < len(self._pending):
            yield self._pending[self._sent]

    def mark_sent(self) -> None:
        """The first unsent batch went out."""
        self._sent += 1

    def on_acknowledged(self, seq: int) -> None:
        """Everything up to `seq` is safe."""
        self.acknowledged_seq = max(self.acknowledged_seq, seq)
        while self._pending and self._pending[0].seq <= seq:
            self._let_go(self._pending.popleft())
            self._sent = max(0, self._sent - 1)

    def on_new_writer(self, have_seq: int) -> None:
        """A writer has just connected and has everything up to `have_seq`: the rest must be sent again."""
        self.on_acknowledged(have_seq)
        self.resent_batches += self._sent
        self._sent = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything offered is acknowledged."""
        return not self._pending

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def unstored_batches(self) -> int:
        """Batches of its own that are kept and not acknowledged. Those of other hosts are kept there too."""
        return sum(_is_own(pending.head) for pending in self._pending)

    @property
    def unstored_rows(self) -> int:
        """Their rows."""
        return sum(pending.head.rows for pending in self._pending if _is_own(pending.head))

    @property
    def size_bytes(self) -> int:
        """What the unacknowledged batches count for."""
        return self._size_bytes

    def _told(self) -> None:
        """A batch that is kept carries all of it."""
        self._lost.clear()
        self._missed.clear()
        self._endings = ()

    def _refuses_tick(self, stamp_wall_ns: int) -> bool:
        """Whether a tick is one too many; a tick that was refused stays so."""
        if self._ticks_max is None or stamp_wall_ns in self._waiting:
            return False
        if len(self._waiting) >= self._ticks_max:
            self._refused_stamp = stamp_wall_ns
        # Once the beginning of a tick was refused, room that has come meanwhile is for the next.
        return stamp_wall_ns == self._refused_stamp

    def _keep(self, pending: PendingBatch) -> None:
        self._pending.append(pending)
        self._size_bytes += pending.size_bytes
        if isinstance(pending.head, Batch):
            stamp = pending.head.stamp_wall_ns
            self._waiting[stamp] = self._waiting.get(stamp, 0) + 1

    def _let_go(self, pending: PendingBatch) -> None:
        self._size_bytes -= pending.size_bytes
        if isinstance(pending.head, Batch):
            stamp = pending.head.stamp_wall_ns
            self._waiting[stamp] -= 1
            if not self._waiting[stamp]:
                del self._waiting[stamp]

    def _refuse(self, count: int) -> None:
        self.refused_rows += count
        self.refused_batches += 1
        last = self._lost[-1] if self._lost else None
        if last is not None and last.last_seq == self._last_seq - 1:
            # One range however long the writer is away: the account must not grow with the loss.
            self._lost[-1] = Lost(last.first_seq, self._last_seq, last.rows + count, last.reason)
        else:
            self._lost.append(Lost(self._last_seq, self._last_seq, count, "buffer_full"))


def _is_own(head: Batch | Bye) -> TypeGuard[Batch]:
    """Whether it has rows that nobody else keeps."""
    return isinstance(head, Batch) and head.origin is None
