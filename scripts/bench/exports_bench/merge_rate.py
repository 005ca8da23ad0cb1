"""How many rows a merger takes from messages into a lake of files, per second of one core: decoding, Parquet, commits."""

import argparse
import json
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from fakes.topic_rows import START_NS, filled_row, message_of

from agent.lake.folder_bucket import FolderBucket
from agent.lake.known_columns import KnownColumns
from agent.lake.log import LakeLog
from agent.model.table import Table, Value
from agent.model.timebase import S
from agent.topic.topic import partition_of, topic_of
from workers.merger.decoding import decode
from workers.merger.effect import CommitRows, OffsetRange, TakenMessage, TopicPartition
from workers.merger.files_store import FilesStore
from workers.merger.outcome import Stored
from workers.process.schema import PROCESS, PROCESS_SKETCH, PROCESS_TAIL
from workers.registry import tables

# Of each host in one delivery of two ticks: named processes, sums of others; and sometimes the sketches of a window.
ROWS = {PROCESS.name: 150, PROCESS_TAIL.name: 120}
_PARTITIONS = 12
_SKETCHES = 40


def main(words: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports merge-rate", description=__doc__)
    parser.add_argument("--hosts", type=int, default=200, help="in each commit")
    parser.add_argument("--commits", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    found = _measured(options.hosts, options.commits)
    for name, value in found.items():
        print(f"{name:28} {value:>14,}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0


def _measured(hosts: int, commits: int) -> dict[str, Any]:
    made = [_messages(hosts, number) for number in range(commits)]
    known = KnownColumns(tables())
    spent: dict[str, float] = {"decode": 0.0, "store": 0.0}
    rows = value_bytes = stored_bytes = 0
    with tempfile.TemporaryDirectory(prefix="eg-") as folder:
        bucket = FolderBucket(folder)
        store = FilesStore(bucket, LakeLog(bucket, "bench"), known)
        begun = time.monotonic()
        for commit in made:
            cpu = time.process_time()
            decoded = decode(commit, known)
            spent["decode"] += time.process_time() - cpu
            cpu = time.process_time()
            outcome = store.commit(decoded)
            spent["store"] += time.process_time() - cpu
            assert isinstance(outcome, Stored)
            assert decoded.counts.unreadable_count == 0
            rows += decoded.counts.rows
            value_bytes += decoded.counts.value_bytes
            stored_bytes += outcome.stored_bytes
        wall = time.monotonic() - begun
    total = sum(spent.values())
    return {
        "rows": rows,
        "rows_per_core_second": round(rows / total),
        "rows_per_second_decoding": round(rows / spent["decode"]),
        "rows_per_second_storing": round(rows / spent["store"]),
        "rows_per_second_wall": round(rows / wall),
        "message_bytes_per_row": round(value_bytes / rows, 1),
        "stored_bytes_per_row": round(stored_bytes / rows, 1),
    }


def _messages(hosts: int, number: int) -> CommitRows:
    chance = Random(number)
    taken: list[TakenMessage] = []
    offsets: dict[TopicPartition, int] = {}
    for host_number in range(hosts):
        host = f"node-{host_number:05d}.example"
        for table in (PROCESS, PROCESS_TAIL, *([PROCESS_SKETCH] if host_number % 10 == 0 else [])):
            place = TopicPartition(topic_of(table.name), partition_of(host, _PARTITIONS))
            offset = offsets.get(place, number * hosts * 3)
            count = _SKETCHES if table is PROCESS_SKETCH else ROWS[table.name]
            rows = [filled_row(table, _values(table, at, number, chance)) for at in range(count)]
            headers, value = message_of(host, number, rows, table)
            taken.append(TakenMessage(place, offset, tuple(headers), host.encode(), value))
            offsets[place] = offset + 1
    base, following = number * hosts * 3, (number + 1) * hosts * 3
    return CommitRows(tuple(OffsetRange(place, base, following) for place in sorted(offsets)), tuple(taken))


def _values(table: Table, at: int, number: int, chance: Random) -> dict[str, Value]:
    """A row as a busy host has them: numbers that differ, names that repeat."""
    time_ns = START_NS + number * 2 * S + at % 2 * S
    values: dict[str, Value] = {"timestamp": time_ns}
    for column in table.columns:
        if column.name in values:
            continue
        if column.dtype == "int64":
            values[column.name] = chance.randrange(1 << chance.choice((4, 12, 30)))
        elif column.dtype == "float64":
            values[column.name] = chance.random()
        elif column.dtype == "utf8":
            values[column.name] = f"{column.name}-{chance.randrange(60)}"
        else:
            values[column.name] = [chance.randrange(4) for _ in range(600)]
    return values
