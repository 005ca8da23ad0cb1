"""A real hub with real nodes on this machine, each an agent in a folder of its own, over loopback."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fakes.workload_agent import end_with_workloads
from harness.agent_process import UNHURRIED, AgentProcess, run_agentctl
from harness.waiting import DEADLINE_SECONDS, wait_until

# Nodes beat oftener and are judged sooner than usual, so that a test takes seconds.
HUB_FLAGS = {
    "--hub-beat": "200ms",
    "--hub-stale": "3s",
    "--hub-port": "0",
    "--gateway-address": "",
    "--sampler-process-enabled": "false",
    **UNHURRIED,
}
NODE_FLAGS = {"--gateway-address": "", "--sampler-process-enabled": "false", **UNHURRIED}


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Hub:
    """The hub's agent, and what is asked there."""

    def __init__(self, agent: AgentProcess) -> None:
        self.agent = agent

    def ctl(self, *words: str) -> tuple[int, str, str]:
        """One command of agentctl: exit code, output, warnings."""
        done = run_agentctl("--runtime-dir", str(self.agent.runtime_dir), *words, seconds=60)
        return done.returncode, done.stdout, done.stderr

    def invite(self, *words: str) -> str:
        """The line of an invitation."""
        code, text, warnings = self.ctl("hub", "invite", *words)
        assert code == 0, warnings
        return text.strip()

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The rows of the nodes by host."""
        return {row["host"]: row for row in self.agent.call("fleet-nodes")["nodes"]}

    def wait_state(self, host: str, *states: str, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """Until a node is in one of these states; its row."""

        def there() -> dict[str, Any] | None:
            row = self.nodes().get(host)
            return row if row is not None and row["state"] in states else None

        return wait_until(there, f"{host} is {' or '.join(states)}", seconds=seconds)

    def units(self, host: str) -> dict[str, dict[str, Any]]:
        """The units of a node by name."""
        return {row["name"]: row for row in self.agent.call("fleet-units", node=host)["units"]}

    def query(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a query over all that the hub has stored."""
        done = run_agentctl("--state-dir", str(self.agent.state_dir), "query", "--json", statement, seconds=60)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        rows: list[dict[str, Any]] = document["rows"] if isinstance(document, dict) else document
        return rows

    def address(self) -> str:
        """Where its HTTP is."""

        def found() -> str | None:
            # A worker that has not answered in time is there, with None.
            stats = self.agent.call("status")["stats"].get("hub") or {}
            address: str | None = (stats.get("http") or {}).get("address")
            return address

        return wait_until(found, "the hub serves HTTP")

    def get(self, path: str) -> tuple[int, Any]:
        """Status and document of a GET."""
        try:
            with urllib.request.urlopen(f"http://{self.address()}{path}", timeout=DEADLINE_SECONDS) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            text = refused.read().decode()
            return refused.code, text


def hub_agent(folder: Path, failpoints: Path | None = None, /, **flags: str) -> AgentProcess:
    """A hub that is still to be started. `failpoints`: the folder in which files arm them."""
    folder.mkdir()
    data, join = free_ports(2)
    listen = {"--hub-listen": f"tcp://127.0.0.1:{data}", "--hub-join-port": str(join), "--host-name": "hub"}
    return AgentProcess(folder, flags={**HUB_FLAGS, **listen, **flags}, failpoints=failpoints)


def node_agent(folder: Path, host: str, **flags: str) -> AgentProcess:
    """A node that is still to join and to be started."""
    folder.mkdir()
    return AgentProcess(folder, flags={**NODE_FLAGS, "--host-name": host, **flags})


def join(agent: AgentProcess, invitation: str, *words: str) -> tuple[int, str, str]:
    """`agentctl join` on a node: exit code, output, warnings."""
    folders = ("--state-dir", str(agent.state_dir), "--runtime-dir", str(agent.runtime_dir))
    done = run_agentctl(*folders, "join", invitation, *words, seconds=60)
    return done.returncode, done.stdout, done.stderr


class Fleet:
    """A hub and nodes, which end with it."""

    def __init__(self, folder: Path, stack: ExitStack, hub_folder: Path) -> None:
        self.folder = folder
        self._stack = stack
        self.hub = Hub(stack.enter_context(hub_agent(hub_folder)))
        self.nodes: dict[str, AgentProcess] = {}

    def join_node(self, host: str, **flags: str) -> AgentProcess:
        """A node that has joined and is still to be started."""
        agent = self.nodes[host] = node_agent(self.folder / host, host, **flags)
        code, _, warnings = join(agent, self.hub.invite(), "--host", host)
        assert code == 0, warnings
        return agent

    def add_node(self, host: str, tree: Path | None = None) -> AgentProcess:
        """A node that has joined and reports. `tree`: its part of the cgroup tree, for one that runs workloads."""
        flags = {} if tree is None else {"--kernel-cgroup-root": str(tree)}
        agent = self.join_node(host, **flags)
        self._stack.enter_context(agent)
        if tree is not None:
            self._stack.callback(end_with_workloads, agent, tree)
        self.hub.wait_state(host, "fresh")
        return agent


@contextmanager
def fleet(folder: Path, hub_folder: Path | None = None) -> Iterator[Fleet]:
    """A hub that nodes can be added to. `hub_folder`: where it is, if not in the same folder."""
    with ExitStack() as stack:
        yield Fleet(folder, stack, hub_folder or folder / "h")
