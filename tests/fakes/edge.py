"""The edge of a real agent from outside: one question at a time, how long answers take, and what a process holds."""

import json
import os
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

DEADLINE_SECONDS = 15.0
# Between two questions of a probe: enough of them for a 99th percentile within seconds, and the agent has other things to do.
PROBE_PAUSE_SECONDS = 0.004
PROBES_MAX = 20_000
# Any single answer may be held up by the machine; what is promised is the 99th percentile.
ANSWER_SECONDS_P99 = 0.05
_CREDENTIALS = struct.Struct("3i")


class Connection:
    """A connection to the control socket that waits for its answers."""

    def __init__(self, path: Path | str) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        try:
            # Without a time limit, which would have the kernel refuse whoever comes while its queue is full.
            self.stream.connect(str(path))
        except BaseException:
            self.stream.close()
            raise
        self.stream.settimeout(DEADLINE_SECONDS)
        self._lines = self.stream.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_rest: object) -> None:
        self.close()

    def say(self, data: bytes) -> None:
        """Bytes as they are."""
        self.stream.sendall(data)

    def answer(self) -> dict[str, Any]:
        """The next line, as JSON. *Raises:* ConnectionResetError at the connection's end."""
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the agent has ended the connection")
        document: dict[str, Any] = json.loads(line)
        return document

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """The whole answer to one operation, an error's too."""
        self.say(json.dumps({"v": 1, "op": operation, "args": arguments}).encode() + b"\n")
        return self.answer()

    def agent_pid(self) -> int:
        """Who listens at the other end, as the kernel says."""
        pid: int = _CREDENTIALS.unpack(self.stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        return pid

    def is_ended(self) -> bool:
        """Whether the agent ends the connection without another word; waits for it."""
        try:
            return self._lines.readline() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """End it."""
        self._lines.close()
        self.stream.close()


def ask(path: Path | str, operation: str, **arguments: Any) -> dict[str, Any]:
    """The whole answer to one operation over a connection of its own."""
    with Connection(path) as connection:
        return connection.ask(operation, **arguments)


class Probe:
    """Somebody who asks `list-workers` again and again, each time over a new connection, and notes how long it took.

    `own_seconds` leave out the time in which agent or asker were ready to run and the machine had no processor for them:
    what else runs there is no property of the agent.
    """

    def __init__(self, path: Path | str, *, pause_seconds: float = PROBE_PAUSE_SECONDS) -> None:
        self._path = path
        self._pause_seconds = pause_seconds
        with Connection(path) as connection:
            self._pids = (connection.agent_pid(), os.getpid())
        self.seconds: list[float] = []
        self.own_seconds: list[float] = []

    def ask(self) -> None:
        """One question. *Raises:* AssertionError when it is not answered as it should be."""
        starved = self._starved_seconds()
        begun = time.perf_counter()
        answer = ask(self._path, "list-workers")
        took = time.perf_counter() - begun
        self.seconds.append(took)
        self.own_seconds.append(max(0.0, took - (self._starved_seconds() - starved)))
        assert answer["ok"], answer

    def run_while(self, condition: Callable[[], bool], *, least: int = 200) -> None:
        """Ask as long as the condition holds, and at least so many times, that a percentile means something."""
        while condition() or len(self.seconds) < least:
            self.ask()
            assert len(self.seconds) < PROBES_MAX, "what is waited for does not end"
            time.sleep(self._pause_seconds)

    def assert_prompt(self) -> None:
        """99 of 100 answers came in time."""
        worst = [(round(took * 1e3, 1), round(own * 1e3, 1)) for took, own in zip(self.seconds, self.own_seconds, strict=True)]
        worst = sorted(worst, key=lambda pair: pair[1])[-5:]
        assert percentile(self.own_seconds, 0.99) <= ANSWER_SECONDS_P99, (
            f"the slowest of {len(self.seconds)} answers took so many ms, and of these with a processor: {worst}"
        )

    def _starved_seconds(self) -> float:
        """How long agent and asker have waited for a processor in all their life. *Source:* proc_pid_schedstat."""
        waits = (Path(f"/proc/{pid}/schedstat").read_text().split()[1] for pid in self._pids)
        return sum(int(nanoseconds) for nanoseconds in waits) / 1e9


def percentile(values: list[float], share: float) -> float:
    """So much or less was this share of the values."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def rss_bytes(pid: int) -> int:
    """The resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """How many descriptors a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextmanager
def many_descriptors() -> Iterator[None]:
    """As many descriptors for this process as it may have; a test that holds a thousand connections needs them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
