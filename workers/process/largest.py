"""The largest CPU and memory among the processes that have no row, by unit and command. PURE."""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from workers.process.tracked_process import Scan, TrackedProcess
from workers.process.unit_command import UnitCommand


class Largest(Struct, frozen=True):
    """By unit and command; nothing where all processes of one have a row, or hold nothing.

    `cpu_unknown`: those with a process without a row whose CPU of the tick is not known.
    """

    cpu_ns: Mapping[UnitCommand, int]
    rss_bytes: Mapping[UnitCommand, int]
    cpu_unknown: Collection[UnitCommand] = ()


class LargestUnshown:
    """Found from tick to tick. Memory changes only where a process was read, so that a host that sleeps is not looked through.

    For each unit and command one process is remembered. Where it ended, moved, shrank or got a row, all processes are looked
    through for those units and commands once.
    """

    def __init__(self) -> None:
        self._holders: dict[UnitCommand, TrackedProcess] = {}
        self._rss: dict[UnitCommand, int] = {}
        # Of which unit and command each holder is.
        self._held: dict[TrackedProcess, UnitCommand] = {}
        self._shown: Collection[TrackedProcess] = ()

    def find(self, processes: Iterable[TrackedProcess], scan: Scan, shown: Collection[TrackedProcess]) -> Largest:
        """Those of this tick. `shown` are the processes with a row."""
        lost = set(self._lost(scan, shown))
        for key in lost:
            del self._held[self._holders.pop(key)]
            del self._rss[key]
        gone = {*scan.gone, *scan.lost}
        self._take(scan.touched, shown)
        self._take((process for process in self._shown if process not in shown and process not in gone), shown)
        if lost:
            self._take((process for process in processes if process.key in lost), shown)
        self._shown = shown
        unknown = {process.key for process in scan.active if process.interval_cpu_ns is None and process not in shown}
        return Largest(_largest_cpu(scan.active, shown), self._rss, unknown)

    def _lost(self, scan: Scan, shown: Collection[TrackedProcess]) -> Iterable[UnitCommand]:
        """Units and commands whose holder is none any more."""
        held, rss = self._held, self._rss
        for process in (*scan.gone, *scan.lost, *shown):
            if (key := held.get(process)) is not None:
                yield key
        for process in scan.touched:
            if (key := held.get(process)) is not None and (key != process.key or process.rss_bytes < rss[key]):
                yield key

    def _take(self, processes: Iterable[TrackedProcess], shown: Collection[TrackedProcess]) -> None:
        holders, held, rss = self._holders, self._held, self._rss
        for process in processes:
            key = process.key
            if process.rss_bytes > rss.get(key, 0) and process not in shown:
                if (before := holders.get(key)) is not None:
                    del held[before]
                holders[key], held[process], rss[key] = process, key, process.rss_bytes


def _largest_cpu(active: Iterable[TrackedProcess], shown: Collection[TrackedProcess]) -> dict[UnitCommand, int]:
    cpu: dict[UnitCommand, int] = {}
    for process in active:
        key, cpu_ns = process.key, process.interval_cpu_ns or 0
        if cpu_ns > cpu.get(key, 0) and process not in shown:
            cpu[key] = cpu_ns
    return cpu
