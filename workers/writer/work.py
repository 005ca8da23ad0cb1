"""The writer: takes batches from the data socket, stores them, and only then acknowledges them.

What cannot be stored is not acknowledged: its sender keeps it and is asked to send it again every second.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from agent.config import COMPACTION, STORAGE_QUOTA, Config, reader_gid
from agent.failpoint import failpoint
from agent.model.errors import ProtocolError, StorageError
from agent.model.message import SUPERVISOR, DataAck, DataHello, Identity, StoreEvents
from agent.model.table import Table
from agent.model.tables import GAP
from agent.ports import Bus, Clock, DataPeer, Interest
from agent.sink_section import QUOTA
from agent.store.layout import DATA_FOLDER, SPOOL_FOLDER
from agent.store.record import SegmentHead
from agent.store.segment import created_wall_ns
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork
from workers.writer.archive import Archive, Launch
from workers.writer.compacting import Compacting, CompactionSetup
from workers.writer.compacting import Launch as Compact
from workers.writer.compaction_room import RoomKeeper
from workers.writer.core import SENDERS_MAX, WriterCore
from workers.writer.foreign import ForeignBatches
from workers.writer.gap import Gap, Reason
from workers.writer.gap_notes import GapNotes
from workers.writer.handover import Handover
from workers.writer.heads import SegmentHeads
from workers.writer.intake import AppendBatch, Intake
from workers.writer.kept import KeptSegments
from workers.writer.pruning import Pruning
from workers.writer.quota import Quota
from workers.writer.readers import ReaderGroup
from workers.writer.report import SealReport
from workers.writer.sealing import start_sealer
from workers.writer.segments import RETRY_NS, Segments
from workers.writer.spool import Spool
from workers.writer.start import start
from workers.writer.statistics import WriterStatistics
from workers.writer.syncer import Syncer

# One turn of the loop takes no more than this, so that asks, timers and heartbeats come to their turn.
TURN_MESSAGES_MAX = 256
TURN_BYTES_MAX = 8 << 20


class WriterWork(BaseWork):
    """The Work of the writer. `on_data` is called when the data socket is readable."""

    def __init__(
        self,
        *,
        clock: Clock,
        peer: DataPeer,
        bus: Bus,
        config: Config,
        catalogue: tuple[Table, ...],
        identity: Identity,
        state_dir: str,
        host: str,
        agent_version: str,
        segment_ids: Callable[[], str],
        launch: Launch | None = None,
        syncer: Syncer | None = None,
        compact: Compact | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._peer = peer
        self._bus = bus
        self._tables = {table.name: table for table in (GAP, *catalogue)}
        self._identity = identity
        self._intake = Intake(identity, self._tables)
        self._heads = SegmentHeads(clock, identity, self._tables, host, agent_version, segment_ids)
        self._state_dir = state_dir
        self._conditions = Conditions(bus)
        self._readers = ReaderGroup(reader_gid(config))
        self._handover = Handover(state_dir, self._readers)
        self._spool = Spool(f"{state_dir}/{SPOOL_FOLDER}", f"{state_dir}/set-aside", syncer, self._readers)
        # Undecided (a writer without an agent): no limit.
        limit_bytes = max(0, config.of(STORAGE_QUOTA))
        quota = Quota(limit_bytes, {name: table.prefix for name, table in self._tables.items()})
        pruning = Pruning(quota, state_dir, self._spool, clock, bus)
        launch = launch or partial(start_sealer, reader_gid=self._readers.gid)
        setup = CompactionSetup(
            state_dir, dict(quota.prefixes), lambda: self._heads.install, self._readers.gid, config.of(COMPACTION)
        )
        room = RoomKeeper(state_dir, pruning)
        compacting = Compacting(setup, self._spool, room, clock, bus, segment_ids, compact)
        quotas = {sink: section.get(QUOTA.key, QUOTA.default) for sink, section in config.sinks.items()}
        kept = KeptSegments(state_dir, quotas, limit_bytes, bus, self._spool_progress)
        self._archive = Archive(
            self._spool, state_dir, bus, launch, self._note_damage, pruning, self._note_removal, compacting, kept
        )
        self._segments = Segments(
            spool=self._spool,
            archive=self._archive,
            bus=bus,
            config=config,
            conditions=self._conditions,
            make_head=self._head,
            on_loss=self._note_removal,
        )
        self._core: WriterCore | None = None
        self._peers: dict[str, Identity] = {}
        # As whose the supervisor's own rows are stored, and which supervisor has asked what is stored.
        self._supervisor = Identity(identity.run, SUPERVISOR, 1)
        self._event_sender: int | None = None
        self._counts = WriterStatistics()
        self._losses = 0
        self._gap_notes = GapNotes()
        self._retry_at_ns: int | None = None

    # ---- Work ----

    def on_start(self, now_ns: int) -> None:
        """Recover and open a segment. A disk that refuses ends nothing: it is a condition, and tried again every second."""
        self._try(self._begin, now_ns)
        if self._core is not None:
            # Samplers that connected while this worker was still waiting for its rules.
            self._greet(self._core, self._peers.values())

    def next_deadline_ns(self) -> int | None:
        now_ns = self._clock.now_ns()
        segments = self._segments.deadlines(is_storing=self._is_storing)
        deadlines = [
            now_ns if self._handover.is_left else None,
            self._retry_at_ns,
            self._gap_notes.due_at_ns(),
            self._archive.next_deadline_ns(now_ns),
            *segments,
        ]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        if self._retry_at_ns is not None and now_ns >= self._retry_at_ns:
            self._retry(now_ns)
        self._try(lambda at_ns: self._segments.on_timer(at_ns, is_storing=self._is_storing), now_ns)
        self._archive.advance(now_ns)
        self._serve_readers()
        self._tell_gaps(now_ns)

    def _tell_gaps(self, now_ns: int) -> None:
        if (note := self._gap_notes.take(now_ns)) is not None:
            self._bus.note(note)

    def _serve_readers(self) -> None:
        """Open what is old, and say what the reader group cannot see although it should: stored it is."""
        if self._handover.is_left:
            self._handover.advance()
        if self._readers.problem:
            self._conditions.begin("readers", f"the reader group cannot read all data: {self._readers.problem}")
        else:
            self._conditions.end("readers")

    @property
    def _is_storing(self) -> bool:
        return self._retry_at_ns is None and self._core is not None

    def on_progress(self, beat: Callable[[], None]) -> None:
        """Have `beat` called between the steps of what may take long."""
        self._spool.on_progress = beat

    def _spool_progress(self) -> None:
        self._spool.on_progress()

    def interests(self) -> tuple[Interest, ...]:
        return tuple(map(Interest, (self._spool.syncer.descriptor, *self._archive.descriptors())))

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        if descriptor == self._spool.syncer.descriptor:
            self._segments.on_synced(now_ns)
        self._archive.advance(now_ns)

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        if what == "stats":
            return self._stats()
        if what == "rotate":
            return self._rotate(now_ns)
        return {"problem": f"the writer has no answer to {what!r}; ask for stats or rotate"}

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        return self._archive.take_replies()

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        self._archive.stop()
        if self._core is not None:
            self._try(self._segments.rotate, now_ns)
        self._archive.advance(now_ns)
        self._tell_gaps(now_ns)

    def is_done(self) -> bool:
        # A spool that is not on the disk yet keeps its rows in the kernel's memory, which outlives the process.
        return self._archive.is_done or self._retry_at_ns is not None or "sync" in self._conditions

    def close(self) -> None:
        """Give everything back, as the end of the process does; for a process that outlives its writer."""
        self._handover.close()
        self._archive.close()
        self._spool.close()

    # ---- data socket ----

    def on_data(self, now_ns: int) -> bool:
        """Take what has come, up to a bound; True when there may be more."""
        append = AppendBatch()
        # While the disk refuses, everything is dropped undecided and unacknowledged; `_retry` has it sent again.
        core = None if self._retry_at_ns is not None else self._core
        has_more = True
        for _ in range(TURN_MESSAGES_MAX):
            received = self._peer.receive()
            if received is None:
                has_more = False
                break
            who, message, rows = received
            if not message:
                self._on_connect(who, append)
            elif core is not None:
                self._on_message(core, who, message, rows, append)
            if append.bytes >= TURN_BYTES_MAX:
                break
        if core is not None:
            self._store(core, append, now_ns)
        return has_more

    def _on_connect(self, who: Identity, append: AppendBatch) -> None:
        if who.worker in self._peers or len(self._peers) < SENDERS_MAX:
            self._peers[who.worker] = who
        if self._core is not None:
            self._core.on_connect(who)
            append.greeted[who] = None

    def _on_message(self, core: WriterCore, who: Identity, message: bytes, rows: bytes, append: AppendBatch) -> None:
        try:
            self._intake.take(core, who, message, rows, self._clock.wall_ns(), append)
        except ProtocolError as failure:
            self._counts.malformed += 1
            self._conditions.last_error = failure.sentence

    def _store(self, core: WriterCore, append: AppendBatch, now_ns: int) -> None:
        """Decided, now appended, then committed; only then a word to anyone."""
        if append.frames:
            try:
                self._segments.append(append.frames, now_ns)
            except StorageError as failure:
                self._on_storage_failure(failure, now_ns)
                return
            core.commit()
            self._counts.count_rows(append.batches, append.rows_by_table)
            self._counts.count_foreign(append.foreign)
            self._gap_notes.add(append.gaps)
            self._conditions.end("spool")
        self._counts.duplicates += append.duplicates
        for who, seq in append.acks.items():
            failpoint("writer.before_ack")
            self._answer(who, DataAck(seq))
            failpoint("writer.acknowledged")
        self._greet(core, append.greeted)
        if self._try(self._segments.rotate_if_due, now_ns):
            self._archive.advance(now_ns)

    def _greet(self, core: WriterCore, whom: Iterable[Identity]) -> None:
        for who in whom:
            self._answer(who, DataHello(self._identity.epoch, core.have(who)))

    def _answer(self, who: Identity, message: DataHello | DataAck) -> None:
        if who != self._supervisor:
            self._peer.send(who, message)
        elif self._event_sender is not None and self._core is not None:
            self._bus.delivered(self._event_sender, self._core.have(who))

    def on_delivery(self, delivery: StoreEvents, now_ns: int) -> None:
        """The supervisor's rows, stored like any sender's. While nothing can be stored nothing is answered: it sends them again."""
        core = self._core
        if core is None or self._retry_at_ns is not None:
            return
        if not delivery.batch:
            self._event_sender = delivery.sender
            self._bus.delivered(delivery.sender, core.have(self._supervisor))
        elif delivery.sender == self._event_sender:
            append = AppendBatch()
            self._on_message(core, self._supervisor, delivery.batch, delivery.rows, append)
            self._store(core, append, now_ns)

    # ---- storage that fails and comes back ----

    def _try(self, action: Callable[[int], None], now_ns: int) -> bool:
        try:
            action(now_ns)
        except StorageError as failure:
            self._on_storage_failure(failure, now_ns)
            return False
        return True

    def _on_storage_failure(self, failure: StorageError, now_ns: int) -> None:
        if self._core is not None:
            self._core.rollback()
        self._counts.append_errors += 1
        self._retry_at_ns = now_ns + RETRY_NS
        self._conditions.begin("spool", failure.sentence, blocks_ready=True)

    def _retry(self, now_ns: int) -> None:
        """Open what is missing and ask every sender to begin again; the first append shows whether it works."""
        self._retry_at_ns = None
        if self._try(self._begin if self._core is None else self._segments.reopen, now_ns):
            self._ask_again()

    def _ask_again(self) -> None:
        """Messages were dropped undecided while nothing could be stored."""
        if self._core is not None:
            self._core.rollback()
            self._greet(self._core, self._peers.values())

    def _rotate(self, now_ns: int) -> dict[str, Any] | None:
        """The answer to `rotate`. It tries at once, also while a failure is waited out; None: the answer comes later."""
        try:
            if self._core is None:
                self._begin(now_ns)
            self._segments.rotate(now_ns)
        except StorageError as failure:
            if not self._spool.is_open:
                self._on_storage_failure(failure, now_ns)
            return {"files": [], "rows": 0, "problem": failure.sentence}
        if self._retry_at_ns is not None:
            self._retry_at_ns = None
            self._ask_again()
        self._conditions.end("spool")
        answer = self._archive.wait_for_all()
        self._archive.advance(now_ns)
        return answer

    # ---- segments ----

    def _begin(self, now_ns: int) -> None:
        self._archive.prepare()
        foreign = ForeignBatches(self._heads.forms)
        found = start(self._spool, f"{self._state_dir}/{DATA_FOLDER}", self._identity.run, self._bus, foreign)
        self._heads.keep_install(self._state_dir, found.install, self._readers)
        foreign.install = self._heads.install
        self._segments.generation = found.generation
        self._segments.superseded = found.superseded
        self._core = WriterCore(self._identity.run, found.marks, foreign)
        try:
            self._segments.begin(now_ns)
        except StorageError:
            self._core = None
            raise
        self._counts.torn_tails += found.torn_tails
        self._conditions.end("spool")
        self._archive.add(found.waiting)
        for name in found.empty:
            self._segments.discard(name)
        self._segments.sync(now_ns)

    def _head(self, generation: int, durable: int, superseded: tuple[str, ...]) -> SegmentHead:
        assert self._core is not None
        return self._heads.make(generation, durable, superseded, self._core.marks(), self._core.foreign.encode())

    def _note_damage(self, report: SealReport) -> None:
        """A row of table `gap` for what a segment lost. *Raises:* StorageError."""
        self._note_loss(report.from_wall_ns, report.until_wall_ns, Reason.CORRUPT_RECORD)

    def _note_removal(self, name: str) -> None:
        """A row of table `gap` for a whole segment that somebody removed. *Raises:* StorageError."""
        self._note_loss(created_wall_ns(name), self._clock.wall_ns(), Reason.SEGMENT_REMOVED)

    def _note_loss(self, from_wall_ns: int | None, until_wall_ns: int | None, reason: Reason) -> None:
        # The losses of the writer's own are numbered too, so that the key of the table tells them apart.
        self._losses += 1
        append = AppendBatch()
        gap = Gap(self._identity, self._losses, None, None, None, from_wall_ns, until_wall_ns, reason)
        self._intake.add_gaps([gap], self._clock.wall_ns(), append)
        self._segments.append(append.frames, self._clock.now_ns())
        self._counts.count_rows(append.batches, append.rows_by_table)
        self._gap_notes.add(append.gaps)

    def _stats(self) -> dict[str, Any]:
        counts = self._counts
        return {
            "batches": counts.batches,
            "rows": counts.rows,
            "rows_by_table": dict(counts.rows_by_table),
            "duplicates": counts.duplicates,
            "gap_rows": counts.gap_rows,
            "foreign": counts.foreign(self._core.foreign if self._core is not None else None),
            "ticks_missed": {} if self._core is None else self._core.ticks_missed(),
            "malformed": counts.malformed,
            "spool_bytes": self._spool.size_bytes,
            **self._archive.stats(),
            "append_errors": counts.append_errors,
            "is_syncing": self._spool.syncer.is_busy,
            "torn_tails": counts.torn_tails,
            "foreign_files": len(self._spool.foreign),
            "last_error": self._conditions.last_error or self._archive.last_error,
        }
