"""A real agent as the first process of a container: everybody's orphans there are its children. Only root can make one."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
from fakes.worker_set_agent import WorkerSetAgent
from harness.waiting import DEADLINE_SECONDS, wait_until

from supervisor.shell.takeover_record import read_takeover_record


class ContainedAgent(WorkerSetAgent):
    """With process numbers and a /proc of its own; all numbers given here are those outside."""

    def __init__(self, folder: Path, workers: str) -> None:
        super().__init__(folder, workers, prefix=("unshare", "--pid", "--mount-proc", "--kill-child"))

    @property
    def agent(self) -> psutil.Process:
        """The supervisor, the first process in there."""
        assert self.process is not None
        (agent,) = psutil.Process(self.process.pid).children()
        return agent

    def leave_behind(self, *command: str) -> psutil.Process:
        """Enter, start this in the background, and leave: the kernel gives it to the agent."""
        script = f"{' '.join(command)} >/dev/null 2>&1 & echo $!"
        entered = ["nsenter", "--target", str(self.agent.pid), "--pid", "sh", "-c", script]
        inner = int(subprocess.run(entered, capture_output=True, check=True, timeout=DEADLINE_SECONDS).stdout)
        # nsenter itself waits outside for the shell inside, whose number this is.
        return wait_until(lambda: self._inside(inner), "it is a child of the agent")

    def inner_pid(self, process: psutil.Process) -> int:
        """The number of a process in there; 0 when it has ended, as the child that looks at the host soon does."""
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text(errors="replace").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return int(next(line for line in lines if line.startswith("NSpid:")).split()[-1])

    def restart(self, name: str) -> None:
        """Kill a worker that runs and wait for the next generation."""
        row, worker = wait_until(lambda: self._running(name), f"{name} runs")
        worker.kill()
        self.wait_for_replacement(row)

    def _running(self, name: str) -> tuple[dict[str, Any], psutil.Process] | None:
        """Its row and its process. *Absent:* it, or the fork server, is still to come."""
        row, server = self.workers()[name], self._recorded_server()
        below = [] if server is None else server.children()
        return next(((row, each) for each in below if self.inner_pid(each) == row["pid"]), None)

    def server(self) -> psutil.Process:
        """The fork server."""
        server = self._recorded_server()
        assert server is not None
        return server

    def end(self, number: int = signal.SIGTERM, *, seconds: float = DEADLINE_SECONDS) -> int:
        """The signal is for the agent, not for who made the container."""
        assert self.process is not None
        if self.process.poll() is None:
            self.note_processes()
            self.agent.send_signal(number)
        return self.process.wait(seconds)

    def _recorded_server(self) -> psutil.Process | None:
        record = read_takeover_record(str(self.runtime_dir / "fork" / "takeover-record"))
        return None if record is None or record.server is None else self._inside(record.server.pid)

    def _inside(self, inner: int) -> psutil.Process | None:
        return next((each for each in self.agent.children() if self.inner_pid(each) == inner), None)
