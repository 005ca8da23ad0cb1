"""What is measured, each beside its reference, by turns; CPU time of this thread, which waits for nobody."""

import gc
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.model.heartbeat import Heartbeat
from agent.model.message import encode
from agent.model.timebase import S
from compare_bench.judgement import median_ratio
from compare_bench.spawn import spawn_ratio
from compare_bench.unit_folder import SOURCE, UnitFolder
from workers.framework.sampler import Sample
from workers.runtime.kernel_tree import OpenKernelTree
from workers.samplers.unit import UnitProbe
from workers.unit.tracked_unit import DirectoryState

SETTLE_TICKS = 3
# The first ticks open files; of these the ratio in the middle is taken.
PAIRS = 31
# What a unit cannot be measured without: CPU, memory, what the memory is used for, and pressure.
REFERENCE_FILES = ("cpu.stat", "memory.current", "memory.stat", "cpu.pressure")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing that is compared. `measure` gives ours divided by the reference."""

    name: str
    about: str
    reference: str
    measure: Callable[[], float]


class UnitTicks:
    """The probe of `sampler/unit` over a folder of units, and a plain loop over the same files."""

    def __init__(self, folder: UnitFolder) -> None:
        self._folder = folder
        tree = OpenKernelTree(str(folder.root))
        self._probe = UnitProbe(tree, self._look_at, Heartbeat())
        self._probe.on_rules(folder.rules())
        paths = [folder.root / name / file for name in folder.names for file in REFERENCE_FILES]
        self._descriptors = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths]
        self._now_ns = S

    def _look_at(self, path: str) -> DirectoryState:
        found = os.stat(f"{self._folder.root}/{path}")
        return DirectoryState(found.st_ino, found.st_nlink, found.st_mtime_ns)

    def tick(self) -> Sample:
        """A second later: every unit has done something."""
        self._folder.work()
        self._now_ns += S
        return self._probe.sample(self._now_ns, self._now_ns)

    def pair(self) -> tuple[float, float]:
        """CPU time of one tick, and of the loop."""
        self._folder.work()
        self._now_ns += S
        began = time.thread_time_ns()
        self._probe.sample(self._now_ns, self._now_ns)
        between = time.thread_time_ns()
        self._read_plainly()
        return between - began, time.thread_time_ns() - between

    def _read_plainly(self) -> list[dict[bytes, bytes]]:
        found = []
        for descriptor in self._descriptors:
            words = [line.split(b" ", 1) for line in os.pread(descriptor, 16384, 0).split(b"\n")]
            found.append({each[0]: each[1] for each in words if len(each) == 2})
        return found

    def close(self) -> None:
        """Close every descriptor."""
        self._probe.close()
        for descriptor in self._descriptors:
            os.close(descriptor)


def _collection_ratio(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        ticks = UnitTicks(UnitFolder(Path(folder), count))
        try:
            for _ in range(SETTLE_TICKS):
                ticks.tick()
            gc.collect()
            return median_ratio([ticks.pair() for _ in range(PAIRS)])
        finally:
            ticks.close()


def _row_bytes_ratio() -> float:
    """Every unit did something. The reference does not grow with the table: it is what the kernel wrote."""
    with tempfile.TemporaryDirectory() as folder:
        ticks = UnitTicks(UnitFolder(Path(folder), 100))
        try:
            ticks.tick()
            rows = [row for table, rows in ticks.tick() if table.name == "unit" for row in rows]
        finally:
            ticks.close()
    assert len(rows) == 100
    return len(encode(rows)) / len(rows) / sum(path.stat().st_size for path in SOURCE.iterdir())


_LOOP = "a plain Python loop that reads and splits four files of each"
MEASUREMENTS = {
    each.name: each
    for each in (
        Measurement("units-10", "one collection of 10 units", _LOOP, partial(_collection_ratio, 10)),
        Measurement("units-100", "one collection of 100 units", _LOOP, partial(_collection_ratio, 100)),
        Measurement(
            "row-bytes", "a row of table unit on the wire", "the text of its files, as the kernel writes it", _row_bytes_ratio
        ),
        Measurement("spawn", "starting a workload in a cgroup of its own", "posix_spawn of the same program", spawn_ratio),
    )
}
