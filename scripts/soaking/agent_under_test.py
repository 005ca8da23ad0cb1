"""The agent that is soaked: `harness.agent_process` with quick settings, one lasting connection, and its log read as events."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import proc
from harness.agent_process import AgentProcess
from harness.control_connection import ControlConnection, Refused
from harness.waiting import DEADLINE_SECONDS, NotInTime, wait_until

SPARES = 1
QUOTA_BYTES = 1 << 30
# The time to an answer is measured.
ANSWER_PAUSE_SECONDS = 0.002
# So much of its log tells why it ended.
TAIL_LETTERS = 2000
# A restart is to be immediate, so that ten thousand of them take minutes, and data is to be on its way when somebody is killed.
SETTINGS = {
    "--supervisor-backoff-base": "1ms",
    "--supervisor-backoff-ceiling": "10ms",
    "--supervisor-stable-period": "10ms",
    "--supervisor-spare-workers": str(SPARES),
    "--sampler-process-interval": "250ms",
    "--writer-seal-interval": "1m",
    # A day fills it, so that removal is soaked too.
    "--writer-storage-quota": "1GiB",
    "--gateway-port": "0",
    "--log-format": "json",
}
# Its processes are known by this variable in their environment, wherever they have gone.
MARK = "SOAK_FOLDER"
# The agent ends with this process, also when that is killed (PR_SET_PDEATHSIG, linux/prctl.h).
_MORTAL = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execvp(sys.argv[1], sys.argv[1:])"


class AgentUnderTest(AgentProcess):
    """One agent and its successors. `control_ms` are the times that list-workers took, while the supervisor lived."""

    def __init__(self, folder: Path, program: list[str]) -> None:
        self._mark = f"{MARK}={folder}"
        super().__init__(
            folder, flags=SETTINGS, quick=False, program=(sys.executable, "-c", _MORTAL, *program), environment={MARK: str(folder)}
        )
        self._connection: ControlConnection | None = None
        self._log_read_bytes = 0
        self._half_line = b""
        self.control_ms: list[float] = []

    # ---- life ------------------------------------------------------------------------------------

    def start(self, *more: str, ready: bool = False) -> None:
        """Start an agent, and wait until it answers. *Raises:* NotInTime, AssertionError when it ended."""
        super().start(*more, ready=ready)
        wait_until(self._connects, "the agent answers", pause_seconds=ANSWER_PAUSE_SECONDS)

    @property
    def supervisor(self) -> int:
        """The pid of the supervisor."""
        assert self.process is not None
        return self.process.pid

    def kill_supervisor(self) -> float:
        """SIGKILL, and another one at once; gives the milliseconds until that answers."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.kill()
        self.process.wait()
        self._hang_up()
        self.start()
        return (time.monotonic() - begun) * 1e3

    def end(self, number: int = signal.SIGTERM, *, seconds: float = DEADLINE_SECONDS) -> int:
        """End the agent by a signal, by SIGKILL when that takes too long; gives the exit code."""
        assert self.process is not None
        self._hang_up()
        self.process.send_signal(number)
        with suppress(NotInTime):
            wait_until(lambda: self.process is None or self.process.poll() is not None, "the agent ends", seconds=seconds)
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()

    def left_behind(self) -> list[int]:
        """The processes that are still there two seconds after the end; they are killed."""
        with suppress(NotInTime):
            wait_until(lambda: not self._marked(), "all have ended", seconds=2)
        strays = self._marked()
        for pid in strays:
            if (found := proc.stat_of(pid)) is not None:
                proc.signal_child(pid, found.parent, signal.SIGKILL)
        return strays

    # ---- what it says ----------------------------------------------------------------------------

    def call(self, operation: str, **arguments: Any) -> Any:
        """As `AgentProcess.call`, over the one connection."""
        assert self._connection is not None
        return self._connection.call(operation, **arguments)

    def workers(self) -> dict[str, dict[str, Any]]:
        """The rows of list-workers by name; how long the answer took is kept."""
        begun = time.monotonic()
        rows = self.call("list-workers")["workers"]
        self.control_ms.append((time.monotonic() - begun) * 1e3)
        # One that sleeps has nothing to do, and no process.
        return {row["name"]: row for row in rows if row["state"] != "asleep"}

    def server_of(self, rows: dict[str, dict[str, Any]]) -> int | None:
        """The parent of the workers in these rows; None when none of them lives. It need not be the supervisor's child.

        A worker that dies with its fork server has another parent for a moment, and that may be any process.
        """
        for row in rows.values():
            found = None if row["pid"] is None else proc.stat_of(row["pid"])
            is_child = found is not None and found.state != "Z" and found.parent != self.supervisor
            if found is not None and is_child and proc.has_variable(found.parent, self._mark):
                return found.parent
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
        server = self.server_of(rows)
        below = [] if server is None else proc.children_of(server)
        return "" if len(below) == len(rows) + SPARES else f"{len(rows)} workers, {len(below)} children of the fork server"

    def read_events(self) -> Iterator[dict[str, Any]]:
        """The events that the agent has logged since the last call."""
        with (self.folder / "output").open("rb") as log:
            log.seek(self._log_read_bytes)
            data = log.read()
        self._log_read_bytes += len(data)
        *lines, self._half_line = (self._half_line + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                yield json.loads(line)

    # ---- parts -----------------------------------------------------------------------------------

    def _connects(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the agent ended with {self.process.returncode}:\n{self.output[-TAIL_LETTERS:]}"
        try:
            self._connection = ControlConnection(self.runtime_dir / "control.sock")
            self.call("hello")
            return True
        except (OSError, ValueError):
            self._hang_up()
            return False

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _marked(self) -> list[int]:
        return proc.processes_with(self._mark)
