"""Reads the values of cells the way that was planned, and adds them to the lines of an answer. It imports pyarrow.

Sketches and raw rows are added up in columns first; what reaches Python's own loops is a number of buckets, values and sums for
each line.
"""

from collections.abc import Mapping

from pyarrow import compute

from agent.router.bucket_rows import SketchRows
from agent.router.cell import WINDOW_NS
from agent.router.cell_rows import RAW, SKETCH, CellRows, Slots
from agent.router.columns import Array, texts, whole_numbers
from agent.router.fact import WRITTEN_WITHIN_NS, HostFacts
from agent.router.gathered import GatheredLines, Placing, estimate, take_sketches
from agent.router.plan import CellPlan
from agent.router.question import AskedMetric
from agent.router.raw_reader import RawReader
from agent.router.source import BATCH_ROWS, SKETCH_BATCH_ROWS


class ValueReader:
    """Reads what a plan says. Without `has_buckets` no quantile is asked for, and buckets of sketches are not read.

    `damaged`: cells whose sketches hold rows that are none, by host and window, once they were read.
    """

    def __init__(self, rows: CellRows, metric: AskedMetric, placing: Placing, *, by_host: bool, has_buckets: bool) -> None:
        self._rows = rows
        self._metric = metric
        self._placing = placing
        self._by_host = by_host
        self._has_buckets = has_buckets
        self.damaged: set[tuple[str, int]] = set()
        self.damaged_rows = 0

    def read(self, plan: CellPlan, facts: Mapping[str, HostFacts]) -> GatheredLines:
        """The lines of the answer. *Raises:* EvergaugeError."""
        gathered = GatheredLines()
        slots = Slots(self._placing, by_host=self._by_host)
        self._rows.follow(plan)
        if self._rows.span(plan, SKETCH) is not None:
            self._read_sketches(gathered, slots)
        if (span := self._rows.span(plan, RAW)) is not None:
            reader = RawReader(self._rows, self._metric, slots)
            if self._metric.occupancy:
                reader.read_groups(span)
            else:
                reader.read_processes(span)
                reader.add_lost(gathered, plan, facts)
            reader.give(gathered)
        return gathered

    def _read_sketches(self, gathered: GatheredLines, slots: Slots) -> None:
        found = SketchRows(has_buckets=self._has_buckets)
        grid = self._rows.grid
        # The rows of which the plan was made: a clock that is set writes them at other times than those of their windows.
        written = grid.since_ns - WRITTEN_WITHIN_NS, grid.until_ns + WRITTEN_WITHIN_NS
        for batch in self._rows.batches(
            "process_sketch", written, found.columns, SKETCH_BATCH_ROWS if self._has_buckets else BATCH_ROWS
        ):
            batch = batch.filter(compute.fill_null(compute.equal(texts(batch, "metric"), self._metric.sketch), False))
            batch = batch.filter(compute.fill_null(compute.equal(whole_numbers(batch, "window_ns"), WINDOW_NS), False))
            batch, cell = self._rows.going(batch, SKETCH, whole_numbers(batch, "window_start"))
            if not len(batch):
                continue
            is_good = found.are_sketches(batch)
            self._note_damaged(cell.filter(compute.invert(is_good)))
            batch, cell = batch.filter(is_good), cell.filter(is_good)
            slot = slots.numbers(batch)
            counts = compute.greater_equal(slot, 0)
            found.add(batch.filter(counts), slot.filter(counts), self._rows.windows(cell).filter(counts))
        for number, sketch in found.by_slot().items():
            for spread, group in gathered.spreads(slots.found[number]):
                take_sketches(spread, sketch.counts, sketch.ends)
                if group is not None:
                    estimate(group, sketch.counts, sketch.ends)
                    group.windows |= sketch.windows
                    group.keys = max(group.keys, sketch.keys)

    def _note_damaged(self, cells: Array) -> None:
        self.damaged_rows += len(cells)
        self.damaged |= {self._rows.named(cell) for cell in compute.unique(cells).to_pylist()}
