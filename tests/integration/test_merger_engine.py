"""The threads of a merger over a real folder, with a consumer of the test's own: what fails is told, and nothing is lost."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.lake_rows import lake_rows, lake_state, numbered
from fakes.scripted_reader import ScriptedReader
from fakes.topic_rows import START_NS, message_of, numbered_rows
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.lake.folder_bucket import FolderBucket
from agent.lake.known_columns import KnownColumns
from agent.lake.log import LakeLog
from agent.lake.mark_form import CachedMark
from agent.model.errors import ConfigError, StorageError
from agent.model.timebase import MS, S
from workers.merger.core import MergerTerms
from workers.merger.decoding import DecodedCommit
from workers.merger.effect import TakenMessage, TopicPartition
from workers.merger.engine import EngineParts, MergerEngine
from workers.merger.files_store import FilesStore
from workers.merger.kafka_reader import OutOfRange
from workers.merger.outcome import NotStored, Stored, StoreSight
from workers.merger.work import MergerWork
from workers.registry import tables

PLACE = TopicPartition("proc.raw.v1", 0)
TERMS = MergerTerms(interval_ns=50 * MS, commit_bytes=1 << 20, gathered_bytes=1 << 21)


class FailingStore(FilesStore):
    """A store that fails as long as the test says."""

    problem = ""

    def read(self) -> StoreSight:
        self._fail()
        return super().read()

    def commit(self, commit: DecodedCommit) -> Stored | NotStored:
        self._fail()
        return super().commit(commit)

    def _fail(self) -> None:
        if self.problem:
            raise StorageError("lake", self.problem)


class KeptMarks:
    """A cache that keeps what it is told."""

    def __init__(self) -> None:
        self.problem = ""
        self.marks: dict[tuple[str, str], CachedMark] = {}

    def publish(self, table: str, marks: Mapping[str, CachedMark]) -> int | None:
        before = dict(self.marks)
        self.marks |= {(table, host): mark for host, mark in marks.items()}
        return sum(before.get((table, host)) != mark for host, mark in marks.items())

    def close(self) -> None:
        self.problem = "closed"


class MergerHost:
    """An engine over a folder."""

    def __init__(self, folder: Path, on_bug: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.reader = ScriptedReader(PLACE)
        bucket, known = FolderBucket(str(folder)), KnownColumns(tables())
        self.store = FailingStore(bucket, LakeLog(bucket, "test"), known)
        self.marks = KeptMarks()
        self.parts = EngineParts(
            TERMS, known, self.reader.open, lambda: self.store, marks=self.marks, open_again_ns=200 * MS, on_bug=on_bug
        )
        self.sent = 0

    def send(self, *seqs: int, host: str = "h") -> None:
        """A batch of each number."""
        for seq in seqs:
            headers, value = message_of(host, seq, numbered_rows(seq))
            self.reader.put(TakenMessage(PLACE, self.sent, tuple(headers), b"", value))
            self.sent += 1

    def wait_rows(self, *seqs: int) -> None:
        """Until these are in the lake, each once, and nothing else."""
        wait_until(lambda: lake_rows(self.folder) == numbered(["h"], seqs), f"rows of {seqs}")


@contextmanager
def running(host: MergerHost) -> Iterator[MergerEngine]:
    """Started, and at the end gone."""
    engine = MergerEngine(host.parts)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(5)
        assert engine.join(20)
    assert engine.is_over


def test_rows_marks_and_offsets_come_together(tmp_path: Path) -> None:
    """The group and the cache hear of it afterwards."""
    host = MergerHost(tmp_path)
    with running(host) as engine:
        host.send(1, 2, 3)
        host.wait_rows(1, 2, 3)
        wait_until(lambda: host.reader.told == {PLACE: 3}, "the group knows")
        wait_until(lambda: host.marks.marks, "the cache knows")
        wait_until(lambda: engine.report.counts.partitions == 1, "the numbers are there")
    assert engine.report.stats()["rows"] == 9
    assert [mark.low_ns for mark in host.marks.marks.values()] == [START_NS + 3 * S]
    assert host.reader.closed == 1
    assert host.marks.problem == "closed"


@pytest.mark.runbook("Merger")
def test_a_store_that_fails_loses_nothing(tmp_path: Path) -> None:
    """It is told, tried again, and told that it is over."""
    host = MergerHost(tmp_path)
    host.store.problem = "no room"
    with running(host) as engine:
        host.send(1)
        wait_until(lambda: "no room" in engine.report.problems.store, "it is told")
        host.store.problem = ""
        host.wait_rows(1)
        host.store.problem = "no room again"
        host.send(2)
        wait_until(lambda: "no room again" in engine.report.problems.store, "it is told")
        host.store.problem = ""
        host.wait_rows(1, 2)
        wait_until(lambda: not engine.report.problems.store, "it is over")


def test_what_another_stores_is_not_stored_again(tmp_path: Path) -> None:
    """Both believe to have the partition; each batch is stored once."""
    one, other = MergerHost(tmp_path), MergerHost(tmp_path)
    for host in (one, other):
        host.send(*range(40))
    with running(one) as first, running(other) as second:
        one.wait_rows(*range(40))
        for host in (one, other):
            host.send(*range(40, 60))
        one.wait_rows(*range(60))
        assert first.report.counts.refused + second.report.counts.refused > 0
        wait_until(
            lambda: first.report.counts.rows + second.report.counts.rows == 180,
            "both know what they have stored",
        )


def test_the_end_stores_what_was_taken(tmp_path: Path) -> None:
    """Before the interval is over."""
    host = MergerHost(tmp_path)
    host.parts = EngineParts(
        MergerTerms(interval_ns=3_600 * S), host.parts.known, host.reader.open, lambda: host.store, on_bug=lambda: None
    )
    with running(host) as engine:
        host.send(1)
        wait_until(lambda: engine.report.counts.gathered_bytes, "it is taken")
        assert lake_rows(tmp_path) == []
    assert lake_rows(tmp_path) == numbered(["h"], [1])


def test_a_rebalance_begins_where_the_store_is(tmp_path: Path) -> None:
    """What was gathered is read again; a client that cannot go on is made again."""
    host = MergerHost(tmp_path)
    with running(host) as engine:
        for turn in range(8):
            host.send(turn)
            host.reader.rebalances += 1
        host.wait_rows(*range(8))
        host.reader.fails_once = True
        wait_until(lambda: "fenced" in engine.report.problems.broker, "it is told")
        host.send(8)
        host.wait_rows(*range(9))
        assert host.reader.opened == 2


def test_lost_and_missing_offsets_are_told(tmp_path: Path) -> None:
    """One is an event, the other lasts."""
    host = MergerHost(tmp_path)
    host.sent = 5
    with running(host) as engine:
        host.reader.range_of = OutOfRange(PLACE, 5, 6)
        wait_until(lambda: engine.report.counts.offsets_lost == 5, "they are lost")
        host.send(1)
        host.wait_rows(1)
        assert lake_state(tmp_path).offsets == {"proc.raw.v1/0": 6}
        host.reader.range_of = OutOfRange(PLACE, 0, 3)
        wait_until(lambda: "proc.raw.v1/0" in engine.report.problems.offsets, "it is told")
    assert [note.kind for note in engine.report.take_notes()] == ["topic_offsets_lost"]


def test_a_consumer_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """And tried again later; the end does not wait for it."""
    host = MergerHost(tmp_path)

    def refuse(*_: object) -> ScriptedReader:
        raise ConfigError("merger.ca_file", "it cannot be read")

    host.parts = EngineParts(TERMS, host.parts.known, refuse, lambda: host.store, on_bug=lambda: None)
    with running(host) as engine:
        wait_until(lambda: "merger.ca_file" in engine.report.problems.broker, "it is told")


def test_the_worker_tells_the_agent(tmp_path: Path) -> None:
    """Conditions and events, from the loop; at the end it has stored everything."""
    host = MergerHost(tmp_path)
    host.store.problem = "no room"
    bus = RecordingBus()
    clock = SystemClock()
    work = MergerWork(lambda: host.parts, clock, bus)
    work.on_start(clock.now_ns())
    host.send(1)
    host.reader.put(TakenMessage(PLACE, 1, (), b"", b""))
    host.sent = 2

    def look() -> bool:
        work.on_timer(clock.now_ns())
        return bool(bus.conditions)

    wait_until(look, "a condition")
    assert (bus.conditions[0].kind, bus.conditions[0].active) == ("merger_store", True)
    host.store.problem = ""
    wait_until(lambda: not look() or bus.notes, "an event")
    assert bus.notes[0].kind == "message_unreadable"
    assert work.stats()["unreadable"] == 1
    assert work.next_deadline_ns() is not None
    work.on_stop(clock.now_ns(), for_good=True)
    assert not work.is_done() or lake_rows(tmp_path)
    wait_until(work.is_done, "the end")
    assert lake_rows(tmp_path) == numbered(["h"], [1])
    assert bus.conditions[-1].active is False


@pytest.mark.runbook("Merger")
def test_settings_that_cannot_be_used_are_a_condition() -> None:
    """The worker lives on, and ends when it is told."""

    def refuse() -> EngineParts:
        raise ConfigError("lake.url", "it is not set")

    bus, clock = RecordingBus(), FakeClock()
    work = MergerWork(refuse, clock, bus)
    work.on_start(clock.now_ns())
    work.on_timer(clock.now_ns())
    assert [each.kind for each in bus.conditions] == ["merger_setup"]
    assert work.stats() == {}
    assert not work.is_done()
    work.on_stop(clock.now_ns(), for_good=True)
    assert work.is_done()
