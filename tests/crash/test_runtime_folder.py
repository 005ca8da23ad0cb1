"""The runtime folder is emptied, removed, or given to somebody else while the agent runs."""

import os
import shutil
import signal
import socket
from functools import partial
from pathlib import Path

import pytest
from harness.agent_process import UNHURRIED, AgentProcess
from harness.proc import is_stopped
from harness.waiting import DEADLINE_SECONDS, wait_until

from agent.exchange import exchange

# Noticed with the next look, a quarter of a second later, on a machine that has other things to do.
NOTICED_SECONDS = 5.0
# What is removed, and who dies after it; there is one reserve.
STEPS = (
    ("control.sock", ()),
    ("bus.sock", ("gateway",)),
    ("data.sock", ()),
    ("runtime.lock", ()),
    ("takeover-record", ()),
    ("listener", ("sampler/process", "control-plane")),
    ("everything", ("gateway",)),
    ("folder", ("sampler/process", "control-plane")),
)
WITH_DATA_SOCKET = ("data.sock", "everything", "folder")


def is_whole(agent: AgentProcess) -> bool:
    """Whether every name is there and counts as such, and all workers are up. Other conditions are of the host."""
    present = {path.name for path in agent.runtime_dir.rglob("*")}
    is_named = {"control.sock", "bus.sock", "data.sock", "runtime.lock", "takeover-record"} <= present
    if not is_named or not any(name.startswith("listener-") for name in present):
        return False
    try:
        status = agent.call("status")
    except OSError:
        return False
    return bool(status["ready"]) and "runtime_folder" not in {condition["kind"] for condition in status["conditions"]}


def has_noticed(agent: AgentProcess, times: int) -> bool:
    """Whether it has been told so often that something is lost."""
    return agent.output.count(" runtime_lost ") >= times


def pids(agent: AgentProcess) -> dict[str, int]:
    """The process of each worker."""
    return {name: row["pid"] for name, row in agent.workers().items()}


def stop_supervisor(agent: AgentProcess) -> int:
    """It stands still and looks at nothing until its pid, which is given, gets SIGCONT: what is done meanwhile is one change."""
    assert agent.process is not None
    pid = agent.process.pid
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid), "it stands still")
    return pid


def remove(agent: AgentProcess, names: str) -> None:
    """One name, `everything`, or the `folder` with it all."""
    if names == "folder":
        shutil.rmtree(agent.runtime_dir)
        return
    for path in agent.runtime_dir.rglob("*"):
        # The name of the fork server's socket is chosen when that starts.
        is_meant = path.name == names or (names == "listener" and path.name.startswith("listener-"))
        if not path.is_dir() and (names == "everything" or is_meant):
            path.unlink()


@pytest.mark.runbook("Service and folders")
def test_what_is_removed_is_made_again(tmp_path: Path) -> None:
    """Name by name, all of them, and the folder with them: it is noticed; workers live on, except the writer where its socket
    is gone; after it each death is followed by the next start, more often than there are reserves."""
    with AgentProcess(tmp_path, flags=UNHURRIED) as agent:
        agent.call("add-rule", rule={"name": "kept"})
        for count, (names, killed) in enumerate(STEPS, start=1):
            before, server = pids(agent), agent.fork_server()
            supervisor = stop_supervisor(agent)
            remove(agent, names)
            os.kill(supervisor, signal.SIGCONT)
            wait_until(partial(has_noticed, agent, count), f"{names}: it is noticed", seconds=NOTICED_SECONDS)
            wait_until(partial(is_whole, agent), f"{names}: all is made again; it says:\n{agent.output}")
            after = pids(agent)
            spared = set(before) - ({"writer"} if names in WITH_DATA_SOCKET else set())
            assert {name: after[name] for name in spared} == {name: before[name] for name in spared}, f"{names}: {agent.output}"
            assert agent.fork_server() == server
            for name in killed:
                agent.wait_for_replacement(agent.kill_worker(name))
        # Its word to end arrives, though the bus is made again at the same moment.
        exits = [death["exit"] for death in agent.call("diag", limit=200)["deaths"] if death["reason"]]
        assert exits == ["done (0)"] * len(WITH_DATA_SOCKET)
        kinds = [event["kind"] for event in agent.call("diag", limit=200)["events"]]
        assert kinds.count("runtime_lost") == kinds.count("runtime_remade") == len(STEPS)
        assert [rule["name"] for rule in agent.call("list-rules")["rules"]] == ["kept"]


@pytest.mark.runbook("Service and folders")
def test_a_folder_that_cannot_be_made_again_ends_the_agent_for_another_try(tmp_path: Path) -> None:
    """A file stands where the folder was: the exit code asks the service manager to start it again."""
    agent = AgentProcess(tmp_path)
    agent.start()
    away = tmp_path / "away"
    away.write_text("in the way")
    # In one step: at no moment is there nothing, where the folder could be made again.
    exchange(str(agent.runtime_dir), str(away))
    assert agent.process is not None
    assert agent.process.wait(DEADLINE_SECONDS) == 75
    assert 'stopping reason="the runtime folder is lost: ' in agent.output
    wait_until(lambda: not agent.living(), "nobody is left")


def test_a_second_agent_in_a_folder_made_anew_is_not_run_beside(tmp_path: Path) -> None:
    """The first one sees that the folder is another's: it ends with 75 and leaves the other's sockets alone."""
    first = AgentProcess(tmp_path)
    first.start()
    assert first.process is not None
    supervisor = stop_supervisor(first)
    first.runtime_dir.rename(tmp_path / "away")
    (tmp_path / "second").mkdir()
    second = AgentProcess(tmp_path / "second")
    second.runtime_dir = first.runtime_dir
    with second:
        os.kill(supervisor, signal.SIGCONT)
        assert first.process.wait(DEADLINE_SECONDS) == 75
        assert f"another agent (pid {second.process.pid if second.process else 0}) uses this runtime folder" in first.output
        second.wait_for_replacement(second.kill_worker("gateway"))
        assert second.is_ready()
    wait_until(lambda: not first.living(), "nobody is left")


def test_somebody_elses_living_socket_is_never_taken_away(tmp_path: Path) -> None:
    """It listens where the control socket was: the agent ends with 75, and the stranger goes on listening."""
    agent = AgentProcess(tmp_path)
    agent.start()
    path = agent.runtime_dir / "control.sock"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path) + ".stranger")
        stranger.listen()
        os.rename(str(path) + ".stranger", path)
        assert agent.process is not None
        assert agent.process.wait(DEADLINE_SECONDS) == 75
        assert "another process answers on this socket" in agent.output
        assert path.is_socket()
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
    path.unlink()
