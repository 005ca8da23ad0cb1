"""Rows to OTLP with gzip, beside opentelemetry-proto's own encoder: points a second and core, and bytes."""

import argparse
import json
import os
import random
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from fakes.stored_batch import STAMP_NS, stored
from machine import circumstances
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from agent.model.sketch import Sketch
from agent.store.batch import StoredBatch
from exports_bench.default_agent import PROCESSES, DefaultAgent, sketch_row
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.export.otlp.encoder import OtlpEncoder
from workers.export.otlp.otlp_sink import GZIP_LEVEL, gzip_bytes
from workers.process.schema import PROCESS_SKETCH

SHOWN = {
    "points": 0,
    "points_per_s": 0,
    "points_per_s_without_gzip": 0,
    "rival_points_per_s": 0,
    "bytes_per_process_second": 2,
    "bytes_per_process_second_all_tables": 2,
    "bytes_per_process_row": 1,
}
PROCESS_TABLES = frozenset({"process", "process_tail", "process_scan", "process_exit"})


def main(words: Sequence[str]) -> int:
    """Measure, print a table, and write JSON where it is asked for."""
    options = _options(words)
    agent = DefaultAgent()
    names = agent.names()
    ticks = [agent.tick(number) for number in range(options.seconds)]
    found: dict[str, Any] = circumstances() | {"seconds": options.seconds, "processes": PROCESSES}
    print(f"{PROCESSES} processes, 100 units, {options.seconds} s, gzip level {GZIP_LEVEL}, load {os.getloadavg()[0]:.2f}")
    heads = ("s a request", "points", "points/s", "without gzip", "rival/s", "B/process-s", "all tables", "B/row")
    print(" ".join(f"{head:>12}" for head in heads))
    for length in options.lengths:
        found[f"by_{length}_s"] = measured = _measure(names, ticks, length, options.repeats)
        shown = [f"{length:>12}", *(f"{measured[key]:>12.{digits}f}" for key, digits in SHOWN.items())]
        print(" ".join(shown))
    found["bytes_per_sketch"] = _sketches(names, ticks)
    found["bytes_of_a_busy_sketch"] = busy = _busy_sketches()
    print(f"a sketch of 4,500 values in {busy['filled']:.0f} buckets: {busy['gzip']:.1f} B with gzip, {busy['plain']:.1f} without")
    small = found["bytes_per_sketch"]
    print(f"a sketch of process_sketch: {small['gzip']:.1f} B with gzip, {small['plain']:.1f} without")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    return 0


def _options(words: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(prog="scripts/bench/exports otlp-encode", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="length of the recorded time")
    parser.add_argument(
        "--lengths", type=lambda text: [int(word) for word in text.split(",")], default=[1, 5, 30], help="seconds in one request"
    )
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many is told")
    parser.add_argument("--json", default="", help="file for the figures")
    return parser.parse_args(words)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _encoder(names: Sequence[StoredBatch]) -> OtlpEncoder:
    encoder = OtlpEncoder(CONVENTIONS, "0")
    encoder.skip(names)
    return encoder


def _best(repeats: int, work: Callable[[], int]) -> float:
    """Amount by CPU second."""
    best = 0.0
    for _ in range(repeats):
        began = time.process_time()
        amount = work()
        best = max(best, amount / (time.process_time() - began))
    return best


def _measure(names: Sequence[StoredBatch], ticks: Sequence[list[StoredBatch]], length: int, repeats: int) -> dict[str, float]:
    parts = [[batch for tick in ticks[at : at + length] for batch in tick] for at in range(0, len(ticks), length)]

    def encode(*, is_zipped: bool) -> int:
        encoder, points = _encoder(names), 0
        for part in parts:
            encoded = encoder.take(part)
            points += encoded.points
            if is_zipped:
                gzip_bytes(encoded.metrics)
        return points

    encoder = _encoder(names)
    requests = [encoder.take(part) for part in parts]
    plain = [_plain(ExportMetricsServiceRequest.FromString(request.metrics)) for request in requests[: max(1, 20 // length)]]
    points = [request.points for request in requests[: len(plain)]]

    def rival() -> int:
        for request in plain:
            gzip_bytes(_official(request))
        return sum(points)

    process_seconds = PROCESSES * len(ticks)
    of_processes = _bytes_of(names, parts, PROCESS_TABLES)
    rows = sum(batch.entry.rows for part in parts for batch in part if batch.table == "process")
    return {
        "points": sum(request.points for request in requests),
        "points_per_s": _best(repeats, lambda: encode(is_zipped=True)),
        "points_per_s_without_gzip": _best(repeats, lambda: encode(is_zipped=False)),
        "rival_points_per_s": _best(repeats, rival),
        "bytes_per_process_second": of_processes / process_seconds,
        "bytes_per_process_second_all_tables": sum(len(gzip_bytes(request.metrics)) for request in requests) / process_seconds,
        "bytes_per_process_row": _bytes_of(names, parts, frozenset({"process"})) / rows,
        "bytes_of_the_largest_request": max(len(request.metrics) for request in requests),
    }


def _bytes_of(names: Sequence[StoredBatch], parts: Sequence[list[StoredBatch]], tables: frozenset[str]) -> int:
    encoder, found = _encoder(names), 0
    for part in parts:
        wanted = [batch for batch in part if batch.table in tables]
        if wanted:
            found += len(gzip_bytes(encoder.take(wanted).metrics))
    return found


def _sketches(names: Sequence[StoredBatch], ticks: Sequence[list[StoredBatch]]) -> dict[str, float]:
    batches = [batch for tick in ticks for batch in tick if batch.table == "process_sketch"]
    request = _encoder(names).take(batches).metrics
    rows = max(1, sum(batch.entry.rows for batch in batches))
    return {"rows": rows, "gzip": len(zlib.compress(request, GZIP_LEVEL)) / rows, "plain": len(request) / rows}


def _busy_sketches() -> dict[str, float]:
    """Like those that formats were compared with: the values of 75 busy processes and 60 s, over many octaves."""
    pick, rows, filled = random.Random(1), [], 0
    for _ in range(50):
        sketch = Sketch()
        for _ in range(4500):
            sketch.add(int(pick.lognormvariate(17, 1.9)))
        columns = sketch.to_columns()
        filled += sum(1 for count in columns.counts if count)
        rows.append(sketch_row(columns, STAMP_NS) | {"pod_uid": None, "command": None, "metric": "cpu"})
    request = _encoder([]).take([stored(PROCESS_SKETCH, rows)]).metrics
    return {"filled": filled / len(rows), "gzip": len(gzip_bytes(request)) / len(rows), "plain": len(request) / len(rows)}


def _plain(request: Any) -> list[Any]:
    """The request as plain values, from which the rival builds it."""
    return [
        (
            [
                (each.key, each.value.WhichOneof("value"), getattr(each.value, each.value.WhichOneof("value")))
                for each in resource.resource.attributes
            ],
            [_plain_metric(metric) for metric in resource.scope_metrics[0].metrics],
        )
        for resource in request.resource_metrics
    ]


def _plain_pairs(attributes: Any) -> list[tuple[str, str, Any]]:
    kinds = [(each, each.value.WhichOneof("value")) for each in attributes]
    return [(each.key, kind, getattr(each.value, kind)) for each, kind in kinds]


def _plain_metric(metric: Any) -> tuple[Any, ...]:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    points = []
    for point in data.data_points:
        pairs = [
            (each.key, each.value.WhichOneof("value"), getattr(each.value, each.value.WhichOneof("value")))
            for each in point.attributes
        ]
        if kind == "exponential_histogram":
            value: tuple[Any, ...] = (
                point.scale,
                point.count,
                point.sum,
                point.zero_count,
                point.positive.offset,
                list(point.positive.bucket_counts),
            )
        else:
            value = (point.WhichOneof("value"), getattr(point, point.WhichOneof("value")))
        points.append((point.start_time_unix_nano, point.time_unix_nano, value, pairs))
    temporality = 0 if kind == "gauge" else data.aggregation_temporality
    return metric.name, metric.unit, kind, temporality, kind == "sum" and data.is_monotonic, points


def _official(plain: list[Any]) -> bytes:
    request = ExportMetricsServiceRequest()
    for resource_pairs, metrics in plain:
        resource = request.resource_metrics.add(schema_url=CONVENTIONS.schema_url)
        _add_pairs(resource.resource, resource_pairs)
        scope = resource.scope_metrics.add(schema_url=CONVENTIONS.schema_url)
        scope.scope.name = "evergauge"
        for name, unit, kind, temporality, is_monotonic, points in metrics:
            data = getattr(scope.metrics.add(name=name, unit=unit), kind)
            if kind != "gauge":
                data.aggregation_temporality = temporality
            if kind == "sum":
                data.is_monotonic = is_monotonic
            for start, at, value, pairs in points:
                point = data.data_points.add(start_time_unix_nano=start, time_unix_nano=at)
                if kind == "exponential_histogram":
                    point.scale, point.count, point.sum, point.zero_count, point.positive.offset = value[:5]
                    point.positive.bucket_counts.extend(value[5])
                else:
                    setattr(point, *value)
                _add_pairs(point, pairs)
    return bytes(request.SerializeToString())


def _add_pairs(message: Any, pairs: list[tuple[str, str, Any]]) -> None:
    for key, field, value in pairs:
        setattr(message.attributes.add(key=key).value, field, value)
