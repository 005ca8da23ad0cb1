"""A made fleet through the whole chain on one machine: broker, merger, lake, engines; each stage's rows per second and core.

The nodes are made of the recorded minutes of one real node (`record-node`). Their messages go into a real broker, and then each
stage works all of them off alone, so that its rate is its own. Every row is counted from end to end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet
from confluent_kafka import Producer
from fleet_rows.fleet import FleetClock
from fleet_rows.messages import FleetMessage, MessageMaker
from fleet_rows.recording import Recording, recording_of
from harness.sinks.kafka_broker import KafkaBroker
from harness.waiting import NotInTime, wait_until
from machine import circumstances

from agent.lake.folder_bucket import FolderBucket
from agent.lake.log import LakeLog
from agent.lake.snapshot import LakeSnapshot, Wanted, read_lake
from agent.model.timebase import MINUTE, S
from agent.topic.topic import topic_of
from exports_bench.default_agent import DefaultAgent
from exports_bench.lake_questions import are_equal, ask_engines, ask_router, show_questions
from exports_bench.record_node import read_recording
from exports_bench.stage import StageCost, measured, show_stages

_MADE_NS = 1_700_000_040 * S
# A merger that stores nothing for so long has stopped.
_STALL_SECONDS, _ROWS_PER_SECOND_LEAST = 120.0, 4_000
_ENTRY = "from evergauge import agentctl; agentctl()"
_PRODUCER = {
    "enable.idempotence": True,
    "compression.type": "zstd",
    "linger.ms": 50,
    "batch.size": 1_000_000,
    "queue.buffering.max.kbytes": 131_072,
}


def main(words: Sequence[str]) -> int:
    """Run all stages. The exit code is 0 if every row is in the lake once, and engines agree about it."""
    options = _options(words)
    found: dict[str, Any] = circumstances() | {"nodes": options.nodes, "minutes": options.minutes, "mergers": options.mergers}
    with tempfile.TemporaryDirectory(prefix="evergauge-fleet-", dir=options.scratch) as name, ExitStack() as stack:
        folder = Path(name)
        recorded = _recorded(options, folder)
        clock = FleetClock(recorded, options.nodes, seed=options.seed, begin_ns=_begin_ns(options.minutes))
        found["rows_of_a_node_minute"] = rows = recorded.minutes[0].rows
        print(f"{options.nodes} nodes, {options.minutes} min, {rows:,} rows a node and minute, load {os.getloadavg()[0]:.2f}")
        broker = stack.enter_context(KafkaBroker(folder / "kafka"))
        sent, generate, brokering = _produce(broker, clock, options)
        merging = _merge(broker, folder, sent, options)
        lake = _snapshot(folder / "lake")
        stored = _stored_rows(folder / "lake", lake)
        merging.bytes = sum(file.bytes for file in lake.files)
        routed = ask_router(folder / "lake", clock.begin_ns, clock.begin_ns + options.minutes * MINUTE)
        loading, asked = ask_engines(folder, lake, options.questions)
    stages = [generate, brokering, merging, loading]
    loading.rows = sum(stored.values())
    show_stages(stages)
    found |= {"stages": {each.name: each.document() for each in stages}, "sent": dict(sent), "stored": dict(stored)}
    show_questions(asked)
    print(f"agentctl ask: {routed['covered']} of {routed['total']} minutes of nodes in {routed['seconds']:.2f} s")
    found |= {"questions": asked, "router": routed, "answers_equal": are_equal(asked), "is_whole": dict(sent) == dict(stored)}
    print(f"rows by table are the same in the topics and in the lake: {'yes' if found['is_whole'] else 'NO'}")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return 0 if found["is_whole"] and found["answers_equal"] else 1


def _options(words: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(prog="scripts/bench/exports fleet-engine", description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--minutes", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--mergers", type=int, default=1)
    parser.add_argument("--interval", default="2s", help="how long a merger gathers rows for a commit")
    parser.add_argument(
        "--recording", type=Path, help="a folder of `record-node`; else one is made, which takes two minutes and root"
    )
    parser.add_argument("--made", action="store_true", help="rows of a made-up node instead: for a look, not for quoting")
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--questions", nargs="+", default=["percentiles", "rss", "busiest", "minute"], help="of docs/engines")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scratch", help="where the topics and the lake are for the time being: some 20 bytes a row")
    parser.add_argument("--json", default="", help="file for the figures")
    return parser.parse_args(words)


def _begin_ns(minutes: int) -> int:
    """So that all of it has happened by now."""
    return (time.time_ns() // MINUTE - minutes - 2) * MINUTE


def _recorded(options: Any, folder: Path) -> Recording:
    if options.made:
        agent = DefaultAgent(processes=options.processes, units=options.pods, begin_ns=_MADE_NS)
        return recording_of([*agent.names(), *(batch for second in range(60) for batch in agent.tick(second))])
    place = options.recording or folder / "recording"
    if options.recording is None:
        size = ["--processes", str(options.processes), "--pods", str(options.pods)]
        subprocess.run([sys.executable, "-m", "exports_bench", "record-node", "--output", str(place), *size], check=True)
    recorded = read_recording(place)
    assert recorded.minutes, f"{place} has no whole minute"
    return recorded


def _produce(broker: KafkaBroker, clock: FleetClock, options: Any) -> tuple[Counter[str], StageCost, StageCost]:
    """All messages of the fleet into the broker: rows by table, and what that cost here and there."""
    sent, values = Counter[str](), 0
    every = (*clock.recorded, *filter(None, [clock.names]))
    for topic in sorted({topic_of(batch.table) for minute in every for batch in minute.batches}):
        broker.create_topic(topic, options.partitions)
    maker = MessageMaker(options.partitions)
    maker.prepare(clock)
    producer = Producer(broker.client_options | _PRODUCER)
    failed: list[str] = []

    def on_delivery(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(str(error))

    with measured("broker", [broker.pid]) as brokering, measured("generator", [os.getpid()]) as generate:
        for due in clock.seconds(options.minutes):
            tables = [each.batch.table for each in due]
            for table, message in zip(tables, maker.messages(due), strict=True):
                _send(producer, message, on_delivery)
                sent[table] += message.rows
                values += len(message.value)
        producer.flush(_STALL_SECONDS)
    assert not failed, failed[0]
    assert len(producer) == 0, f"{len(producer)} messages were not delivered"
    generate.rows = brokering.rows = sum(sent.values())
    generate.bytes = values
    brokering.bytes = sum(broker.data_bytes(topic) for topic in broker.partitions())
    return sent, generate, brokering


def _send(producer: Any, message: FleetMessage, on_delivery: Any) -> None:
    while True:
        try:
            producer.produce(
                message.topic,
                message.value,
                message.key,
                partition=message.partition,
                headers=message.headers,
                on_delivery=on_delivery,
            )
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.1)


def _merge(broker: KafkaBroker, folder: Path, sent: Counter[str], options: Any) -> StageCost:
    """Mergers until the lake has all rows."""
    (folder / "lake").mkdir()
    # The log says how far the offsets are; messages are fewer than rows, and their ends are the broker's.
    ends = _ends(broker)
    with _mergers(broker, folder, options) as pids, measured("merger", pids) as cost:
        log = LakeLog(FolderBucket(str(folder / "lake")), "bench")

        def is_done() -> bool:
            offsets = log.state().offsets
            return all(offsets.get(place, 0) >= end for place, end in ends.items())

        seconds = _STALL_SECONDS + sum(sent.values()) / _ROWS_PER_SECOND_LEAST
        try:
            wait_until(is_done, "the mergers have stored everything", seconds=seconds, pause_seconds=0.2)
        except NotInTime as late:
            late.add_note((folder / "merger-0.log").read_text()[-4000:])
            raise
    cost.rows = sum(sent.values())
    return cost


def _ends(broker: KafkaBroker) -> dict[str, int]:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(broker.client_options | {"group.id": "bench"})
    try:
        places = [(topic, number) for topic, count in broker.partitions().items() for number in range(count)]
        found = {
            f"{topic}/{number}": consumer.get_watermark_offsets(TopicPartition(topic, number), 30)[1] for topic, number in places
        }
    finally:
        consumer.close()
    return {place: end for place, end in found.items() if end}


@contextmanager
def _mergers(broker: KafkaBroker, folder: Path, options: Any) -> Iterator[list[int]]:
    words = [
        "merge",
        "--brokers",
        broker.address_text,
        "--lake",
        f"file://{folder / 'lake'}",
        "--interval",
        options.interval,
        "--json",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    started = []
    with ExitStack() as stack:
        for number in range(options.mergers):
            log = stack.enter_context((folder / f"merger-{number}.log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-c", _ENTRY, *words, "--member", f"bench-{number}"], stdout=log, stderr=log, env=environment
            )
            started.append(process)
        try:
            yield [process.pid for process in started]
        finally:
            for process in started:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            for process in started:
                process.wait(_STALL_SECONDS)


def _snapshot(lake: Path) -> LakeSnapshot:
    bucket = FolderBucket(str(lake))
    log = LakeLog(bucket, "bench")
    tables = tuple(sorted({file.table for file in log.state().files.values()}))
    return read_lake(bucket, log, Wanted(tables), lambda found: found)


def _stored_rows(lake: Path, found: LakeSnapshot) -> Counter[str]:
    """Rows by table, as the files themselves say."""
    stored = Counter[str]()
    for file in found.files:
        stored[file.table] += pyarrow.parquet.read_metadata(lake / file.path).num_rows
    return stored
