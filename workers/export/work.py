"""The work of an exporter: reads what is stored, has the sink encode it, sends it, and keeps how far it has come.

The loop reads, counts and encodes; one thread (`workers.export.carrier`) waits for the sink and for the disk. At most one delivery
is on its way, and its acknowledgement is on the disk before the next one begins: a process that is killed repeats one at most.
"""

import time
from collections.abc import Sequence
from random import Random
from typing import Any

from msgspec import Struct

from agent.model.errors import EvergaugeError, FormatError
from agent.model.limit import LadderStep
from agent.model.timebase import MS, S
from agent.ports import Interest
from agent.sink_section import BACKLOG_BEFORE, BACKLOG_BESIDE, BACKLOG_PERCENT, INTERVAL, RETRY_MOST
from agent.store.batch import StoredBatch
from agent.store.place import Place
from workers.export.attempt import Attempts
from workers.export.carrier import Carried, Carrier
from workers.export.open_sink import ExporterParts, OpenSink, open_sink, watch_spool
from workers.export.pace import CHUNK_LEAST_BYTES, Pace, next_chunk_bytes
from workers.export.progress import ExportLine, shown
from workers.export.reporting import Reporting
from workers.export.sink import (
    Delivered,
    Later,
    Parcel,
    Paused,
    Refused,
    SinkKind,
    SinkValues,
    TooLarge,
    Verdict,
)
from workers.export.sink_state import Commit
from workers.framework.declaration import WorkerContext
from workers.framework.inotify import Inotify
from workers.framework.work import BaseWork

# Appends are noticed at once; this look finds them where the kernel has no watch left, and what is needed at a start.
LOOK_NS = 1 * S
SNAPSHOT_NS = 30 * S
# How long a delivery that is on its way is waited for at the end.
LEAVE_NS = 200 * MS
# What is new goes first once it is so much younger than what would be next.
LIVE_FIRST_NS = 10 * S
# How soon it is seen that a segment is sealed, for a sink that gets whole segments.
SEALED_LOOK_NS = 2 * S
# A backlog that is to cost less gets this part of its share.
BACKLOG_SLOWED_PART = 10
# Batches in which the sink finds nothing, in one turn of the loop.
EMPTY_CHUNKS_MAX = 16


class Delivery(Struct, frozen=True):
    """What is on its way, or waits to be sent again byte for byte."""

    line: ExportLine
    batches: list[StoredBatch]
    parcel: Parcel
    is_backlog: bool

    @property
    def begin(self) -> Place:
        """Where it begins in the spool. Parts of a whole segment are in the order of their ends."""
        return min(batch.place for batch in self.batches)


class ExporterWork(BaseWork):
    """The `agent.ports.Work` of the worker `exporter/NAME`."""

    def __init__(self, parts: ExporterParts) -> None:
        super().__init__()
        values = parts.values
        self._parts = parts
        self._reporting = Reporting(values.name, values.kind, parts.clock, parts.bus, parts.outbox)
        self._attempts = Attempts(parts.rng, values.of(RETRY_MOST))
        self._percent = values.of(BACKLOG_PERCENT) or (BACKLOG_BEFORE if parts.kind.is_ordered else BACKLOG_BESIDE)
        self._pace = Pace(self._percent)
        self._is_off = False
        self._interval_ns = values.of(INTERVAL) if INTERVAL.key in values.values else parts.kind.interval_ns
        self._carrier: Carrier[Verdict | None] = Carrier()
        self._notices: Inotify | None = None
        self._opened: OpenSink | None = None
        # The job of the thread: a delivery, or (None) a commit.
        self._under_way: Delivery | None = None
        self._held: Delivery | None = None
        self._is_dirty = False
        self._chunk_batches_max: int | None = None
        self._chunk_bytes = CHUNK_LEAST_BYTES
        self._look_at_ns: int | None = None
        self._live_at_ns = 0
        self._commit_at_ns = 0
        self._snapshot_at_ns = 0
        self._storage_at_ns = 0
        self._leave_at_ns = 0

    # ---- Work ----

    def on_start(self, now_ns: int) -> None:
        self._look_at_ns = now_ns

    def next_deadline_ns(self) -> int | None:
        if self.is_stopped:
            return self._leave_at_ns if self._under_way is not None else None
        if self._look_at_ns is None or self._is_off:
            return None
        if self._opened is None or self._carrier.is_busy:
            return self._look_at_ns
        return min(self._look_at_ns, max(self._work_at_ns(), self._storage_at_ns))

    def on_timer(self, now_ns: int) -> None:
        if not self.is_stopped:
            self._turn(now_ns)

    def interests(self) -> tuple[Interest, ...]:
        notices = () if self._notices is None or self.is_stopped else (Interest(self._notices.descriptor),)
        return (Interest(self._carrier.descriptor), *notices)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        if self._notices is not None and descriptor == self._notices.descriptor:
            self._notices.drain()
            # Each worker's batch is an append: they are looked at together when the next delivery is due.
            self._look_at_ns = min(self._look_at_ns or now_ns, max(now_ns, self._live_at_ns))
        elif (carried := self._carrier.take()) is not None:
            self._on_carried(carried, now_ns)

    @property
    def is_kept(self) -> bool:
        """Whatever was settled so far is on the disk."""
        return self._opened is not None and not self._is_dirty and not self._carrier.is_busy

    def stats(self) -> dict[str, Any]:
        if self._opened is None:
            return {"sink": self._parts.values.name, "kind": self._parts.kind.name, "state": "starting"}
        progress = self._opened.progress
        progress.check()
        ledger = dict(shown(progress.ledger(), progress.pending_rows))
        return self._reporting.stats(self._attempts, progress, ledger, self._opened.sink.left_out())

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        super().on_stop(now_ns, for_good=for_good)
        self._leave_at_ns = now_ns + LEAVE_NS
        if self._opened is not None and self._is_dirty and not self._carrier.is_busy:
            self._commit(self._opened, now_ns)

    def is_done(self) -> bool:
        # A sink that does not answer keeps nobody from ending: the next process sends the same again.
        is_left = self._under_way is not None and self._parts.clock.now_ns() >= self._leave_at_ns
        return self.is_stopped and (not self._carrier.is_busy or is_left)

    def close(self) -> None:
        """Give everything back, as the end of the process does; for a process that outlives its exporter."""
        if self._carrier.close(0.5) and self._opened is not None:
            self._opened.sink.close()
            self._opened.state.close()
            self._opened.reading.close()
        if self._notices is not None:
            self._notices.close()

    # ---- one turn ----

    def _work_at_ns(self) -> int:
        """When something can be sent that is there already; far away: nothing is there."""
        opened = self._opened
        assert opened is not None
        never = 1 << 63
        if self._held is not None:
            return self._attempts.not_before_ns
        progress = opened.progress
        live = self._live_at_ns if progress.end_of_spans.is_before(progress.scanned) else never
        backlog = self._pace.not_before_ns() if progress.has_backlog else never
        dirty = self._commit_at_ns if self._is_dirty else never
        if opened.is_replaying or not opened.reading.is_at_end:
            return 0
        return min(dirty, max(self._attempts.not_before_ns, min(live, backlog)))

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """Switched off, it sends nothing, and what is stored meanwhile waits for it as for a sink that is away."""
        slow = LadderStep.BACKLOG_SLOWED in steps
        self._pace.set_percent(max(1, self._percent // BACKLOG_SLOWED_PART) if slow else self._percent)
        self._is_off = is_off
        if self._look_at_ns is not None:
            self._look_at_ns = 0

    def _turn(self, now_ns: int) -> None:
        if self._is_off:
            return
        try:
            opened = self._opened or self._open(now_ns)
            if opened is None:
                return
            if opened.is_replaying:
                opened.replay()
            elif self._look_at_ns is not None and (now_ns >= self._look_at_ns or not opened.reading.is_at_end):
                if opened.reading.scan(opened.progress):
                    self._settled(now_ns)
                self._look_at_ns = now_ns + LOOK_NS
            if not opened.is_replaying and opened.reading.is_at_end and not self._carrier.is_busy:
                self._begin_next(opened, now_ns)
            self._reporting.on_losses(opened.progress.take_losses())
        except EvergaugeError as failure:
            self._on_storage_failure(failure, now_ns)

    def _on_storage_failure(self, failure: EvergaugeError, now_ns: int) -> None:
        self._reporting.on_storage(failure.sentence)
        self._storage_at_ns = self._look_at_ns = now_ns + LOOK_NS

    def _open(self, now_ns: int) -> OpenSink | None:
        """None: the writer has not begun yet."""
        self._look_at_ns = now_ns + LOOK_NS // 4
        self._opened = open_sink(self._parts, self._reporting)
        if self._opened is not None:
            self._notices = watch_spool(self._parts.state_dir)
            self._look_at_ns = now_ns
        return self._opened

    def _begin_next(self, opened: OpenSink, now_ns: int) -> None:
        """Send what is due, or keep what was settled without being sent."""
        opened.reading.keep_up(opened.progress)
        if now_ns >= self._attempts.not_before_ns and (delivery := self._next_delivery(opened, now_ns)) is not None:
            self._send(opened, delivery)
        elif self._is_dirty and now_ns >= self._commit_at_ns:
            self._commit(opened, now_ns)

    def _next_delivery(self, opened: OpenSink, now_ns: int) -> Delivery | None:
        held, self._held = self._held, None
        if held is not None and held.begin == self._next_on(opened, held.line):
            return held
        if not opened.kind.is_ordered and self._attempts.is_up and self._is_late(opened):
            opened.progress.open_live()
        if now_ns >= self._live_at_ns and (found := self._take(opened, ExportLine.LIVE, now_ns)) is not None:
            return found
        if opened.progress.has_backlog and now_ns >= self._pace.not_before_ns():
            return self._take(opened, ExportLine.BACKLOG, now_ns)
        return None

    def _is_late(self, opened: OpenSink) -> bool:
        """Whether what is next on the live line is so old that what is new should not wait for it."""
        found = opened.reading.first(opened.progress, ExportLine.LIVE)
        return found is not None and opened.progress.lag_ns(found) > LIVE_FIRST_NS

    def _next_on(self, opened: OpenSink, line: ExportLine) -> Place | None:
        """Where the next batch of a line begins. A delivery that is held is dropped where that is behind it: it was pruned."""
        found = opened.reading.first(opened.progress, line)
        return None if found is None else found.place

    def _take(self, opened: OpenSink, line: ExportLine, now_ns: int) -> Delivery | None:
        """The next batches of a line, encoded. None: there are none."""
        for _ in range(EMPTY_CHUNKS_MAX):
            begun_ns = time.thread_time_ns()
            batches = opened.reading.read(opened.progress, line, self._chunk_bytes)[: self._chunk_batches_max]
            if opened.reading.is_waiting:
                self._live_at_ns = now_ns + SEALED_LOOK_NS
                return None
            if not batches:
                if opened.progress.pass_unreadable(line):
                    self._settled(now_ns)
                return None
            is_backlog = line is ExportLine.BACKLOG or opened.progress.lag_ns(batches[0]) > LIVE_FIRST_NS
            if is_backlog and line is ExportLine.LIVE and now_ns < self._pace.not_before_ns():
                self._live_at_ns = self._pace.not_before_ns()
                return None
            parcel = self._encoded(opened, line, batches, now_ns)
            spent_ns = time.thread_time_ns() - begun_ns
            self._chunk_bytes = next_chunk_bytes(self._chunk_bytes, spent_ns)
            if is_backlog:
                self._pace.on_spent(spent_ns, now_ns)
            if parcel is not None:
                if line is ExportLine.LIVE:
                    has_more = batches[-1].behind.is_before(opened.progress.scanned)
                    self._live_at_ns = now_ns if is_backlog or has_more else now_ns + self._interval_ns
                return Delivery(line, batches, parcel, is_backlog)
        return None

    def _encoded(self, opened: OpenSink, line: ExportLine, batches: list[StoredBatch], now_ns: int) -> Parcel | None:
        """What travels; None: these are settled without it."""
        try:
            parcel = opened.sink.take(batches)
        except FormatError as failure:
            self._reject(opened, line, batches, "unreadable", failure.sentence, now_ns)
            return None
        if parcel is None:
            opened.progress.deliver(line, batches)
            self._settled(now_ns)
        return parcel

    def _settled(self, now_ns: int) -> None:
        if not self._is_dirty:
            self._is_dirty, self._commit_at_ns = True, now_ns + LOOK_NS

    # ---- the thread's jobs ----

    def _send(self, opened: OpenSink, delivery: Delivery) -> None:
        self._under_way = delivery
        segments = [batch.place.segment for batch in delivery.batches]
        force, sink, parcel = opened.reading.force, opened.sink, delivery.parcel

        def job() -> Verdict:
            # First here, then there: a power failure must not leave a sink with what this host does not have.
            force(segments)
            return sink.deliver(parcel)

        self._carrier.start(job)

    def _commit(self, opened: OpenSink, now_ns: int) -> None:
        snapshot = None
        # What is held is in the sink's totals already, and not settled.
        if now_ns >= self._snapshot_at_ns and self._held is None:
            self._snapshot_at_ns = now_ns + SNAPSHOT_NS
            snapshot = opened.snapshot()
        commit = Commit(opened.progress.cursor(opened.needs), snapshot)
        self._is_dirty = False
        self._under_way = None
        state = opened.state

        def job() -> None:
            state.commit(commit)
            opened.on_committed(commit)

        self._carrier.start(job)

    def _on_carried(self, carried: "Carried[Verdict | None]", now_ns: int) -> None:
        opened, delivery = self._opened, self._under_way
        assert opened is not None
        self._under_way = None
        result = carried.result
        if isinstance(result, EvergaugeError):
            self._is_dirty = self._is_dirty or delivery is None
            self._held = delivery
            self._on_storage_failure(result, now_ns)
            return
        self._reporting.on_storage("")
        if delivery is None:
            if not self.is_stopped:
                self._turn(now_ns)
            return
        # Only now: what is read while it is delivered is not known before.
        self._reporting.sent_bytes += delivery.parcel.size_bytes
        if delivery.is_backlog:
            self._pace.on_spent(carried.cpu_ns, now_ns)
        assert result is not None
        self._on_verdict(opened, delivery, result, now_ns)

    def _on_verdict(self, opened: OpenSink, delivery: Delivery, verdict: Verdict, now_ns: int) -> None:
        changed = self._attempts.on_verdict(verdict, now_ns)
        line, batches = delivery.line, delivery.batches
        match verdict:
            case Delivered():
                opened.progress.deliver(line, batches, verdict.refused_rows, verdict.reason)
                self._reporting.points += delivery.parcel.points
                self._chunk_batches_max = None
                if verdict.refused_rows:
                    self._reporting.on_rejected(verdict.refused_rows, verdict.reason, verdict.sentence, now_ns)
                elif verdict.sentence:
                    self._reporting.on_warning(verdict.sentence)
                self._is_dirty = True
            case Refused():
                self._reject(opened, line, batches, verdict.reason, verdict.sentence, now_ns)
            case TooLarge():
                self._divide(opened, delivery, verdict, now_ns)
            case Later() | Paused():
                self._reporting.failures += 1
                self._held = delivery
        self._reporting.on_verdict(self._attempts, opened.progress, changed=changed, now_ns=now_ns)
        if self._is_dirty:
            self._commit(opened, now_ns)

    def _divide(self, opened: OpenSink, delivery: Delivery, verdict: TooLarge, now_ns: int) -> None:
        # One that builds on what came before has taken these batches in already.
        if len(delivery.batches) == 1 or opened.kind.is_ordered:
            self._reject(opened, delivery.line, delivery.batches, "too_large", verdict.sentence, now_ns)
        else:
            self._chunk_batches_max = len(delivery.batches) // 2
            self._live_at_ns = now_ns

    def _reject(
        self, opened: OpenSink, line: ExportLine, batches: Sequence[StoredBatch], reason: str, sentence: str, now_ns: int
    ) -> None:
        rows = opened.progress.reject(line, batches, reason)
        self._reporting.on_rejected(rows, reason, sentence, now_ns)
        self._is_dirty, self._commit_at_ns = True, now_ns


def make_work(kind: SinkKind, values: SinkValues, tables: tuple[str, ...], context: WorkerContext) -> ExporterWork:
    """The work in its own process."""
    launch = context.launch
    parts = ExporterParts(
        kind, values, tables, launch.state_dir, launch.host, launch.agent_version, context.clock, context.bus, context.outbox(),
        Random(), launch.identity.run,
    )  # fmt: skip
    return ExporterWork(parts)
