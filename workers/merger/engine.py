"""The threads of a merger: one takes messages and asks the core, one reads and writes the store, one publishes marks.

The core decides everything; here its orders are carried out, and what happens is told to it. The store's thread decodes, writes
files and waits for buckets; meanwhile the first one goes on taking messages and keeps its place in the group.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Protocol

from msgspec import Struct

from agent.lake.known_columns import KnownColumns
from agent.model.errors import EvergaugeError, UnavailableError
from agent.model.timebase import S
from agent.topic.topic import partition_of, topic_of
from workers.export.carrier import Carrier
from workers.framework.vital_thread import VitalThread, end_process
from workers.merger.core import MergerCore, MergerTerms
from workers.merger.decoding import DecodedCommit, decode
from workers.merger.effect import (
    CommitRows,
    ConsumeFrom,
    MergerEffect,
    OffsetsLost,
    PauseConsuming,
    ReadPlaces,
    ResumeConsuming,
    TakenMessage,
    TellGroup,
    TopicPartition,
)
from workers.merger.kafka_reader import OutOfRange
from workers.merger.mark_publisher import MarkPublisher, MarkSink
from workers.merger.outcome import NotStored, NumberedMark, Stored, StoreSight
from workers.merger.report import MergerReport
from workers.merger.store import MergerStore

# While a job is under way its end is looked for so often; else nothing but a message wakes the thread.
_BUSY_SECONDS, _IDLE_SECONDS = 0.02, 0.25
_STATE_NS = 1 * S


class Reader(Protocol):
    """What `workers.merger.kafka_reader.KafkaReader` is to it."""

    problem: str

    def poll(self, seconds: float) -> TakenMessage | OutOfRange | None:
        """The next message."""
        ...

    def consume_from(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Take these partitions alone, from here on."""
        ...

    def pause(self) -> None:
        """Give no messages."""
        ...

    def resume(self) -> None:
        """Give them again."""
        ...

    def tell_group(self, offsets: Mapping[TopicPartition, int]) -> None:
        """How far the store is."""
        ...

    def lag(self, positions: Mapping[TopicPartition, int]) -> int:
        """How much is behind these."""
        ...

    def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions topics have."""
        ...

    def close(self) -> None:
        """Leave."""
        ...


OpenReader = Callable[[Callable[[Iterable[TopicPartition]], None], Callable[[], None]], Reader]


class EngineParts(Struct, frozen=True):
    """What it is made of. `open_reader` and `open_store` raise EvergaugeError where that cannot be done now. *Absent:* `marks`."""

    terms: MergerTerms
    known: KnownColumns
    open_reader: OpenReader
    open_store: Callable[[], MergerStore]
    topic_prefix: str = ""
    marks: MarkSink | None = None
    # When a consumer that could not be made, or could not go on, is made again.
    open_again_ns: int = 5 * S
    # A test says what a bug in a thread does.
    on_bug: Callable[[], None] = end_process


class _Committed(Struct, frozen=True):
    """The end of a commit, with what it was made of."""

    commit: DecodedCommit
    outcome: Stored | NotStored


class MergerEngine:
    """`start`, and later `stop`; then `is_over` says when it has ended. `report` has what happened."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self.report = MergerReport()
        self._core = MergerCore(parts.terms, Random(os.urandom(16)))
        self._carrier: Carrier[StoreSight | _Committed] = Carrier(parts.on_bug)
        self._publisher = None if parts.marks is None else MarkPublisher(parts.marks, parts.on_bug)
        self._store: MergerStore | None = None
        self._reader: Reader | None = None
        self._open_at_ns = 0
        self._state_at_ns = 0
        self._stop_until_ns: int | None = None
        self._is_stopping = threading.Event()
        self.is_over = False
        self._thread = VitalThread("merger", self._run, parts.on_bug)

    def start(self) -> None:
        """Begin."""
        if self._publisher is not None:
            self._publisher.start()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take nothing more; store what was taken, as far as that is done within this time."""
        self._stop_until_ns = time.monotonic_ns() + round(seconds * S)
        self._is_stopping.set()

    def join(self, seconds: float) -> bool:
        """Wait for the end, no longer than this. False: it has not ended."""
        return self._thread.join(seconds)

    # ---- the first thread ----

    def _run(self) -> None:
        while not self._is_ended():
            if self._is_stopping.is_set():
                self._core.on_stop()
            try:
                self._turn()
            except UnavailableError as failure:
                self._begin_again(failure)
        self._end()

    def _turn(self) -> None:
        now_ns = time.monotonic_ns()
        reader = self._reader or self._open(now_ns)
        if (carried := self._carrier.take()) is not None:
            self._on_carried(carried.result, now_ns)
        for effect in self._core.turn(now_ns):
            self._do(effect)
        if now_ns >= self._state_at_ns:
            self._state_at_ns = now_ns + _STATE_NS
            self._tell_state()
        self._wait(reader, self._seconds(now_ns))

    def _wait(self, reader: Reader | None, seconds: float) -> None:
        """Take a message, or let time pass."""
        core = self._core
        if reader is None or self._is_stopping.is_set() or not (core.is_consuming or core.is_paused or not core.positions):
            time.sleep(min(seconds, _BUSY_SECONDS))
            return
        taken = reader.poll(seconds)
        now_ns = time.monotonic_ns()
        if isinstance(taken, TakenMessage):
            core.on_message(taken, now_ns)
        elif taken is not None:
            core.on_out_of_range(taken.partition, taken.low, taken.high)

    def _seconds(self, now_ns: int) -> float:
        at_ns = self._core.next_at_ns(now_ns)
        most = _BUSY_SECONDS if self._carrier.is_busy else _IDLE_SECONDS
        return most if at_ns is None else min(most, (at_ns - now_ns) / S)

    def _open(self, now_ns: int) -> Reader | None:
        if now_ns < self._open_at_ns or self._is_stopping.is_set():
            return None
        try:
            self._reader = self._parts.open_reader(self._core.on_assigned, self._on_revoked)
        except EvergaugeError as failure:
            self._open_at_ns = now_ns + self._parts.open_again_ns
            self.report.on_state(failure.sentence, "", "")
        return self._reader

    def _on_revoked(self) -> None:
        self._core.on_revoked()
        if self._publisher is not None:
            self._publisher.clear()

    def _begin_again(self, failure: EvergaugeError) -> None:
        """The client cannot go on: a new one begins."""
        reader, self._reader = self._reader, None
        self._open_at_ns = time.monotonic_ns() + self._parts.open_again_ns
        self.report.on_state(failure.sentence, "", "")
        if reader is not None:
            reader.close()
        self._on_revoked()

    def _do(self, effect: MergerEffect) -> None:
        reader = self._reader
        match effect:
            case ReadPlaces():
                self._carrier.start(self._read)
            case CommitRows():
                self._carrier.start(lambda: self._commit(effect))
            case OffsetsLost():
                self.report.on_lost(effect)
            case _ if reader is None:
                # It is gone, and with it what it had.
                pass
            case ConsumeFrom():
                reader.consume_from(effect.offsets)
            case PauseConsuming():
                reader.pause()
            case ResumeConsuming():
                reader.resume()
            case TellGroup():
                reader.tell_group(effect.offsets)

    def _on_carried(self, result: StoreSight | _Committed | EvergaugeError, now_ns: int) -> None:
        core, report = self._core, self.report
        if isinstance(result, EvergaugeError):
            report.on_failed(result.sentence)
            core.on_job_failed(now_ns)
            return
        report.on_answered()
        if isinstance(result, StoreSight):
            core.on_places(result.places)
            self._publish_owned(result.marks)
        elif isinstance(result.outcome, NotStored):
            report.counts.refused += 1
            core.on_refused(result.outcome.places)
        else:
            report.on_stored(result.commit.counts, result.outcome)
            core.on_committed()
            if self._publisher is not None:
                self._publisher.take(result.outcome.marks)

    def _publish_owned(self, marks: Mapping[str, Mapping[str, NumberedMark]]) -> None:
        """Those of hosts whose partitions are ours: others may have newer ones."""
        if self._publisher is None or self._reader is None or not marks:
            return
        held = set(self._core.positions)
        counts = self._reader.partition_counts(partition.topic for partition in held)
        prefix = self._parts.topic_prefix
        owned: dict[str, dict[str, NumberedMark]] = {}
        for table, of_table in marks.items():
            topic = topic_of(table, prefix)
            if topic in counts:
                count = counts[topic]
                owned[table] = {
                    host: mark for host, mark in of_table.items() if TopicPartition(topic, partition_of(host, count)) in held
                }
        self._publisher.take(owned)

    def _tell_state(self) -> None:
        core, report, reader = self._core, self.report, self._reader
        counts = report.counts
        positions = core.positions
        counts.partitions, counts.gathered_bytes = len(positions), core.gathered_bytes
        if reader is not None:
            counts.lag = reader.lag(positions)
            marks = "" if self._publisher is None else self._publisher.problem
            report.on_state(reader.problem, marks, _beyond_end(core.beyond_end))
        if self._publisher is not None:
            counts.marks_published = self._publisher.published

    def _is_ended(self) -> bool:
        if not self._is_stopping.is_set():
            return False
        assert self._stop_until_ns is not None
        return self._core.is_done or time.monotonic_ns() >= self._stop_until_ns

    def _end(self) -> None:
        self._tell_state()
        # First of all the group: others wait for its partitions.
        if self._reader is not None:
            self._reader.close()
        if self._publisher is not None:
            self._publisher.close(1.0)
        if self._carrier.close(1.0) and self._store is not None:
            self._store.close()
        self.is_over = True

    # ---- the store's thread ----

    def _opened(self) -> MergerStore:
        if self._store is None:
            self._store = self._parts.open_store()
        return self._store

    def _read(self) -> StoreSight:
        return self._opened().read()

    def _commit(self, effect: CommitRows) -> _Committed:
        commit = decode(effect, self._parts.known)
        return _Committed(commit, self._opened().commit(commit))


def _beyond_end(partitions: list[TopicPartition]) -> str:
    if not partitions:
        return ""
    names = ", ".join(map(str, partitions[:4])) + (" and others" if len(partitions) > 4 else "")
    return (
        f"{names}: the topic ends before what the store has of it: it was made again, or has lost messages; these partitions are "
        "not read; let sinks and mergers use another topic_prefix, under which offsets begin at 0"
    )
