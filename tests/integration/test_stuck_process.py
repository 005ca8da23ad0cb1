"""A process whose memory lock is never free: its command line is null with a reason, and nothing else is darker or later."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.bus import RecordingBus
from fakes.host import why
from fakes.stuck_process import StuckProcess, stuck_process
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import DEADLINE_SECONDS, wait_until

from agent.clock import SystemClock
from agent.config import Config
from agent.doctor.other_users import may_read_any
from agent.model.heartbeat import Heartbeat
from agent.model.timebase import S
from agent.side_reader import PATIENCE_SECONDS
from workers.framework.sampler import SamplerContext
from workers.process.schema import PROCESS
from workers.runtime.kernel_tree import OpenKernelTree
from workers.samplers.process import SAMPLER, ProcessProbe


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[StuckProcess]:
    """The process, for one test; it is let go and gone afterwards."""
    with stuck_process(tmp_path / "dead") as process:
        yield process


class Ticks:
    """A sampler of everything, ticked by the test: each tick is a second after the last one."""

    def __init__(self) -> None:
        self.beats = 0
        self._now_ns = 0
        config = Config({"sampler.process.top_rows": 10_000, "sampler.process.top_rows_least": 10_000})
        heartbeat = Heartbeat()
        heartbeat.beat = self._count
        probe = SAMPLER.open(SamplerContext(config, SystemClock(), RecordingBus(), OpenKernelTree, heartbeat))
        assert isinstance(probe, ProcessProbe)
        self.probe = probe

    def _count(self) -> None:
        self.beats += 1

    def rows(self, whole: int) -> dict[int, dict[str, Any]]:
        """Rows of a tick in which the command line of this process could be read: a machine may be busy for a moment."""

        def tick() -> dict[int, dict[str, Any]] | None:
            self._now_ns += S
            (_, rows), *_ = self.probe.sample(self._now_ns, time.time_ns())
            found = {int(str(row[1])): dict(zip(PROCESS.column_names, row, strict=True)) for row in rows}
            return found if found[whole]["command_line"] else None

        told: dict[int, dict[str, Any]] = wait_until(tick, f"{whole} answers")
        return told


@pytest.mark.runbook("Process sampler")
def test_its_row_is_null_with_a_reason_and_all_others_go_on(stuck: StuckProcess) -> None:
    """It is not asked again, and is there as soon as it answers."""
    ticks = Ticks()
    try:
        rows = ticks.rows(os.getpid())
        assert (rows[stuck.pid]["command_line"], rows[stuck.pid]["uid"]) == (None, 0)
        assert why(rows[stuck.pid], "command_line") == "not_answered"
        assert rows[stuck.pid]["rss_bytes"] > 1 << 20
        assert "python" in rows[os.getpid()]["command_line"]
        first = ticks.probe.stats()
        rows = ticks.rows(os.getpid())
        assert why(rows[stuck.pid], "command_line") == "not_answered"
        assert ticks.probe.stats()["command_lines_unanswered"] > first["command_lines_unanswered"]
        assert ticks.beats > 4
        stuck.release()
        wait_until(lambda: ticks.probe.stats()["readers_stuck"] == 0, "every thread has come back")
        assert "stuck_process" in ticks.rows(stuck.pid)[stuck.pid]["command_line"]
    finally:
        ticks.probe.close()


def test_the_doctor_is_not_kept_waiting(stuck: StuckProcess) -> None:
    """Permission is told by opening; a file that must be read is given up."""
    folder = f"/proc/{stuck.pid}"
    assert may_read_any([folder], "smaps_rollup") is True
    begun = time.monotonic()
    assert may_read_any([folder], "cmdline") is None
    assert time.monotonic() - begun < 10 * PATIENCE_SECONDS + 5
    wait_until(lambda: may_read_any([folder, "/proc/self"], "cmdline"), "another one tells")
    done = run_agentctl("doctor", "--json", "--state-dir", "/", seconds=30)
    assert json.loads(done.stdout)["findings"], done.stderr


def test_an_agent_starts_measures_and_ends_beside_it(stuck: StuckProcess, tmp_path: Path) -> None:
    """Nobody is killed as hung, the first lines come, and a stuck thread does not keep the worker from its end."""
    flags = {"--sampler-process-top-rows": "10000", "--sampler-process-top-rows-least": "10000", "--supervisor-stop-timeout": "20s"}
    with AgentProcess(tmp_path, flags=flags) as agent:
        wait_until(lambda: ", ready after" in agent.output, "the banner")

        def sampler() -> dict[str, Any]:
            return agent.stats("sampler/process")

        wait_until(lambda: sampler().get("readers_stuck"), "it has been asked")
        ticks = sampler()["ticks"]
        wait_until(lambda: sampler()["ticks"] > ticks + 2, "it goes on")
        (row,) = (row for row in agent.call("list-workers")["workers"] if row["name"] == "sampler/process")
        assert (row["restarts"], row["state"]) == (0, "up")
        assert agent.process is not None
        agent.process.terminate()
        assert agent.process.wait(DEADLINE_SECONDS) == 0
        stuck.release()
