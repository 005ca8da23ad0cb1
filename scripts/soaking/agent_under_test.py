"""The agent that is soaked: started in folders of its own, asked, told by its log what it sees, ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from soaking.process import children_of, has_variable, processes_with, signal_child, state_and_parent

DEADLINE_SECONDS = 20.0
PAUSE_SECONDS = 0.002
SPARES = 1
# A restart is to be immediate, so that ten thousand of them take minutes, and data is to be on its way when somebody is killed.
SETTINGS = {
    "--supervisor-backoff-base": "1ms",
    "--supervisor-backoff-ceiling": "10ms",
    "--supervisor-stable-spell": "10ms",
    "--supervisor-spare-workers": str(SPARES),
    "--sampler-process-interval": "250ms",
    "--writer-seal-interval": "1m",
    "--gateway-port": "0",
    "--log-format": "json",
}
# Its processes are known by this variable in their environment, wherever they have gone.
MARK = "SOAK_FOLDER"
# The agent ends with this process, also when that is killed (PR_SET_PDEATHSIG, linux/prctl.h).
_MORTAL = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execvp(sys.argv[1], sys.argv[1:])"


class Refused(Exception):
    """The agent answered that it does not do this, and why."""


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true value of a condition. *Raises:* TimeoutError with `what`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(PAUSE_SECONDS)
    return value


class AgentUnderTest:
    """One agent and its successors. `control_ms` are the times that list-workers took, while the supervisor lived."""

    def __init__(self, folder: Path, program: list[str]) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self._runtime_dir = folder / "run"
        self._mark = f"{MARK}={folder}"
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._client: socket.socket | None = None
        self._answers: Any = None
        self._log_read_bytes = 0
        self._half_line = b""
        self.control_ms: list[float] = []

    # ---- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start an agent, and wait until it answers."""
        folders = ["--state-dir", str(self.state_dir), "--runtime-dir", str(self._runtime_dir)]
        settings = [word for setting in SETTINGS.items() for word in setting]
        command = [sys.executable, "-c", _MORTAL, *self._program, *folders, *settings]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERGAUGE_")}
        environment[MARK] = str(self.folder)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
                # Python looks for modules where it is started: not where somebody happens to be.
                cwd=self.folder,
                # A session of its own: Ctrl-C is for us, and we end it.
                start_new_session=True,
            )
        wait_until(self._connects, "the agent answers")

    @property
    def supervisor(self) -> int:
        """The pid of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def kill_supervisor(self) -> float:
        """SIGKILL, and another one at once; gives the milliseconds until that answers."""
        assert self._process is not None
        begun = time.monotonic()
        self._process.kill()
        self._process.wait()
        self._hang_up()
        self.start()
        return (time.monotonic() - begun) * 1e3

    def end(self) -> int:
        """SIGTERM; gives the exit code."""
        assert self._process is not None
        self._hang_up()
        self._process.terminate()
        try:
            return self._process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def left_behind(self) -> list[int]:
        """The processes that are still there two seconds after the end; they are killed."""
        with suppress(TimeoutError):
            wait_until(lambda: not self._marked(), "all have ended", seconds=2)
        strays = self._marked()
        for pid in strays:
            if (found := state_and_parent(pid)) is not None:
                signal_child(pid, found[1], signal.SIGKILL)
        return strays

    # ---- what it says ----------------------------------------------------------------------------

    def call(self, operation: str, **arguments: Any) -> Any:
        """One operation on the control socket. *Raises:* Refused, OSError and ValueError when there is no answer."""
        assert self._client is not None
        self._client.sendall(json.dumps({"v": 1, "op": operation, "args": arguments}).encode() + b"\n")
        answer = json.loads(self._answers.readline())
        if not answer["ok"]:
            raise Refused(answer["error"]["sentence"])
        return answer["result"]

    def workers(self) -> dict[str, dict[str, Any]]:
        """The rows of list-workers by name; how long the answer took is kept."""
        begun = time.monotonic()
        rows = self.call("list-workers")["workers"]
        self.control_ms.append((time.monotonic() - begun) * 1e3)
        return {row["name"]: row for row in rows}

    def fork_server(self, rows: dict[str, dict[str, Any]]) -> int | None:
        """The parent of the workers in these rows; None when none of them lives. It need not be the supervisor's child.

        A worker that dies with its fork server has another parent for a moment, and that may be anybody.
        """
        for row in rows.values():
            found = None if row["pid"] is None else state_and_parent(row["pid"])
            if found is not None and found[0] != "Z" and found[1] != self.supervisor and has_variable(found[1], self._mark):
                return found[1]
        return None

    def out_of_step(self) -> str:
        """Who is not up with the rules in force by its own word, or should not be there; empty: all is calm."""
        rows = self.workers()
        late = [name for name, row in rows.items() if row["state"] != "up" or not row["in_sync"]]
        if late:
            return f"not up and in sync: {', '.join(late)}"
        digest = self.call("list-rules")["digest"]
        for name in rows:
            with suppress(Refused):
                if self.call("worker-state", name=name)["digest"] == digest:
                    continue
            return f"{name} does not say that it holds the rules in force"
        server = self.fork_server(rows)
        below = [] if server is None else children_of(server)
        return "" if len(below) == len(rows) + SPARES else f"{len(rows)} workers, {len(below)} children of the fork server"

    def read_events(self) -> Iterator[dict[str, Any]]:
        """The events that the agent has logged since the last call."""
        with (self.folder / "log").open("rb") as log:
            log.seek(self._log_read_bytes)
            data = log.read()
        self._log_read_bytes += len(data)
        *lines, self._half_line = (self._half_line + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                yield json.loads(line)

    def log_tail(self, lines: int = 10) -> str:
        """The end of its log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-lines:])

    # ---- parts -----------------------------------------------------------------------------------

    def _connects(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the agent ended with {self._process.returncode}:\n{self.log_tail()}")
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE_SECONDS)
        try:
            client.connect(str(self._runtime_dir / "control.sock"))
            self._client, self._answers = client, client.makefile("rb")
            self.call("hello")
            return True
        except (OSError, ValueError):
            client.close()
            self._client = self._answers = None
            return False

    def _hang_up(self) -> None:
        if self._client is not None:
            self._answers.close()
            self._client.close()
            self._client = self._answers = None

    def _marked(self) -> list[int]:
        return processes_with(self._mark)
