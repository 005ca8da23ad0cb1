"""The default agent as it is installed, with its sampler and its writer: started, asked, killed, started again."""

import json
import subprocess
import sys
import time
from pathlib import Path

from harness.control_connection import ControlConnection

from supervisors.child_starts import SupervisorFailed
from supervisors.ours import Agent
from supervisors.rival import Bench, outer_environment

READY_SECONDS = 15.0
# Five times as often as by default, so that a missing moment shows.
DISTANCE_INTERVAL_MS = 200
WORKERS = ("writer", "control-plane", "sampler/process", "gateway")


class RealAgent(Agent):
    """It says nothing of starts: its workers are looked at in /proc."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench, 0, rules=10)

    def program(self) -> list[str]:
        """The installed program."""
        return [str(Path(sys.executable).with_name("agentd"))]

    def command_line(self) -> list[str]:
        """All at its defaults, except its folders, its port, and how often it samples."""
        folders = ("--state-dir", str(self.state_dir), "--runtime-dir", str(self.runtime_dir))
        interval = ("--sampler-process-interval", f"{DISTANCE_INTERVAL_MS}ms")
        return [*self.program(), *folders, "--gateway-port", "0", "--log-format", "json", *interval]

    def wait_ready(self) -> None:
        """*Raises:* SupervisorFailed when it is not ready in time."""
        self.bench.starts.wait_until(self._is_ready, "the agent is ready", seconds=READY_SECONDS)

    def connect(self) -> ControlConnection | None:
        """A connection of its own; None while nobody listens."""
        try:
            return ControlConnection(self.runtime_dir / "control.sock")
        except OSError:
            return None

    def sample_distances_ms(self) -> list[float]:
        """Between each two moments of the sampler that follow each other, from the data themselves."""
        ticks = "SELECT DISTINCT timestamp AS tick FROM process"
        rows = self._query(f"SELECT (tick - lag(tick) OVER (ORDER BY tick)) / 1e6 AS ms FROM ({ticks}) ORDER BY tick")
        return [row["ms"] for row in rows if row["ms"] is not None]

    def gap_rows(self) -> int:
        """How many losses the writer has noted."""
        (row,) = self._query("SELECT count(*) AS number FROM gap")
        return int(row["number"])

    def _is_ready(self) -> bool:
        client = self.connect()
        if client is None:
            return False
        try:
            return bool(client.call("status")["ready"])
        except (OSError, ValueError):
            return False
        finally:
            client.close()

    def _query(self, statement: str) -> list[dict[str, float]]:
        # What was sampled last must have come to the writer.
        time.sleep(2 * DISTANCE_INTERVAL_MS / 1000)
        command = [str(Path(sys.executable).with_name("agentctl")), "query", statement, "--format", "json"]
        folders = ["--state-dir", str(self.state_dir), "--runtime-dir", str(self.runtime_dir)]
        done = subprocess.run([*command, *folders], capture_output=True, text=True, env=outer_environment(), check=False)
        if done.returncode != 0:
            raise SupervisorFailed(f"agentctl query: {done.stderr.strip()}")
        found: list[dict[str, float]] = json.loads(done.stdout)
        return found
