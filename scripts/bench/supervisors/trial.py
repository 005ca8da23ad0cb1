"""One trial: evergauge's supervisor is killed once or several times in a row, and what is left is checked."""

import json
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from harness import proc

from supervisors.agentd import READY_SECONDS, WORKERS, RealAgent
from supervisors.child_starts import SupervisorFailed
from supervisors.rival import Bench

SETTLED_SECONDS = 1.0
# When the first kill comes: the agent is at its work, between two samples, looks, beats.
BEFORE_SECONDS = (0.0, 0.5)
# The next start by a service manager, which waits 100 ms by default.
RESTART_SECONDS = (0.0, 0.1)
# When a further kill comes: the new one starts, takes over, answers, works.
DURING_START_SECONDS = (0.0, 0.5)
FURTHER_SHARE = 0.5
# How long a rule that is on its way is left before the kill.
IN_FLIGHT_SECONDS = (0.0, 0.02)
LOOK_SECONDS = 0.003
NAME_BYTES = 15


@dataclass(slots=True)
class Outcome:
    """What all trials gave together."""

    kills: int = 0
    trials: int = 0
    adopted: int = 0
    gone: int = 0
    lingering: int = 0
    doubles: int = 0
    looks: int = 0
    rules: int = 0
    rules_lost: int = 0
    late: int = 0
    answered_ms: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)


def run_trial(bench: Bench, agent: RealAgent, outcome: Outcome, *, kills_max: int) -> None:
    """Kill, start again, perhaps kill that one too; a second after the last start everything is looked at."""
    outcome.trials += 1
    _watch(bench, outcome, bench.rng.uniform(*BEFORE_SECONDS))
    _add_rule(agent, outcome)
    former: dict[int, str] = {}
    kills = 0
    while True:
        former |= _workers()
        _kill_with_a_rule_on_its_way(bench, agent, outcome)
        kills += 1
        _watch(bench, outcome, bench.rng.uniform(*RESTART_SECONDS))
        agent.launch()
        started_at_ns = time.monotonic_ns()
        if kills == kills_max or bench.rng.random() > FURTHER_SHARE:
            break
        _watch(bench, outcome, bench.rng.uniform(*DURING_START_SECONDS))
    outcome.kills += kills
    _follow(bench, agent, outcome, started_at_ns)
    _judge(agent, outcome, former)


def _add_rule(agent: RealAgent, outcome: Outcome) -> None:
    """One whose answer is waited for; the kill comes a moment later."""
    client = agent.connect()
    if client is None:
        raise SupervisorFailed("the agent does not answer")
    name = f"before-{outcome.kills:05}"
    client.call("add-rule", rule={"name": name})
    client.close()
    outcome.acknowledged.add(name)
    outcome.rules += 1


def _kill_with_a_rule_on_its_way(bench: Bench, agent: RealAgent, outcome: Outcome) -> None:
    """A rule whose answer arrived must never be lost, whatever moment of its way the kill came in."""
    name = f"on-its-way-{outcome.kills:05}-{bench.rng.getrandbits(24):06x}"
    client = agent.connect()
    if client is not None:
        client.request("add-rule", rule={"name": name})
        time.sleep(bench.rng.uniform(*IN_FLIGHT_SECONDS))
    agent.close_log()
    assert agent.process is not None
    os.kill(agent.root, signal.SIGKILL)
    agent.process.wait()
    if client is None:
        return
    answer = client.rest()
    client.close()
    if answer.endswith(b"\n") and json.loads(answer)["ok"]:
        outcome.acknowledged.add(name)
        outcome.rules += 1


def _workers() -> dict[int, str]:
    """The agent's workers that live now, by pid."""
    known = {f"eg:{worker}"[:NAME_BYTES]: worker for worker in WORKERS}
    named = {pid: proc.name(pid) for pid in proc.all_pids()}
    return {pid: known[name] for pid, name in named.items() if name in known and proc.is_alive(pid)}


def _watch(bench: Bench, outcome: Outcome, seconds: float) -> None:
    """Let time go by, looking for two workers of one name."""
    until_ns = time.monotonic_ns() + round(seconds * 1e9)
    while True:
        _look(outcome)
        rest_seconds = (until_ns - time.monotonic_ns()) / 1e9
        if rest_seconds <= 0:
            return
        bench.starts.rest(min(LOOK_SECONDS, rest_seconds))


def _look(outcome: Outcome) -> None:
    outcome.looks += 1
    living: dict[str, list[int]] = defaultdict(list)
    for pid, worker in _workers().items():
        living[worker].append(pid)
    for worker, pids in living.items():
        if len(pids) > 1:
            outcome.doubles += 1
            outcome.notes.append(f"after kill {outcome.kills}: {worker} twice, as {pids}")


def _follow(bench: Bench, agent: RealAgent, outcome: Outcome, started_at_ns: int) -> None:
    """Until a second has gone by, and on until all is whole: when it answered, when all workers were up and in sync."""
    answered_ms = whole_ms = None
    while True:
        _watch(bench, outcome, LOOK_SECONDS)
        since_ms = (time.monotonic_ns() - started_at_ns) / 1e6
        if whole_ms is None:
            rows = _rows(agent)
            if rows is not None and answered_ms is None:
                answered_ms = since_ms
            if rows and all(row["state"] == "up" and row["in_sync"] for row in rows):
                whole_ms = since_ms
        if since_ms >= SETTLED_SECONDS * 1000:
            break
    outcome.late += whole_ms is None
    if whole_ms is None:
        outcome.notes.append(f"after kill {outcome.kills}: not all up and in sync a second after the start")
    outcome.answered_ms += [] if answered_ms is None else [answered_ms]
    outcome.whole_ms += [] if whole_ms is None else [whole_ms]


def _rows(agent: RealAgent) -> list[dict[str, Any]] | None:
    client = agent.connect()
    if client is None:
        return None
    try:
        rows: list[dict[str, Any]] = client.call("list-workers")["workers"]
        return rows
    except (OSError, ValueError):
        return None
    finally:
        client.close()


def _judge(agent: RealAgent, outcome: Outcome, former: dict[int, str]) -> None:
    """A second after the start: each worker of before is one of now, or it is gone. Then the rules, when the agent is ready."""
    rows = _rows(agent) or []
    present = {row["pid"]: row["name"] for row in rows}
    for pid, worker in former.items():
        if present.get(pid) == worker:
            outcome.adopted += 1
        elif proc.is_alive(pid):
            outcome.lingering += 1
            outcome.notes.append(f"after kill {outcome.kills}: {worker} {pid} of before lives and is not known")
        else:
            outcome.gone += 1
    agent.wait_ready()
    client = agent.connect()
    if client is None:
        raise SupervisorFailed(f"the agent does not answer within {READY_SECONDS:g} s")
    in_force = {rule["name"] for rule in client.call("list-rules")["rules"]}
    held = {rule["name"] for rule in client.call("worker-state", name="sampler/process")["rules"]}
    client.close()
    # Of the authority, and of the worker by its own word.
    lost = outcome.acknowledged - (in_force & held)
    outcome.rules_lost += len(lost)
    outcome.acknowledged -= lost
