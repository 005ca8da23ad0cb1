"""The writer: takes batches from the data socket, stores them, and only then acknowledges them.

What cannot be stored is not acknowledged: its sender keeps it and is asked to send it again every second.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from agent.config import SEAL_BYTES, SEAL_INTERVAL, STORAGE_QUOTA, SYNC_INTERVAL, Config
from agent.failpoint import failpoint
from agent.model.errors import ProtocolError, StorageError
from agent.model.message import Condition, DataAck, DataHello, Identity, Note
from agent.model.rule_state import RuleState
from agent.model.table import Table
from agent.model.tables import GAP
from agent.model.timebase import S
from agent.ports import Bus, Clock, DataPeer
from workers.writer.archive import Archive, Launch
from workers.writer.core import SENDERS_MAX, WriterCore
from workers.writer.folder import read_file
from workers.writer.gap import Gap, Reason
from workers.writer.intake import Drain, Intake
from workers.writer.pruning import Pruning
from workers.writer.quota import Quota
from workers.writer.record import FORMAT_VERSION, Mark, SegmentHead, TableForm
from workers.writer.recover import Recovery
from workers.writer.report import SealReport
from workers.writer.sealing import start_sealer
from workers.writer.spool import SEGMENT_BYTES_MAX, Spool

# One turn of the loop takes no more than this, so that asks, timers and heartbeats come to their turn.
DRAIN_MESSAGES_MAX = 256
DRAIN_BYTES_MAX = 8 << 20
RETRY_NS = 1 * S
# Marks are read from the newest segments, up to so much; older ones are contained in the heads of these.
RECOVER_BYTES_MAX = 64 << 20


class _Counts(Struct):
    batches: int = 0
    rows: int = 0
    duplicates: int = 0
    gap_rows: int = 0
    malformed: int = 0
    append_errors: int = 0


class WriterWork:
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
        launch: Launch = start_sealer,
    ) -> None:
        self._clock = clock
        self._peer = peer
        self._bus = bus
        self._tables = {table.name: table for table in (GAP, *catalogue)}
        self._identity = identity
        self._intake = Intake(identity, self._tables)
        self._host = host
        self._agent_version = agent_version
        self._segment_ids = segment_ids
        self._seal_interval_ns = config.of(SEAL_INTERVAL)
        self._seal_bytes = config.of(SEAL_BYTES)
        self._sync_interval_ns = config.of(SYNC_INTERVAL)
        self._spool = Spool(f"{state_dir}/spool", f"{state_dir}/set-aside")
        quota = Quota(config.of(STORAGE_QUOTA), {name: table.prefix for name, table in self._tables.items()})
        pruning = Pruning(quota, state_dir, self._spool, clock, bus)
        self._archive = Archive(self._spool, state_dir, bus, launch, self._note_damage, pruning)
        self._core: WriterCore | None = None
        self._peers: dict[str, Identity] = {}
        self._counts = _Counts()
        self._rows_by_table: dict[str, int] = {}
        self._damages = 0
        self._first_at_ns: int | None = None
        self._sync_at_ns: int | None = None
        self._retry_at_ns: int | None = None
        self._conditions: dict[str, str] = {}
        self._last_error = ""

    # ---- Work ----

    def on_start(self, now_ns: int) -> None:
        """Recover and open a segment. A disk that refuses ends nothing: it is a condition, and tried again every second."""
        self._try(self._begin, now_ns)
        if self._core is not None:
            # Whoever connected while this worker was still waiting for its rules.
            self._greet(self._core, self._peers.values())

    def on_rules(self, rules: RuleState) -> None:
        """The writer stores whatever comes; rules are for those who measure."""

    def next_deadline_ns(self) -> int | None:
        now_ns = self._clock.now_ns()
        deadlines = [self._retry_at_ns, self._sync_at_ns, self._archive.next_deadline_ns(now_ns)]
        if self._first_at_ns is not None and self._retry_at_ns is None:
            deadlines.append(self._first_at_ns + self._seal_interval_ns)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        if self._retry_at_ns is not None and now_ns >= self._retry_at_ns:
            self._retry(now_ns)
        if self._sync_at_ns is not None and now_ns >= self._sync_at_ns:
            self._sync(now_ns)
        if self._retry_at_ns is None and self._is_full(now_ns):
            self._try(self._rotate, now_ns)
        self._archive.advance(now_ns)

    def descriptors(self) -> Sequence[int]:
        return (self._spool.syncer.descriptor, *self._archive.descriptors())

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        if descriptor == self._spool.syncer.descriptor:
            self._on_synced(now_ns)
        self._archive.advance(now_ns)

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        if what == "stats":
            return self._stats()
        if what == "rotate":
            self._try(self._rotate, now_ns)
            if self._retry_at_ns is not None:
                return {"files": [], "rows": 0, "problem": self._last_error}
            answer = self._archive.wait_for_all()
            self._archive.advance(now_ns)
            return answer
        return {"problem": f"the writer knows nothing of {what!r}; ask for stats or rotate"}

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        return self._archive.take_replies()

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """The writer asks the supervisor nothing."""

    def on_taken_over(self, now_ns: int) -> None:
        """Nothing: what is stored does not depend on who supervises."""

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        self._archive.stop()
        self._try(self._rotate, now_ns)
        self._archive.advance(now_ns)

    def is_done(self) -> bool:
        # A spool that is not on the disk yet keeps its rows in the kernel's memory, which outlives the process.
        return self._archive.is_done or self._retry_at_ns is not None or "sync" in self._conditions

    def close(self) -> None:
        """Give everything back, as the end of the process does; for whoever goes on living after the writer."""
        self._archive.close()
        self._spool.close()

    # ---- data socket ----

    def on_data(self, now_ns: int) -> bool:
        """Take what has come, up to a bound; True when there may be more."""
        drain = Drain()
        # While the disk refuses, everything is dropped undecided and unacknowledged; `_retry` has it sent again.
        core = None if self._retry_at_ns is not None else self._core
        has_more = True
        for _ in range(DRAIN_MESSAGES_MAX):
            received = self._peer.receive()
            if received is None:
                has_more = False
                break
            who, message, rows = received
            if not message:
                self._on_connect(who, drain)
            elif core is not None:
                self._on_message(core, who, message, rows, drain)
            if drain.bytes >= DRAIN_BYTES_MAX:
                break
        if core is not None:
            self._store(core, drain, now_ns)
        return has_more

    def _on_connect(self, who: Identity, drain: Drain) -> None:
        if who.worker in self._peers or len(self._peers) < SENDERS_MAX:
            self._peers[who.worker] = who
        if self._core is not None:
            self._core.on_connect(who)
            drain.greeted[who] = None

    def _on_message(self, core: WriterCore, who: Identity, message: bytes, rows: bytes, drain: Drain) -> None:
        try:
            self._intake.take(core, who, message, rows, self._clock.wall_ns(), drain)
        except ProtocolError as failure:
            self._counts.malformed += 1
            self._last_error = failure.sentence

    def _store(self, core: WriterCore, drain: Drain, now_ns: int) -> None:
        """Decided, now appended, then committed; only then a word to anyone."""
        if drain.frames:
            try:
                self._append(drain.frames, now_ns)
            except StorageError as failure:
                self._on_storage_failure(failure, now_ns)
                return
            core.commit()
            self._count(drain)
            self._end_condition("spool")
        self._counts.duplicates += drain.duplicates
        for who, seq in drain.acks.items():
            failpoint("writer.before_ack")
            self._peer.send(who, DataAck(seq))
            failpoint("writer.acknowledged")
        self._greet(core, drain.greeted)
        if self._is_full(now_ns):
            self._try(self._rotate, now_ns)
            self._archive.advance(now_ns)

    def _append(self, frames: Sequence[bytes], now_ns: int) -> None:
        self._spool.append(frames)
        if self._first_at_ns is None:
            self._first_at_ns = now_ns
        if self._sync_at_ns is None:
            self._sync_at_ns = now_ns + self._sync_interval_ns

    def _count(self, drain: Drain) -> None:
        self._counts.batches += drain.batches
        for table, rows in drain.rows_by_table.items():
            self._counts.rows += rows
            self._counts.gap_rows += rows if table == GAP.name else 0
            self._rows_by_table[table] = self._rows_by_table.get(table, 0) + rows

    def _greet(self, core: WriterCore, whom: Iterable[Identity]) -> None:
        for who in whom:
            self._peer.send(who, DataHello(self._identity.epoch, core.have(who)))

    # ---- storage that fails and comes back ----

    def _try(self, action: Callable[[int], None], now_ns: int) -> None:
        try:
            action(now_ns)
        except StorageError as failure:
            self._on_storage_failure(failure, now_ns)

    def _on_storage_failure(self, failure: StorageError, now_ns: int) -> None:
        if self._core is not None:
            self._core.rollback()
        self._counts.append_errors += 1
        self._retry_at_ns = now_ns + RETRY_NS
        self._begin_condition("spool", failure, blocks_ready=True)

    def _retry(self, now_ns: int) -> None:
        """Open what is missing and ask every sender to begin again; the first append shows whether it works."""
        self._retry_at_ns = None
        self._try(self._begin if self._core is None else self._reopen, now_ns)
        if self._retry_at_ns is None and self._core is not None:
            # Messages were dropped undecided meanwhile.
            self._core.rollback()
            self._greet(self._core, self._peers.values())

    def _reopen(self, now_ns: int) -> None:
        if not self._spool.is_open or self._is_full(now_ns):
            self._rotate(now_ns)

    def _begin_condition(self, kind: str, failure: StorageError, *, blocks_ready: bool) -> None:
        self._last_error = failure.sentence
        if self._conditions.get(kind) != failure.sentence:
            self._conditions[kind] = failure.sentence
            self._bus.condition(Condition(kind=kind, active=True, detail=failure.sentence, blocks_ready=blocks_ready))

    def _end_condition(self, kind: str) -> None:
        if self._conditions.pop(kind, None) is not None:
            self._bus.condition(Condition(kind=kind, active=False, detail=""))

    # ---- segments ----

    def _begin(self, now_ns: int) -> None:
        self._spool.prepare()
        self._archive.prepare()
        names = self._spool.names()
        marks, empty = self._recover(names)
        self._core = WriterCore(self._identity.run, marks)
        try:
            self._spool.open(self._head())
        except StorageError:
            self._core = None
            raise
        self._end_condition("spool")
        self._archive.add([name for name in names if name not in empty])
        for name in sorted(empty):
            self._spool.remove(name)
        self._sync(now_ns)

    def _recover(self, names: Sequence[str]) -> tuple[tuple[Mark, ...], set[str]]:
        recovery = Recovery(self._identity.run)
        empty: set[str] = set()
        for name in self._newest(names):
            try:
                finding = recovery.take(read_file(self._spool.path(name), SEGMENT_BYTES_MAX))
            except StorageError as failure:
                # One bad sector keeps no writer from starting: the segment stays, the sealer's failure is told.
                self._bus.note(Note(kind="segment_unreadable", severity="error", fields={"problem": failure.sentence}))
                continue
            if not finding.needs_sealing:
                empty.add(name)
        return recovery.marks(), empty

    def _newest(self, names: Sequence[str]) -> Sequence[str]:
        """Those of the segments that are worth reading for their marks, in the order in which they were opened."""
        left = RECOVER_BYTES_MAX
        for index in range(len(names) - 1, -1, -1):
            left -= self._spool.size_of(names[index])
            # The newest is read whatever its size: without its marks, rows would be stored twice.
            if left < 0 and index < len(names) - 1:
                return names[index + 1 :]
        return names

    def _head(self) -> SegmentHead:
        assert self._core is not None
        return SegmentHead(
            format=FORMAT_VERSION,
            segment=self._segment_ids(),
            host=self._host,
            run=self._identity.run,
            agent_version=self._agent_version,
            created_wall_ns=self._clock.wall_ns(),
            tables={name: form_of(table) for name, table in self._tables.items()},
            marks=self._core.marks(),
        )

    def _is_full(self, now_ns: int) -> bool:
        if self._first_at_ns is None:
            return False
        return now_ns - self._first_at_ns >= self._seal_interval_ns or self._spool.size_bytes >= self._seal_bytes

    def _rotate(self, now_ns: int) -> None:
        if self._core is None or (self._spool.is_open and self._spool.is_empty):
            return
        self._archive.add([self._spool.open(self._head())])
        self._end_condition("spool")
        self._first_at_ns = None
        self._sync(now_ns)

    def _note_damage(self, report: SealReport) -> None:
        """A row of table `gap` for what a segment lost. *Raises:* StorageError."""
        self._damages += 1
        drain = Drain()
        stamps = (report.from_wall_ns, report.until_wall_ns)
        # The losses of the writer's own are numbered too, so that the key of the table tells them apart.
        gap = Gap(self._identity, self._damages, None, None, None, *stamps, Reason.CORRUPT_RECORD)
        self._intake.add_gaps([gap], self._clock.wall_ns(), drain)
        self._append(drain.frames, self._clock.now_ns())
        self._count(drain)

    # ---- disk ----

    def _sync(self, now_ns: int) -> None:
        is_started = self._spool.sync()
        self._sync_at_ns = None if is_started else now_ns + self._sync_interval_ns

    def _on_synced(self, now_ns: int) -> None:
        failure = self._spool.take_synced()
        if failure is None:
            self._end_condition("sync")
            if not self._spool.is_durable:
                self._sync(now_ns)
        else:
            self._begin_condition("sync", failure, blocks_ready=False)
        if self._spool.has_unsynced and self._sync_at_ns is None:
            self._sync_at_ns = now_ns + self._sync_interval_ns

    def _stats(self) -> dict[str, Any]:
        counts = self._counts
        return {
            "batches": counts.batches,
            "rows": counts.rows,
            "rows_by_table": dict(self._rows_by_table),
            "duplicates": counts.duplicates,
            "gap_rows": counts.gap_rows,
            "malformed": counts.malformed,
            "spool_bytes": self._spool.size_bytes,
            **self._archive.stats(),
            "append_errors": counts.append_errors,
            "last_error": self._last_error or self._archive.last_error,
        }


def form_of(table: Table) -> TableForm:
    """A table's columns as a segment's head keeps them."""
    names = table.column_names
    return TableForm(table.version, names, tuple(str(column.dtype) for column in table.columns), table.prefix)
