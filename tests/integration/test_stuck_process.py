"""A process whose memory lock is never free: its command line is null with a reason, and nothing else is darker or later."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_process import AgentProcess, run_agentctl, wait_until
from fakes.bus import RecordingBus
from fakes.stuck_process import StuckProcess, stuck_process

from agent.clock import SystemClock
from agent.config import Config
from agent.doctor.others import may_read_any
from agent.model.timebase import S
from agent.side_reader import PATIENCE_SECONDS
from workers.process.schema import PROCESS
from workers.runtime.kernel_tree import KernelTree
from workers.samplers.kind import Pulse, Surroundings
from workers.samplers.process import SAMPLER, ProcessProbe


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[StuckProcess]:
    """The process, for one test; it is let go and gone afterwards."""
    with stuck_process(tmp_path / "dead") as process:
        yield process


def _rows(probe: ProcessProbe, second: int) -> dict[int, dict[str, Any]]:
    (_, rows), _tails = probe.sample(second * S, time.time_ns())
    return {row[1]: dict(zip(PROCESS.column_names, row, strict=True)) for row in rows}  # type: ignore[misc]  # pid is a number


def test_its_row_is_null_with_a_reason_and_all_others_go_on(stuck: StuckProcess) -> None:
    """It delays one tick by one patience, is not asked again, and is there as soon as it answers."""
    config = Config({"sampler.process.top_rows": 10_000})
    beats: list[float] = []
    pulse = Pulse()
    pulse.beat = lambda: beats.append(time.monotonic())
    probe = SAMPLER.open(Surroundings(config, SystemClock(), RecordingBus(), KernelTree, pulse))
    assert isinstance(probe, ProcessProbe)
    try:
        rows = _rows(probe, 1)
        assert (rows[stuck.pid]["command_line"], rows[stuck.pid]["uid"]) == (None, 0)
        assert rows[stuck.pid]["absent"] == "first_tick,not_answered"
        assert rows[stuck.pid]["rss_bytes"] > 1 << 20
        assert "pytest" in rows[os.getpid()]["command_line"]
        assert probe.stats()["readers_stuck"] == 1
        rows = _rows(probe, 2)
        assert rows[stuck.pid]["absent"] == "not_answered"
        assert (probe.stats()["readers_stuck"], probe.stats()["command_lines_unanswered"]) == (1, 2)
        assert len(beats) > 4
        stuck.release()
        wait_until(lambda: probe.stats()["readers_stuck"] == 0, "the thread has come back")
        assert "stuck_process" in _rows(probe, 3)[stuck.pid]["command_line"]
    finally:
        probe.close()


def test_the_doctor_is_not_kept_waiting(stuck: StuckProcess) -> None:
    """Permission is told by opening; a file that must be read is given up."""
    folder = f"/proc/{stuck.pid}"
    assert may_read_any([folder], "smaps_rollup") is True
    begun = time.monotonic()
    assert may_read_any([folder], "cmdline") is None
    assert may_read_any([folder, "/proc/self"], "cmdline") is True
    assert time.monotonic() - begun < 10 * PATIENCE_SECONDS + 5
    done = run_agentctl("doctor", "--json", "--state-dir", "/", seconds=15)
    assert json.loads(done.stdout)["findings"], done.stderr


def test_an_agent_starts_measures_and_ends_beside_it(stuck: StuckProcess, tmp_path: Path) -> None:
    """Nobody is killed as hung, the first lines come, and a stuck thread does not keep the worker from its end."""
    with AgentProcess(tmp_path, flags={"--sampler-process-top-rows": "10000"}) as agent:
        assert ", ready after" in wait_until(lambda: agent.output, "the greeting")
        sampler = lambda: agent.call("status")["stats"].get("sampler/process", {})  # noqa: E731  asked again and again
        wait_until(lambda: sampler().get("readers_stuck"), "it has been asked")
        ticks = sampler()["ticks"]
        wait_until(lambda: sampler()["ticks"] > ticks + 2, "it goes on")
        (row,) = (row for row in agent.call("list-workers")["workers"] if row["name"] == "sampler/process")
        assert (row["restarts"], row["state"]) == (0, "up")
        agent.process.terminate()  # type: ignore[union-attr]  it runs
        assert agent.process.wait(10) == 0  # type: ignore[union-attr]
        stuck.release()
