"""Transactions over two topics at a local broker: their time, whether raw rows and sketches ever differ, and bytes after zstd.

Each transaction is a delivery of the sink: what a default agent with 500 processes stores of its processes in one second, a batch
of sketches, and the mark. Bytes are those of the broker's own files, heads of batches and ends of transactions included.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any

from fakes.stored_batch import HOST, INSTALL, STAMP_NS, stored
from harness.sinks.kafka_broker import KafkaBroker
from machine import circumstances

from agent.model.sketch import Sketch
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.topic.message import decode_message
from agent.topic.topic import RAW_TABLES, RAW_TOPIC, SKETCH_TABLE, SKETCH_TOPIC
from exports_bench.default_agent import PROCESSES, DefaultAgent, sketch_row
from workers.export.kafka.client import Deadline
from workers.export.kafka.message_maker import MessageMaker
from workers.export.kafka.option import check_kafka
from workers.export.kafka.sent_mark import SentMark
from workers.export.kafka.session import KafkaSession, SessionNames
from workers.export.sink import SinkValues
from workers.process.schema import PROCESS_SKETCH

TABLES = (*sorted(RAW_TABLES), SKETCH_TABLE)
MUST = {"p99_ms": 50.0, "differ": 0, "bytes_per_process_second": 12.0, "bytes_per_sketch": 541.0}
# As often as the sink sends where nobody says otherwise.
INTERVAL_SECONDS = 2
ANSWER_NS = 30 * S


def main(words: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports kafka-transaction", description=__doc__)
    parser.add_argument("--batches", type=int, default=10_000, help="how many transactions")
    parser.add_argument("--warm", type=int, default=500, help="transactions before those that are timed: Java compiles meanwhile")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two transactions")
    parser.add_argument("--seconds", type=int, default=120, help="length of the recorded time for bytes")
    parser.add_argument(
        "--lengths", type=lambda text: [int(word) for word in text.split(",")], default=[1, INTERVAL_SECONDS, 5, 30]
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="eg-") as name, KafkaBroker(Path(name) / "broker") as broker:
        found: dict[str, Any] = circumstances() | {"load": os.getloadavg()[0]}
        found["bytes_per_process_second"] = {
            length: _process_bytes(broker, length, options.seconds) for length in map(int, options.lengths.split(","))
        }
        found["bytes_per_sketch"] = _sketch_bytes(broker)
        found["transactions"] = _transactions(broker, options)
    found["is_kept"] = _is_kept(found)
    for key, figures in found.items():
        print(f"{key:26} {json.dumps(figures)}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if found["is_kept"] else 1


class _Writer:
    """A session of its own topics."""

    def __init__(self, broker: KafkaBroker, name: str) -> None:
        values = SinkValues(name, "kafka", {"brokers": broker.address_text, "partitions": 1, "topic_prefix": f"{name}."})
        setup = check_kafka(values)
        self.prefix = f"{name}."
        self._maker = MessageMaker(TABLES, setup.message_bytes)
        self._session = KafkaSession(setup, SessionNames(f"evergauge.{INSTALL}.{name}", HOST, TABLES), "")
        self._session.begin(Deadline(ANSWER_NS))
        self._rows = 0

    def send(self, batches: Sequence[StoredBatch]) -> float:
        """Seconds from the messages to the end of the transaction."""
        made = self._maker.make(batches, is_complete=True)
        self._rows += made.rows
        mark = SentMark(self._rows, ((batches[0].place, batches[-1].behind),))
        begun = time.perf_counter()
        self._session.send(made.messages, mark, Deadline(ANSWER_NS))
        return time.perf_counter() - begun

    def close(self) -> None:
        """Give it back."""
        self._session.close()


def _transactions(broker: KafkaBroker, options: argparse.Namespace) -> dict[str, Any]:
    writer, agent = _Writer(broker, "time"), DefaultAgent()
    ticks = [[batch for batch in agent.tick(number) if batch.table in RAW_TABLES] for number in range(60)]
    sketches = _sketch_batch(Random(1), 3)
    took = []
    for number in range(options.warm + options.batches):
        took.append(writer.send([*ticks[number % len(ticks)], sketches]))
        time.sleep(options.pause)
    writer.close()
    timed = sorted(took[options.warm :])
    sent = len(took)
    raw, sketch = (_numbers(broker, f"{writer.prefix}{topic}") for topic in (RAW_TOPIC, SKETCH_TOPIC))
    return {
        "timed": len(timed),
        "p50_ms": round(1000 * median(timed), 2),
        "p99_ms": round(1000 * quantiles(timed, n=100)[98], 2),
        "max_ms": round(1000 * timed[-1], 2),
        "differ": abs(raw["process_scan"] - sent) + abs(sketch[SKETCH_TABLE] - sent),
    }


def _numbers(broker: KafkaBroker, topic: str) -> dict[str, int]:
    """How many messages of each table a topic has."""
    found: dict[str, int] = {}
    for message in broker.messages(topic):
        table = decode_message(message.headers, message.value).head.table
        found[table] = found.get(table, 0) + 1
    return found


def _process_bytes(broker: KafkaBroker, length: int, seconds: int) -> float:
    agent = DefaultAgent()
    ticks = [[batch for batch in agent.tick(number) if batch.table in RAW_TABLES] for number in range(seconds)]
    writer = _Writer(broker, f"length-{length}")
    for at in range(0, seconds, length):
        writer.send([batch for tick in ticks[at : at + length] for batch in tick])
    writer.close()
    return round(broker.data_bytes(f"{writer.prefix}{RAW_TOPIC}") / PROCESSES / seconds, 2)


def _sketch_bytes(broker: KafkaBroker) -> dict[str, float]:
    """Of a default agent in ten minutes, and of busy ones: 4,500 values over many octaves."""
    agent = DefaultAgent()
    windows = [batch for number in range(600) for batch in agent.tick(number) if batch.table == SKETCH_TABLE]
    busy = [_sketch_batch(Random(seed), 50) for seed in range(10)]
    found = {}
    for name, batches in (("default", windows), ("busy", busy)):
        writer = _Writer(broker, f"sketch-{name}")
        for batch in batches:
            writer.send([batch])
        writer.close()
        rows = sum(batch.entry.rows for batch in batches)
        found[name] = round(broker.data_bytes(f"{writer.prefix}{SKETCH_TOPIC}") / rows, 1)
    return found


def _sketch_batch(pick: Random, sketches: int) -> StoredBatch:
    rows = []
    for _ in range(sketches):
        sketch = Sketch()
        for _ in range(4500):
            sketch.add(int(pick.lognormvariate(17, 1.9)))
        rows.append(sketch_row(sketch.to_columns(), STAMP_NS) | {"pod_uid": None, "command": None, "metric": "cpu"})
    return stored(PROCESS_SKETCH, rows, worker="sampler/process")


def _is_kept(found: dict[str, Any]) -> bool:
    times = found["transactions"]
    lengths = found["bytes_per_process_second"]
    of_interval = lengths.get(INTERVAL_SECONDS, min(lengths.values()))
    measured = {
        "p99_ms": times["p99_ms"],
        "differ": times["differ"],
        "bytes_per_process_second": of_interval,
        "bytes_per_sketch": max(found["bytes_per_sketch"].values()),
    }
    return all(measured[key] <= most for key, most in MUST.items())
