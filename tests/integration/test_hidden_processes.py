"""A real proc mount that hides, looked at by a real other user."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.bus import RecordingBus
from fakes.other_user import OTHER_UID, as_other_user, folder_for_all
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.config import Config
from agent.model.heartbeat import Heartbeat
from workers.framework.sampler import SamplerContext
from workers.runtime.kernel_tree import OpenKernelTree
from workers.samplers.process import SAMPLER


@contextmanager
def _proc(options: str) -> Iterator[Path]:
    """A proc mount of its own. Only root can; .ci/run is root, and there no test may skip."""
    if os.geteuid() != 0:
        pytest.skip("mounting proc needs root")
    with folder_for_all() as folder:
        subprocess.run(["mount", "-t", "proc", "-o", options, "proc", str(folder)], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _seen(root: Path) -> dict[str, Any]:
    """What the sampler tells before its first tick, and what it counts in one."""
    bus = RecordingBus()
    config = Config({"kernel.proc_root": str(root)})
    probe = SAMPLER.open(SamplerContext(config, SystemClock(), bus, OpenKernelTree, Heartbeat()))
    probe.check()
    # Another user has no exit records either, which it says too.
    told = [(each.kind, each.blocks_ready, each.detail) for each in bus.conditions if each.kind != "sampler_fallback:exits"]
    (_table, rows), *_ = probe.sample(time.monotonic_ns(), time.time_ns())
    stats = probe.stats()
    probe.close()
    return {"told": told, "rows": len(rows), **stats}


@pytest.mark.parametrize(("options", "begin"), [("hidepid=2", "only 1 process seen, and the kernel runs "), ("hidepid=1", "")])
@pytest.mark.runbook("Process sampler")
def test_another_user_is_told_that_processes_are_hidden(options: str, begin: str) -> None:
    """It is not ready, and knows how many it sees and what to do; its own process is measured."""
    with _proc(options) as root:
        # A user of this test alone: what others do as the usual one meanwhile would be seen too.
        seen = as_other_user(lambda: _seen(root), uid=OTHER_UID - 1 - os.getpid() % 1000)
    ((kind, blocks_ready, detail),) = seen["told"]
    assert (kind, blocks_ready, seen["is_hidden"], seen["rows"]) == ("processes_hidden", True, True, 1)
    assert detail.startswith(begin)
    assert f"mount -o remount,hidepid=0 {root}" in detail
    assert (seen["refused"] > 0) is (options == "hidepid=1")


def test_a_mount_with_nothing_but_processes_is_enough() -> None:
    """No uptime, no load: `subset=pid` hides what is not needed."""
    with _proc("subset=pid") as root:
        seen = as_other_user(lambda: _seen(root))
        assert not (root / "uptime").exists()
    assert (seen["told"], seen["unreadable"]) == ([], 0)
    assert seen["processes"] > 1


def _first_lines(agent: AgentProcess) -> str | None:
    return agent.output if "  look " in agent.output else None


def _told(agent: AgentProcess) -> dict[str, Any] | None:
    """The status, once it says that processes are hidden."""
    status: dict[str, Any] = agent.call("status")
    return status if any(each["kind"] == "processes_hidden" for each in status["conditions"]) else None


def test_an_agent_that_sees_only_a_part_is_not_ready_and_claims_nothing_else(tmp_path: Path) -> None:
    """Its first lines say how many it sees, and nowhere that it measures every process of the host."""
    # Root may trace a process that has no more rights than itself: without one right, process 1 is hidden from it.
    program = ("setpriv", "--bounding-set", "-sys_ptrace", sys.executable, "-c", "from agent.daemon.main import main; main()")
    with _proc("hidepid=ptraceable") as root:
        # The first lines come after two seconds, on a busy machine while workers still start: then once more.
        for number in range(4):
            (folder := tmp_path / str(number)).mkdir()
            agent = AgentProcess(folder, flags={"--kernel-proc-root": str(root)}, program=program)
            agent.start(ready=False)
            try:
                text = wait_until(partial(_first_lines, agent), "the first lines")
                status = wait_until(partial(_told, agent), "it is told")
            finally:
                agent.end()
            agent.assert_nothing_left()
            if " is starting" not in text:
                break
    assert "not ready sampler/process: only " in text
    assert "every process of the host" not in text
    assert status["ready"] is False
    # What other tests start may end within a tick, and then no row holds its CPU.
    kinds = {each["kind"] for each in status["conditions"] if each["worker"] == "sampler/process"}
    assert kinds - {"capture_below_target"} == {"processes_hidden"}
