"""From what the sinks have, and what the agent stored, to the evidence of exports."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.export_trial import Tick
from process_bench.checkout import Checkout

from scenarios.agent_under_scenario import AgentUnderScenario
from scenarios.export_evidence import Arrival, Trouble, arrival
from scenarios.programs import Programs

MS = 1_000_000
SAMPLED = ("host", "process_scan")


def deliveries(programs: Programs) -> dict[str, list[list[Tick]]]:
    """What each sink has, in its deliveries. The programs must still run."""
    return {name: each.rows.deliveries() for name, each in programs.placed.items() if each.rows is not None and each.newest_ms}


def read_moments(checkout: Checkout, agent: AgentUnderScenario) -> dict[str, list[int]]:
    """When the samplers took their ticks."""
    return {
        table: [row["timestamp"] for row in checkout.query(agent, f"SELECT DISTINCT timestamp FROM {table} ORDER BY timestamp")]
        for table in SAMPLED
    }


def read_counted(checkout: Checkout, agent: AgentUnderScenario, until_ns: int) -> list[Tick]:
    """The ticks of `process_scan` up to a moment, with a figure that sinks have too."""
    rows = checkout.query(agent, f"SELECT timestamp, processes FROM process_scan WHERE timestamp <= {until_ns}")
    return [(row["timestamp"] // MS, row["processes"]) for row in rows]


def arrivals(
    stored: Sequence[Tick],
    programs: Programs,
    there: Mapping[str, list[list[Tick]]],
    troubles: Sequence[Trouble],
    reports: Mapping[str, Mapping[str, Any]],
) -> list[Arrival]:
    """Each sink against what is stored here."""
    return [
        arrival(
            name,
            placed.kind,
            (stored, there[name]),
            troubles,
            repeats=placed.rows.doubled_max_per_kill,
            ledger=None if placed.side is None else (reports.get(f"exporter/{name}") or {}).get("ledger") or {},
        )
        for name, placed in programs.placed.items()
        if placed.rows is not None and name in there
    ]
