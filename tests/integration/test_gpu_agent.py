"""The whole agent over a stand-in for NVIDIA's library: rows, a driver that hangs, recovery, and what is left behind."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes.nvml import NvmlStub
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.cli.query_database import QueryRequest, open_query_database
from workers import registry

# The watchdog of workers is not tested here, and a busy machine wakes it.
TICK = {
    "--supervisor-hang-timeout": "10s",
    "--sampler-gpu-interval": "100ms",
    "--sampler-gpu-patience": "500ms",
    "--sampler-gpu-retry-interval": "300ms",
}


@pytest.fixture
def stub(tmp_path: Path) -> NvmlStub:
    """One GPU, idle."""
    return NvmlStub(tmp_path)


@pytest.fixture
def busy() -> Iterator[int]:
    """A process that the driver names; it only sleeps."""
    with subprocess.Popen(["sleep", "600"]) as sleeping:
        yield sleeping.pid
        sleeping.kill()


def agent_over(folder: Path, stub: NvmlStub, **flags: str) -> AgentProcess:
    """A default agent but for its times."""
    return AgentProcess(folder, flags=TICK | flags, environment=stub.environment)


def wait_row(found: Callable[[], object], what: str) -> None:
    """Until rows say so. Each look is a query, which takes processor time from the agent."""
    wait_until(lambda: bool(found()), what, pause_seconds=0.2)


def query(agent: AgentProcess, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a statement, as `agentctl query` reads them."""
    with closing(open_query_database(QueryRequest(str(agent.state_dir), statement), registry.tables())) as database:
        return database.connection.execute(statement).fetchall()


def last(agent: AgentProcess, columns: str, table: str = "gpu") -> tuple[Any, ...] | None:
    """The latest row of a table."""
    rows = query(agent, f"SELECT {columns} FROM {table} ORDER BY timestamp DESC LIMIT 1")
    return rows[0] if rows else None


def collectors(agent: AgentProcess) -> list[psutil.Process]:
    """The agent's processes that ask a driver."""
    return [each for each in agent.note_processes() if each.is_running() and _name(each).startswith("eg~gpu")]


def _name(process: psutil.Process) -> str:
    """Empty for one that has ended meanwhile."""
    with suppress(psutil.NoSuchProcess):
        return str(process.name())
    return ""


def condition(agent: AgentProcess, kind: str) -> str:
    """The sentence of a condition that holds; empty otherwise."""
    found = [each["detail"] for each in agent.call("status")["conditions"] if each["kind"] == kind]
    return found[0] if found else ""


def test_collect_queries_gpu(tmp_path: Path, stub: NvmlStub, busy: int) -> None:
    """A default agent finds the library and stores the device and the process on it, which has all of the busy time."""
    stub.say("gpu 0 busy 60", "gpu 0 used 4096", f"process 0 Compute {busy} 2048", f"sample 0 {busy} 30")
    with agent_over(tmp_path, stub) as agent:
        columns = "device, name, state, busy_time, memory_used_bytes, power_milliwatts, clock_graphics_hz"
        wanted = ("GPU-00000000", "Stub H0", "ok", 0.6, 4096, 100_000, 1_980_000_000)
        wait_row(lambda: last(agent, columns) == wanted, "a row of the device")
        columns = "pid, driver_pid, comm, memory_bytes, busy_share"
        wait_row(lambda: last(agent, columns, "gpu_process") == (busy, busy, "sleep", 2048, 0.6), "a row of the process")


@pytest.mark.runbook("GPUs")
def test_gpu_library_timeout(tmp_path: Path, stub: NvmlStub) -> None:
    """A library that hangs leaves the device stuck, with no value; the rest goes on, and it recovers with its answer."""
    stub.say("gpu 0 busy 40")
    with agent_over(tmp_path, stub) as agent:
        wait_row(lambda: last(agent, "state, busy_time") == ("ok", 0.4), "it answers")
        (collector,) = collectors(agent)
        stub.say("hang nvmlDeviceGetPowerUsage")
        columns = "state, busy_time, absent, stuck_since_timestamp IS NOT NULL"
        wait_row(lambda: last(agent, columns) == ("stuck", None, "not_answered", True), "the device is stuck")
        assert f"process {collector.pid} waits" in wait_until(lambda: condition(agent, "gpu_nvidia"), "it is said")
        ticks = agent.stats("sampler/gpu")["ticks"]
        wait_until(lambda: agent.stats("sampler/gpu")["ticks"] > ticks + 5, "its own ticks go on")
        assert collectors(agent) == [collector]
        stub.unsay("hang")
        wait_row(lambda: last(agent, "state, busy_time") == ("ok", 0.4), "it recovers")
        wait_until(lambda: not condition(agent, "gpu_nvidia"), "that is over")
        assert collectors(agent) == [collector]


def test_a_stuck_collector_outlives_its_worker_and_is_the_only_one(tmp_path: Path, stub: NvmlStub) -> None:
    """Killed, the worker comes back and knows the device; nobody kills the collector, and no second one is started."""
    with agent_over(tmp_path, stub) as agent:
        wait_row(lambda: last(agent, "state") == ("ok",), "it answers")
        stub.say("hang nvmlDeviceGetPowerUsage")
        wait_row(lambda: last(agent, "state") == ("stuck",), "the device is stuck")
        (collector,) = collectors(agent)
        agent.wait_for_replacement(agent.kill_worker("sampler/gpu"))
        wait_until(lambda: "earlier worker" in condition(agent, "gpu_nvidia"), "the next worker knows why")
        assert last(agent, "state, device") == ("stuck", "GPU-00000000")
        assert collectors(agent) == [collector]
        stub.unsay("hang")
        wait_row(lambda: last(agent, "state") == ("ok",), "a new one answers")
        wait_until(lambda: not collector.is_running(), "the old one has ended by itself")


def test_an_agent_ends_while_its_collector_hangs(tmp_path: Path, stub: NvmlStub) -> None:
    """Its end does not wait for the collector, which ends by itself as soon as the driver answers."""
    with agent_over(tmp_path, stub) as agent:
        wait_row(lambda: last(agent, "state") == ("ok",), "it answers")
        stub.say("hang nvmlDeviceGetPowerUsage")
        wait_row(lambda: last(agent, "state") == ("stuck",), "the device is stuck")
        (collector,) = collectors(agent)
        assert agent.end() == 0
        assert collector.is_running()
        stub.unsay("hang")


def test_collect_handles_missing_gpu(tmp_path: Path) -> None:
    """Demanded where there is nothing, the sampler says what is missing and what to do, once, and has no rows."""
    empty = tmp_path / "empty"
    empty.mkdir()
    variables = {"LD_LIBRARY_PATH": str(empty), "PATH": str(empty)}
    flags = TICK | {"--sampler-gpu-enabled": "true"}
    agent = AgentProcess(tmp_path, flags=flags, environment=variables)
    agent.start(ready=False)
    try:
        wait_until((agent.runtime_dir / "control.sock").exists, "it can be asked")
        said = wait_until(lambda: condition(agent, "unreadable"), "the condition")
        assert "libnvidia-ml.so.1 is not found" in said
        assert "install the driver's libraries" in said
        assert not agent.call("status")["ready"]
        assert query(agent, "SELECT * FROM gpu") == []
    finally:
        agent.end()
    agent.assert_nothing_left()


def test_a_fork_server_that_nobody_takes_over_ends_beside_a_stuck_collector(tmp_path: Path, stub: NvmlStub) -> None:
    """The supervisor is killed and none follows: all processes end, without a wait for the one that nobody can end."""
    with agent_over(tmp_path, stub) as agent:
        wait_row(lambda: last(agent, "state") == ("ok",), "it answers")
        stub.say("hang nvmlDeviceGetPowerUsage")
        wait_row(lambda: last(agent, "state") == ("stuck",), "the device is stuck")
        (collector,) = collectors(agent)
        agent.end(signal.SIGKILL)
        wait_until(lambda: agent.living() == [collector], "all others are gone")
        # The next agent finds the collector, and goes on when that has ended.
        agent.start()
        assert collectors(agent) == [collector]
        stub.unsay("hang")
        wait_row(lambda: last(agent, "state") == ("ok",), "a new one answers")


def test_a_next_agent_takes_over_and_leaves_a_stuck_collector_alone(tmp_path: Path, stub: NvmlStub) -> None:
    """The worker goes on under the next supervisor, with its collector."""
    with agent_over(tmp_path, stub) as agent:
        wait_row(lambda: last(agent, "state") == ("ok",), "it answers")
        stub.say("hang nvmlDeviceGetPowerUsage")
        wait_row(lambda: last(agent, "state") == ("stuck",), "the device is stuck")
        (collector,) = collectors(agent)
        agent.end(signal.SIGKILL)
        agent.start()
        assert collectors(agent) == [collector]
        stub.unsay("hang")
        wait_row(lambda: last(agent, "state") == ("ok",), "it recovers")


@pytest.mark.runbook("GPUs")
def test_a_collector_that_is_killed_is_replaced(tmp_path: Path, stub: NvmlStub) -> None:
    """By a person, or for lack of memory; the process on the device keeps its unit."""
    with agent_over(tmp_path, stub) as agent:
        wait_row(lambda: last(agent, "state") == ("ok",), "it answers")
        (collector,) = collectors(agent)
        collector.kill()
        wait_until(lambda: [each for each in collectors(agent) if each != collector], "there is another one")
        before = last(agent, "timestamp")
        assert before is not None
        wait_row(lambda: (row := last(agent, "timestamp")) is not None and row > before, "rows go on")
        wait_until(lambda: not condition(agent, "gpu_nvidia"), "nothing is wrong")
