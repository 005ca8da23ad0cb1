"""One writer after another over a real state folder, with real sealers, and senders that speak the protocol."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.interests import ready_of
from fakes.sender import SAMPLE, FakePeer, FakeSender

from agent.config import Config
from agent.model.message import DataAck, DataHello, Identity
from agent.model.table import Table
from agent.model.timebase import S
from agent.ports import Interest
from agent.store.record import Record, parse_head, parse_records
from workers.writer.work import WriterWork

DEADLINE_SECONDS = 30


class WriterHost:
    """One writer after another over one state folder; an object that is dropped is a writer that was killed."""

    def __init__(
        self,
        state: Path,
        values: dict[str, int | str | bool] | None = None,
        sinks: dict[str, dict[str, Any]] | None = None,
        *,
        catalogue: tuple[Table, ...] = (),
        run: str = "run-1",
    ) -> None:
        self.state = state
        self.catalogue = (SAMPLE, *catalogue)
        self.run = run
        self.clock = FakeClock()
        self.config = Config(values or {}, {}, sinks or {})
        self.epoch = 0
        self.work: Any = None
        self.segments = 0
        self.senders: list[FakeSender] = []
        self.start()

    def start(self, *, is_early: bool = False, **options: Any) -> None:
        """The next writer; living senders connect to it."""
        self.close()
        self.epoch += 1
        self.bus = RecordingBus()
        self.peer = FakePeer()
        # A test's own disk may never end a sync.
        self.sync_seconds = 0.1 if "syncer" in options else DEADLINE_SECONDS
        self.work = WriterWork(
            clock=self.clock,
            peer=self.peer,
            bus=self.bus,
            config=self.config,
            catalogue=self.catalogue,
            identity=Identity(self.run, "writer", self.epoch),
            state_dir=str(self.state),
            host="node-1",
            agent_version="0.1",
            segment_ids=self.segment_id,
            **options,
        )
        for sender in self.senders:
            self.peer.attach(sender)
        if is_early:
            self.work.on_data(self.clock.now_ns())
        self.work.on_start(self.clock.now_ns())
        self.turn()

    def close(self) -> None:
        """The writer is gone, and its sealer with it."""
        if self.work is not None:
            self.work.close()
            self.work = None

    def segment_id(self) -> str:
        """Names of segments that count, so that they sort."""
        self.segments += 1
        return f"{self.segments:08x}"

    def sender(self, name: str = "process", epoch: int = 1) -> FakeSender:
        """A worker that connects."""
        sender = FakeSender(Identity("run-1", name, epoch))
        self.senders = [other for other in self.senders if other.who.worker != name] + [sender]
        self.peer.attach(sender)
        self.turn()
        return sender

    def measure(self, sender: FakeSender, batches: int = 1, rows: int = 40) -> None:
        """Batches, one a second."""
        for _ in range(batches):
            self.clock.advance(1 * S)
            self.peer.put(sender.who, sender.offer(self.clock.wall_ns(), rows))
            self.turn()

    def turn(self) -> None:
        """One turn of the loop."""
        now_ns = self.clock.now_ns()
        while self.peer.incoming:
            self.work.on_data(now_ns)
        deadline = self.work.next_deadline_ns()
        if deadline is not None and deadline <= now_ns:
            self.work.on_timer(now_ns)
        self._finish_sync(now_ns)
        for descriptor in ready_of(self.work.interests(), 0)[0]:
            self.work.on_readable(descriptor, now_ns)

    def _finish_sync(self, now_ns: int) -> None:
        """This clock may pass an hour while the real disk syncs: the sync comes to its end first, as on a real host."""
        descriptor = self.work._spool.syncer.descriptor
        while self.stats()["is_syncing"] and ready_of([Interest(descriptor)], self.sync_seconds)[0]:
            self.work.on_readable(descriptor, now_ns)

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Turn until something holds, or fail the test."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the condition never came"
            ready_of(self.work.interests(), 0.01)
            self.turn()

    def rotate(self) -> dict[str, Any]:
        """Ask for a rotation and wait for the answer."""
        answer: dict[str, Any] | None = self.work.on_ask("rotate", self.clock.now_ns())
        replies: list[tuple[str, dict[str, Any]]] = []

        def is_answered() -> bool:
            replies.extend(self.work.take_replies())
            return bool(replies)

        if answer is None:
            self.turn_until(is_answered)
            ((what, answer),) = replies
            assert what == "rotate"
        return answer

    def stats(self) -> dict[str, Any]:
        """What the writer counts."""
        stats: dict[str, Any] | None = self.work.on_ask("stats", self.clock.now_ns())
        assert stats is not None
        return stats

    def spool_files(self) -> list[str]:
        """The names of the segments."""
        return sorted(os.listdir(self.state / "spool"))

    def spooled(self) -> list[tuple[str, int]]:
        """The table and number of every record in the spool."""
        found: list[tuple[str, int]] = []
        for name in self.spool_files():
            data = (self.state / "spool" / name).read_bytes()
            items = parse_records(data, parse_head(data)[1])
            found.extend((item.entry.table, item.entry.seq) for item in items if isinstance(item, Record))
        return found

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Ask the Parquet files; `{sample}` and `{gap}` stand for the tables."""
        import duckdb

        files = {name: sorted((self.state / "data" / name).glob("*/*-node-1-*.parquet")) for name in ("sample", "gap")}
        tables = {name: f"read_parquet({list(map(str, found))})" for name, found in files.items()}
        return duckdb.connect().execute(text.format(**tables)).fetchall()


def words(host: WriterHost, sender: FakeSender) -> list[DataHello | DataAck]:
    """What the writer said to a sender."""
    return [message for who, message in host.peer.sent if who == sender.who]
