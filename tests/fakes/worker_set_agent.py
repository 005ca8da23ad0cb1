"""A real supervisor with scripted workers: ordered about while it runs, and every process of it known by a mark."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import psutil
from fakes.scripted_worker import FOLDER_VARIABLE, VARIABLE, fifo_name
from harness.agent_process import AgentProcess
from harness.proc import processes_with
from harness.waiting import DEADLINE_SECONDS, wait_until

TESTS_FOLDER = Path(__file__).parents[1]
WITHOUT_HOST = "control-plane=control-plane"


class Moment(NamedTuple):
    """One line of the ledger: a worker was `born`, `up` or about to die (`dies`) at this monotonic instant."""

    worker: str
    event: str
    at_ns: int


class WorkerSetAgent(AgentProcess):
    """agentd with the workers `name=script,…` beside a control plane.

    `prefix` are words before the command (`nice -n 19`); unless `ready`, a start only waits until the agent answers, for one
    with workers that never are.
    """

    def __init__(
        self,
        folder: Path,
        workers: str,
        *,
        flags: dict[str, str] | None = None,
        quick: bool = True,
        prefix: tuple[str, ...] = (),
        module: str = "fakes.worker_set",
        variables: dict[str, str] | None = None,
        ready: bool = True,
    ) -> None:
        self._waits_ready = ready
        self.orders = folder / "orders"
        self.orders.mkdir()
        environment = {VARIABLE: f"{WITHOUT_HOST},{workers}", FOLDER_VARIABLE: str(self.orders), **(variables or {})}
        assignments = [f"{name}={value}" for name, value in environment.items()]
        program = (*prefix, "env", "-C", str(TESTS_FOLDER), *assignments, sys.executable, "-m", module)
        super().__init__(folder, flags=flags, quick=quick, program=program)

    def __enter__(self) -> Self:
        self.start(ready=self._waits_ready)
        if not self._waits_ready:
            wait_until(self.answers, f"the agent answers; it says:\n{self.output}")
            self.note_processes()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            super().__exit__(kind, *rest)
            if kind is None:
                self.assert_no_marked_process_left()
        finally:
            # What a failed test has left behind, grandchildren included, bears the mark and goes with it.
            for stray in self.marked():
                with suppress(psutil.NoSuchProcess):
                    stray.send_signal(signal.SIGKILL)

    def answers(self) -> bool:
        """Whether the control socket answers, ready or not."""
        with suppress(OSError, ValueError):
            return bool(self.call("hello"))
        return False

    def order(self, worker: str, text: str) -> None:
        """Have a worker that is up do something (`fakes.order`); it is on its way when this returns."""
        fifo = os.open(self.orders / fifo_name(worker), os.O_WRONLY | os.O_NONBLOCK)
        os.write(fifo, text.encode() + b"\n")
        os.close(fifo)

    def spare(self, worker: str) -> None:
        """From its next start on, a worker that dies stays alive."""
        (self.orders / f"{worker}.spared").touch()

    def ledger(self, worker: str) -> list[Moment]:
        """What a worker has written of its lives so far."""
        path = self.orders / "ledger"
        lines = path.read_text().splitlines() if path.exists() else []
        moments = [Moment(name, event, int(at)) for name, event, at in (line.rsplit(" ", 2) for line in lines)]
        return [moment for moment in moments if moment.worker == worker]

    def marked(self) -> list[psutil.Process]:
        """Every living process of this agent, wherever it has gone: all inherit the folder of orders in their environment."""
        found = []
        for pid in processes_with(f"{FOLDER_VARIABLE}={self.orders}"):
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
        return found

    def grandchildren(self) -> list[psutil.Process]:
        """The processes that workers have started."""
        return [each for each in self.marked() if _name(each) == "sleep"]

    def assert_no_marked_process_left(self, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Not one process is left, also of those that nobody knew by their parent."""
        wait_until(lambda: not self.marked(), f"no process is left, not {self.marked()}", seconds=seconds)


def _name(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return str(process.name())
    return ""
