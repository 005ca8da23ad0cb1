"""Rows to remote write: samples a second and core, and bytes a sample, in both versions and beside the official messages."""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from cramjam import snappy
from machine import circumstances
from remote_pb2.remote_pb2 import WriteRequest

from agent.model.timebase import MS, S
from agent.store.batch import StoredBatch
from exports_bench.default_agent import PROCESSES, DefaultAgent
from workers.export.names import Names
from workers.export.remote_write.sample import WrittenSeries, series_of
from workers.export.remote_write.version_1 import encoded_1
from workers.export.remote_write.version_2 import encoded_2
from workers.export.series.catalogue import NAME_TABLES
from workers.export.series.table import SeriesTable

COMMON_LABELS = (("instance", "node-1"), ("job", "evergauge"))
# So many seconds of rows a chunk of the exporter has while it sends a backlog.
CHUNK_TICKS = 15


def main(words: Sequence[str]) -> int:
    """Measure, print a table, and write JSON where it is asked for."""
    options = _options(words)
    agent = DefaultAgent()
    names = agent.names()
    ticks = [agent.tick(number) for number in range(options.seconds)]
    found: dict[str, Any] = circumstances() | {"seconds": options.seconds, "processes": PROCESSES}
    print(f"{PROCESSES} processes, 100 units, {options.seconds} s, load {os.getloadavg()[0]:.2f}")
    heads = ("interval", "samples", "samples/s", "rows/s", "B/sample 2.0", "B/sample 1.0", "core per node")
    print(" ".join(f"{head:>13}" for head in heads))
    for interval_ms in options.intervals:
        found[f"by_{interval_ms}_ms"] = measured = _measure(names, ticks, interval_ms * MS, options.repeats)
        digits = (0, 0, 0, 2, 2, 4)
        shown = [f"{value:>13.{digit}f}" for value, digit in zip(measured.values(), digits, strict=False)]
        print(" ".join([f"{interval_ms / 1000:>12g}s", *shown]))
    series = _all_series(names, ticks, S)
    found["encoders"] = encoders = _encoders(series, options.repeats)
    for name, speed in encoders.items():
        print(f"{name}: {speed:,.0f} samples/s")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    return 0


def _options(words: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(prog="scripts/bench/exports remote-write-encode", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="length of the recorded time")
    parser.add_argument("--intervals", type=int, nargs="+", default=[1, 15_000], help="resolution in milliseconds")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many is told")
    parser.add_argument("--json", default="", help="file for the figures")
    return parser.parse_args(words)


def _table(names: Sequence[StoredBatch], interval_ns: int) -> SeriesTable:
    known = Names()
    for batch in names:
        known.take(batch)
    return SeriesTable(known, series_max=10_000, interval_ns=interval_ns)


def _chunks(ticks: Sequence[list[StoredBatch]]) -> list[list[StoredBatch]]:
    return [
        [batch for tick in ticks[at : at + CHUNK_TICKS] for batch in tick if batch.table not in NAME_TABLES]
        for at in range(0, len(ticks), CHUNK_TICKS)
    ]


def _measure(names: Sequence[StoredBatch], ticks: Sequence[list[StoredBatch]], interval_ns: int, repeats: int) -> dict[str, float]:
    chunks = _chunks(ticks)
    sizes = {1: 0, 2: 0}

    def work() -> int:
        table, samples = _table(names, interval_ns), 0
        for chunk in chunks:
            for batch in chunk:
                table.take(batch)
            series = series_of(table.take_points(), COMMON_LABELS)
            samples += sum(len(each.samples) for each in series)
            snappy.compress_raw(encoded_2(series))
        return samples

    samples, seconds = _best(work, repeats)
    table = _table(names, interval_ns)
    for chunk in chunks:
        for batch in chunk:
            table.take(batch)
        series = series_of(table.take_points(), COMMON_LABELS)
        sizes[1] += len(bytes(snappy.compress_raw(encoded_1(series))))
        sizes[2] += len(bytes(snappy.compress_raw(encoded_2(series))))
    rows = sum(batch.entry.rows for chunk in chunks for batch in chunk)
    return {
        "samples": samples,
        "samples_per_s": samples / seconds,
        "rows_per_s": rows / seconds,
        "bytes_per_sample_2": sizes[2] / samples,
        "bytes_per_sample_1": sizes[1] / samples,
        "cores_per_node": seconds / len(ticks),
    }


def _best(work: Callable[[], int], repeats: int) -> tuple[int, float]:
    """What is done, and the least CPU time of it in seconds."""
    best, amount = float("inf"), 0
    for _ in range(repeats):
        begun = time.process_time()
        amount = work()
        best = min(best, time.process_time() - begun)
    return amount, best


def _all_series(names: Sequence[StoredBatch], ticks: Sequence[list[StoredBatch]], interval_ns: int) -> list[WrittenSeries]:
    table = _table(names, interval_ns)
    for batch in _chunks(ticks)[0]:
        table.take(batch)
    return [each for each in series_of(table.take_points(), COMMON_LABELS) if not each.is_histogram]


def _encoders(series: Sequence[WrittenSeries], repeats: int) -> dict[str, float]:
    """The encoders alone, over the same series."""
    samples = sum(len(each.samples) for each in series)

    def official() -> int:
        request = WriteRequest()
        for each in series:
            written = request.timeseries.add()
            for name, text in each.pairs:
                written.labels.add(name=name, value=text)
            for sample in each.samples:
                written.samples.add(value=float(sample.value), timestamp=sample.at_ms)  # type: ignore[arg-type]  # no histogram
        return len(request.SerializeToString())

    jobs: dict[str, Callable[[], int]] = {
        "version 2.0": lambda: len(encoded_2(series)),
        "version 1.0": lambda: len(encoded_1(series)),
        "official messages of 1.0": official,
    }
    return {name: samples / _best(job, repeats)[1] for name, job in jobs.items()}
