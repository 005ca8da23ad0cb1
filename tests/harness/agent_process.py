"""A real agent in a private folder: started, asked, killed in parts, ended; nothing else on the machine is touched."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
from harness.control_connection import call
from harness.waiting import DEADLINE_SECONDS, SLOWNESS, NotInTime, wait_until

from supervisor.shell.takeover_record import read_takeover_record


def slowed(milliseconds: float) -> str:
    """A time as a setting: so long on a usual host, longer in a guest, where everything takes longer."""
    return f"{round(milliseconds * SLOWNESS)}ms"


# Short enough that a test of hundreds of ticks takes seconds; every time is a setting of the agent's own.
QUICK = {
    "--gateway-port": "0",
    "--sampler-process-interval": slowed(50),
    "--supervisor-heartbeat-interval": slowed(100),
    "--supervisor-hang-timeout": slowed(600),
    "--control-plane-interval": slowed(200),
    "--writer-sync-interval": slowed(100),
}
# What a test leaves as it is by default is longer too, where everything is.
DEFAULTS = {} if SLOWNESS == 1 else {"--supervisor-start-timeout": slowed(10_000), "--supervisor-stop-timeout": slowed(1_500)}

# For what an agent stores and seals at its end: a machine with other tests on it may take longer than the usual 1.5 s.
UNHURRIED = {"--supervisor-stop-timeout": slowed(20_000)}

# Every agent that a test has started and not yet seen ended.
_STARTED: "set[AgentProcess]" = set()


def end_strays() -> None:
    """Kill what a failed test has left behind; called after each test, so that the machine is as it was."""
    for agent in list(_STARTED):
        assert agent.process is not None
        if agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait(DEADLINE_SECONDS)
        _STARTED.discard(agent)


class AgentProcess:
    """One agentd. Use it as a context: leaving it ends the agent and asserts that nothing is left behind."""

    def __init__(
        self,
        folder: Path,
        *,
        flags: dict[str, str] | None = None,
        quick: bool = True,
        program: tuple[str, ...] = (sys.executable, "-c", "from agent.daemon.main import main; main()"),
        failpoints: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        # The folder in which files arm failpoints.
        self._failpoints = failpoints
        # Variables beside the usual ones.
        self._variables = environment or {}
        self._program = program
        self.state_dir = folder / "state"
        self.runtime_dir = folder / "run"
        self._flags = {**DEFAULTS, **(QUICK if quick else {"--gateway-port": "0"}), **(flags or {})}
        self.process: subprocess.Popen[str] | None = None
        self.seen: set[psutil.Process] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        self.end()
        if kind is None:
            self.assert_nothing_left()

    @property
    def output(self) -> str:
        """What the agent has written so far."""
        return (self.folder / "output").read_text(errors="replace")

    def command_line(self, *more: str) -> list[str]:
        """How this agent is started."""
        words = list(self._program)
        flags = {"--state-dir": str(self.state_dir), "--runtime-dir": str(self.runtime_dir), **self._flags}
        return words + [word for flag, value in flags.items() for word in (flag, value)] + list(more)

    def start(self, *more: str, ready: bool = True) -> None:
        """Start and (by default) wait until it is ready."""
        with (self.folder / "output").open("a") as output:
            # A session of its own, as a terminal would give it: signals to the group reach the agent alone.
            self.process = subprocess.Popen(
                self.command_line(*more),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
                # Python looks for modules where it is started: not where somebody happens to be.
                cwd=self.folder,
                env=self._environment(),
            )
        _STARTED.add(self)
        if ready:
            try:
                wait_until(self.is_ready, "the agent is ready")
            except NotInTime as late:
                late.add_note(self.output)
                raise
            self.note_processes()

    def wait_banner(self, found: str) -> None:
        """Until the banner says what was found on this host. It waits 2 s for that, and then says that it did."""
        wait_until(lambda: found in self.output or "the look at this host did not end" in self.output, f"the banner has: {found}")

    def run_as(self, *program: str) -> None:
        """From the next start on it is this program."""
        self._program = program

    def outlive_tests(self) -> None:
        """Run on when a test ends: what made it for several tests ends it."""
        _STARTED.discard(self)

    def is_ready(self) -> bool:
        """Whether it answers and is ready."""
        assert self.process is not None
        assert self.process.poll() is None, f"the agent ended with {self.process.returncode}:\n{self.output}"
        try:
            status = self.call("status")
        except (OSError, ValueError):
            return False
        # A worker's own word that it is up may be quicker than the launcher's, which has its pid.
        return bool(status["ready"]) and all(row["pid"] is not None or row["state"] == "asleep" for row in status["workers"])

    def note_processes(self) -> set[psutil.Process]:
        """Remember every process of the agent, to know later whether one is left."""
        assert self.process is not None
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            self.seen |= {root, *root.children(recursive=True)}
        # A fork server that was taken over is nobody's child here.
        with suppress(psutil.NoSuchProcess):
            if (server := self._recorded_server()) is not None:
                self.seen |= {server, *server.children(recursive=True)}
        return self.seen

    def call(self, operation: str, **arguments: Any) -> Any:
        """The result of one operation on the control socket. *Raises:* Refused; OSError and ValueError without an answer."""
        return call(self.runtime_dir / "control.sock", operation, **arguments)

    def stats(self, worker: str) -> dict[str, Any]:
        """What a worker says of itself. `status` waits 0.3 s for it, which a busy machine may exceed: then it is asked again."""
        found: dict[str, Any] = wait_until(lambda: self.call("status")["stats"].get(worker), f"{worker} tells its counts")
        return found

    def workers(self) -> dict[str, dict[str, Any]]:
        """The rows of list-workers by name, without those that sleep because there is nothing to do for them."""
        rows = {row["name"]: row for row in self.call("list-workers")["workers"] if row["state"] != "asleep"}
        self.note_processes()
        return rows

    def fork_server(self) -> psutil.Process:
        """The parent of all workers; the supervisor's own child, or taken over from a former one."""
        server = self._recorded_server()
        assert server is not None, "no fork server is on record"
        return server

    def spares(self) -> list[psutil.Process]:
        """The processes that wait to become a worker."""
        return [each for each in self.fork_server().children() if _name(each) == "eg:spare"]

    def _recorded_server(self) -> psutil.Process | None:
        record = read_takeover_record(str(self.runtime_dir / "fork" / "takeover-record"))
        if record is None or record.server is None:
            return None
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(record.server.pid)
        return None

    def _environment(self) -> dict[str, str]:
        armed = {} if self._failpoints is None else {"EVERGAUGE_FAILPOINTS": str(self._failpoints)}
        return _environment() | armed | self._variables

    def kill_worker(self, name: str, number: int = signal.SIGKILL) -> dict[str, Any]:
        """Send a signal to a worker that runs; gives its row before."""
        row = wait_until(lambda: row if (row := self.workers()[name])["pid"] is not None else None, f"{name} has a process")
        os.kill(row["pid"], number)
        return row

    def wait_for_replacement(self, before: dict[str, Any], *, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """The row of the next generation, up and in sync."""

        def replaced() -> dict[str, Any] | None:
            row = self.workers()[before["name"]]
            is_up = row["state"] == "up" and row["in_sync"] and row["pid"] is not None
            return row if is_up and row["epoch"] > before["epoch"] else None

        row: dict[str, Any] = wait_until(replaced, f"{before['name']} is replaced", seconds=seconds)
        return row

    def wait_sealed(self, table: str) -> list[Path]:
        """Seal until a table has files; those files. A worker that is up may not have stored anything yet."""

        def files() -> list[Path]:
            self.call("rotate")
            return sorted((self.state_dir / "data" / table).glob("date=*/*.parquet"))

        return wait_until(files, f"a file of {table}", pause_seconds=0.1)

    def end(self, number: int = signal.SIGTERM, *, seconds: float = DEADLINE_SECONDS) -> int:
        """End the agent by a signal and give its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.note_processes()
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def assert_nothing_left(self, *, seconds: float = 10.0 * SLOWNESS) -> None:
        """No process, no socket of this agent remains. The time is for one that was killed while the disk flushed its file."""
        wait_until(lambda: not self.living(), f"all processes are gone, not {self.living()}", seconds=seconds)
        sockets = [path.name for path in self.runtime_dir.rglob("*") if path.is_socket()]
        assert sockets == [], sockets

    def living(self) -> list[psutil.Process]:
        """The processes of this agent that still are (psutil knows a reused number from the process it was)."""
        return [each for each in self.seen if each.is_running() and _state(each) not in (psutil.STATUS_ZOMBIE, "gone")]


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return "gone"


def _state(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return "gone"


def run_agentd(
    *arguments: str, seconds: float = 45.0 * SLOWNESS, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """An agentd that is expected to end by itself, with these variables beside the usual ones."""
    command = [sys.executable, "-c", "from agent.daemon.main import main; main()", *arguments]
    variables = {**_environment(), **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=variables, check=False)


def run_agentctl(*arguments: str, seconds: float = DEADLINE_SECONDS, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """One agentctl command as a process."""
    command = [sys.executable, "-c", "from agent.cli.main import main; raise SystemExit(main())", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=_environment(), input=text, check=False)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("EVERGAUGE_")}
