"""What the agent stored, summed by tick, by unit and by command; tables that a checkout does not have are empty."""

from dataclasses import dataclass, field

from harness.agent_process import AgentProcess
from process_bench.checkout import Checkout, Row


@dataclass(slots=True)
class Stored:
    """Rows of one run. `ticks`: by time, CPU of named, tail and dead processes in ns, and RSS; `units`, `commands`: CPU in ns."""

    ticks: dict[int, Row] = field(default_factory=dict)
    units: dict[str | None, int] = field(default_factory=dict)
    commands: dict[str | None, int] = field(default_factory=dict)
    scans: list[Row] = field(default_factory=list)
    gaps: list[Row] = field(default_factory=list)
    exits: dict[str, int] = field(default_factory=dict)


def read(checkout: Checkout, agent: AgentProcess) -> Stored:
    """Everything that is stored so far."""
    tables, stored = checkout.tables(agent), Stored()
    parts = [
        "SELECT timestamp, pod_uid, comm AS command, cpu_ns, rss_bytes, 'named' AS part FROM process",
        f"SELECT timestamp, pod_uid, {_command(checkout, agent)} AS command, cpu_ns, rss_bytes, 'tail' AS part FROM process_tail",
    ]
    if "process_exit" in tables:
        parts.append("SELECT timestamp, pod_uid, command, cpu_ns, 0 AS rss_bytes, 'dead' AS part FROM process_exit")
    everything = " UNION ALL ".join(parts)
    for row in checkout.query(
        agent,
        f"SELECT timestamp, part, sum(coalesce(cpu_ns, 0))::BIGINT AS cpu_ns, sum(coalesce(rss_bytes, 0))::BIGINT AS rss_bytes, "
        f"count(*) AS rows FROM ({everything}) GROUP BY ALL ORDER BY timestamp",
    ):
        tick = stored.ticks.setdefault(row["timestamp"], {"named": 0, "tail": 0, "dead": 0, "rss_bytes": 0, "rows": 0})
        tick[row["part"]] += row["cpu_ns"]
        tick["rss_bytes"] += row["rss_bytes"]
        tick["rows"] += row["rows"]
    for column, sums in (("pod_uid", stored.units), ("command", stored.commands)):
        statement = f"SELECT {column} AS key, sum(coalesce(cpu_ns, 0))::BIGINT AS cpu_ns FROM ({everything}) GROUP BY 1"
        sums.update((row["key"], row["cpu_ns"]) for row in checkout.query(agent, statement))
    if "process_scan" in tables:
        stored.scans = checkout.query(agent, "FROM process_scan ORDER BY timestamp")
    if "process_exit" in tables:
        counted = checkout.query(
            agent,
            "SELECT coalesce(sum(deaths), 0)::BIGINT AS deaths, coalesce(sum(unseen), 0)::BIGINT AS unseen, count(*) AS rows "
            "FROM process_exit",
        )
        stored.exits = counted[0]
    stored.gaps = checkout.query(agent, "SELECT worker, reason, ticks, rows FROM gap WHERE worker LIKE 'sampler%'")
    return stored


def _command(checkout: Checkout, agent: AgentProcess) -> str:
    columns = {row["column_name"] for row in checkout.query(agent, "DESCRIBE process_tail")}
    return "command" if "command" in columns else "'(tail)'"
