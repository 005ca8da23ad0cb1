"""Agents beside each other on one machine, and agents in networks of their own: each sees itself and nobody else."""

import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from fakes.contained_agent import ContainedAgent
from fakes.networked_agent import NetworkedAgent, network_of
from harness.agent_process import AgentProcess
from harness.waiting import SLOWNESS, wait_until

NAMES = {"control-plane", "sampler/node", "sampler/process", "writer", "gateway"}
ANSWER_SECONDS = 30.0 * SLOWNESS

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")


@pytest.fixture
def outside() -> Iterator[socket.socket]:
    """Somebody in our own network who holds the port that the agents are told to listen at in theirs."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder


def port_of(listener: socket.socket) -> int:
    """Its port."""
    return int(listener.getsockname()[1])


def is_met_at_its_port(listener: socket.socket) -> bool:
    """Whether who calls the port from here comes to this listener."""
    listener.settimeout(ANSWER_SECONDS)
    with socket.create_connection(listener.getsockname()) as caller, listener.accept()[0] as called:
        return bool(called.getpeername() == caller.getsockname())


def rules_in_metrics(port: int) -> int:
    """How many rules the agent has whose gateway is met at this port of the network that we are in."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("evergauge_rules "))))


def generations(agent: AgentProcess) -> dict[str, tuple[int, int]]:
    """Worker name to process and epoch."""
    return {name: (row["pid"], row["epoch"]) for name, row in agent.workers().items()}


def kill_all_workers(agent: AgentProcess) -> None:
    """All at once; returns when all are replaced."""
    before = agent.workers()
    for row in before.values():
        os.kill(row["pid"], signal.SIGKILL)
    for row in before.values():
        agent.wait_for_replacement(row)


def give_rules(agent: AgentProcess, *names: str) -> None:
    """Add rules of these names."""
    for name in names:
        agent.call("add-rule", rule={"name": name})


def rules(agent: AgentProcess) -> list[str]:
    """The names of the rules in force."""
    return [rule["name"] for rule in agent.call("list-rules")["rules"]]


@contextmanager
def two_networks(folders: tuple[Path, Path], port: int, *, is_hidden: bool) -> Iterator[tuple[NetworkedAgent, NetworkedAgent]]:
    """Two agents with the same port, in networks of their own; one has one rule, the other has two."""
    with ExitStack() as started:
        flags = {"--gateway-port": str(port)}
        one, two = (started.enter_context(NetworkedAgent(each, flags=flags, is_hidden=is_hidden)) for each in folders)
        give_rules(one, "a")
        give_rules(two, "b", "c")
        yield one, two


def assert_strangers(one: NetworkedAgent, two: NetworkedAgent, port: int) -> None:
    """Each shows its own workers, rules and metrics; all workers of one are killed and nothing of the other is touched."""
    assert (set(one.workers()), set(two.workers())) == (NAMES, NAMES)
    assert {pid for pid, _epoch in generations(one).values()}.isdisjoint(pid for pid, _epoch in generations(two).values())
    assert (rules(one), rules(two)) == (["a"], ["b", "c"])
    assert (one.inside(lambda: rules_in_metrics(port)), two.inside(lambda: rules_in_metrics(port))) == (1, 2)
    before = generations(two)
    kill_all_workers(one)
    assert generations(two) == before
    wait_until(lambda: one.call("status")["ready"], "one is ready again")
    assert (one.inside(lambda: rules_in_metrics(port)), two.inside(lambda: rules_in_metrics(port))) == (1, 2)


@needs_root
def test_a_whole_agent_lives_in_a_network_of_its_own(tmp_path: Path, outside: socket.socket) -> None:
    """Every process of it, standby ones too; its gateway is met inside and not outside, though the port is the same."""
    port = port_of(outside)
    with NetworkedAgent(tmp_path, flags={"--gateway-port": str(port)}) as agent:
        give_rules(agent, "a")
        agent.wait_for_replacement(agent.kill_worker("gateway"))
        networks = set()
        for process in agent.note_processes():
            # The child that looks at the host for the banner may end meanwhile.
            with suppress(FileNotFoundError):
                networks.add(network_of(process.pid))
        assert len(networks) == 1
        assert network_of("self") not in networks
        assert agent.inside(lambda: rules_in_metrics(port)) == 1
        assert is_met_at_its_port(outside)
        assert agent.inside(lambda: [name for _number, name in socket.if_nameindex()]) == ["lo"]


@needs_root
def test_two_agents_in_networks_of_their_own_do_not_see_each_other(tmp_path: Path, outside: socket.socket) -> None:
    """Folders side by side, the same port in both networks and in ours."""
    folders = (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir()
    with two_networks(folders, port_of(outside), is_hidden=False) as (one, two):
        assert_strangers(one, two, port_of(outside))
        assert is_met_at_its_port(outside)


@needs_root
def test_two_agents_with_the_same_folders_in_sights_of_their_own_do_not_see_each_other(
    tmp_path: Path, outside: socket.socket
) -> None:
    """The same paths for state, sockets and locks, each in a file system of its own: both run, and outside there is nothing."""
    with two_networks((tmp_path, tmp_path), port_of(outside), is_hidden=True) as (one, two):
        assert_strangers(one, two, port_of(outside))
        assert [path.name for name in ("state", "run") for path in (tmp_path / name).iterdir()] == []
    assert [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(tmp_path) in line] == []


def test_two_agents_in_one_network_live_and_die_apart(tmp_path: Path) -> None:
    """Folders side by side: workers killed here are replaced here, and the end of one agent, however it ends, is its own."""
    folders = (tmp_path / "one", tmp_path / "two")
    for folder in folders:
        folder.mkdir()
    one = AgentProcess(folders[0])
    one.start()
    with AgentProcess(folders[1]) as two:
        before = generations(two)
        kill_all_workers(one)
        assert one.process is not None
        one.process.kill()
        one.process.wait()
        wait_until(lambda: not one.living(), "the killed agent is gone")
        one.start()
        assert one.end() == 0
        one.assert_nothing_left()
        assert generations(two) == before
        assert two.is_ready()


@needs_root
def test_the_first_process_of_a_container_buries_strangers_and_kills_none(tmp_path: Path) -> None:
    """Somebody enters, starts a program and leaves: it is given to the agent, outlives every death and restart there, and is
    waited for at its end. What a worker of the agent left is killed, and the log names it."""
    with ContainedAgent(tmp_path, "parent=idle,other=idle") as agent:
        stranger = agent.leave_behind("sleep", "1000")
        agent.order("parent", "breed")
        (grandchild,) = wait_until(agent.grandchildren, "there is a grandchild")
        name = f"stray_killed pid={agent.inner_pid(grandchild)} name=sleep"
        agent.server().kill()
        wait_until(lambda: not agent.grandchildren(), "the grandchild is gone")
        wait_until(lambda: name in agent.output, "its end is told")
        for _ in range(3):
            agent.restart("other")
        assert stranger.is_running()
        stranger.terminate()
        wait_until(lambda: not stranger.is_running(), "it is waited for at its end")
        assert agent.output.count("stray_killed") == 1
