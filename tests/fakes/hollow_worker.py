"""Workers that are hollow: they live and beat, and say nothing. A process that holds their identity speaks for them.

`hollow_agent` is agentd with workers `name=kind,…` beside a control plane; those whose name begins with `hollow` are hollow,
the others are of `fakes.scripted_worker`. `HollowVoice` is a connection under the identity of such a worker, so that a test
can say on the bus what no worker of ours would.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from fakes import scripted_worker
from fakes.worker_set_agent import WorkerSetAgent

from agent.config import Config
from agent.daemon.foreground import run
from agent.launch import decode_launch
from agent.model.message import Ack, Hello, Identity, Ready, Snapshot, decode_to_worker, encode
from agent.model.rule_state import RuleState
from agent.worker_set import WorkerSet
from workers.runtime.heartbeat_page import HeartbeatPage

BEAT_SECONDS = 0.05
POLL_MS = 30_000


def be_worker(take_order: Callable[[], bytes], page: int, stderr: int) -> None:
    """The entry of these workers. A hollow one ends with whatever ends all of the fork server's children."""
    order = take_order()
    if not order or not decode_launch(order).identity.worker.startswith("hollow"):
        scripted_worker.be_worker(lambda: order, page, stderr)
    os.dup2(stderr, 2)
    heartbeat = HeartbeatPage(page)
    while True:
        heartbeat.beat(time.monotonic_ns(), 0, bytes(32))
        time.sleep(BEAT_SECONDS)


class HollowVoice:
    """The bus, or the data socket, under the identity of a worker that says nothing itself."""

    def __init__(self, path: str, identity: Identity) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        self.socket.connect(f"ipc://{path}")

    def become_up(self, pid: int) -> None:
        """Hello, snapshot, acknowledgement, ready."""
        self.say(encode(Hello(pid)))
        snapshot = self.hear(Snapshot)
        self.say(encode(Ack(snapshot.sequence, snapshot.revision, RuleState(snapshot.entries).digest)))
        self.say(encode(Ready()))

    def say(self, *frames: bytes) -> None:
        """One message, whatever it holds; waits while the other end's queue is full."""
        assert self.socket.poll(POLL_MS, zmq.POLLOUT), "the other end reads"
        self.socket.send_multipart(frames)

    def hear(self, kind: Any) -> Any:
        """The next message of a kind; those of other kinds before it are passed over."""
        while True:
            assert self.socket.poll(POLL_MS), f"a {kind.__name__} comes"
            message = decode_to_worker(self.socket.recv())
            if isinstance(message, kind):
                return message

    def drain(self) -> int:
        """Take what is there; how many messages it was."""
        taken = 0
        while self.socket.poll(0):
            self.socket.recv()
            taken += 1
        return taken

    def close(self) -> None:
        """End the connection at once."""
        self._context.destroy(linger=0)


def hollow_agent(folder: Path, workers: str, *, ready: bool) -> WorkerSetAgent:
    """agentd with these workers beside a control plane; hollow ones have the time that a test needs to speak for them."""
    flags = {"--supervisor-start-timeout": "60s"}
    return WorkerSetAgent(folder, workers, flags=flags, module="fakes.hollow_worker", ready=ready)


def hollow_worker_set(_config: Config) -> WorkerSet:
    """The workers that the environment names."""
    preload = ("fakes.hollow_worker", "workers.runtime.preload")
    return WorkerSet(scripted_worker.described_kinds(), entry="fakes.hollow_worker:be_worker", preload=preload)


if __name__ == "__main__":
    os._exit(int(run(sys.argv[1:], os.environ, worker_set=hollow_worker_set)))
