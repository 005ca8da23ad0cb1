"""The rows of cells that go one way, and the slots of an answer to which rows belong. It imports pyarrow."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow
from pyarrow import compute

from agent.router.cell import WINDOW_NS, Grid
from agent.router.columns import Array, Batch, coded, texts, window_numbers
from agent.router.fact_reader import AskedHosts, is_shared
from agent.router.gathered import Placing, Slot
from agent.router.plan import CellPlan, HostPlan
from agent.router.source import RowSource

SKETCH, RAW = 1, 2


class Slots:
    """Where the rows of a batch go, as numbers of `found`."""

    def __init__(self, placing: Placing, *, by_host: bool) -> None:
        self._placing = placing
        self._by_host = by_host
        self._numbers: dict[tuple[str | None, ...], int] = {}
        self.found: list[Slot] = []

    def numbers(self, batch: Batch, command: Array | None = None) -> Array:
        """For each row the number of its slot; -1: nothing of it counts. `command`: where it is no column of the batch."""
        unsaid = pyarrow.nulls(len(batch), pyarrow.utf8())
        placing = self._placing
        columns = [texts(batch, "host") if self._by_host else unsaid, unsaid, unsaid, unsaid]
        if placing.needs_key:
            shared = is_shared(batch) if command is None else pyarrow.repeat(False, len(batch))
            columns[1], columns[3] = texts(batch, "pod_uid"), compute.if_else(shared, "shared", None)
        if placing.needs_command:
            columns[2] = texts(batch, "command") if command is None else command
        return coded(columns, self._number)

    def lost(self, host: str) -> Slot:
        """The slot of values of which no row is left."""
        return self._placing.lost(host if self._by_host else "")

    @property
    def needs_command(self) -> bool:
        """Whether the commands of rows tell slots apart."""
        return self._placing.needs_command

    def _number(self, parts: tuple[str | None, ...]) -> int:
        found = self._numbers.get(parts)
        if found is None:
            host, pod_uid, command, shared = parts
            slot = self._placing.slot(host or "", pod_uid, command, is_shared=shared is not None)
            found = -1 if slot is None else len(self.found)
            self._numbers[parts] = found
            self.found += [] if slot is None else [slot]
        return found


class CellRows:
    """Reads rows, and keeps those of cells that go a way. A host of which neither ticks nor sketches are there has no cells."""

    def __init__(self, source: RowSource, grid: Grid, hosts: AskedHosts, check: Callable[[], None]) -> None:
        self._source = source
        self.grid = grid
        self.hosts = hosts
        self._hosts_known = len(hosts.names)
        self._check = check
        self._ways = self._flat({})

    def follow(self, plan: CellPlan) -> None:
        """Go by this plan from now on."""
        self._ways = self._flat(plan.hosts)

    def span(self, plan: CellPlan, way: int) -> tuple[int, int] | None:
        """From the first to the last window that goes this way. *Absent:* None does."""
        mask = 0
        for host in plan.hosts.values():
            mask |= mask_going(host, way)
        if not mask:
            return None
        first = (mask & -mask).bit_length() - 1
        return self.grid.start_ns(first), self.grid.start_ns(mask.bit_length())

    def batches(self, table: str, span: tuple[int, int], columns: tuple[str, ...], rows_max: int) -> Iterator[Batch]:
        """Rows of a time that are there, with their host and time."""
        for batch in self._source.batches(table, *span, ("timestamp", "host", *columns), rows_max):
            self._check()
            if len(batch):
                yield batch

    def going(self, batch: Batch, way: int, times: Array) -> tuple[Batch, Array]:
        """The rows whose cell goes this way, and their cells."""
        grid = self.grid
        window = compute.subtract(window_numbers(times, WINDOW_NS), grid.first)
        host = self.hosts.codes(batch)
        is_known = compute.and_(compute.greater_equal(host, 0), compute.less(host, self._hosts_known))
        is_cell = compute.and_(compute.and_(compute.greater_equal(window, 0), compute.less(window, grid.count)), is_known)
        cell = compute.if_else(is_cell, compute.add(compute.multiply(host, grid.count), window), 0)
        goes = compute.and_(is_cell, compute.equal(compute.take(self._ways, cell), way))
        return batch.filter(goes), cell.filter(goes)

    def windows(self, cells: Array) -> Array:
        """The window of each cell."""
        count = self.grid.count
        return compute.subtract(cells, compute.multiply(compute.divide(cells, count), count))

    def number(self, host: str, window: int) -> int:
        """The number of a cell."""
        return self.hosts.code(host) * self.grid.count + window

    def named(self, cell: int) -> tuple[str, int]:
        """Host and window of a cell's number."""
        host, window = divmod(cell, self.grid.count)
        return self.hosts.names[host], window

    def _flat(self, plans: dict[str, HostPlan]) -> Any:
        """The way of each cell, by host and window; there is one cell at least."""
        ways = bytearray(max(1, self._hosts_known * self.grid.count))
        for name, host in plans.items():
            begin = self.number(name, 0)
            for way in (SKETCH, RAW):
                bits = f"{mask_going(host, way):b}"[::-1].encode()
                at = bits.find(b"1")
                while at >= 0:
                    ways[begin + at] = way
                    at = bits.find(b"1", at + 1)
        return pyarrow.Array.from_buffers(pyarrow.int8(), len(ways), [None, pyarrow.py_buffer(ways)])


def mask_going(host: HostPlan, way: int) -> int:
    """The windows of a host whose rows are read this way. Of an unknown one that is what is there."""
    return host.sketch | host.partly if way == SKETCH else host.raw | host.unknown & ~host.partly
