"""Kills of a merger, of Redis and of the broker: rows lost or doubled, marks ahead of rows, and how soon rows come again."""

import argparse
import json
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from fakes.lake_rows import lake_state, numbered
from fakes.merged_topics import BROKER_SETTINGS, HOSTS, FolderLake, MergedTopics
from harness.sinks.kafka_broker import KafkaBroker
from harness.sinks.redis_server import RedisServer
from harness.waiting import wait_until

from agent.lake.mark_cache import MarkCache
from agent.lake.mark_form import lake_id

VICTIMS = ("merger", "redis", "broker")
# Transactions between two kills, each with a batch of each host.
_TRANSACTIONS = 6


def main(words: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports merge-kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of the merger and of Redis")
    parser.add_argument("--broker-kills", type=int, default=50, help="of the broker, which takes seconds to come back")
    parser.add_argument("--victims", default=",".join(VICTIMS), help="which ones, by commas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    found = {}
    for victim in options.victims.split(","):
        kills = options.broker_kills if victim == "broker" else options.kills
        found[victim] = _trial(victim, kills, Random(options.seed))
        print(f"{victim:7} {json.dumps(found[victim])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if all(each["is_kept"] for each in found.values()) else 1


def _trial(victim: str, kills: int, chance: Random) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        folder = Path(name)
        with KafkaBroker(folder / "kafka", settings=BROKER_SETTINGS) as broker, RedisServer(folder / "redis") as redis:
            store = FolderLake(folder / "lake")
            topics = MergedTopics(broker, folder, store)
            cache = MarkCache(redis.url, lake_id(store.url))
            ahead, recoveries = 0, []
            try:
                topics.start("one", "--redis", redis.url)
                for turn in range(kills):
                    topics.write(range(turn * _TRANSACTIONS, (turn + 1) * _TRANSACTIONS))
                    time.sleep(chance.uniform(0.0, 0.3))
                    _kill(victim, topics, broker, redis)
                    ahead += _ahead(store, cache)
                    recoveries.append(_recovery_seconds(topics, turn))
                topics.wait()
                is_cached = _is_cached(store, cache)
            finally:
                topics.end()
                cache.close()
            rows = store.rows()
    wanted = numbered(HOSTS, topics.written)
    lost, doubled = len(set(wanted) - set(rows)), len(rows) - len(set(rows))
    return {
        "kills": kills,
        "rows": len(wanted),
        "lost": lost,
        "doubled": doubled,
        "marks_ahead": ahead,
        "recovery_p50_s": round(median(recoveries), 3),
        "recovery_max_s": round(max(recoveries), 3),
        "is_kept": lost == doubled == ahead == 0 and is_cached,
    }


def _kill(victim: str, topics: MergedTopics, broker: KafkaBroker, redis: RedisServer) -> None:
    if victim == "merger":
        topics.mergers[-1].kill()
        topics.mergers[-1].wait()
        topics.start("one", "--redis", redis.url)
    else:
        program = broker if victim == "broker" else redis
        program.kill()
        program.start()


def _ahead(store: FolderLake, cache: MarkCache) -> int:
    """Marks in the cache that promise more than the store's own; the cache is read first."""
    cached = cache.read("process_tail", HOSTS)
    state = lake_state(store.folder)
    marks = state.marks.get("process_tail", {})
    return sum(host not in marks or mark.commit > state.number or mark.low_ns > marks[host].low_ns for host, mark in cached.items())


def _recovery_seconds(topics: MergedTopics, turn: int) -> float:
    """From a batch that is written now to its rows in the lake."""
    began = time.monotonic()
    seq = 1_000_000 + turn
    topics.write([seq])
    wait_until(lambda: any(row[1] == seq for row in topics.store.rows()), "the rows of after the kill", pause_seconds=0.05)
    return time.monotonic() - began


def _is_cached(store: FolderLake, cache: MarkCache) -> bool:
    """Whether the cache has the marks of the store in the end."""
    marks = lake_state(store.folder).marks["process_tail"]

    def is_equal() -> bool:
        cached = cache.read("process_tail", HOSTS)
        return {host: mark.low_ns for host, mark in cached.items()} == {
            host: mark.low_ns // 1000 * 1000 for host, mark in marks.items()
        }

    return bool(wait_until(is_equal, "the marks in the cache", pause_seconds=0.1))
