"""Simulated nodes: what a real node's beat and uplink send, from real sockets with keys of their own, without a node behind them.

Run as a program it is one process of them: it reads what to be from a file, says `ready` once every node is welcome, and goes on
until its standard input ends. Updates are made once and sent by all: the hub cannot tell, and the load of making them is not
measured.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import zmq

from agent.fleet.beat import NodeBeat, encode_beat
from agent.fleet.live import NodeLabel, NodeUse, UnitLabel, UnitUse
from agent.fleet.message import PROTOCOL_VERSION, Greet, Hold, NodeHello, WantWhole, Welcome, decode_answer, encode_hello
from agent.fleet.update import LiveState, difference, encode_update, next_digest

# The same run for all: a hub compares it with the node's own only.
RUN = "5eed5eed5eed5eed"
CHAIN = 40
MODELS = 50


@dataclass
class Chain:
    """Updates that follow each other: frames and digests; the first is whole. The last one is followed by the first."""

    frames: list[bytes]
    digests: list[bytes]


def make_chain(units: int, seed: int, *, is_idle: bool = False) -> Chain:
    """A node with so many units, all of which change with each update; or none of them."""
    chance = Random(seed)
    state = LiveState(run=RUN)
    chain = Chain([], [])
    before = LiveState(run=RUN)
    for number in range(CHAIN):
        now = LiveState(run=RUN, sampled_ms=1_800_000_000_000 + number * 1000)
        now.node_label = NodeLabel(f"node-{seed}", "1.0", 16, 1 << 26, 1_700_000_000_000)
        now.node_use = NodeUse(chance.randrange(16_000), chance.randrange(1 << 26), chance.randrange(100), 0, 0, 4096, 512)
        for key in range(1, units + 1):
            model = f"org/model-{(key * 7919) % MODELS}"
            now.labels[key] = UnitLabel(
                key, f"{key:08x}-1111-2222-3333-444444444444", "pod", f"vllm-{key}", f"team-{key % 9}", model, None, (), "vllm",
                "engine_api", 1_700_000_000_000, 1 << 25,
            )  # fmt: skip
            now.uses[key] = state.uses.get(key) if is_idle and number else use_of(key, chance)  # type: ignore[assignment]
        update = difference(before, now, whole=number == 0)
        assert update is not None
        frame = encode_update(update)
        digest = next_digest(before.digest, frame, is_whole=number == 0)
        now.version, now.digest = update.version, digest
        chain.frames.append(frame)
        chain.digests.append(digest)
        before = state = now
    return chain


def use_of(key: int, chance: Random) -> UnitUse:
    """What a busy worker does."""
    return UnitUse(
        key, chance.randrange(8000), chance.randrange(1 << 25), chance.randrange(1000), 0, 0, 0, chance.randrange(1 << 18),
        chance.randrange(1 << 15), chance.randrange(1 << 22), chance.randrange(1000), chance.randrange(1 << 16),
        chance.randrange(1 << 16), chance.randrange(10), chance.randrange(20), chance.randrange(1000),
    )  # fmt: skip


class SimulatedNode:
    """One node: a connection for the beat, one for the live state."""

    def __init__(self, context: Any, order: dict[str, Any], keys: dict[str, str], chain: Chain, chance: Random) -> None:
        self.install = keys["install"]
        self._order = order
        self._keys = keys
        self._context = context
        self._chain = chain
        self._beats = 0
        self._place = -1
        self.is_welcome = {"beat": False, "live": False}
        self.welcomed_at = 0.0
        self.offset_us = int(chance.uniform(-1, 1) * order["skew_seconds"] * 1e6)
        self.phase = chance.random()
        self.next_at = time.monotonic() + self.phase
        self.beat, self.live = self._connect(), self._connect()
        self.hello_at = {"beat": 0.0, "live": 0.0}

    def _connect(self) -> Any:
        made = self._context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0), (zmq.IMMEDIATE, 1), (zmq.SNDHWM, 4), (zmq.RCVHWM, 16), (zmq.RECONNECT_IVL, 2500),
            (zmq.HANDSHAKE_IVL, 30_000),
        ):  # fmt: skip
            made.setsockopt(option, value)
        made.curve_serverkey = bytes.fromhex(self._order["hub_key"])
        made.curve_publickey = bytes.fromhex(self._keys["public"])
        made.curve_secretkey = bytes.fromhex(self._keys["secret"])
        made.connect(self._order["endpoint"])
        return made

    def turn(self, now: float) -> None:
        """What is due, and what the hub has said."""
        # Who is welcome hears no more than once in its interval: to look at ten thousand sockets takes a processor.
        if now < self.next_at and all(self.is_welcome.values()):
            return
        for purpose, socket in (("beat", self.beat), ("live", self.live)):
            self._listen(purpose, socket, now)
        if now < self.next_at:
            return
        self.next_at += self._order["interval"] * (1 + max(0, int((now - self.next_at) / self._order["interval"])))
        for purpose, socket in (("beat", self.beat), ("live", self.live)):
            if not self.is_welcome[purpose] and now >= self.hello_at[purpose]:
                self.hello_at[purpose] = now + 2.0
                hello = NodeHello(PROTOCOL_VERSION, purpose, self.install, RUN, self.install, f"boot-{self.install}", "1.0")  # type: ignore[arg-type]
                self._send(socket, encode_hello(hello))
        if self.is_welcome["live"]:
            self._place = (self._place + 1) % len(self._chain.frames)
            if not self._send(self.live, self._chain.frames[self._place]):
                self.is_welcome["live"] = False
        if self.is_welcome["beat"]:
            self._beats += 1
            place = max(self._place, 0)
            wall_us = time.time_ns() // 1000 + self.offset_us
            beat = NodeBeat(self.install, RUN, self._beats, place + 1, self._chain.digests[place], wall_us, 400)
            if not self._send(self.beat, encode_beat(beat)):
                self.is_welcome["beat"] = False

    def _listen(self, purpose: str, socket: Any, now: float) -> None:
        while True:
            try:
                answer = decode_answer(socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            match answer:
                case Welcome():
                    self.is_welcome[purpose] = True
                    self.welcomed_at = now
                    if purpose == "live":
                        self._place = -1
                case Greet():
                    self.is_welcome[purpose] = False
                    self.hello_at[purpose] = 0.0
                    self.next_at = min(self.next_at, now)
                case WantWhole():
                    self._place = -1
                case Hold():
                    self.hello_at[purpose] = now + answer.after_ms / 1000
                case _:
                    pass

    @staticmethod
    def _send(socket: Any, frame: bytes) -> bool:
        try:
            socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


def main() -> None:
    """Be the nodes of one file until the standard input ends."""
    order = json.loads(Path(sys.argv[1]).read_text())
    context = zmq.Context(io_threads=1)
    context.set(zmq.MAX_SOCKETS, 2 * len(order["nodes"]) + 64)
    chance = Random(order["seed"])
    chain = make_chain(order["units"], order["seed"], is_idle=order["is_idle"])
    nodes = [SimulatedNode(context, order, keys, chain, chance) for keys in order["nodes"]]
    said = False
    import select

    report_at = 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        begin = time.monotonic()
        for node in nodes:
            node.turn(time.monotonic())
        welcome = sum(all(node.is_welcome.values()) for node in nodes)
        # Nobody reads on once all are welcome.
        if not said and welcome == len(nodes):
            said = True
            print("ready", flush=True)
        elif not said and time.monotonic() >= report_at:
            report_at = time.monotonic() + 0.5
            print(f"{welcome} of {len(nodes)} nodes are welcome", flush=True)
        time.sleep(max(0.0, 0.05 - (time.monotonic() - begin)))


if __name__ == "__main__":
    main()
