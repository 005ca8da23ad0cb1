"""A real agent that reads its settings again: what is restarted, started, ended, refused; by agentctl and by SIGHUP."""

import os
import pty
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from harness.agent_process import UNHURRIED, AgentProcess, run_agentctl
from harness.waiting import SLOWNESS, wait_until

pytestmark = pytest.mark.timeout(240)
# A supervisor that dies is followed by the next one within this time, on a busy machine too.
PATIENT = {**UNHURRIED, "--supervisor-orphan-grace": "30s"}


def written(folder: Path, text: str) -> Path:
    """The settings file of a test."""
    path = folder / "agentd.toml"
    path.write_text(text)
    return path


def agent_of(folder: Path, text: str, **options: Any) -> AgentProcess:
    """An agent with a settings file."""
    return AgentProcess(folder, flags={**PATIENT, "--config": str(written(folder, text))}, **options)


def pids(agent: AgentProcess) -> dict[str, int]:
    """The processes of all workers that have one."""
    return {name: row["pid"] for name, row in agent.workers().items() if row["pid"]}


def all_up(agent: AgentProcess) -> bool:
    """Whether every worker that has something to do is up."""
    return all(row["state"] in ("up", "asleep") for row in agent.workers().values())


def test_only_readers_of_what_changed_are_restarted(tmp_path: Path) -> None:
    """A row limit of one sampler: its process is another, those of all others are the same."""
    with agent_of(tmp_path, "[sampler.process]\ntop_rows = 50\n") as agent:
        before = pids(agent)
        written(tmp_path, "[sampler.process]\ntop_rows = 60\n")
        outcome = agent.call("reload")
        assert [(row["key"], row["before"], row["after"]) for row in outcome["settings"]] == [
            ("sampler.process.top_rows", "50", "60")
        ]
        wait_until(
            lambda: pids(agent).get("sampler/process") not in (None, before["sampler/process"]) and all_up(agent), "it is back"
        )
        after = pids(agent)
        assert {name for name in before if before[name] != after[name]} == {"sampler/process"}
        assert agent.call("reload")["settings"] == []


def test_samplers_are_switched_off_and_on(tmp_path: Path) -> None:
    """Feature flags without a start of the agent; rows go on with the next number of the worker."""
    with agent_of(tmp_path, "") as agent:
        written(tmp_path, "[sampler.process]\nenabled = false\n")
        assert agent.call("reload")["ended"] == ["sampler/process"]
        wait_until(lambda: "sampler/process" not in agent.workers(), "it is gone")
        wait_until(lambda: agent.call("ready")["ready"], "the agent is ready without it")
        written(tmp_path, "")
        assert agent.call("reload")["started"] == ["sampler/process"]
        wait_until(lambda: all_up(agent), "it is back")
        assert agent.workers()["sampler/process"]["epoch"] == 2
        wait_until(
            lambda: agent.stats("sampler/process")["outbox"]["acknowledged_seq"], "its rows are stored", seconds=20 * SLOWNESS
        )


def test_a_sink_comes_and_goes(tmp_path: Path) -> None:
    """An exporter is a worker like all others."""
    with agent_of(tmp_path, "") as agent:
        written(tmp_path, f'[sink.copy]\nkind = "file"\npath = "{tmp_path}/out"\n')
        assert agent.call("reload")["started"] == ["exporter/copy"]
        wait_until(lambda: all_up(agent), "it is up")
        written(tmp_path, "")
        assert agent.call("reload")["ended"] == ["exporter/copy"]
        wait_until(lambda: "exporter/copy" not in agent.workers(), "it is gone")


@pytest.mark.runbook("Reload of settings")
def test_a_mistake_in_the_file_changes_nothing(tmp_path: Path) -> None:
    """The sentence names the line; the condition stands until the file is good."""
    with agent_of(tmp_path, "") as agent:
        before = pids(agent)
        for text, sentence in (
            ("[sampler", "not TOML"),
            ("[sampler.process]\ntop_rows = 0\n", "top_rows"),
            ("[nonsense]\nx = 1\n", "x"),
        ):
            written(tmp_path, text)
            ended = run_agentctl("reload", "--runtime-dir", str(agent.runtime_dir))
            assert ended.returncode == 78, text
            assert sentence in ended.stderr
            assert "the settings in force stay" in ended.stderr
        assert pids(agent) == before
        held = {row["kind"] for row in agent.call("status")["conditions"]}
        assert "reload_refused" in held
        (tmp_path / "agentd.toml").unlink()
        assert run_agentctl("reload", "--runtime-dir", str(agent.runtime_dir)).returncode == 78
        written(tmp_path, "")
        assert run_agentctl("reload", "--runtime-dir", str(agent.runtime_dir)).stdout == "nothing has changed\n"
        assert "reload_refused" not in {row["kind"] for row in agent.call("status")["conditions"]}


@pytest.mark.runbook("Reload of settings")
def test_what_needs_a_start_is_named_and_waits(tmp_path: Path) -> None:
    """A folder of the state: everything stays where it is, and each reading says so."""
    with agent_of(tmp_path, "") as agent:
        before = pids(agent)
        written(tmp_path, 'host_name = "other"\n')
        for _ in range(2):
            outcome = agent.call("reload")
            assert outcome["pending"] == ["host_name"]
            assert outcome["restarted"] == []
        assert pids(agent) == before
        shown = run_agentctl("reload", "--runtime-dir", str(agent.runtime_dir)).stdout
        assert "in force after the next start of the agent: host_name" in shown


def test_sighup_reads_the_settings_of_an_agent_without_a_terminal(tmp_path: Path) -> None:
    """As a service manager sends it; limits are in force at once."""
    with agent_of(tmp_path, "") as agent:
        assert agent.process is not None
        written(tmp_path, '[worker.writer]\ncpu_limit = "33%"\n')
        agent.process.send_signal(signal.SIGHUP)

        def limit() -> float:
            rows = agent.call("list-limits")["limits"]
            return float(next(row["cpu_limit_percent"] for row in rows if row["name"] == "writer"))

        wait_until(lambda: limit() == 33.0, "the limit is in force")
        assert agent.process.poll() is None


def test_a_terminal_that_closes_ends_the_agent(tmp_path: Path) -> None:
    """As any program of a terminal."""
    config = written(tmp_path, "")
    folders = [
        "--state-dir",
        str(tmp_path / "s"),
        "--runtime-dir",
        str(tmp_path / "r"),
        "--gateway-port",
        "0",
        "--supervisor-stop-timeout",
        "20s",
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        import sys

        os.execv(
            sys.executable, [sys.executable, "-c", "from agent.daemon.main import main; main()", "--config", str(config), *folders]
        )
    try:
        wait_until(lambda: (tmp_path / "r" / "control.sock").exists(), "it answers", seconds=30 * SLOWNESS)
    finally:
        os.close(terminal)
    status: list[int] = []

    def ended() -> bool:
        found, code = os.waitpid(pid, os.WNOHANG)
        status.extend([code] if found else [])
        return bool(found)

    try:
        wait_until(ended, "the agent has ended", seconds=30 * SLOWNESS)
    except AssertionError:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        raise
    assert os.waitstatus_to_exitcode(status[0]) == 0


def test_a_killed_supervisor_after_a_reload_is_followed_by_one_that_takes_over(tmp_path: Path) -> None:
    """Its record has the new settings and workers: sampling goes on."""
    agent = agent_of(tmp_path, "[sampler.process]\ntop_rows = 50\n")
    agent.start()
    first = pids(agent)
    written(tmp_path, f'[sampler.process]\ntop_rows = 60\n[sink.copy]\nkind = "file"\npath = "{tmp_path}/out"\n')
    agent.call("reload")

    def is_done() -> bool:
        now = pids(agent)
        is_new = now.get("sampler/process", first["sampler/process"]) != first["sampler/process"]
        return is_new and "exporter/copy" in now and all_up(agent)

    wait_until(is_done, "all are up with the new settings")
    before = pids(agent)
    assert agent.process is not None
    agent.process.kill()
    agent.process.wait()
    agent.start()
    assert pids(agent) == before
    assert agent.end() == 0
    agent.assert_nothing_left()
