"""How long a worker waited for each of its starts: as the supervisor ordered them, and as the worker itself lived them."""

import itertools
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fakes.worker_set_agent import Moment
from harness.agent_process import AgentProcess

from agent.model.timebase import MS

# The log must be JSON for this.
JSON_LOG = {"--log-format": "json"}


def told_waits_ms(agent: AgentProcess, name: str) -> list[int]:
    """How long the supervisor decided to wait before each start of a worker; a start at once has none."""
    return [line["wait_ms"] for line in _lines(agent, name) if line["event"] == "worker_backoff"]


def delays_ms(agent: AgentProcess, name: str) -> list[float]:
    """From each death of a worker that the supervisor saw to its order to start the next, by the supervisor's log.

    How long the new process takes to be up, which on a busy machine is anything, stands in the log and is taken off.
    """
    ordered_ms: dict[int, float] = {}
    died_ms: dict[int, float] = {}
    for line in _lines(agent, name):
        if line["event"] in ("worker_up", "worker_died"):
            at_ms = datetime.fromisoformat(line["at"]).timestamp() * 1000
            ordered_ms.setdefault(line["epoch"], at_ms - line["took_ms" if line["event"] == "worker_up" else "uptime_ms"])
            if line["event"] == "worker_died":
                died_ms[line["epoch"]] = at_ms
    return [ordered_ms[epoch + 1] - at_ms for epoch, at_ms in died_ms.items() if epoch + 1 in ordered_ms]


def _lines(agent: AgentProcess, name: str) -> Iterator[dict[str, Any]]:
    # The banner is no event, and the last line may be half written.
    lines = (json.loads(line) for line in agent.output.split("\n")[:-1] if line.startswith("{"))
    return (line for line in lines if line.get("worker") == name)


def pauses_ms(moments: list[Moment]) -> list[float]:
    """From each of a worker's deaths to the first turn of its next life, by the worker's own monotonic clock."""
    pairs = itertools.pairwise(moment for moment in moments if moment.event in ("dies", "born"))
    return [(after.at_ns - before.at_ns) / MS for before, after in pairs if before.event == "dies"]
