"""A client in a process of its own that asks the agent for its workers every 5 ms, and tells how long each answer took.

As a program: the path of the control socket; it ends with its standard input and writes `[[asked at ns, ms], …]`.
"""

import json
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

PERIOD_SECONDS = 0.005
QUESTION = b'{"v":1,"op":"list-workers","args":{}}\n'
END_SECONDS = 10.0


class Poller:
    """The client, as its starter sees it."""

    def __init__(self, control_socket: Path) -> None:
        # -S and a file, not a module: nothing of it is to be slower than it must be.
        self._process = subprocess.Popen(
            [sys.executable, "-S", __file__, str(control_socket)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def stop(self) -> list[tuple[int, float]]:
        """End it; when each question was asked and how many milliseconds its answer took."""
        output, _ = self._process.communicate(timeout=END_SECONDS)
        return [(at_ns, taken_ms) for at_ns, taken_ms in json.loads(output)]


def main() -> None:
    """Ask until nobody holds the other end of standard input any more."""
    taken = []
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(sys.argv[1])
        answers = client.makefile("rb")
        due = time.monotonic()
        while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
            asked_at_ns = time.monotonic_ns()
            client.sendall(QUESTION)
            answers.readline()
            taken.append((asked_at_ns, (time.monotonic_ns() - asked_at_ns) / 1e6))
            # On a raster; what a late answer made impossible is left out.
            due = max(due + PERIOD_SECONDS, time.monotonic())
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
