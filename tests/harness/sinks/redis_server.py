"""A real Redis server with nothing in it, which keeps nothing.

with RedisServer(folder) as server:
    redis.Redis.from_url(server.url)
    server.call("HGETALL", "evergauge:marks:…")
"""

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.sinks.program import SinkProgram
from harness.waiting import DEADLINE_SECONDS, SLOWNESS

_ANSWER_SECONDS = 5.0 * SLOWNESS


class RedisServer(SinkProgram):
    """Use it as a context. After a `kill` and a `start` it is empty, as a cache that was lost."""

    component = "redis"

    def __init__(self, folder: Path, *, settings: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self._more = tuple(settings)
        self.port = self.take_port()
        self.socket_path = folder / "redis.sock"

    @property
    def url(self) -> str:
        """As clients and settings name it."""
        return f"redis://{self.address}:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """The same server by its socket in the file system."""
        return f"unix://{self.socket_path}?db=0"

    def call(self, *words: str) -> list[str]:
        """The lines of an answer, as redis-cli prints it where nobody looks."""
        asked: list[str | Path] = [self.programs / "redis-cli", "-h", self.address, "-p", str(self.port), *words]
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=DEADLINE_SECONDS)
        return done.stdout.splitlines()

    def command(self) -> Sequence[str | Path]:
        """Nothing is written to the disk."""
        words = ["--bind", self.address, "--port", str(self.port), "--unixsocket", str(self.socket_path), "--save", ""]
        return [self.programs / "redis-server", *words, "--appendonly", "no", "--dir", str(self.folder), *self._more]

    def is_ready(self) -> bool:
        """Whether it answers."""
        with socket.create_connection((self.address, self.port), _ANSWER_SECONDS) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
