"""evergauge: its supervisor with the tiny child below it, like all others, or with workers of its own that hold rules."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from harness.control_connection import ControlConnection

from agent.model.rule import Action, GroupRule, Match
from supervisor.core.rulebook import Rulebook, encode_rulebook
from supervisors.child_starts import ChildStart, read_lines
from supervisors.rival import END_SECONDS, Bench, Rival, Variant

BENCH_FOLDER = Path(__file__).parents[1]


class Agent(Rival):
    """`is_own`: with workers of its own, which are ready when they hold the rules; else with the tiny child."""

    def __init__(self, bench: Bench, count: int, *, is_own: bool = False, rules: int = 0, flags: tuple[str, ...] = ()) -> None:
        super().__init__(bench, "a", count)
        self._is_own = is_own
        self._rules = rules
        self._flags = flags
        self._log = -1
        self._rest = bytearray()
        self._control: ControlConnection | None = None
        self.events: list[dict[str, Any]] = []
        # Replacements that were up and did not hold the rules.
        self.unsynchronised = 0
        self._digest = ""
        self.state_dir = self.folder / "state"
        self.runtime_dir = self.folder / "run"

    def prepare(self) -> None:
        """The rules lie in its state folder, as an agent that ran before has left them."""
        self.state_dir.mkdir()
        (self.state_dir / "rules.json").write_bytes(encode_rulebook(Rulebook(self._rules, make_rules(self._rules))))

    def program(self) -> list[str]:
        """What is executed."""
        return [sys.executable, "-m", "supervisors.own_workers"]

    def command_line(self) -> list[str]:
        """agentd's own arguments: all at its defaults, except its folders and how long a silent child may take to be ready."""
        # The tiny child never says that it is ready.
        patience = () if self._is_own else ("--supervisor-start-timeout", "10m")
        folders = ("--state-dir", str(self.state_dir), "--runtime-dir", str(self.runtime_dir))
        return [*self.program(), *folders, "--gateway-port", "0", "--log-format", "json", *patience, *self._flags]

    def environment(self) -> dict[str, str]:
        """What the workers are, and where these modules are."""
        what = "own" if self._is_own else "tiny"
        return {"BENCH_WORKERS": f"{self.label} {self.count} {what}", "BENCH_CHILD": self.child, "PYTHONPATH": str(BENCH_FOLDER)}

    def launch(self) -> None:
        """Its log comes through a pipe."""
        read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read, False)
        self.stderr = write
        super().launch()
        os.close(write)
        self._log = read
        self._rest.clear()
        self.bench.starts.read_also(read, self._read_log)

    def stop(self) -> None:
        """Stop cleanly; what is left after that is killed."""
        if self.process is None:
            return
        self.close_log()
        self.process.send_signal(signal.SIGTERM)
        end_at = time.monotonic() + END_SECONDS
        while self.process.poll() is None and time.monotonic() < end_at:
            time.sleep(0.01)
        super().stop()

    def close_log(self) -> None:
        """Listen no more: it has ended, or is about to."""
        if self._log >= 0:
            self.bench.starts.read_no_more(self._log)
            os.close(self._log)
            self._log = -1
        if self._control is not None:
            self._control.close()
            self._control = None

    def call(self, operation: str, **arguments: Any) -> Any:
        """One operation on the control socket."""
        if self._control is None:
            self._control = ControlConnection(self.runtime_dir / "control.sock")
        return self._control.call(operation, **arguments)

    def on_restarted(self, start: ChildStart) -> None:
        """Forgiven, as after a stable period; one of its own must hold the rules, by the digest it acknowledged itself."""
        self.call("reset-worker", name=start.name)
        if self._is_own:
            (row,) = [row for row in self.call("list-workers")["workers"] if row["name"] == start.name]
            # Asked once: ten thousand rules are a long answer, and they do not change.
            self._digest = self._digest or self.call("list-rules")["digest"]
            self.unsynchronised += not (row["in_sync"] and row["rules_digest"] == self._digest and row["pid"] == start.pid)

    def status_command(self) -> list[str]:
        """As it is installed."""
        return [str(Path(sys.executable).with_name("agentctl")), "--runtime-dir", str(self.runtime_dir), "list-workers"]

    def _read_log(self) -> list[ChildStart]:
        now_ns = time.monotonic_ns()
        found = []
        for line in read_lines(self._log, self._rest):
            event = json.loads(line)
            event["at_ns"] = now_ns
            self.events.append(event)
            if event["event"] == "worker_up" and self._is_own:
                found.append(ChildStart(event["worker"], event["pid"], now_ns))
        return found


def make_rules(count: int) -> tuple[GroupRule, ...]:
    """Rules as an operator writes them, each with a namespace, a label and a shared group."""
    return tuple(
        GroupRule(
            f"rule-{number:05}",
            number % 100,
            Match(f"team-{number}-*", labels={"app": f"app-{number}"}),
            Action("shared", f"group-{number % 100}"),
        )
        for number in range(count)
    )


# A process waits in reserve; the one that was used is replaced when the supervisor looks at its workers, four times a second.
# So a single death in quiet times comes at least one look after the last, at any moment between two.
LOOKED_AT = (0.27, 0.52)
VARIANTS = (
    Variant("evergauge", "", Agent, pause_seconds=LOOKED_AT, side_by_side=3, takes_turns=True),
    Variant(
        "evergauge, nothing in reserve",
        "",
        lambda bench, count: Agent(bench, count, flags=("--supervisor-spare-workers", "0")),
    ),
)


def bare_python() -> list[str]:
    """The least that a command in Python takes."""
    return [sys.executable, "-c", "pass"]
