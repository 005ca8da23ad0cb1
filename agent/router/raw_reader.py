"""Reads the raw rows of cells, and weighs them against what process_scan counts. It imports pyarrow."""

from collections.abc import Iterator, Mapping

import pyarrow
from msgspec import Struct
from pyarrow import compute

from agent.model.sketch import VALUE_MAX
from agent.router.cell_rows import RAW, CellRows, Slots
from agent.router.columns import Array, Batch, ones, summed, whole_numbers, with_columns
from agent.router.fact import HostFacts, ScanWindow
from agent.router.gathered import GatheredLines, Slot
from agent.router.interval import TailValues
from agent.router.kernel_thread import commands_of
from agent.router.plan import CellPlan
from agent.router.question import AskedMetric
from agent.router.raw_rows import RawRows
from agent.router.source import BATCH_ROWS

Span = tuple[int, int]


class Balance(Struct):
    """What raw rows of a cell hold: processes that lived and died, and the sum of the metric."""

    living: int = 0
    dead: int = 0
    total: int = 0


class RawReader:
    """Reads them once, in the order of its methods."""

    def __init__(self, rows: CellRows, metric: AskedMetric, slots: Slots) -> None:
        self._rows = rows
        self._metric = metric
        self._slots = slots
        self._found = RawRows()
        self._balances: dict[int, Balance] = {}

    def read_groups(self, span: Span) -> None:
        """Rows of monitoring groups, of which nothing counts how many there should be."""
        column = self._metric.occupancy
        for batch, cell in self._batches("occupancy", span, ("pod_uid", column)):
            self._found.add_exact(self._placed(batch, cell, _no_texts(batch)), column)

    def read_processes(self, span: Span) -> None:
        """Rows of named processes, of the others, and of those that ended."""
        metric = self._metric
        for batch, cell in self._batches("process", span, ("pod_uid", "comm", "absent", "ppid", "rss_bytes", metric.process)):
            self._weigh(cell, ones(len(cell)), whole_numbers(batch, metric.process), is_dead=False)
            command = commands_of(batch) if self._slots.needs_command else _no_texts(batch)
            self._found.add_exact(self._placed(batch, cell, command), metric.process)
        for batch, cell in self._batches(
            "process_tail", span, ("pod_uid", "command", "processes", "absent", metric.tail, metric.largest)
        ):
            self._weigh(cell, whole_numbers(batch, "processes"), whole_numbers(batch, metric.tail), is_dead=False)
            self._found.add_tails(self._placed(batch, cell, None), metric)
        if not metric.exit:
            return
        for batch, cell in self._batches("process_exit", span, ("pid", "pod_uid", "command", "deaths", "absent", metric.exit)):
            self._weigh(cell, whole_numbers(batch, "deaths"), whole_numbers(batch, metric.exit), is_dead=True)
            self._found.add_exits(self._placed(batch, cell, None), metric)

    def add_lost(self, gathered: GatheredLines, plan: CellPlan, facts: Mapping[str, HostFacts]) -> None:
        """Let the lines know what process_scan counts beyond the rows that are there."""
        for name, host in plan.hosts.items():
            if host.raw:
                slot = self._slots.lost(name)
                for index, scan in facts[name].scans.items():
                    if host.raw >> index & 1:
                        self._add_lost(gathered, slot, scan, self._balances.get(self._rows.number(name, index), Balance()))

    def give(self, gathered: GatheredLines) -> None:
        """Add what was read to the lines of an answer."""
        self._found.give(gathered, self._slots.found)

    def _add_lost(self, gathered: GatheredLines, slot: Slot, scan: ScanWindow, held: Balance) -> None:
        living = max(0, scan.living - held.living)
        dead = max(0, scan.dead - held.dead) if self._metric.exit else 0
        left = min(max(0, scan.total - held.total), VALUE_MAX)
        # In a first tick nobody's CPU is known, so how many of the lost rows have values is not known.
        is_certain = not scan.first_living or not self._metric.exit
        # What nobody could read of storage is not told as incomplete.
        is_known = bool(self._metric.largest) and not scan.is_incomplete
        gathered.add_lost(
            slot, TailValues(living, 0 if dead else left, left, left), 0 if is_known else living, is_certain=is_certain
        )
        gathered.add_lost(slot, TailValues(dead, 0, left, left), is_certain=False)

    def _batches(self, table: str, span: Span, columns: tuple[str, ...]) -> Iterator[tuple[Batch, Array]]:
        wanted = tuple(dict.fromkeys(filter(None, columns)))
        for batch in self._rows.batches(table, span, wanted, BATCH_ROWS):
            going, cell = self._rows.going(batch, RAW, whole_numbers(batch, "timestamp"))
            if len(going):
                yield going, cell

    def _placed(self, batch: Batch, cell: Array, command: Array | None) -> Batch:
        """The rows that count, with their slots and windows."""
        slot = self._slots.numbers(batch, command)
        placed = with_columns(batch, {"slot": slot, "window": self._rows.windows(cell)})
        return placed.filter(compute.greater_equal(slot, 0))

    def _weigh(self, cell: Array, count: Array, total: Array, *, is_dead: bool) -> None:
        columns = {"cell": cell, "count": compute.fill_null(count, 0), "total": compute.fill_null(total, 0)}
        for row in summed(pyarrow.table(columns), ["cell"], ["count", "total"]):
            balance = self._balances.setdefault(row["cell"], Balance())
            if is_dead:
                balance.dead += row["count"]
            else:
                balance.living += row["count"]
            balance.total += row["total"]


def _no_texts(batch: Batch) -> Array:
    return pyarrow.nulls(len(batch), pyarrow.utf8())
