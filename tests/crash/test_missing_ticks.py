"""Whatever stops, kills or freezes the sampler or its neighbours: each tick is stored, or a row of `gap` says why not."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from fakes.cgroup import remove
from fakes.failpoints import arm
from fakes.sealed_rows import sealed_rows
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.model.timebase import MS

INTERVAL_NS = 100 * MS
FLAGS = {"--sampler-process-interval": "100ms", "--supervisor-hang-timeout": "60s"}
SAMPLER = "sampler/process"
# One that begins within a measurement looks like a read that does not return. Not all of them do: more follow until one does not.
STOPS, STOPS_MAX = 3, 25


def _tick_gaps(agent: AgentProcess) -> list[dict[str, Any]]:
    return [row for row in sealed_rows(agent.state_dir, "gap") if row["worker"] == SAMPLER and row["ticks"]]


def _uncovered(agent: AgentProcess) -> list[int]:
    """The ticks between the first and the last stored one that have neither rows nor a row of table `gap`."""
    # The largest: of the others something came between the two clocks.
    boot_wall_ns = max(time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) for _ in range(9))
    stored: set[int] = set()
    for at_ns in {row["timestamp"] - boot_wall_ns for row in sealed_rows(agent.state_dir, "process")}:
        stored.add(at_ns // INTERVAL_NS)
        if at_ns % INTERVAL_NS >= INTERVAL_NS // 2:
            # The first of a start, taken at once, may stand for the tick after it.
            stored.add(at_ns // INTERVAL_NS + 1)
    counted = {row["last_tick"] - back for row in _tick_gaps(agent) for back in range(row["ticks"])}
    return [tick for tick in range(min(stored), max(stored)) if tick not in stored | counted]


def _ticks(agent: AgentProcess) -> int:
    ticks: int = agent.stats(SAMPLER)["ticks"]
    return ticks


def _missed(agent: AgentProcess) -> int:
    missed: int = agent.stats("writer")["ticks_missed"].get(SAMPLER, 0)
    return missed


def _ticks_again(agent: AgentProcess) -> None:
    """Wait until what was missed is told: the tick after it is stored."""
    ticks = _ticks(agent)
    wait_until(lambda: _ticks(agent) >= ticks + 3, "the sampler ticks again")


@pytest.mark.runbook("Writer and spool")
def test_ticks_lost_in_kills_and_stops_all_have_their_row(tmp_path: Path) -> None:
    """kill -9 of sampler, writer and control plane in turn, a SIGSTOP of the sampler: nothing is uncovered, and all is counted."""
    rng = random.Random(8)
    with AgentProcess(tmp_path, flags=FLAGS) as agent:
        _ticks_again(agent)
        for name in [SAMPLER, "writer", SAMPLER, "control-plane", SAMPLER, "writer"]:
            row = agent.workers()[name]
            if row["pid"] is not None:
                # The supervisor may not have seen yet that the last one has gone.
                with suppress(ProcessLookupError):
                    os.kill(row["pid"], signal.SIGKILL)
            time.sleep(rng.uniform(0.15, 0.45))
        _ticks_again(agent)
        _repeat_until_one_is_told(agent, lambda: _stopped(agent.workers()[SAMPLER]["pid"]))
        # The sampler's tick is counted before its batch has come to the writer.
        wait_until(lambda: _missed(agent) >= 2 * STOPS, "the writer has counted what was missed")
        missed = _missed(agent)
    gaps = _tick_gaps(agent)
    assert _uncovered(agent) == []
    assert sum(row["ticks"] for row in gaps) >= missed
    assert "frozen" in {row["reason"] for row in gaps}


@pytest.mark.runbook("Supervision")
def test_ticks_lost_in_a_hang_say_so(tmp_path: Path) -> None:
    """A sampler that hangs until the supervisor ends it: its successor's first batch brings the row."""
    points = tmp_path / "failpoints"
    points.mkdir()
    with AgentProcess(tmp_path, flags={**FLAGS, "--supervisor-hang-timeout": "1s"}, failpoints=points) as agent:
        _ticks_again(agent)
        before = agent.workers()[SAMPLER]
        arm(points, "outbox.before_offer@sampler-process", "hang")
        agent.wait_for_replacement(before, seconds=15)
        _ticks_again(agent)
    (gap,) = [row for row in _tick_gaps(agent) if row["first_seq"] is not None]
    assert (gap["reason"], gap["epoch"]) == ("worker_hung", before["epoch"])
    assert gap["ticks"] >= 4
    assert _uncovered(agent) == []


@pytest.mark.parametrize("version", [1, 2])
def test_ticks_lost_in_the_cgroup_freezer_are_frozen(tmp_path: Path, version: int) -> None:
    """The whole agent is frozen and thawed: nobody could look meanwhile, and still the row is there."""
    with _freezer(tmp_path, version) as group, AgentProcess(tmp_path, flags=FLAGS) as agent:
        _ticks_again(agent)
        _repeat_until_one_is_told(agent, lambda: _frozen(agent, group))
    assert max((row["ticks"] for row in _tick_gaps(agent) if row["reason"] == "frozen"), default=0) >= 2
    assert _uncovered(agent) == []


def _repeat_until_one_is_told(agent: AgentProcess, held: Callable[[], AbstractContextManager[None]]) -> None:
    """Hold the sampler some times, and more often where each began within a measurement, which takes long on a busy machine."""
    for stops in range(1, STOPS_MAX + 1):
        with held():
            time.sleep(0.35)
        _ticks_again(agent)
        if stops >= STOPS and _is_told_as_frozen(agent):
            return


def _is_told_as_frozen(agent: AgentProcess) -> bool:
    agent.call("rotate")
    tables = [pyarrow.parquet.ParquetFile(path).read() for path in agent.state_dir.glob("data/gap/date=*/*.parquet")]
    rows = [row for table in tables for row in table.to_pylist()]
    return any(row["worker"] == SAMPLER and row["reason"] == "frozen" and row["ticks"] >= 2 for row in rows)


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _freezer(folder: Path, version: int) -> Iterator[Path]:
    """A cgroup of this version that can be frozen, in a mount of its own."""
    if os.geteuid():
        pytest.skip("only root mounts cgroups and moves processes")
    mount = folder / "cgroup"
    mount.mkdir()
    words = ["-t", "cgroup2", "none"] if version == 2 else ["-t", "cgroup", "-o", "freezer", "none"]
    if subprocess.run(["mount", *words, str(mount)], capture_output=True, check=False).returncode:
        pytest.skip(f"this host has no freezer of cgroup v{version}")
    # Beside this process, where its children are.
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    ours = next(path for _number, names, path in lines if names == ("" if version == 2 else "freezer"))
    group = mount / ours.lstrip("/") / f"evergauge-test-{os.getpid()}"
    try:
        group.mkdir()
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the group is empty")
        remove(group)
        # Lazily: others look at all mounts, and one look is enough to keep it busy.
        subprocess.run(["umount", "--lazy", str(mount)], check=True)
        mount.rmdir()


@contextmanager
def _frozen(agent: AgentProcess, group: Path) -> Iterator[None]:
    is_v2 = (group / "cgroup.freeze").exists()
    file, freeze, thaw = ("cgroup.freeze", "1", "0") if is_v2 else ("freezer.state", "FROZEN", "THAWED")
    for process in agent.note_processes():
        with suppress(ProcessLookupError):
            if process.is_running():
                (group / "cgroup.procs").write_text(str(process.pid))
    (group / file).write_text(freeze)
    try:
        yield
    finally:
        (group / file).write_text(thaw)
