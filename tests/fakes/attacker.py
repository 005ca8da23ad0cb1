"""Somebody of our own user who attacks one socket of an agent with noise, as a process of its own.

    python -m fakes.attacker TARGET --path SOCKET --seed N --frames N [--run RUN --names NAME,NAME]

TARGET is `control`, `bus`, `data`, or `wire` (bytes on a ZeroMQ socket that are no ZeroMQ, or nearly). It prints one line of
JSON: how many frames it got rid of, in how many connections, what was answered, in how many seconds. `Attack` starts one.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

import zmq
from fakes import attack

from agent.model.control import REQUEST_BYTES_MAX

TESTS_FOLDER = Path(__file__).parents[1]

# So many clients at once, each in its turn.
CLIENTS = 8
STUCK_SECONDS = 20.0
# So long what was said is still delivered after the last word.
LINGER_MS = 2000
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)


def attack_control(options: argparse.Namespace, rng: random.Random) -> Counter[str]:
    """Lines in many connections. Every whole line that is not empty must be answered, as long as none was too long."""
    counts: Counter[str] = Counter()
    sends = attack.connections(rng)
    while counts["frames"] < options.frames:
        said = [next(sends) for _ in range(CLIENTS)]
        clients = []
        for data, _lines in said:
            stream = socket.socket(socket.AF_UNIX)
            stream.connect(options.path)
            stream.settimeout(STUCK_SECONDS)
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            clients.append(stream)
        for stream, (data, lines) in zip(clients, said, strict=True):
            answers = _all_of(stream).count(b"\n")
            stream.close()
            wanted = sum(1 for line in data.split(b"\n")[:-1] if line.strip())
            has_long = any(len(line) > REQUEST_BYTES_MAX for line in data.split(b"\n"))
            assert answers == wanted or has_long, f"{wanted} lines had {answers} answers: {data[:2000]!r}"
            counts += Counter(frames=lines, connections=1, answers=answers)
    return counts


def _all_of(stream: socket.socket) -> bytes:
    data = bytearray()
    while part := stream.recv(1 << 18):
        data += part
    return bytes(data)


def attack_zmq(options: argparse.Namespace, rng: random.Random) -> Counter[str]:
    """Multipart messages under many identities."""
    counts: Counter[str] = Counter()
    names = options.names.split(",")
    living = {f"{options.run}/1/{name}".encode() for name in names}
    message = attack.bus_message if options.target == "bus" else attack.data_message
    for name, messages in attack.strangers(rng, options.run, names, message):
        if counts["frames"] >= options.frames:
            break
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        dealer = context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.IDENTITY, name)
        dealer.connect(f"ipc://{options.path}")
        for parts in messages:
            dealer.send_multipart(parts, zmq.DONTWAIT)
        while dealer.poll(0):
            dealer.recv_multipart()
            counts["answers"] += 1
        # Nobody reads what is said under the identity of somebody who is there; all the rest is delivered before the next.
        is_read = name not in living
        context.destroy(linger=LINGER_MS if is_read else 0)
        counts += Counter(connections=1, **{"frames" if is_read else "unread": len(messages)})
    return counts


def attack_wire(options: argparse.Namespace, rng: random.Random) -> Counter[str]:
    """Connections that end in the banner, in the handshake or in a frame."""
    counts: Counter[str] = Counter()
    while counts["frames"] < options.frames:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(options.path)
            noise = rng.randbytes(rng.randint(0, 300))
            ready = READY + bytes([len(noise) % 200 + 1]) + noise
            handshake = b"\x04" + bytes([len(ready) % 256]) + ready
            # A flag byte, and a length that may be anything up to 2^64.
            frame = bytes([rng.choice((0, 1, 2, 3, 4, 6, 255))]) + rng.choice((b"\xff" * 8, rng.randbytes(8), b"\x05")) + noise
            choices = (noise, GREETING[: rng.randint(0, 64)], GREETING + frame, GREETING + handshake + frame)
            try:
                stream.sendall(rng.choice(choices))
            except (BrokenPipeError, ConnectionResetError):
                counts["cut_off"] += 1
            counts += Counter(frames=1, connections=1)
    return counts


ATTACKS = {"control": attack_control, "bus": attack_zmq, "data": attack_zmq, "wire": attack_wire}


class Attack:
    """An attacker at work beside the test. Use it as a context: leaving it ends the attacker."""

    def __init__(self, target: str, path: Path, *, seed: int, frames: int, run: str = "", names: str = "writer") -> None:
        words = {"--path": path, "--seed": seed, "--frames": frames, "--run": run, "--names": names}
        arguments = [str(word) for flag, value in words.items() for word in (flag, value)]
        command = [sys.executable, "-m", "fakes.attacker", target, *arguments]
        self._process = subprocess.Popen(command, cwd=TESTS_FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_rest: object) -> None:
        if self.is_running():
            self._process.kill()
            self._process.communicate()

    def is_running(self) -> bool:
        """Whether there is more to come."""
        return self._process.poll() is None

    def result(self) -> dict[str, Any]:
        """What the attacker tells at its end. *Raises:* AssertionError when it came to grief."""
        told, complaint = self._process.communicate(timeout=STUCK_SECONDS)
        assert self._process.returncode == 0, complaint
        counts: dict[str, Any] = json.loads(told)
        return counts


def main() -> None:
    """Attack, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(ATTACKS))
    parser.add_argument("--path", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--run", default="")
    parser.add_argument("--names", default="writer")
    options = parser.parse_args()
    # What is attacked is the agent. Taking the processors from everybody is the scheduler's matter.
    os.nice(5)
    begun = time.monotonic()
    counts = ATTACKS[options.target](options, random.Random(options.seed))
    json.dump({"target": options.target, "seed": options.seed, **counts, "seconds": time.monotonic() - begun}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
