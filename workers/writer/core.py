"""Which batches are new, which came before, and what is missing between them. PURE.

Every message is decided, then what was decided is appended to the spool, then it is committed: until
`commit` nothing here has changed, so that a failed append is undone by `rollback`.

A number that is skipped is not yet a loss: a connection or a writer that died may have swallowed it, and its
sender still has it. So the sender is asked once to send again from what is stored (`Resend`), what was on its way
is dropped unacknowledged, and only a hole that is still there in what it sends again becomes a row of table `gap`.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from agent.model.errors import ProtocolError
from agent.model.foreign import readable
from agent.model.message import SUPERVISOR, Batch, BatchOrigin, Bye, Ending, Identity, Lost, Tick
from agent.store.record import Mark
from workers.writer.foreign import ForeignBatches
from workers.writer.gap import Gap, Reason
from workers.writer.ticks import count_ticks, missing

# One mark per worker name; an agent has some tens of them. A stranger's flood of names ends here.
SENDERS_MAX = 1024
# A sender that skips numbers and never sends again is believed after this many messages: more than a full buffer holds.
IGNORED_MAX = 4096
# Of the name of a table that another host has made up.
TABLE_CHARACTERS_MAX = 64
# A worker that dies at every start says nothing in most of its epochs; at most this many of them are told apart.
SILENT_EPOCHS_MAX = 8


class Accept(Struct, frozen=True):
    """Store `gaps` first, then (when `stored`) the rows, and acknowledge `mark.seq` after the append.

    `is_known`: the rows, another host's, were stored before under another number: a record without rows says that this number came.
    """

    who: Identity
    gaps: tuple[Gap, ...]
    mark: Mark
    stored: bool
    is_known: bool = False


class Duplicate(Struct, frozen=True):
    """Store nothing, acknowledge again. `late`: a frame of a worker whose successor is already known.

    A late frame is acknowledged too: the gap row of its sender's death covers every number from its mark on, so the
    acknowledgement is true, and a sender that is still alive can end instead of waiting for ever.
    """

    who: Identity
    ack_seq: int
    late: bool


class Resend(Struct, frozen=True):
    """Store nothing, acknowledge nothing; `ask`: send a DataHello with `have_seq` so that the sender starts again there."""

    who: Identity
    have_seq: int
    ask: bool


Decision = Accept | Duplicate | Resend


class _Asked(Struct):
    who: Identity
    highest: int
    ignored: int = 0


class WriterCore:
    """What is stored of every sender, and in `foreign` of every other host. *Range:* one mark per worker name, at most SENDERS_MAX
    names."""

    def __init__(self, run: str, marks: Iterable[Mark] = (), foreign: ForeignBatches | None = None) -> None:
        self._run = run
        self.foreign = foreign or ForeignBatches({})
        self._marks = {mark.worker: mark for mark in marks}
        self._pending: dict[str, Mark] = {}
        self._asked: dict[str, _Asked] = {}

    def have(self, who: Identity) -> int:
        """The highest number of this start of this worker that is stored or accounted for; 0: none."""
        mark = self._marks.get(who.worker)
        return mark.seq if mark is not None and _is_of(mark, who) else 0

    def marks(self) -> tuple[Mark, ...]:
        """What is committed, in the order of the names."""
        return tuple(self._marks[name] for name in sorted(self._marks))

    def on_connect(self, who: Identity) -> None:
        """A new connection of a sender: what came on the previous one says nothing about what comes on this."""
        asked = self._asked.get(who.worker)
        if asked is not None and asked.who == who:
            del self._asked[who.worker]

    def on_batch(self, who: Identity, batch: Batch, *, refusal: str | None = None) -> Decision:
        """What to do with a batch; one with a `refusal` (a Reason) is accounted for instead of stored.

        *Raises:* ProtocolError for numbers that no sender counts.
        """
        _check(batch.seq >= 1 and batch.rows >= 0, batch.lost, batch.seq - 1)
        if self._is_late(who):
            return Duplicate(who=who, ack_seq=batch.seq, late=True)
        previous = self._mark_of(who)
        if batch.seq <= previous.seq:
            return Duplicate(who=who, ack_seq=previous.seq, late=False)
        gaps, is_whole = _account(who, previous, batch.seq - 1, batch.lost, batch.stamp_wall_ns)
        if not is_whole and (resend := self._resend_order(who, previous.seq, position=batch.seq)) is not None:
            return resend
        if batch.origin is not None:
            return self._on_foreign(
                who, msgspec.structs.replace(previous, seq=batch.seq, hands_on=True), batch, batch.origin, gaps, refusal
            )
        gaps = self._deaths(who, batch.endings, batch.stamp_wall_ns) + gaps
        mark = msgspec.structs.replace(previous, seq=batch.seq)
        if batch.tick is not None:
            gaps, mark = self._count_ticks(who, mark, gaps, batch, batch.tick)
        if batch.bad_rows:
            at_ns = batch.stamp_wall_ns
            gaps.append(Gap(who, batch.seq, batch.seq, batch.bad_rows, batch.table, at_ns, at_ns, Reason.BAD_ROW))
        if refusal is not None:
            stamp = previous.stamp_wall_ns
            gaps.append(Gap(who, batch.seq, batch.seq, batch.rows, batch.table, stamp, batch.stamp_wall_ns, refusal))
        else:
            mark = msgspec.structs.replace(mark, stamp_wall_ns=batch.stamp_wall_ns)
        return self._accept(who, mark, gaps, stored=refusal is None)

    def _on_foreign(
        self, who: Identity, mark: Mark, batch: Batch, origin: BatchOrigin, gaps: list[Gap], refusal: str | None
    ) -> Accept:
        """Who hands on what others keep loses nothing by its death; only a refusal is a loss."""
        if refusal is None:
            return self._accept(who, mark, gaps, stored=True, is_known=not self.foreign.take(origin))
        table = readable(batch.table, TABLE_CHARACTERS_MAX)
        gaps.append(Gap(who, batch.seq, batch.seq, batch.rows, table, None, batch.stamp_wall_ns, refusal))
        return self._accept(who, mark, gaps, stored=False)

    def on_bye(self, who: Identity, bye: Bye) -> Decision:
        """What to do with a sender's last word. *Raises:* ProtocolError as for a batch."""
        _check(bye.seq >= 1, bye.lost, bye.seq - 1)
        if self._is_late(who):
            return Duplicate(who=who, ack_seq=bye.seq, late=True)
        previous = self._mark_of(who)
        if bye.seq <= previous.seq:
            return Duplicate(who=who, ack_seq=previous.seq, late=False)
        gaps, is_whole = _account(who, previous, bye.seq - 1, bye.lost, None)
        if not is_whole and (resend := self._resend_order(who, previous.seq, position=bye.seq)) is not None:
            return resend
        mark = msgspec.structs.replace(previous, seq=bye.seq, ended=True)
        return self._accept(who, mark, self._deaths(who, bye.endings, None) + gaps, stored=True)

    def ticks_missed(self) -> dict[str, int]:
        """How many ticks each worker that ticks has missed in this run, over all of its starts."""
        own = (mark for mark in self.marks() if mark.run == self._run and mark.tick is not None)
        return {mark.worker: mark.ticks_missed for mark in own}

    def commit(self) -> None:
        """The append succeeded: what was decided since the last commit holds."""
        self._marks.update(self._pending)
        self._pending.clear()
        self.foreign.commit()

    def rollback(self) -> None:
        """The append failed, or messages were dropped undecided: nothing was decided, and every sender starts again."""
        self._pending.clear()
        self._asked.clear()
        self.foreign.rollback()

    def _latest(self, worker: str) -> Mark | None:
        return self._pending.get(worker) or self._marks.get(worker)

    def _mark_of(self, who: Identity) -> Mark:
        mark = self._latest(who.worker)
        if mark is not None and _is_of(mark, who):
            return mark
        if mark is None and len(self._marks) + len(self._pending) >= SENDERS_MAX:
            raise ProtocolError("data socket", f"more than {SENDERS_MAX} different workers send batches")
        new = Mark(run=who.run, worker=who.worker, epoch=who.epoch, seq=0, stamp_wall_ns=None, ended=False)
        if mark is None or mark.run != who.run:
            return new
        # The grid goes on from one start to the next.
        return msgspec.structs.replace(new, tick=mark.tick, ticks_missed=mark.ticks_missed)

    def _is_late(self, who: Identity) -> bool:
        mark = self._latest(who.worker)
        if mark is None:
            return False
        if mark.run == who.run:
            return who.epoch < mark.epoch
        # Of two runs the writer's own is the later one; without this rule two survivors would take turns dying.
        return who.run != self._run

    def _resend_order(self, who: Identity, have_seq: int, *, position: int) -> Resend | None:
        """The order to send again, or None when what was sent again has the same hole.

        Messages keep their order on a connection: as long as positions grow they were on their way before the
        order arrived; the first that is not higher begins what is sent again.
        """
        asked = self._asked.get(who.worker)
        if asked is None or asked.who != who:
            self._asked[who.worker] = _Asked(who=who, highest=position)
            return Resend(who=who, have_seq=have_seq, ask=True)
        if position > asked.highest and asked.ignored < IGNORED_MAX:
            asked.highest = position
            asked.ignored += 1
            return Resend(who=who, have_seq=have_seq, ask=False)
        return None

    def _deaths(self, who: Identity, endings: Sequence[Ending], until_wall_ns: int | None) -> list[Gap]:
        previous = self._latest(who.worker)
        # The supervisor has no starts of its own in a run, and what it had not delivered is known to nobody.
        if who.worker == SUPERVISOR or (previous is not None and (previous.hands_on or _is_of(previous, who))):
            return []
        return _deaths_before(who, previous, endings, until_wall_ns)

    def _count_ticks(self, who: Identity, mark: Mark, gaps: list[Gap], batch: Batch, tick: int) -> tuple[list[Gap], Mark]:
        """The gaps with the ticks that are missing before this batch, and the mark that has them counted."""
        if mark.tick is None and not batch.missed:
            return gaps, msgspec.structs.replace(mark, tick=tick)
        account = missing(mark.tick, Tick(tick, batch.missed))
        previous = self._latest(who.worker) or mark
        ending = _ending_of(previous.epoch, batch.endings, Reason.WORKER_STOPPED)
        counted = count_ticks(gaps, who, previous, account, batch.stamp_wall_ns, ending)
        if mark.tick is None:
            # It is not known how many ticks a start missed from which nothing ever came.
            counted = [gap if gap.first_seq is None else msgspec.structs.replace(gap, ticks=None) for gap in counted]
        missed = mark.ticks_missed + sum(gap.ticks or 0 for gap in counted)
        return counted, msgspec.structs.replace(mark, tick=max(tick, mark.tick or 0), ticks_missed=missed)

    def _accept(self, who: Identity, mark: Mark, gaps: list[Gap], *, stored: bool, is_known: bool = False) -> Accept:
        self._asked.pop(who.worker, None)
        self._pending[who.worker] = mark
        return Accept(who=who, gaps=tuple(gaps), mark=mark, stored=stored, is_known=is_known)


def _is_of(mark: Mark, who: Identity) -> bool:
    return mark.epoch == who.epoch and mark.run == who.run


def _check(is_counted: bool, lost: Sequence[Lost], last_seq: int) -> None:
    if not is_counted or any(not 1 <= item.first_seq <= item.last_seq <= last_seq or item.rows < 0 for item in lost):
        raise ProtocolError("data message", "its numbers are not those of a sender that counts 1, 2, 3 …")


def _ending_of(epoch: int, endings: Sequence[Ending], unknown: str) -> str:
    return next((ending.reason for ending in endings if ending.epoch == epoch), unknown)


def _deaths_before(who: Identity, previous: Mark | None, endings: Sequence[Ending], until_wall_ns: int | None) -> list[Gap]:
    """The end of the previous epoch, unless it said Bye, and the ends of epochs before `who` from which nothing came."""
    known = previous.epoch if previous is not None and previous.run == who.run else 0
    stamp = None if previous is None else previous.stamp_wall_ns
    deaths: list[tuple[Identity, int]] = []
    if previous is not None and not previous.ended:
        deaths.append((Identity(previous.run, previous.worker, previous.epoch), previous.seq + 1))
    for epoch in range(max(known + 1, who.epoch - SILENT_EPOCHS_MAX), who.epoch):
        deaths.append((Identity(who.run, who.worker, epoch), 1))
    return [
        # How a start of another run ended, nobody has told this one.
        Gap(dead, first, None, None, None, stamp, until_wall_ns,
            _ending_of(dead.epoch, endings if dead.run == who.run else (), Reason.WORKER_DIED))
        for dead, first in deaths
    ]  # fmt: skip


def _account(
    who: Identity, previous: Mark, last_seq: int, lost: Sequence[Lost], until_wall_ns: int | None
) -> tuple[list[Gap], bool]:
    """The gaps between what is stored and `last_seq`, in order and without overlap, and whether `lost` explains them all."""
    gaps: list[Gap] = []
    is_whole = True
    cursor = previous.seq + 1

    def add(first: int, last: int, rows: int | None, reason: str) -> None:
        gaps.append(Gap(who, first, last, rows, None, previous.stamp_wall_ns, until_wall_ns, reason))

    for item in sorted(lost, key=lambda item: item.first_seq):
        if item.last_seq < cursor:
            continue  # Accounted for before; a range travels with every batch until one is acknowledged.
        if item.first_seq > cursor:
            add(cursor, item.first_seq - 1, None, Reason.SEQUENCE_HOLE)
            is_whole = False
        first = max(cursor, item.first_seq)
        # Of a range that is partly known, nobody can say how many rows the rest had.
        add(first, item.last_seq, item.rows if first == item.first_seq else None, item.reason)
        cursor = item.last_seq + 1
    if cursor <= last_seq:
        add(cursor, last_seq, None, Reason.SEQUENCE_HOLE)
        is_whole = False
    return gaps, is_whole
