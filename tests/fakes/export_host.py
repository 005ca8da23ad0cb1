"""One exporter after another over a real state folder, in the hands of a test that owns its time."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.interests import ready_of
from fakes.outbox import RecordingOutbox
from fakes.scripted_sink import ScriptedSink, kind_of_sink
from fakes.segment import batch_frame, head_of
from msgspec.structs import replace

from agent.model.timebase import MS
from agent.store.keeping import Keeping
from agent.store.keeping_file import write_keeping
from agent.store.record import encode_head
from agent.store.segment import segment_name
from workers.export.open_sink import ExporterParts
from workers.export.sink import SinkKind, SinkValues
from workers.export.work import ExporterWork

INSTALL = "0123456789abcdef"
DEADLINE_SECONDS = 30


class SpoolFolder:
    """Segments as a writer makes them, one batch after the other; the numbers of batches go on from one to the next."""

    def __init__(self, state: Path, install: str = INSTALL) -> None:
        self.state = state
        self.install = install
        self.generation = 0
        self.seq = 0
        self.rows = 0
        (state / "spool").mkdir(exist_ok=True)
        (state / "kept").mkdir(exist_ok=True)
        (state / "install-id").write_text(f"{install}\n")
        self.rotate()

    @property
    def segment(self) -> str:
        """The id of the open one."""
        return f"{self.generation:08x}00000000"

    @property
    def path(self) -> Path:
        """Its file."""
        return self.state / "spool" / segment_name(head_of(self.segment))

    def rotate(self) -> None:
        """Open the next one."""
        self.generation += 1
        self.path.write_bytes(encode_head(replace(head_of(self.segment), install=self.install)))

    def seal(self, segment: str) -> None:
        """As the writer keeps one whose Parquet files are there."""
        name = segment_name(head_of(segment))
        (self.state / "spool" / name).rename(self.state / "kept" / name)

    def append(self, batches: int = 1, rows: int = 10, stamp_wall_ns: int | None = None) -> None:
        """So many batches of table `sample`."""
        with self.path.open("ab") as file:
            for _ in range(batches):
                self.seq += 1
                self.rows += rows
                file.write(batch_frame(self.seq, rows, stamp_wall_ns))

    def remove(self, segment: str, keeping: Keeping) -> None:
        """As the writer removes one: first what it held is written down."""
        write_keeping(str(self.state), keeping)
        for folder in ("spool", "kept"):
            (self.state / folder / segment_name(head_of(segment))).unlink(missing_ok=True)


class ExportHost:
    """One exporter after another; an object that is dropped is an exporter that was killed."""

    def __init__(
        self,
        state: Path,
        *,
        values: dict[str, int | str | bool] | None = None,
        tables: tuple[str, ...] = ("sample",),
        **kind: Any,
    ) -> None:
        self.state = state
        self.clock = FakeClock()
        self.clock.set_wall_ns(1_700_000_000_000_000_000)
        self.values: dict[str, int | str | bool] = values or {}
        self.tables = tables
        self._kind_fields = kind
        self.keeps_state = False
        self.timers = 0
        self.sinks: list[ScriptedSink] = []
        self.work: ExporterWork | None = None
        self.start()

    @property
    def kind(self) -> SinkKind:
        """The kind of the present sink."""
        return kind_of_sink(self.sink, **self._kind_fields)

    def start(self) -> None:
        """The next one."""
        self.kill()
        self.bus, self.outbox = RecordingBus(), RecordingOutbox()
        self.sink = ScriptedSink()
        self.sink.keeps_state = self.keeps_state
        self.sinks.append(self.sink)
        values = SinkValues("central", "scripted", self.values)
        parts = ExporterParts(
            self.kind, values, self.tables, str(self.state), "node-1", "0.1", self.clock, self.bus, self.outbox, Random(1)
        )
        self.work = ExporterWork(parts)
        self.work.on_start(self.clock.now_ns())

    def kill(self) -> None:
        """It says and writes nothing more."""
        if self.work is not None:
            self.work.close()
            self.work = None

    @property
    def stats(self) -> dict[str, Any]:
        """What it says of itself."""
        assert self.work is not None
        return self.work.stats()

    @property
    def ledger(self) -> dict[str, Any]:
        """The account."""
        found: dict[str, Any] = self.stats["ledger"]
        return found

    @property
    def is_settled(self) -> bool:
        """Everything that was found is delivered or counted as lost, and that is on the disk."""
        assert self.work is not None
        stats = self.work.stats()
        return "ledger" in stats and not stats["lag_rows"] and self.work.is_kept

    @property
    def got(self) -> list[int]:
        """The numbers of all batches that any of the sinks acknowledged, in this order."""
        return [number for sink in self.sinks for _, number in sink.got]

    def turn(self, step_ns: int = 20 * MS) -> None:
        """One turn of its loop; time goes on by a step, or up to the next deadline if that is sooner."""
        assert self.work is not None
        for descriptor in ready_of(self.work.interests(), 0.0)[0]:
            self.work.on_readable(descriptor, self.clock.now_ns())
        deadline_ns = self.work.next_deadline_ns()
        now_ns = self.clock.now_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            self.timers += 1
            self.work.on_timer(now_ns)
        self.clock.advance(step_ns)
        os.sched_yield()

    def run_until(self, condition: Callable[[], bool], what: str) -> None:
        """Turn until it holds. Its thread takes real time, which is bounded."""
        until = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < until, f"{what} did not come: {self.stats}"
            self.turn()
            time.sleep(0.0002)

    def run_for(self, span_ns: int) -> None:
        """Turn for so long, in its time."""
        until_ns = self.clock.now_ns() + span_ns
        while self.clock.now_ns() < until_ns:
            self.turn()
            time.sleep(0.0002)
