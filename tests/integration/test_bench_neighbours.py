"""`scripts/bench/neighbours` with real units: however it ends, its processes end with it, and nothing stays on the machine."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.waiting import wait_until

BENCH = Path(__file__).parents[2] / "scripts" / "bench"
SLICE = "evergauge-bench-neighbours.slice"
SECONDS_MAX = 60.0
pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a cgroup")]


def folders() -> list[Path]:
    return [*Path(tempfile.gettempdir()).glob("eg-neighbours-*")]


def groups() -> list[Path]:
    return [*Path("/sys/fs/cgroup").glob(f"*/{SLICE}"), *Path("/sys/fs/cgroup").glob(SLICE)]


def processes_of(folder: Path) -> list[str]:
    """What runs in the slice, and what names the folder in its command line."""
    inside = [word for group in groups() for path in group.glob("*/cgroup.procs") for word in path.read_text().split()]
    lines = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    return [*inside, *(line for line in lines if f"{folder}/" in line)]


@contextmanager
def running() -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """The benchmark over the emulated cache, when its units and its agent run; and its folder."""
    process = subprocess.Popen(
        [str(BENCH / "neighbours"), "cache", "--runs", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(
            lambda: [*Path(tempfile.gettempdir()).glob("eg-neighbours-*/r/control.sock")], "the agent runs", seconds=SECONDS_MAX
        )
        (folder,) = folders()
        yield process, folder
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


@pytest.fixture
def remove_leftovers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What the benchmark does before each run."""
    monkeypatch.syspath_prepend(str(BENCH))
    place: Any = import_module("neighbours_bench.place")
    found: Callable[[], None] = place.remove_leftovers
    return found


def test_an_order_to_end_removes_everything() -> None:
    """SIGTERM: units, agent, emulator, control groups, mount and folder are gone when it has ended."""
    with running() as (process, folder):
        process.terminate()
        process.communicate(timeout=SECONDS_MAX)
        assert process.returncode == 128 + signal.SIGTERM
        assert (folders(), groups()) == ([], [])
        wait_until(lambda: not processes_of(folder), f"nothing runs: {processes_of(folder)}", seconds=SECONDS_MAX)


def test_what_a_killed_run_leaves_is_removed_by_the_next(remove_leftovers: Callable[[], None]) -> None:
    """kill -9: the kernel ends its processes; control groups and folder wait for the next run."""
    with running() as (process, folder):
        process.kill()
        wait_until(lambda: not processes_of(folder), f"nothing runs: {processes_of(folder)}", seconds=SECONDS_MAX)
        assert folders() == [folder]
        assert groups() != []
        remove_leftovers()
        assert (folders(), groups()) == ([], [])
        assert str(folder) not in Path("/proc/mounts").read_text()
