"""From the topics and lakes behind an agent, and from what it stored itself, to the evidence of stores."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from harness.sinks.kafka_broker import KafkaBroker, KafkaMessage
from harness.waiting import NotInTime, wait_until

from agent.cli.query_database import QueryRequest, open_query_database
from agent.topic.column_reading import rows_of
from agent.topic.message import decode_message
from agent.topic.topic import RAW_TOPIC
from scenarios.agent_under_scenario import AgentUnderScenario
from scenarios.lake_reading import LakeFolder
from scenarios.programs import Placed, Programs
from scenarios.rebinning import apart, matches
from scenarios.router_evidence import RouterAnswer, RouterEvidence, asked_windows, judge_answers, known_values
from scenarios.store_evidence import CommitCount, CursorMark, RowAccount, StoreEvidence, WireCost, mark_moments
from workers import registry

S = 1_000_000_000
# Marks and commits come every two seconds.
TAKE_SECONDS = 30.0
# The tables of the process sampler, all of whose rows are in topics of their own.
TABLES = ("process", "process_tail", "process_scan", "process_exit", "process_sketch", "process_raw")
# What the processes of one second are; a sketch has a price of its own.
WEIGHED = ("process", "process_tail", "process_scan")
WINDOW_NS = 60 * S
# A window's rows are written over some ticks after its end.
WRITTEN_NS = 10 * S
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(slots=True)
class StoreReading:
    """What was read from programs that still run: the rows of each place by table, marks of sinks, weights."""

    places: dict[str, Rows] = field(default_factory=dict)
    cursors: list[CursorMark] = field(default_factory=list)
    lakes: dict[str, LakeFolder] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)


def read_stores(programs: Programs, reports: Mapping[str, Mapping[str, Any]]) -> StoreReading:
    """After the agent has ended, and while the programs still run: mergers take what is left in the topics first."""
    found = StoreReading()
    lakes = [each.lake for each in programs.placed.values() if each.lake is not None]
    broker = programs.of_kind(KafkaBroker)
    if lakes and broker is not None:
        with suppress(NotInTime):
            wait_until(lambda: _have_all(lakes, broker), "mergers have taken all", seconds=TAKE_SECONDS, pause_seconds=1.0)
    for name, placed in programs.placed.items():
        if isinstance(placed.program, KafkaBroker):
            messages = _messages(placed.program)
            found.places[name] = _topic_rows(messages)
            found.cursors += _cursors(placed, messages)
            found.bytes["kafka"] = placed.program.data_bytes(RAW_TOPIC)
        elif placed.lake is not None:
            found.places[name] = {
                table: [_plain(row) for row in placed.lake.rows(table, columns)] for table, columns in _columns().items()
            }
            found.lakes[name] = placed.lake
            found.bytes["lake"] = placed.lake.bytes_of(WEIGHED)
        elif placed.kind == "collector":
            found.bytes["otlp"] = int((reports.get(f"exporter/{name}") or {}).get("sent_bytes", 0))
    return found


def _have_all(lakes: Sequence[LakeFolder], broker: KafkaBroker) -> bool:
    """As many rows as the topics; where they are others, the comparison shows it."""
    wanted = sum(len(rows) for rows in _topic_rows(_messages(broker)).values())
    return all(sum(len(lake.rows(table, ("timestamp",))) for table in TABLES) >= wanted for lake in lakes)


def store_evidence(reading: StoreReading, agent: AgentUnderScenario, until_ns: int, interval_ns: int) -> StoreEvidence:
    """Each place against what the agent stored, up to a moment before which everything has arrived."""
    if not reading.places:
        return StoreEvidence()
    stored = _until(read_stored(agent), until_ns)
    seconds = sum(row[_columns()["process_scan"].index("processes")] for row in stored["process_scan"]) * interval_ns / S
    evidence = StoreEvidence(cursors=reading.cursors)
    evidence.costs = [WireCost(name, reading.bytes[name], seconds) for name in ("otlp", "kafka", "lake") if name in reading.bytes]
    accounts, windows = [], []
    for where, rows in reading.places.items():
        there = _until(rows, until_ns)
        accounts += [RowAccount(where, table, len(stored[table]), *apart(stored[table], there[table])) for table in TABLES]
        known = {table: _named(table, there[table]) for table in TABLES}
        known["process_sketch"] = [
            row for row in known["process_sketch"] if row["window_start"] + WINDOW_NS + WRITTEN_NS <= until_ns
        ]
        windows += matches(where, known, WINDOW_NS)
    evidence.accounts, evidence.windows = accounts, windows
    for lake in reading.lakes.values():
        _weigh_marks(evidence, lake, stored)
    return evidence


def router_evidence(
    answers: Sequence[RouterAnswer], refused: int, agent: AgentUnderScenario, stopped: Sequence[tuple[int, int]]
) -> RouterEvidence:
    """What a router answered, against the values that the agent stored itself."""
    stored = read_stored(agent)
    tables = {table: _named(table, stored[table]) for table in TABLES}
    judged, unbounded, untrue = judge_answers(answers, known_values(tables))
    return RouterEvidence(answers, refused, judged, unbounded, untrue, asked_windows(answers, _sketched_windows(tables), stopped))


def _sketched_windows(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[int]:
    """The windows of which the agent has made whole sketches: of all ticks, and no value is raw."""
    ticks = Counter(row["timestamp"] // WINDOW_NS * WINDOW_NS for row in tables["process_scan"])
    raw = {row["window_start"] for row in tables["process_raw"]}
    found = {row["window_start"]: row["ticks"] for row in tables["process_sketch"]}
    return {start for start, counted in found.items() if counted == ticks[start] and start not in raw}


def read_stored(agent: AgentUnderScenario) -> Rows:
    """All rows of these tables that the agent has, in whole."""
    found: Rows = {}
    for table, columns in _columns().items():
        names = ", ".join(f'"{name}"' for name in columns)
        statement = f"SELECT {names} FROM {table}"
        with closing(open_query_database(QueryRequest(str(agent.state_dir), statement), registry.tables())) as database:
            found[table] = [_plain(row) for row in database.connection.execute(statement).fetchall()]
    return found


def _weigh_marks(evidence: StoreEvidence, lake: LakeFolder, stored: Rows) -> None:
    entries = lake.entries()
    judged = ("process", "process_scan", "process_sketch")
    commits = [
        (
            each.number,
            [added["path"] for added in each.adds],
            each.removes,
            {table: low_ns for (table, _host), low_ns in each.marks.items()},
        )
        for each in entries
    ]
    at = {table: _columns()[table].index("timestamp") for table in judged}
    evidence.marks = mark_moments(
        commits,
        {table: lake.times_by_file(table) for table in judged},
        {table: [row[at[table]] for row in stored[table]] for table in judged},
    )
    with_rows = [each for each in entries if each.adds]
    evidence.commits = CommitCount(len(with_rows), sum(not each.has_offsets for each in with_rows))


def _columns() -> dict[str, tuple[str, ...]]:
    by_name = {table.name: table.column_names for table in registry.tables()}
    return {table: by_name[table] for table in TABLES}


def _until(rows: Rows, until_ns: int) -> Rows:
    """Those that were made by then."""
    at = {table: names.index("timestamp") for table, names in _columns().items()}
    return {table: [row for row in rows.get(table, ()) if row[at[table]] <= until_ns] for table in TABLES}


def _named(table: str, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    names = _columns()[table]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _plain(row: Sequence[Any]) -> tuple[Any, ...]:
    """So that rows can be compared, by whatever they were read."""
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


# ---- topics ------------------------------------------------------------------------------------------


def _messages(broker: KafkaBroker) -> list[KafkaMessage]:
    return broker.messages(*sorted(broker.partitions()))


def _topic_rows(messages: Sequence[KafkaMessage]) -> Rows:
    wanted, found = _columns(), defaultdict[str, list[tuple[Any, ...]]](list)
    for message in messages:
        decoded = decode_message(message.headers, message.value)
        if (names := wanted.get(decoded.head.table)) is not None:
            sent = [column.name for column in decoded.rows.columns]
            order = [sent.index(name) for name in names]
            found[decoded.head.table] += [_plain([row[place] for place in order]) for row in rows_of(decoded.rows)]
    return dict(found)


def _cursors(placed: Placed, messages: Sequence[KafkaMessage]) -> Iterator[CursorMark]:
    broker = placed.program
    assert isinstance(broker, KafkaBroker)
    installs = {dict(each.headers)["install"].decode() for each in messages}
    counted = sum(_rows(each) for each in messages)
    everything = broker.messages(*sorted(broker.partitions()), is_committed=False)
    for install in sorted(installs):
        for offset, metadata in broker.committed(f"evergauge.{install}.{placed.name}").values():
            if metadata:
                rows = int(json.loads(metadata)["rows"])
                yield CursorMark(placed.name, offset, rows, counted, sum(map(_rows, everything)) - counted)


def _rows(message: KafkaMessage) -> int:
    return int(dict(message.headers)["rows"])
