"""A made-up spool, a sink and a writer that removes, for the account of an exporter: one random step after the other."""

from random import Random

from agent.store.batch import StoredBatch
from agent.store.cursor import Cursor
from agent.store.keeping import Keeping, PrunedSegment
from agent.store.place import Place
from agent.store.record import Entry, TableForm
from workers.export.progress import ExportLine, ExportProgress, new_cursor

FORM = TableForm(1, ("timestamp",), ("int64",), "unit-")
BATCH_BYTES = 100


def batch_at(segment: str, number: int, *, rows: int = 10, table: str = "unit", stamp: int | None = None) -> StoredBatch:
    """The batch of this number in a segment."""
    begin = number * BATCH_BYTES
    entry = Entry("run", "sampler/unit", 1, number + 1, table, stamp or number, rows)
    return StoredBatch(Place(segment, begin), Place(segment, begin + BATCH_BYTES), entry, FORM, "host", "install", b"r" * rows)


class ExportWorld:
    """Segments by id with their batches, and one sink over them. What is killed loses what was not kept."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._segments: dict[str, list[StoredBatch]] = {}
        self._gone: set[str] = set()
        self._keeping = Keeping()
        self._kept: Cursor = new_cursor("s", "file", "id", "install")
        self.progress = ExportProgress(self._kept, {"unit"})
        self._taken: set[Place] = set()
        self.produced_rows = 0
        self._rotate()

    @property
    def delivered_rows(self) -> int:
        """Of batches that the sink has, each once."""
        return sum(batch.entry.rows for batch in self._all() if batch.place in self._taken and batch.table == "unit")

    @property
    def rows_never_taken(self) -> int:
        """Of batches that are gone and that the sink never got."""
        return sum(
            batch.entry.rows
            for segment in self._gone
            for batch in self._segments[segment]
            if batch.place not in self._taken and batch.table == "unit"
        )

    def step(self) -> None:
        """One thing happens."""
        step = self._rng.choices(
            (self._append, self._rotate, self._scan, self._send, self._open_live, self._kill, self._prune),
            (30, 4, 20, 30, 2, 3, 1),
        )[0]
        step()

    def check(self) -> None:
        """What must always hold."""
        self.progress.check()

    def drain(self) -> None:
        """Until nothing is left."""
        for _ in range(100_000):
            self._scan()
            before = self.progress.cursor()
            self._send()
            if self.progress.cursor() == before and not self.progress.has_backlog and not self.progress.pending_rows:
                return
        raise AssertionError("it never ends")

    def _all(self) -> list[StoredBatch]:
        return [batch for segment in self._segments.values() for batch in segment]

    def _append(self) -> None:
        segment = list(self._segments)[-1]
        rows = self._rng.randint(1, 30)
        table = self._rng.choice(("unit", "unit", "pod_group"))
        number = len(self._segments[segment])
        self._segments[segment].append(batch_at(segment, number, rows=rows, table=table))
        self.produced_rows += rows if table == "unit" else 0

    def _rotate(self) -> None:
        self._segments[f"{len(self._segments) + 1:08x}00000000"] = []

    def _present(self) -> list[str]:
        return [segment for segment in self._segments if segment not in self._gone]

    def _read(self, after: Place, until: Place | None) -> list[StoredBatch]:
        found = [batch for segment in self._present() for batch in self._segments[segment] if not batch.place.is_before(after)]
        return [batch for batch in found if until is None or batch.place.is_before(until)]

    def _scan(self) -> None:
        self.progress.keep_up(self._keeping, self._present())
        self.progress.scan(self._read(self.progress.scanned, None)[: self._rng.randint(1, 5)])

    def _send(self) -> None:
        self.progress.keep_up(self._keeping, self._present())
        line = self._rng.choice((ExportLine.LIVE, ExportLine.BACKLOG)) if self.progress.has_backlog else ExportLine.LIVE
        after, until = self.progress.next_place(line)
        batches = self._read(after, until)[: self._rng.randint(1, 4)]
        if not batches:
            if line is ExportLine.BACKLOG:
                self.progress.close_backlog()
                self._kept = self.progress.cursor()
            return
        self._taken |= {batch.place for batch in batches}
        self.progress.deliver(line, batches)
        self._kept = self.progress.cursor()

    def _open_live(self) -> None:
        self.progress.open_live()

    def _kill(self) -> None:
        self.progress = ExportProgress(self._kept, {"unit"})

    def _prune(self) -> None:
        # The oldest goes first, and never the one that is open.
        present = self._present()
        if len(present) < 2:
            return
        segment = present[0]
        rows: dict[str, int] = {}
        for batch in self._segments[segment]:
            rows[batch.table] = rows.get(batch.table, 0) + batch.entry.rows
        self._keeping = self._keeping.with_pruned(PrunedSegment(segment, rows, 1, 0, 1, "sink_quota"))
        self._gone.add(segment)
