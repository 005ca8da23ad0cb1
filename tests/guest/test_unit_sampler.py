"""The sampler of units over a real cgroup version 2 with every controller, against loads of known size and the kernel's files."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes.cgroup import remove
from harness.waiting import wait_until

from agent.model.heartbeat import Heartbeat
from agent.model.rule import Assignment, Unit, UnitKind, canonical, pod_key
from agent.model.rule_state import RuleState
from agent.model.timebase import MS, S
from workers.runtime.kernel_tree import OpenKernelTree
from workers.samplers.unit import UnitProbe, look_at_below
from workers.unit.schema import UNIT

ROOT = Path("/sys/fs/cgroup")
LOAD = Path(__file__).parents[1] / "fakes" / "cgroup_load.py"
UID = "/test-unit/a.service"
MIB = 1 << 20
Row = Mapping[str, Any]


class Units:
    """A service's cgroup, and the sampler over it."""

    def __init__(self) -> None:
        self.home = ROOT / "test-unit"
        self.home.mkdir()
        (self.home / "cgroup.subtree_control").write_text("+cpu +memory +io +pids")
        self.cgroup = self.home / "a.service"
        self.cgroup.mkdir()
        self.probe = UnitProbe(OpenKernelTree(str(ROOT)), look_at_below(str(ROOT)), Heartbeat())
        unit = Unit(UID, UnitKind.SERVICE, UID)
        self.probe.on_rules(RuleState([(pod_key(UID), canonical(Assignment(unit, UID, None, 0)))]))
        self.rows: list[Row] = []
        self.loads: list[subprocess.Popen[str]] = []

    def sample(self) -> list[Row]:
        """The rows of one tick."""
        (_, rows), *_ = self.probe.sample(time.monotonic_ns(), time.time_ns())
        self.rows += [dict(zip(UNIT.column_names, row, strict=True)) for row in rows]
        return self.rows[len(self.rows) - len(rows) :]

    def load(self, *words: str) -> "subprocess.Popen[str]":
        """A load in the cgroup, which waits when it has done its work."""
        command = [sys.executable, "-S", str(LOAD), str(self.cgroup), *words]
        load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.loads.append(load)
        return load

    def total(self, column: str) -> int:
        """The sum of a column over all rows so far."""
        return sum(row[column] or 0 for row in self.rows)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Sample until something holds."""

        def holds_after_a_tick() -> bool:
            self.sample()
            return holds()

        wait_until(holds_after_a_tick, what)


def done(load: "subprocess.Popen[str]") -> int:
    """What a load says that it did."""
    assert load.stdout is not None
    word, _, number = load.stdout.readline().partition(" ")
    assert word == "done"
    return int(number)


@pytest.fixture
def units() -> Iterator[Units]:
    """Both, and nothing left of them."""
    with ExitStack() as stack:
        units = Units()
        stack.callback(remove, units.home)
        stack.callback(lambda: remove(units.cgroup) if units.cgroup.exists() else None)
        stack.callback(end_all, units.loads)
        stack.callback(units.probe.close)
        yield units


def end_all(loads: "list[subprocess.Popen[str]]") -> None:
    """All that a test began, whatever became of it."""
    for load in loads:
        end(load)


def end(load: "subprocess.Popen[str]") -> None:
    """Let it end, if it has not."""
    if load.returncode is None:
        load.communicate()
    assert load.returncode == 0


def test_cpu_time_is_that_of_a_known_load_within_two_percent(units: Units) -> None:
    """A process that used some seconds of CPU inside; the sum of all rows against what the process itself counted."""
    units.sample()
    load = units.load("burn", "4")
    units.until(lambda: units.total("cpu_ns") > 1 * S, "some of it is told")
    done(load)
    wanted = int(load.communicate()[0].split()[1])
    wait_until(lambda: "populated 0" in (units.cgroup / "cgroup.events").read_text(), "the load is gone")
    units.until(lambda: units.total("cpu_ns") >= wanted, "all of it is told")
    units.sample()
    # Joining and being taken apart by the kernel are not the process's own time.
    assert units.total("cpu_ns") == pytest.approx(wanted, rel=0.02)
    kernel = dict(line.split() for line in (units.cgroup / "cpu.stat").read_text().splitlines())
    assert units.total("cpu_ns") == int(kernel["usage_usec"]) * 1000
    parts = units.total("cpu_user_ns") + units.total("cpu_system_ns")
    assert parts == pytest.approx(units.total("cpu_ns"), rel=0.02)


def test_a_throttled_unit_says_how_long_and_by_which_limit(units: Units) -> None:
    """A fifth of a CPU: the kernel's own counts, and no more than that used."""
    (units.cgroup / "cpu.max").write_text("20000 100000")
    units.sample()
    load = units.load("burn", "0.5")
    units.until(lambda: units.total("cpu_throttled_periods") >= 3, "it is throttled")
    done(load)
    end(load)
    units.sample()
    row = units.rows[-1]
    kernel = dict(line.split() for line in (units.cgroup / "cpu.stat").read_text().splitlines())
    assert row["cpu_limit_cores"] == pytest.approx(0.2)
    assert units.total("cpu_throttled_periods") <= int(kernel["nr_throttled"])
    assert 0 < units.total("cpu_throttled_ns") <= int(kernel["throttled_usec"]) * 1000
    assert 0 < units.total("cpu_periods") <= int(kernel["nr_periods"])


def test_memory_is_that_of_a_known_load(units: Units) -> None:
    """40 MiB touched, under a limit of its own that is above the one of its parent."""
    (units.home / "memory.max").write_text(str(200 * MIB))
    (units.cgroup / "memory.max").write_text(str(300 * MIB))
    load = units.load("hold", str(40 * MIB))
    assert done(load) == 40 * MIB
    # Older kernels count in batches of some pages for each processor.
    units.until(lambda: bool(units.rows) and (units.rows[-1]["memory_anon_bytes"] or 0) >= 39 * MIB, "the memory is told")
    row = units.rows[-1]
    assert row["memory_anon_bytes"] <= 56 * MIB
    assert row["memory_anon_bytes"] <= row["memory_working_set_bytes"] <= row["memory_current_bytes"] <= 80 * MIB
    assert row["memory_limit_bytes"] == 200 * MIB
    assert row["absent"] in (None, "first_tick", "not_in_kernel", "first_tick,not_in_kernel")
    end(load)


def test_processes_and_threads_are_counted(units: Units) -> None:
    """Three loads, and their limit."""
    (units.cgroup / "pids.max").write_text("7")
    for _ in range(3):
        done(units.load("rest"))
    units.until(lambda: any(row["pids"] == 3 for row in units.rows), "three are told")
    assert units.rows[-1]["pids_limit"] == 7


def test_waiting_for_a_cpu_is_told_as_the_kernel_counts_it(units: Units) -> None:
    """Two loads on one processor: one of them always waits."""
    units.sample()
    loads = [units.load("burn", "1") for _ in range(2)]
    units.until(lambda: units.total("pressure_cpu_some_ns") > 100 * MS, "waiting is told")
    for load in loads:
        done(load)
        end(load)
    units.sample()
    some = (units.cgroup / "cpu.pressure").read_text().split("total=")[1].split()[0]
    assert 0 < units.total("pressure_cpu_some_ns") <= int(some) * 1000


def test_reads_from_a_disk_are_told_to_the_byte(units: Units, tmp_path: Path) -> None:
    """2 MiB read past the page cache from a loop device."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4 * MIB))
    attached = subprocess.run(["losetup", "--find", "--show", str(disk)], capture_output=True, text=True, check=True)
    device = attached.stdout.strip()
    try:
        units.sample()
        load = units.load("read", device, str(2 * MIB))
        assert done(load) == 2 * MIB
        units.until(lambda: units.total("io_read_bytes") >= 2 * MIB, "the reading is told")
        end(load)
        assert units.total("io_read_bytes") == 2 * MIB
        assert units.total("io_reads") >= 1
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def test_a_unit_that_goes_has_a_final_row(units: Units) -> None:
    """The kernel takes its files away; what was last known is told once more."""
    load = units.load("burn", "0.2")
    done(load)
    end(load)
    units.sample()
    remove(units.cgroup)
    units.until(lambda: units.rows[-1]["is_final"], "the final row is told")
    assert units.rows[-1]["memory_current_bytes"] is not None
    assert units.sample() == []


def test_a_new_unit_is_counted_from_its_birth(units: Units) -> None:
    """Its age is that of its directory, and what it used before the first look is in its first row."""
    units.sample()
    remove(units.cgroup)
    units.until(lambda: units.rows[-1]["is_final"], "the old one is gone")
    begun = time.time_ns()
    units.cgroup.mkdir()
    load = units.load("burn", "0.2")
    wanted = done(load)
    seen = len(units.rows)
    units.until(lambda: len(units.rows) > seen, "the new one is told")
    first = units.rows[seen]
    assert begun - 20 * MS <= first["started_timestamp"] <= time.time_ns()
    assert first["uptime_ns"] == first["timestamp"] - first["started_timestamp"]
    assert (first["cpu_ns"] or 0) >= wanted or first["absent"] == "first_tick"
    end(load)
    assert os.listdir(units.cgroup)
