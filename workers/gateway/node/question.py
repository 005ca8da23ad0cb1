"""The questions to stored data, in words of agentctl, and its answers as documents. PURE."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.timebase import S
from workers.gateway.node.board import HOST_METRICS, PROCESSES_MAX, UNIT_METRICS
from workers.gateway.node.document import GapSpan, ProcessesDocument, ProcessPoint, SeriesDocument, UnitSeries, Values
from workers.gateway.node.series import LARGEST, POINTS_MAX

# A day at a glance; more is a job for agentctl query.
SPAN_MAX = 8 * 86_400
# Rows of a tick stand within a second of each other, and a sampler may have had a longer interval.
AROUND = 2

_Names = Callable[[str, str], str]


class _Row(Struct, frozen=True):
    id: str
    kind: str
    cgroup: str
    s: int
    cpu: float | None = None
    memory: float | None = None
    io: float | None = None
    pressure: float | None = None
    cache: float | None = None
    bandwidth: float | None = None
    pressure_cpu: float | None = None
    pressure_memory: float | None = None
    pressure_io: float | None = None


class _ProcessRow(Struct, frozen=True):
    t: int
    pid: int
    command: str
    unit: str | None
    state: str
    cpu: float | None
    memory: float | None
    io: float | None
    threads: int | None


class NeighboursDocument(Struct, frozen=True):
    """What `agentctl neighbours --json` says; docs/neighbours.md explains it."""

    looked: dict[str, Any]
    victims: list[dict[str, Any]]


def step_of(since: int, until: int) -> int:
    """How many seconds one value covers, in whole tens of seconds beyond a minute."""
    step = -(-(until - since) // (POINTS_MAX // 2))
    return step if step < 10 else -(-step // 10) * 10


def series_arguments(since: int, until: int) -> list[str]:
    """The command that reads a time from stored files."""
    step = step_of(since, until)
    within = f"timestamp >= {since * S} AND timestamp < {until * S}"
    second = f"CAST((timestamp // {S} - {since}) // {step} * {step} + {since} AS BIGINT) AS s"
    nothing = "CAST(NULL AS DOUBLE)"
    pressures = ", ".join(f"sum(pressure_{name}_some_ns) / sum(elapsed_ns) AS pressure_{name}" for name in ("cpu", "memory", "io"))
    unit_ranks, cache_ranks = map(_among_largest, (("cpu", "memory", "io", "pressure"), ("cache", "bandwidth")))
    sql = f"""
WITH u AS (
  SELECT unit AS id, kind, cgroup, {second}, cpu_ns, memory_current_bytes, elapsed_ns,
    coalesce(io_read_bytes, 0) + coalesce(io_write_bytes, 0) AS io,
    greatest(pressure_cpu_some_ns, pressure_memory_some_ns, pressure_io_some_ns) AS pressure
  FROM unit WHERE container IS NULL AND kind <> 'slice' AND {within}),
o AS (
  SELECT pod_uid AS id, {second}, avg(llc_occupancy_bytes) AS cache, avg(mbm_total_bytes_per_second) AS bandwidth
  FROM occupancy WHERE {within} GROUP BY ALL),
large AS (
  SELECT id FROM (SELECT id, sum(cpu_ns) AS cpu, max(memory_current_bytes) AS memory, sum(io) AS io, sum(pressure) AS pressure
    FROM u GROUP BY id) QUALIFY {unit_ranks}
  UNION SELECT id FROM (SELECT id, max(cache) AS cache, sum(bandwidth) AS bandwidth FROM o GROUP BY id) QUALIFY {cache_ranks})
SELECT '' AS id, '' AS kind, '' AS cgroup, {second}, sum(cpu_ns) / sum(elapsed_ns) AS cpu,
  avg(memory_total_bytes - memory_available_bytes) AS memory,
  sum(read_in_bytes + written_out_bytes) * 1e9 / sum(elapsed_ns) AS io, {nothing} AS pressure, {nothing} AS cache,
  {nothing} AS bandwidth, {pressures}
  FROM host WHERE {within} GROUP BY s
UNION ALL BY NAME
SELECT id, any_value(kind) AS kind, any_value(cgroup) AS cgroup, s, sum(cpu_ns) / ({step} * 1e9) AS cpu,
  avg(memory_current_bytes) AS memory, sum(io) / {step} AS io, least(1, sum(pressure) / ({step} * 1e9)) AS pressure
  FROM u WHERE id IN (FROM large) GROUP BY id, s
UNION ALL BY NAME
SELECT id, '' AS kind, '' AS cgroup, s, cache, bandwidth FROM o WHERE id IN (FROM large)
"""
    return ["query", " ".join(sql.split()), "--format", "json", "--timeout", "30"]


def _among_largest(columns: Sequence[str]) -> str:
    return " OR ".join(f"row_number() OVER (ORDER BY {name} DESC NULLS LAST) <= {LARGEST}" for name in columns)


def series_answer(output: bytes, since: int, until: int, gaps: Sequence[GapSpan], name: _Names) -> SeriesDocument:
    """The document for the answer. *Raises:* FormatError."""
    rows = _decoded(output, list[_Row])
    step = step_of(since, until)
    steps = -(-(until - since) // step)

    def empty() -> Values:
        return [None] * steps

    host: dict[str, Values] = {metric: empty() for metric in HOST_METRICS}
    units: dict[str, UnitSeries] = {}
    seen = bytearray(steps)
    for row in rows:
        place = (row.s - since) // step
        if not 0 <= place < steps:
            continue
        seen[place] = 1
        if not row.id:
            for metric in HOST_METRICS:
                host[metric][place] = getattr(row, metric)
            continue
        unit = units.get(row.id)
        if unit is None or (row.kind and not unit.kind):
            values = unit.values if unit is not None else {metric: empty() for metric in UNIT_METRICS}
            unit = units[row.id] = UnitSeries(row.id, name(row.id, row.cgroup or row.id), row.kind, values)
        for metric in UNIT_METRICS:
            if (value := getattr(row, metric)) is not None:
                unit.values[metric][place] = value
    return SeriesDocument(
        since=since,
        until=since + steps * step,
        step=step,
        gaps=_holes(seen, since, step, gaps),
        host=host,
        units=[_without_empty(unit) for _, unit in sorted(units.items())],
    )


def processes_arguments(at: int) -> list[str]:
    """The command that reads the processes of a moment."""
    within = f"timestamp > {(at - AROUND) * S} AND timestamp < {(at + AROUND) * S}"
    sql = f"""
SELECT timestamp AS t, pid, coalesce(comm, '') AS command, pod_uid AS unit, state, cpu_share AS cpu, rss_bytes AS memory,
  coalesce(read_bytes, 0) + coalesce(write_bytes, 0) AS io, threads FROM process WHERE {within}
QUALIFY timestamp = max(timestamp) FILTER (WHERE timestamp <= {at * S + S - 1}) OVER ()
ORDER BY cpu_share DESC NULLS LAST LIMIT {PROCESSES_MAX}
"""
    return ["query", " ".join(sql.split()), "--format", "json", "--timeout", "30"]


def processes_answer(output: bytes, name: _Names) -> ProcessesDocument:
    """The document for the answer. *Raises:* FormatError."""
    rows = _decoded(output, list[_ProcessRow])
    points = [
        ProcessPoint(
            pid=row.pid,
            command=row.command,
            unit=row.unit,
            unit_name=name(row.unit, row.unit) if row.unit else "",
            state=row.state,
            cpu=row.cpu,
            memory=row.memory,
            io=row.io,
            threads=row.threads,
        )
        for row in rows
    ]
    return ProcessesDocument(rows[0].t / S if rows else None, points)


def neighbours_arguments(since: str, until: str) -> list[str]:
    """The command that looks who made whom slow; moments as ISO 8601 in UTC."""
    return ["neighbours", "--since", since, "--until", until, "--json", "--timeout", "30"]


def neighbours_answer(output: bytes) -> NeighboursDocument:
    """The document for the answer. *Raises:* FormatError."""
    found: NeighboursDocument = _decoded(output, NeighboursDocument)
    return found


def _decoded(output: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(output, type=kind)
    except msgspec.DecodeError as cause:
        raise FormatError("agentctl", f"its answer is none ({cause})") from cause


def _without_empty(unit: UnitSeries) -> UnitSeries:
    kept = {metric: values for metric, values in unit.values.items() if any(value is not None for value in values)}
    return UnitSeries(unit.id, unit.name, unit.kind, kept)


def _holes(seen: bytearray, since: int, step: int, gaps: Sequence[GapSpan]) -> list[GapSpan]:
    """The steps without any row, between the first and the last that have one."""
    first, last = seen.find(1), seen.rfind(1)
    found: list[GapSpan] = []
    place = first
    while 0 <= place < last:
        begin = seen.find(0, place, last)
        if begin < 0:
            break
        place = seen.find(1, begin)
        span = GapSpan(since + begin * step, since + place * step, "")
        reason = next((gap.reason for gap in gaps if gap.since < span.until and gap.until >= span.since), "")
        found.append(GapSpan(span.since, span.until, reason))
    return found
