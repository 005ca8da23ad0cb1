"""An agent of a checkout in a folder of its own: started, asked for its pods, measured process by process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from harness.control_connection import call
from harness.proc import cpu_ns, memory
from harness.waiting import wait_until
from msgspec import Struct

HERE = Path(__file__).resolve().parents[3]
SETTLE_SECONDS = 60.0
# `agentd` itself, and its child that all others are forked from.
SUPERVISOR, FORK_SERVER, KEEPER = "supervisor", "fork-server", "keeper"
_ENTRY = "import sys; sys.path[:0] = [{root!r}]; from agent.daemon.main import main; main()"


class Cost(Struct, frozen=True):
    """What a process cost in a stretch of time: percent of a core; PSS and what is its own alone, at the end."""

    cpu_percent: float
    pss_mib: float
    private_mib: float


class Agent(Struct, frozen=True):
    """One that runs. `pid` is the supervisor's."""

    folder: Path
    pid: int

    @property
    def is_ready(self) -> bool:
        """What it says of itself."""
        with suppress(OSError, ValueError):
            return bool(call(self.folder / "control.sock", "ready")["ready"])
        return False

    @property
    def pods(self) -> int:
        """How many pods it knows by name."""
        with suppress(OSError, ValueError):
            rows = call(self.folder / "control.sock", "list-pods")["pods"]
            return sum(row["kind"] == "pod" and row["name"] is not None for row in rows)
        return 0

    def processes(self) -> dict[int, str]:
        """Its living processes by what each is."""
        root = psutil.Process(self.pid)
        names = {self.pid: SUPERVISOR}
        for each in root.children(recursive=True):
            # What looks at the host for the first lines ends by itself; what is asked to run is no part of the agent.
            with suppress(psutil.NoSuchProcess):
                words = each.cmdline()
                if words[:1] == ["sleep"]:
                    continue
                is_named = words[1:2] == ["evergauge"]
                # What a worker has started, such as a collector of GPUs, names itself too.
                own = each.name() if each.name().startswith("eg~") else FORK_SERVER if each.ppid() == self.pid else "other"
                # Parent of the workloads, which are no part of the agent.
                is_keeper = any("workers.keeper.main" in word for word in words)
                names[each.pid] = words[2] if is_named else KEEPER if is_keeper else own
        return names


@contextmanager
def agent(
    folder: Path, flags: Mapping[str, str], base: Path = HERE, *, variables: Mapping[str, str] | None = None, entry: str = _ENTRY
) -> Iterator[Agent]:
    """A default agent, but for its folders, its port (a machine may run another one), these flags and variables."""
    folder.mkdir()
    own = {"--state-dir": str(folder), "--runtime-dir": str(folder), "--gateway-port": "0", **flags}
    command = [sys.executable, "-c", entry.format(root=str(base)), *(word for pair in own.items() for word in pair)]
    environment = {**os.environ, **(variables or {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder, env=environment)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        # A busy machine: it says after two seconds that it is not ready yet.
        assert "ready after" in first, f"the agent did not start: {first}"
        one = Agent(folder, process.pid)
        wait_until(lambda: one.is_ready, "the agent is ready", seconds=SETTLE_SECONDS)
        yield one
    finally:
        process.terminate()
        process.communicate(timeout=20)


def wait_settled(one: Agent, pods: int) -> None:
    """Until it knows the pods, and what a start leaves behind is over."""
    wait_until(lambda: one.pods >= pods, f"{pods} pods are known", seconds=SETTLE_SECONDS, pause_seconds=0.2)
    wait_until(lambda: "other" not in one.processes().values(), "the look at the host is over", seconds=SETTLE_SECONDS)


@contextmanager
def a_workload(one: Agent) -> Iterator[None]:
    """While a program runs that the agent keeps. At the end neither it nor its keeper is left."""
    socket = one.folder / "control.sock"
    pid = call(socket, "run-workload", workload={"name": "bench", "argv": ["sleep", "100000"]})["pid"]
    (keeper,) = (pid for pid, name in one.processes().items() if name == KEEPER)
    try:
        yield
    finally:
        call(socket, "stop-workload", name="bench")
        wait_until(lambda: not psutil.pid_exists(pid), "the workload has ended")
        with suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGKILL)


def costs(one: Agent, seconds: float) -> dict[str, Cost]:
    """Each process over a stretch of time, by name; the fork server's children come after it."""
    names = one.processes()
    before = {pid: cpu_ns(pid) for pid in names}
    began_ns = time.monotonic_ns()
    time.sleep(seconds)
    elapsed_ns = time.monotonic_ns() - began_ns
    found: dict[str, Cost] = {}
    for pid, name in names.items():
        # A sealer may have come and gone.
        with suppress(OSError):
            held = memory(pid)
            percent = 100 * (cpu_ns(pid) - before[pid]) / elapsed_ns
            found[name] = Cost(percent, held.pss_bytes / 2**20, held.private_bytes / 2**20)
    return found


def total(found: Mapping[str, Cost]) -> Cost:
    """Of all processes."""
    every = found.values()
    return Cost(
        sum(each.cpu_percent for each in every), sum(each.pss_mib for each in every), sum(each.private_mib for each in every)
    )


def list_workers_ms(one: Agent) -> float:
    """Wall milliseconds of the whole command."""
    entry = f"import sys; sys.path[:0] = [{str(HERE)!r}]; from evergauge import agentctl; agentctl()"
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", entry, "--runtime-dir", str(one.folder), "list-workers"], check=True, capture_output=True)
    return (time.perf_counter() - begun) * 1e3


def as_json(document: object) -> str:
    """For people and programs."""
    return json.dumps(document, indent=2)
