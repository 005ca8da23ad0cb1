"""A random story of rules and of processes that die, hang and come back, told to a real agent and to a plain dict."""

import os
import random
import signal
from contextlib import suppress
from typing import Any

import psutil
from fakes.drifting_worker import WAYS
from fakes.worker_set_agent import WorkerSetAgent
from harness.control_connection import ControlConnection
from harness.waiting import wait_until

from agent.model.rule import GroupRule
from supervisor.core.rulebook import decode_rulebook

RULE_NAMES = [f"r{number}" for number in range(6)]
# Two patiences with a hung worker, a traceback, a start, and all of it on a machine with other things to do.
QUIET_SECONDS = 20.0
# What happens, and how often as against the rest.
CHANCES = {
    "add": 8,
    "remove": 4,
    "publish": 2,
    "kill": 6,
    "stop": 3,
    "go_on": 3,
    "restart": 3,
    "drift": 4,
    "kill_standby": 2,
    "kill_fork_server": 1,
    "kill_supervisor": 2,
}


class ProcessStory:
    """Everything that happens is drawn from `rng`, and printed; `model` is what clients were told."""

    def __init__(self, agent: WorkerSetAgent, rng: random.Random, *, drifting: str) -> None:
        self._agent = agent
        self._rng = rng
        self._drifting = drifting
        self._names = sorted(agent.workers())
        self.model: dict[str, int] = {}

    def step(self, what: str | None = None) -> None:
        """Let one thing happen, this one or any."""
        if what is None:
            (what,) = self._rng.choices(list(CHANCES), list(CHANCES.values()))
        told = getattr(self, f"_{what}")()
        print(what, told)

    def assert_all_agree(self) -> None:
        """When nothing more happens each worker is up and says itself that it holds what clients were told; so it is listed."""
        wait_until(lambda: not self._disagreement(), f"all agree, not {self._disagreement()}", seconds=QUIET_SECONDS)
        assert self._listed() == self._durable() == self.model

    # ---- what happens ----------------------------------------------------------------------------

    def _add(self) -> str:
        name, priority = self._rng.choice(RULE_NAMES), self._rng.randrange(3)
        self._agent.call("add-rule", rule={"name": name, "priority": priority})
        self.model[name] = priority
        assert self._durable() == self.model, "answered, and not on the disk"
        return f"{name} {priority}"

    def _remove(self) -> str:
        name = self._rng.choice(RULE_NAMES)
        refusal = ""
        try:
            self._agent.call("remove-rule", name=name)
        except RuntimeError as refused:
            refusal = str(refused)
        assert (self.model.pop(name, None) is None) == bool(refusal), f"{name}: {refusal or 'it was not there, and was removed'}"
        assert self._durable() == self.model, "answered, and not on the disk"
        return name

    def _publish(self) -> str:
        count = self._rng.randrange(1, 100)
        # OSError: nobody hears the order, for the control plane is not up.
        with suppress(OSError):
            self._agent.order("control-plane", f"publish {count} 3")
        return str(count)

    def _kill(self) -> str:
        chosen = self._rng.sample(self._names, self._rng.choice([1, 1, 2, len(self._names)]))
        return self._send(signal.SIGKILL, chosen)

    def _stop(self) -> str:
        return self._send(signal.SIGSTOP, [self._rng.choice(self._names)])

    def _go_on(self) -> str:
        return self._send(signal.SIGCONT, self._names)

    def _restart(self) -> str:
        name = self._rng.choice(self._names)
        self._agent.call("restart-worker", name=name)
        return name

    def _drift(self) -> str:
        how = self._rng.choice(WAYS)
        with suppress(OSError):
            self._agent.order(self._drifting, f"drift {how}")
        return how

    def _kill_standby(self) -> str:
        """The process in reserve, or one that is about to be a worker."""
        rows = self._agent.workers()
        server, known = self._fork_server(rows), {row["pid"] for row in rows.values()}
        standby = [] if server is None else [child for child in server.children() if child.pid not in known]
        for child in standby:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return str(len(standby))

    def _kill_fork_server(self) -> str:
        server = self._fork_server(self._agent.workers())
        if server is not None:
            server.kill()
        return "" if server else "and there is none"

    def _kill_supervisor(self) -> str:
        """With a change on its way to it, which may take effect or not; the next one begins at once, or when all are gone."""
        name = self._rng.choice(RULE_NAMES)
        is_at_once = self._rng.random() < 0.7
        with ControlConnection(self._agent.runtime_dir / "control.sock") as client:
            client.request("add-rule", rule={"name": name, "priority": 9})
            self._agent.end(signal.SIGKILL)
        if not is_at_once:
            wait_until(lambda: not self._agent.living(), "all of them are gone")
        self._agent.start(ready=False)
        wait_until(self._agent.answers, f"the next one answers; it says:\n{self._agent.output}")
        asked = {**self.model, name: 9}
        listed = self._listed()
        assert listed in (self.model, asked), f"{listed} is neither {self.model} nor {asked}"
        self.model = listed
        return f"{name} 9 {'at once' if is_at_once else 'later'}"

    # ---- parts -----------------------------------------------------------------------------------

    def _send(self, number: int, names: list[str]) -> str:
        rows: dict[str, dict[str, Any]] = self._agent.workers()
        for name in names:
            if rows[name]["pid"] is not None:
                with suppress(ProcessLookupError):
                    os.kill(rows[name]["pid"], number)
        return " ".join(names)

    def _fork_server(self, rows: dict[str, dict[str, Any]]) -> psutil.Process | None:
        """The parent of the workers: not the supervisor's child where that took it over; None when nobody lives."""
        assert self._agent.process is not None
        # A worker that dies with its fork server has another parent for a moment, which may be anybody.
        servers = {each.pid: each for each in self._agent.marked() if each.pid != self._agent.process.pid}
        for row in rows.values():
            if row["pid"] is not None:
                with suppress(psutil.NoSuchProcess):
                    return servers.get(psutil.Process(row["pid"]).ppid())
        return None

    def _listed(self) -> dict[str, int]:
        return self._by_name(self._agent.call("list-rules")["rules"])

    def _durable(self) -> dict[str, int]:
        path = self._agent.state_dir / "rules.json"
        rules: tuple[GroupRule, ...] = decode_rulebook(path.read_bytes()).rules if path.exists() else ()
        return {rule.name: rule.priority for rule in rules}

    def _disagreement(self) -> str:
        """Who does not hold what it should, by its own word; empty: nobody."""
        digest = self._agent.call("list-rules")["digest"]
        for name in self._names:
            try:
                held = self._agent.call("worker-state", name=name)
            except RuntimeError as refused:
                return str(refused)
            if (held["digest"], self._by_name(held["rules"])) != (digest, self.model):
                return f"{name} holds {held}, and clients were told {self.model}"
        # Last: one that hung and goes on for a moment, to write its stacks, answers also.
        rows = self._agent.workers().values()
        return ", ".join(row["name"] for row in rows if (row["state"], row["rules_digest"], row["in_sync"]) != ("up", digest, True))

    def _by_name(self, rules: list[dict[str, Any]]) -> dict[str, int]:
        return {rule["name"]: rule["priority"] for rule in rules}
