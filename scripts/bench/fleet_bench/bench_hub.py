"""A real hub of a benchmark, and simulated nodes that are its members from the beginning."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import zmq
from fakes.fleet import HUB_FLAGS, Hub, free_ports
from harness import proc
from harness.agent_process import AgentProcess
from harness.waiting import wait_until
from zmq.utils import z85

from workers.hub.hub_files import HubFiles
from workers.hub.membership import FORMAT, Member, MembershipDocument, key_text


@dataclass
class Members:
    """Keys of all nodes, and the hub's own."""

    nodes: list[dict[str, str]]
    hub_key: str


def make_members(state_dir: Path, count: int) -> Members:
    """So many members in the hub's files."""
    files = HubFiles(str(state_dir))
    state_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
    keys = files.keys(lambda: new_keys())
    nodes, members = [], []
    for number in range(count):
        public, secret = new_keys()
        install = f"{number:016x}"
        nodes.append({"install": install, "public": public.hex(), "secret": secret.hex()})
        members.append(Member(install, f"node-{number}", key_text(public), time.time_ns(), 0))
    files.write_members(MembershipDocument(FORMAT, members, []))
    return Members(nodes, keys.public.hex())


def new_keys() -> tuple[bytes, bytes]:
    """Public and secret key."""
    public, secret = zmq.curve_keypair()
    return z85.decode(public), z85.decode(secret)


@dataclass
class Crowd:
    """Processes of simulated nodes."""

    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def wait_ready(self, seconds: float) -> float:
        """Until every node is welcome; how long that took."""
        begin = time.monotonic()
        for process in self.processes:
            assert process.stdout is not None
            while (line := process.stdout.readline().strip()) != "ready":
                assert process.poll() is None, "a process of simulated nodes ended"
                assert time.monotonic() - begin < seconds, f"{line} after {seconds:g} s"
        return time.monotonic() - begin

    def cpu_ns(self) -> int:
        """Of all of them."""
        return sum(proc.cpu_ns(process.pid) for process in self.processes)

    def end(self) -> None:
        """End all of them."""
        for process in self.processes:
            process.kill()
            process.wait()


def raise_descriptors(count: int) -> None:
    """Allow this process, and those it starts, so many descriptors where it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


@contextmanager
def bench_hub(count: int, **flags: str) -> Iterator[tuple[Hub, Members]]:
    """A hub that so many nodes are members of. `flags` are options of agentd."""
    # A node has two sockets here, each with a descriptor for its connection and one for itself; the hub keeps some besides.
    raise_descriptors(4 * count + 8192)
    with tempfile.TemporaryDirectory(prefix="eg-fleet-") as name:
        folder = Path(name)
        data, join = free_ports(2)
        members = make_members(folder / "state", count)
        listen = {"--hub-listen": f"tcp://127.0.0.1:{data}", "--hub-join-port": str(join), "--host-name": "hub"}
        usual = {"--hub-beat": "1s", "--hub-stale": "90s", "--hub-nodes-max": "50000", "--hub-admissions": "2000"}
        agent = AgentProcess(folder, flags={**HUB_FLAGS, **usual, **listen, **flags})
        with agent:
            yield Hub(agent), members


def start_crowd(
    hub: Hub, members: Members, *, units: int, processes: int = 1, is_idle: bool = False, skew_seconds: float = 0.0, seed: int = 1
) -> Crowd:
    """The nodes of a hub, in so many processes."""
    endpoint = hub.agent.call("hub-list")["listen"]
    crowd = Crowd()
    chance = Random(seed)
    for number in range(processes):
        order = {
            "endpoint": endpoint, "hub_key": members.hub_key, "nodes": members.nodes[number::processes], "units": units,
            "is_idle": is_idle, "skew_seconds": skew_seconds, "seed": chance.randrange(1 << 30), "interval": 1.0,
        }  # fmt: skip
        path = hub.agent.folder / f"nodes-{seed}-{number}.json"
        path.write_text(json.dumps(order))
        crowd.processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "fleet_bench.simulated", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
    return crowd


def hub_pid(hub: Hub) -> int:
    """The process of the worker."""
    pid: int = wait_until(lambda: hub.agent.workers()["hub"]["pid"], "the hub has a process")
    return pid


def loop_cpu_ns(pid: int) -> int:
    """Run time of its main thread alone: the rest is encryption and the network, by ZeroMQ's threads."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])


def show(rows: list[tuple[str, Any, str]], *, to: str | None, circumstances: dict[str, Any]) -> None:
    """A table on stdout, JSON in a file."""
    width = max(len(row[0]) for row in rows)
    for name, value, unit in rows:
        print(f"{name:<{width}}  {value:>12.4g} {unit}" if isinstance(value, float) else f"{name:<{width}}  {value:>12} {unit}")
    if to is not None:
        named = [dict(zip(("name", "value", "unit"), row, strict=True)) for row in rows]
        Path(to).write_text(json.dumps({**circumstances, "rows": named}))
