"""What happens to the agent: one thing at a time, drawn from a seed, with a note of who was hit and when."""

import random
import signal
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from harness.control_connection import Refused
from harness.proc import children_of, is_stopped, signal_child, stat_of

from soaking.agent_under_test import AgentUnderTest

RULES_MAX = 50
RULE_CHANGE_CHANCE = 0.3
# How often each thing happens, as against the others. A new fork server begins to grow from zero, so it dies seldom:
# some three times in ten thousand kills. `--supervisor` adds the last.
CHANCES = {"one": 60.0, "two": 15.0, "all": 6.0, "spare": 3.0, "restart": 6.0, "hang": 2.0, "fork server": 0.03}
SUPERVISOR_CHANCE = 2.0
# By our hand or the supervisor's; as told; along with the fork server, whose word is missing then. Everything else is a defect
# that chaos has brought out.
GOOD_EXITS = ("SIGKILL", "done (0)", "unknown")

Rows = dict[str, dict[str, Any]]
Generation = tuple[str, int]


class Chaos:
    """`step` lets one thing happen. What the agent's log says of it is matched by `follow`.

    `kills` counts the processes that were ended, by the cause; `took_ms` is the time from there to a successor that is ready.
    """

    def __init__(self, agent_under_test: AgentUnderTest, rng: random.Random, *, with_supervisor: bool) -> None:
        self._agent = agent_under_test
        self._actions = (agent_under_test.folder / "actions").open("w", buffering=1)
        self._rng = rng
        chances = CHANCES | ({"supervisor": SUPERVISOR_CHANCE} if with_supervisor else {})
        self._chances = chances
        self._rules: set[str] = set()
        # Who was hit last, when, and how: until a later generation is ready.
        self._open: dict[str, tuple[int, str, float]] = {}
        self._stopped: dict[Generation, int] = {}
        self.kills: Counter[str] = Counter()
        self.rule_changes = 0
        self.took_ms: dict[str, list[float]] = {}
        self.hangs_seen = 0
        self.false_kills: list[str] = []
        # Workers that used more than their limit, with what was done about it.
        self.degradations: list[str] = []
        self.exits: Counter[str] = Counter()
        self.bugs: list[str] = []

    @property
    def killed(self) -> int:
        """All processes that were ended."""
        return self.kills.total()

    # ---- what happens ----------------------------------------------------------------------------

    def step(self) -> None:
        """One thing, and now and then a change of the rules."""
        what = self._draw()
        rows = self._agent.workers()
        # Anyone who was stopped is left to be found out, unless a thing takes all along.
        names = sorted(set(rows) - set(self.stopped(rows)))
        match what:
            case "one" | "two" | "all":
                count = {"one": 1, "two": 2, "all": len(names)}[what]
                for name in self._rng.sample(names, min(count, len(names))):
                    self._hit(rows, name, what, signal.SIGKILL)
            case "hang":
                self._stop_one(rows, [name for name in names if rows[name]["state"] == "up"])
            case "restart" if names:
                self._restart(rows, self._rng.choice(names))
            case "spare":
                self._kill_spare(rows)
            case "fork server":
                self._kill_fork_server(rows)
            case "supervisor":
                self._kill_supervisor()
        self.change_rules()

    def _draw(self) -> str:
        """By their chances; but what has hit nobody yet comes every other time, so that the shortest run has seen everything.

        A thing may find nobody to hit: there is not always a spare, and a stopped worker is left alone.
        """
        unseen = [what for what in self._chances if not self.kills[what]]
        if unseen and self._rng.random() < 0.5:
            return self._rng.choice(unseen)
        (what,) = self._rng.choices(list(self._chances), list(self._chances.values()))
        return what

    def change_rules(self) -> None:
        """Now and then one more rule, or one less."""
        if self._rng.random() > RULE_CHANGE_CHANCE:
            return
        name = f"soak-{self._rng.randrange(RULES_MAX)}"
        if name in self._rules and self._rng.random() < 0.5:
            self._agent.call("remove-rule", name=name)
            self._rules.discard(name)
        else:
            self._agent.call("add-rule", rule={"name": name, "priority": self._rng.randrange(1000)})
            self._rules.add(name)
        self.rule_changes += 1

    def stopped(self, rows: Rows) -> list[str]:
        """Who of these was stopped, and still is: one that was found to hang is let go on for a moment, to write its stacks, and
        when the supervisor dies in this moment it simply lives on."""
        return [name for (name, _epoch), pid in self._stopped.items() if rows[name]["pid"] == pid and is_stopped(pid)]

    def rules_kept(self) -> bool:
        """Whether the agent has exactly the rules that it was told."""
        return {rule["name"] for rule in self._agent.call("list-rules")["rules"]} == self._rules

    # ---- what the agent says of it -----------------------------------------------------------------

    def follow(self) -> None:
        """Read what the agent has logged since, and match it with what was done."""
        for event in self._agent.read_events():
            match event["event"]:
                case "worker_up":
                    self._on_up(event)
                case "degradation_step" | "restarted_over_limit":
                    self.degradations.append(f"{event['worker']} {event.get('to', 'restarted')} at {event['at']}")
                case "worker_hung" | "worker_not_ready":
                    self._on_hung(event)
                case "worker_died" | "worker_stopped":
                    self._on_exit(event)

    def _on_up(self, event: dict[str, Any]) -> None:
        epoch, cause, at = self._open.get(event["worker"], (event["epoch"], "", 0.0))
        if event["epoch"] > epoch:
            del self._open[event["worker"]]
            # The log's time is in whole milliseconds, cut off.
            self.took_ms.setdefault(cause, []).append((_unix_seconds(event["at"]) - at) * 1e3)

    def _on_hung(self, event: dict[str, Any]) -> None:
        if (event["worker"], event["epoch"]) in self._stopped:
            self.hangs_seen += 1
        else:
            self.false_kills.append(f"{event['event']} {event['worker']} epoch {event['epoch']} at {event['at']}")

    def _on_exit(self, event: dict[str, Any]) -> None:
        self.exits[event["exit"]] += 1
        if event["exit"] not in GOOD_EXITS and not self._is_cpythons_own(event):
            self.bugs.append(f"{event['worker']} epoch {event['epoch']}: {event['exit']}: {event.get('stderr_tail', '')}")

    # ---- parts -----------------------------------------------------------------------------------

    def _is_cpythons_own(self, event: dict[str, Any]) -> bool:
        """Whether CPython crashed when a hung worker was asked for its stacks: 3.11 does so at about one of 1,400 requests."""
        is_asked = event.get("reason") == "hung" and (event["worker"], event["epoch"]) in self._stopped
        return is_asked and event["exit"] == "SIGSEGV"

    def _hit(self, rows: Rows, name: str, cause: str, number: int) -> None:
        row, server = rows[name], self._agent.server_of(rows)
        # Before the signal: a successor may be ready before this process runs again.
        at = time.time()
        if row["pid"] is None or server is None or not signal_child(row["pid"], server, number):
            return
        if number == signal.SIGSTOP:
            self._stopped[name, row["epoch"]] = row["pid"]
        self._note(name, row["epoch"], cause, at)
        self.kills[cause] += 1

    def close(self) -> None:
        """Nothing more happens."""
        self._actions.close()

    def _note(self, name: str, epoch: int, cause: str, at: float) -> None:
        self._open[name] = (epoch, cause, at)
        # For anyone who reads the agent's log beside it, to see which death was whose.
        self._actions.write(f"{datetime.fromtimestamp(at, UTC).isoformat()} {cause} {name} epoch {epoch}\n")

    def _stop_one(self, rows: Rows, names: list[str]) -> None:
        # One that starts is given its time to start, which is long: ten seconds without a kill.
        if names:
            self._hit(rows, self._rng.choice(names), "hang", signal.SIGSTOP)

    def _restart(self, rows: Rows, name: str) -> None:
        # Refused: it has just been stopped for another reason.
        with suppress(Refused):
            at = time.time()
            self._agent.call("restart-worker", name=name)
            self._note(name, rows[name]["epoch"], "restart", at)
            self.kills["restart"] += 1

    def _kill_spare(self, rows: Rows) -> None:
        """The process in reserve, or one that is on its way to be a worker."""
        server, known = self._agent.server_of(rows), {row["pid"] for row in rows.values()}
        if server is not None:
            for pid in [pid for pid in children_of(server) if pid not in known][:1]:
                self.kills["spare"] += signal_child(pid, server, signal.SIGKILL)

    def _kill_fork_server(self, rows: Rows) -> None:
        server = self._agent.server_of(rows)
        found = None if server is None else stat_of(server)
        at = time.time()
        # One that was taken over is not the supervisor's child.
        if server is not None and found is not None and signal_child(server, found.parent, signal.SIGKILL):
            self.kills["fork server"] += 1
            for name, row in rows.items():
                self._note(name, row["epoch"], "fork server", at)

    def _kill_supervisor(self) -> None:
        self._note("supervisor", 0, "supervisor", time.time())
        took_ms = self._agent.kill_supervisor()
        self.kills["supervisor"] += 1
        self.took_ms.setdefault("supervisor answers", []).append(took_ms)
        # Their events would mix with the supervisor's and are not passed on.
        self._open.clear()


def _unix_seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
