"""Watches processes end, by the best source that the kernel gives, and settles each tick's deaths."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from agent.model.timebase import MINUTE, S
from agent.ports import Bus
from workers.framework.condition import Conditions
from workers.process.exits.calibration import ExitCalibration
from workers.process.exits.connector import ConnectorListener
from workers.process.exits.connector_event import ConnectorExit
from workers.process.exits.deaths import Deaths, ExitSourceName, TickTimes
from workers.process.exits.ledger import DeadProcess, Ledger, Moment
from workers.process.exits.reaped import EventLedger, ReapedLedger, Remainder, lost_remainders, vanished
from workers.process.exits.rows import deaths_of
from workers.process.exits.source import open_connector, open_taskstats, remedy, why_not
from workers.process.exits.taskstats import TaskstatsListener
from workers.process.exits.taskstats_record import ExitRecords
from workers.process.process_table import ProcessTable, Scan
from workers.process.unit_command import UnitCommand

_FALLBACK = "sampler_fallback:exits"
# A better source may come back, such as after a change of the host's settings.
RETRY_NS = 1 * MINUTE
# A burst that nobody can foresee: at this rate half of the usual buffer is full after two seconds.
RATE_LEAST = 2_500
# What may wait for its tick. An interval of ten minutes can bring more: then records are counted as lost.
RECORDS_MAX = 200_000


class Openers(Struct, frozen=True):
    """How the sources are opened, with the size of the buffer. *Raises:* OSError where one cannot be had."""

    taskstats: Callable[[int], TaskstatsListener] = open_taskstats
    connector: Callable[[int], ConnectorListener] = open_connector


class ExitWatcher:
    """The deaths of each tick. `settle` comes after `ProcessTable.scan` and before `end_interval`."""

    def __init__(
        self,
        bus: Bus,
        *,
        buffer_bytes: int,
        ns_per_tick: int = S // 100,
        openers: Openers | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._conditions = Conditions(bus)
        self._buffer_bytes = buffer_bytes
        self._ns_per_tick = ns_per_tick
        self._openers = openers or Openers()
        self._beat = beat
        self._calibration = ExitCalibration()
        self._ledger, self._reaped, self._by_event = Ledger(self._calibration, beat), ReapedLedger(), EventLedger()
        self._listener: TaskstatsListener | None = None
        self._connector: ConnectorListener | None = None
        self._records, self._events, self._events_lost = ExitRecords(), list[ConnectorExit](), 0
        self._retry_at_ns: int | None = None
        self._drained_at_ns: int | None = None
        self._last_boot_ns: int | None = None
        self._rate = float(RATE_LEAST)
        self._totals = {"exits": 0, "exit_records": 0, "exit_records_lost": 0, "exit_records_malformed": 0}
        self._open()

    @property
    def source(self) -> str:
        """Where deaths are known from now."""
        if self._listener is not None:
            return ExitSourceName.TASKSTATS.value
        return (ExitSourceName.CUTIME if self._connector is None else ExitSourceName.CONNECTOR).value

    def settle(self, scan: Scan, table: ProcessTable, times: TickTimes) -> Deaths:
        """What ended since the last tick."""
        self._drain(times.now_ns)
        source = self.source
        dead, remainders, lost = self._dead(scan, table, times)
        deaths = deaths_of(dead, remainders, source, times, self._beat)
        deaths.lost = lost
        self._totals["exits"] += deaths.count
        self._totals["exit_records_lost"] += lost
        self._last_boot_ns = times.boot_ns
        if self._listener is None and self._retry_at_ns is not None and times.now_ns >= self._retry_at_ns:
            self._open()
        if self._retry_at_ns is None:
            self._retry_at_ns = times.now_ns + RETRY_NS
        return deaths

    def wake_at_ns(self) -> int | None:
        """When `catch_up` must be called so that the buffer does not overflow before the next tick; None: need not."""
        listener = self._listener or self._connector
        if listener is None or self._drained_at_ns is None:
            return None
        return self._drained_at_ns + int(listener.capacity / 2 / self._rate * S)

    def catch_up(self, now_ns: int) -> None:
        """Take over what waits in the buffer."""
        self._drain(now_ns)

    def stats(self) -> dict[str, Any]:
        """For `status` and /metrics: the source, what was counted with it, and what the calibration found."""
        return {
            "exit_source": self.source,
            "exit_sources": {name.value: int(name.value == self.source) for name in ExitSourceName},
            "exit_source_problem": self._conditions.detail(_FALLBACK),
            **self._totals,
            "exit_tail_factor": round(self._calibration.tail_factor, 3),
            "exit_stale_share": round(self._calibration.share, 3),
            "exit_corrections": self._calibration.corrections,
        }

    def close(self) -> None:
        """Give everything back."""
        self._close_sources()

    def _dead(
        self, scan: Scan, table: ProcessTable, times: TickTimes
    ) -> tuple[list[DeadProcess], dict[UnitCommand, Remainder], int]:
        if self._listener is not None:
            records, self._records = self._records, ExitRecords()
            last_boot_ns = times.boot_ns if self._last_boot_ns is None else self._last_boot_ns
            moment = Moment(times.boot_ns, last_boot_ns, max(0, times.boot_ns - times.now_ns), self._ns_per_tick)
            dead = self._ledger.settle(scan, table.processes, records, moment)
            remainders = lost_remainders(scan, table.processes, self._ledger.counted_of_children()) if records.lost else {}
            return dead, remainders, records.lost
        events, self._events = self._events, []
        lost, self._events_lost = self._events_lost, 0
        remainders = self._reaped.remainders(scan, table.processes)
        if self._connector is not None:
            return self._by_event.settle(scan, table.processes, events), remainders, lost
        return vanished(scan), remainders, lost

    def _drain(self, now_ns: int) -> None:
        before = self._drained_at_ns
        try:
            came = self._drain_source()
        except OSError:
            # A socket that cannot be read is made again, or gives way to the next best source; which one is told.
            self._close_sources()
            self._open()
            came = 0
        self._drained_at_ns = now_ns
        if before is not None and now_ns > before:
            # The highest rate of late counts: a buffer that overflows cannot be read again.
            self._rate = max(RATE_LEAST, came * S / (now_ns - before), self._rate * 0.9)

    def _drain_source(self) -> int:
        if self._listener is not None:
            records, before = self._records, len(self._records.threads)
            malformed = records.malformed
            self._listener.drain(records, self._beat)
            came = len(records.threads) - before
            records.lost += max(0, len(records.threads) - RECORDS_MAX)
            del records.threads[RECORDS_MAX:]
            self._totals["exit_records"] += came
            self._totals["exit_records_malformed"] += records.malformed - malformed
            return came
        if self._connector is not None:
            came, lost = self._connector.drain(self._events, self._beat)
            self._events_lost += lost + max(0, len(self._events) - RECORDS_MAX)
            del self._events[RECORDS_MAX:]
            self._totals["exit_records"] += came
            return came
        return 0

    def _open(self) -> None:
        """Open the best source; one that is open already is kept where there is no better one."""
        self._retry_at_ns = None
        try:
            listener = self._openers.taskstats(self._buffer_bytes)
        except OSError as refused:
            self._fall_back(refused)
            return
        self._close_sources()
        self._listener = listener
        self._conditions.end(_FALLBACK, "exit records are received")

    def _fall_back(self, refused: OSError) -> None:
        why = f"no exit records ({why_not(refused)})"
        if self._connector is None:
            try:
                self._connector = self._openers.connector(self._buffer_bytes)
            except OSError as failure:
                why += f", no process connector ({why_not(failure)})"
        using = "deaths are known, their CPU only from their parents' counters, in steps of 10 ms"
        if self._connector is None:
            using = "the CPU of what ended is known only from parents' counters, in steps of 10 ms"
        self._conditions.begin(_FALLBACK, f"{why}: {using}; {remedy(refused)}")

    def _close_sources(self) -> None:
        for source in (self._listener, self._connector):
            if source is not None:
                source.close()
        self._listener = self._connector = None
