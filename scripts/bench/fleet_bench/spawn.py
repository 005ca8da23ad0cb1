"""From the start of a workload on a node to the event on each client's stream, and to the screen of a browser beside them, stage by
stage; with a client that reads nothing, and what clients cost that hear nothing."""

import argparse
import json
import resource
import selectors
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fakes.browser import PROGRAM, WATCH_STARTS, opened, running_chromium
from fakes.edge import percentile
from fakes.fleet import fleet
from fakes.keeper_world import own_tree
from harness import proc
from harness.proc import MIB
from harness.waiting import wait_until
from machine import circumstances

from fleet_bench.bench_hub import hub_pid, show

ABOUT = "from the start of a workload to each client's stream and a browser's screen, with 100 clients and a stalled one"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--idle-clients", type=int, default=1000, help="afterwards: what so many idle clients cost")
    parser.add_argument("--starts", type=int, default=40)


class Clients:
    """Streams of the hub, read by one selector."""

    def __init__(self, address: str, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.streams: list[socket.socket] = []
        self.seen: dict[str, list[float]] = {}
        host, _, port = address.rpartition(":")
        for _ in range(count):
            stream = socket.create_connection((host, int(port)), 10)
            stream.sendall(b"GET /v1/stream?topics=unit HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stream.setblocking(False)
            self.selector.register(stream, selectors.EVENT_READ, bytearray())
            self.streams.append(stream)

    def read(self, seconds: float) -> None:
        """Take what comes within this time."""
        for key, _ in self.selector.select(seconds):
            stream: Any = key.fileobj
            data = stream.recv(1 << 16)
            now = time.time()
            held: bytearray = key.data
            held += data
            while (end := held.find(b"\n\n")) >= 0:
                event = bytes(held[:end])
                del held[: end + 2]
                for line in event.split(b"\n"):
                    if line.startswith(b"data: ") and b'"started"' in line:
                        self.seen.setdefault(json.loads(line[6:])["unit"]["name"], []).append(now)

    def close(self) -> None:
        """End all of them."""
        self.selector.close()
        for stream in self.streams:
            stream.close()


def run(options: argparse.Namespace) -> int:
    """Measure, without and with a client that reads nothing."""
    found = circumstances()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with TemporaryDirectory(prefix="eg-spawn-") as name, ExitStack() as stack:
        tree = stack.enter_context(own_tree("fleet-bench"))
        made = stack.enter_context(fleet(Path(name)))
        node = made.add_node("node-1", tree)
        address = made.hub.address()
        rows: list[tuple[str, Any, str]] = []
        clients = Clients(address, options.clients)
        wait_until(lambda: made.hub.agent.stats("hub")["http"]["streams"] >= options.clients, "all clients listen")
        # The first one on a node starts the keeper of workloads too.
        rows.append(("first start to stream, the slowest client", 1000 * max(_starts(node, clients, 1, "first").heard), "ms"))
        plain = _starts(node, clients, options.starts, "a")
        host, _, port = address.rpartition(":")
        stalled = socket.create_connection((host, int(port)), 10)
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        beside = _starts(node, clients, options.starts, "b")
        rows += plain.rows("") + beside.rows(", beside a stalled client")
        moved = percentile(beside.heard, 0.5) - percentile(plain.heard, 0.5)
        rows.append(("a stalled client moves the others' median by", 1000 * moved, "ms"))
        if PROGRAM is not None:
            with running_chromium() as browser, opened(browser, f"http://{address}/", wanted="#strip .keys li") as (page, _):
                page.evaluate(WATCH_STARTS)
                rows += _starts(node, clients, options.starts, "c", page).rows(", beside a browser")
        clients.close()
        stalled.close()
        pid = hub_pid(made.hub)
        wait_until(lambda: made.hub.agent.stats("hub")["http"]["streams"] == 0, "all clients have gone", seconds=60)
        before = proc.memory(pid).pss_bytes
        idle = Clients(address, options.idle_clients)
        wait_until(lambda: made.hub.agent.stats("hub")["http"]["streams"] >= options.idle_clients, "all clients listen", seconds=60)
        rows.append((f"PSS for {options.idle_clients} idle clients", (proc.memory(pid).pss_bytes - before) / MIB, "MiB"))
        idle.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    show(rows, to=options.json, circumstances=found)
    return 0


class Stages:
    """Seconds since the order, of all starts: until the node has answered it, until each client has the event, until the browser
    has painted it."""

    def __init__(self) -> None:
        self.answered: list[float] = []
        self.heard: list[float] = []
        self.painted: list[float] = []

    def rows(self, label: str) -> list[tuple[str, Any, str]]:
        """Median and p99 of each."""
        named = (("order to answer", self.answered), ("order to stream", self.heard), ("order to screen", self.painted))
        return [
            (f"{name}{label}, {word}", 1000 * percentile(values, share), "ms")
            for name, values in named
            if values
            for word, share in (("p50", 0.5), ("p99", 0.99))
        ]


def _starts(node: Any, clients: Clients, count: int, prefix: str, page: Any = None) -> Stages:
    """The order itself is part of it, as for a person. `page`: one that shows the fleet."""
    stages = Stages()
    for number in range(count):
        name = f"{prefix}{number}"
        begin = time.time()
        node.call("run-workload", workload={"name": name, "argv": ["sleep", "1000"]})
        stages.answered.append(time.time() - begin)
        end = time.monotonic() + 10
        while len(clients.seen.get(name, [])) < len(clients.streams) and time.monotonic() < end:
            clients.read(0.05)
        seen = clients.seen.get(name, [])
        assert len(seen) == len(clients.streams), f"{len(seen)} of {len(clients.streams)} clients saw {name}"
        stages.heard += [at - begin for at in seen]
        if page is not None:
            page.wait_for_function("(name) => window.seen[name] > 0", arg=name)
            stages.painted.append(page.evaluate("(name) => window.seen[name]", name) / 1000 - begin)
        node.call("stop-workload", name=name)
        quiet = time.monotonic() + 0.3
        while time.monotonic() < quiet:
            clients.read(0.05)
    return stages
