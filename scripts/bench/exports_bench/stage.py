"""One stage of a chain that is measured: the processes that do its work, their CPU and memory, and what went through."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from harness.proc import memory
from msgspec import Struct

from agent.model.timebase import S

_LOOK_SECONDS = 0.5


class StageCost(Struct):
    """What a stage took. `rows` and `bytes` went through it; `pss_mib` is the most that its processes held together."""

    name: str
    rows: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    pss_mib: float = 0.0
    bytes: int = 0

    @property
    def rows_per_core(self) -> float:
        """Rows per second of one core."""
        return self.rows / self.cpu_seconds if self.cpu_seconds else 0.0

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "rows_per_second": self.rows / self.seconds if self.seconds else 0.0,
            "rows_per_second_and_core": self.rows_per_core,
            "pss_mib": self.pss_mib,
            "bytes": self.bytes,
            "bytes_per_row": self.bytes / self.rows if self.rows else 0.0,
        }


@contextmanager
def measured(name: str, pids: Sequence[int]) -> Iterator[StageCost]:
    """The cost of what these processes, and those below them, do meanwhile. The caller fills in rows and bytes."""
    cost = StageCost(name)
    is_over = threading.Event()
    watcher = threading.Thread(target=_watch_memory, args=(cost, pids, is_over.wait), daemon=True)
    before, began_ns = cpu_seconds(pids), time.perf_counter_ns()
    watcher.start()
    try:
        yield cost
    finally:
        cost.seconds = (time.perf_counter_ns() - began_ns) / S
        cost.cpu_seconds = cpu_seconds(pids) - before
        is_over.set()
        watcher.join()


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of processes and all below them, as far as they live."""
    found = 0.0
    for each in _family(pids):
        with suppress(psutil.Error):
            times = each.cpu_times()
            found += times.user + times.system
    return found


def _family(pids: Sequence[int]) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        with suppress(psutil.Error):
            own = psutil.Process(pid)
            found |= {each.pid: each for each in (own, *own.children(recursive=True))}
    return list(found.values())


def _watch_memory(cost: StageCost, pids: Sequence[int], wait: Callable[[float], bool]) -> None:
    while True:
        held = 0
        for each in _family(pids):
            with suppress(OSError, KeyError):
                held += memory(each.pid).pss_bytes
        cost.pss_mib = max(cost.pss_mib, held / 2**20)
        if wait(_LOOK_SECONDS):
            return


def show_stages(stages: Sequence[StageCost]) -> None:
    """A table."""
    print(f"{'stage':12} {'rows':>12} {'s':>8} {'CPU s':>8} {'rows/s':>10} {'rows/s/core':>12} {'B/row':>7} {'PSS MiB':>8}")
    for each in stages:
        rate = each.rows / each.seconds if each.seconds else 0.0
        size = each.bytes / each.rows if each.rows else 0.0
        print(
            f"{each.name:12} {each.rows:12,} {each.seconds:8.1f} {each.cpu_seconds:8.1f} {rate:10,.0f} {each.rows_per_core:12,.0f} "
            f"{size:7.1f} {each.pss_mib:8.0f}"
        )
