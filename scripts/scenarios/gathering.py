"""From what a run left behind to evidence: the baseline's record, and the rows that the agent stored."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from process_bench.checkout import Checkout, Row

from scenarios.agent_under_scenario import AgentUnderScenario
from scenarios.evidence import Event, Exact, GapRow, SketchRow, Tick

_PARTS = (
    "SELECT timestamp, pod_uid, comm AS command, cpu_ns, rss_bytes, coalesce(read_bytes, 0) + coalesce(write_bytes, 0) AS io, "
    "'named' AS part FROM process",
    "SELECT timestamp, pod_uid, command, cpu_ns, rss_bytes, 0 AS io, 'tail' AS part FROM process_tail",
    "SELECT timestamp, pod_uid, command, cpu_ns, 0 AS rss_bytes, 0 AS io, 'dead' AS part FROM process_exit",
)
_SKETCHES = (
    "SELECT window_start, window_ns, pod_uid, command, metric, scale, zero_count, count, first_bucket, counts, keys "
    "FROM process_sketch WHERE count > 0"
)
# Every process and tick of a command as it was written, where all of them have rows.
_RAW = "SELECT pod_uid, comm AS command, list(cpu_ns) AS cpu FROM process WHERE cpu_ns IS NOT NULL GROUP BY ALL"


# Of a run without a baseline.
NO_RECORD: Mapping[str, Any] = {name: [] for name in ("host", "unit", "rss", "io", "own", "processes", "memory")}


def read_record(path: Path) -> dict[str, Any]:
    """The baseline's series by name, the memory of the load's processes at the end, what it cost by itself."""
    found: dict[str, Any] = {name: [] for name in ("host", "unit", "rss", "io", "own", "processes")}
    found["memory"] = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        for name in ("host", "unit"):
            found[name].append((row["at"], row[name]))
        for name in ("rss", "io", "own", "processes"):
            if name in row:
                found[name].append((row["scan"], row[name]))
        found["memory"] = row.get("memory", found["memory"])
    return found


def read_ticks(checkout: Checkout, agent: AgentUnderScenario, uids: Sequence[str]) -> list[Tick]:
    """Sums of each tick that has an account."""
    everything = " UNION ALL ".join(_PARTS)
    load = ", ".join(f"'{uid}'" for uid in uids) or "''"
    rows = checkout.query(
        agent,
        "SELECT timestamp, part, sum(coalesce(cpu_ns, 0))::BIGINT AS cpu, sum(coalesce(rss_bytes, 0))::BIGINT AS rss, "
        f"sum(io)::BIGINT AS io, sum(CASE WHEN pod_uid IN ({load}) THEN coalesce(cpu_ns, 0) ELSE 0 END)::BIGINT AS unit "
        f"FROM ({everything}) GROUP BY ALL",
    )
    parts = {(row["timestamp"], row["part"]): row for row in rows}
    none: Row = {"cpu": 0, "rss": 0, "io": 0, "unit": 0}
    ticks = []
    for account in checkout.query(agent, "SELECT timestamp FROM process_scan ORDER BY timestamp"):
        at = account["timestamp"]
        named, tail, dead = (parts.get((at, part), none) for part in ("named", "tail", "dead"))
        unit = named["unit"] + tail["unit"] + dead["unit"]
        ticks.append(Tick(at, named["cpu"], tail["cpu"], dead["cpu"], named["rss"], named["rss"] + tail["rss"], named["io"], unit))
    return ticks


def read_sketches(checkout: Checkout, agent: AgentUnderScenario) -> list[SketchRow]:
    """All that have values."""
    return [
        SketchRow(
            row["window_start"], row["window_ns"], row["pod_uid"], row["command"], row["metric"], row["scale"], row["zero_count"],
            row["count"], row["first_bucket"], tuple(row["counts"]), row["keys"],
        )
        for row in checkout.query(agent, _SKETCHES)
    ]  # fmt: skip


def exact_memory(memory: Iterable[Mapping[str, Any]], uids: Sequence[str], sketches: Sequence[SketchRow]) -> list[Exact]:
    """Commands of the load whose processes all held the same memory in all scans of the baseline, each in every tick."""
    by_command: dict[str, list[int]] = defaultdict(list)
    moving = {row["command"] for row in memory if row["least"] != row["most"]}
    for row in memory:
        if row["command"] not in moving:
            by_command[row["command"]].append(row["least"])
    counts: dict[str, int] = defaultdict(int)
    for sketch in sketches:
        if sketch.metric == "rss" and sketch.unit == uids[0] and sketch.command is not None:
            counts[sketch.command] += sketch.count
    return [
        Exact(uids[0], command, "rss", values * (counts[command] // len(values)), "constant in every reading of the baseline")
        for command, values in by_command.items()
        if counts[command] and counts[command] % len(values) == 0
    ]


def exact_cpu(checkout: Checkout, agent: AgentUnderScenario, sketches: Sequence[SketchRow]) -> list[Exact]:
    """Commands of which every process had a row in every tick: as many rows as the sketch has values."""
    counts: dict[tuple[str | None, str | None], int] = defaultdict(int)
    for sketch in sketches:
        if sketch.metric == "cpu":
            counts[sketch.unit, sketch.command] += sketch.count
    return [
        Exact(row["pod_uid"], row["command"], "cpu", row["cpu"], "every process and tick has a row")
        for row in checkout.query(agent, _RAW)
        if len(row["cpu"]) == counts[row["pod_uid"], row["command"]]
    ]


def read_gaps(checkout: Checkout, agent: AgentUnderScenario) -> list[GapRow]:
    """All rows of table `gap`."""
    rows = checkout.query(agent, "SELECT timestamp, worker, reason, ticks, from_timestamp, until_timestamp FROM gap")
    return [
        GapRow(row["timestamp"], row["worker"], row["reason"], row["ticks"], (row["from_timestamp"], row["until_timestamp"]))
        for row in rows
    ]


def own_account(checkout: Checkout, agent: AgentUnderScenario, begin_ns: int, end_ns: int) -> str:
    """What the sampler says itself of its rows, for the report: nothing is judged by it."""
    (row,) = checkout.query(
        agent,
        "SELECT avg(cpu_rows) AS c, avg(rss_rows) AS r, avg(io_rows) AS i, avg(cpu_capture) AS cc, avg(rss_capture) AS rc, "
        f"avg(io_capture) AS ic FROM process_scan WHERE timestamp BETWEEN {begin_ns} AND {end_ns}",
    )
    shown = {name: "-" if value is None else f"{value:.4g}" for name, value in row.items()}
    return (
        f"by the sampler's own word: rows chosen for CPU {shown['c']}, RSS {shown['r']}, I/O {shown['i']}; "
        f"captured {shown['cc']}, {shown['rc']}, {shown['ic']}"
    )


def command_cpu(checkout: Checkout, agent: AgentUnderScenario, command: str) -> int:
    """CPU of a command in ns, in rows of all kinds."""
    everything = " UNION ALL ".join(_PARTS)
    (row,) = checkout.query(
        agent, f"SELECT sum(coalesce(cpu_ns, 0))::BIGINT AS cpu FROM ({everything}) WHERE command = '{command}'"
    )
    return int(row["cpu"] or 0)


def read_events(checkout: Checkout, agent: AgentUnderScenario) -> list[Event]:
    """What the agent told."""
    return events_of_rows(
        checkout.query(agent, "SELECT timestamp, kind, subject, phase, module, detail, fields FROM diag ORDER BY timestamp, seq")
    )


def events_of_rows(rows: Iterable[Mapping[str, Any]]) -> list[Event]:
    """Rows of table `diag` in their order. A condition is one event from its beginning to its end, whichever run tells the end."""
    found: list[Event] = []
    open_at: dict[tuple[str, str, str | None], int] = {}
    for row in rows:
        key = row["kind"], row["module"], row["subject"]
        detail = " ".join(str(word) for word in (row["subject"], row["detail"] or row["fields"]) if word)
        if row["phase"] == "end":
            if (at := open_at.pop(key, None)) is not None:
                found[at] = dataclasses.replace(found[at], end_ns=row["timestamp"])
        elif row["phase"] != "change" and key not in open_at:
            if row["phase"] == "begin":
                open_at[key] = len(found)
            found.append(Event(row["kind"], row["module"], row["timestamp"], None, detail))
    return found
