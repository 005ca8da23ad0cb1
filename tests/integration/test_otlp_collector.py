"""The sink of OTLP against a real collector: it has what was sent, value for value, over kills, TLS and its size limit."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.sink_context import sink_context
from fakes.stored_batch import STAMP_NS, stored
from google.protobuf import json_format
from harness.sinks.certificates import Authority
from harness.sinks.collector import Collector, CollectorTls
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from agent.model.sketch import Sketch
from agent.model.table import Value
from agent.model.tables import CONTAINER_NAME, GAP, POD_GROUP
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from workers.export.otlp.json_line import metrics_line
from workers.export.otlp.otlp_sink import OtlpParcel, OtlpSink
from workers.export.sink import Delivered, Later, Paused, TooLarge
from workers.exporters.otlp import OTLP_TABLES, SINK
from workers.host.schema import HOST
from workers.process import schema as process
from workers.unit import schema as unit

NAMES = [
    stored(
        POD_GROUP,
        [
            {
                "timestamp": 1, "pod_uid": "u1", "kind": "pod", "cgroup": "/p", "containers": 1, "valid_from": 1, "run": "r",
                "pod_namespace": "shop", "pod_name": "web-1",
            }
        ],
    ),
    stored(CONTAINER_NAME, [{"timestamp": 1, "container_id": "c1", "name": "nginx", "pod_uid": "u1", "run": "r"}]),
]  # fmt: skip


def tick(number: int) -> list[StoredBatch]:
    """Rows of each kind: points, histograms, log records, a gap."""
    at = STAMP_NS + number * S
    sketch = Sketch()
    for value in (0, 1, 5, 10**9, number):
        sketch.add(value)
    columns = sketch.to_columns()
    common: dict[str, Value] = {"timestamp": at, "unit": "u1", "kind": "pod", "cgroup": "/p"}
    rows: list[dict[str, Value]] = [
        {
            "timestamp": at, "pid": pid, "start_ticks": 5, "comm": f"w\u00e9b-{pid}\x1b", "state": "S", "chosen_for": "cpu",
            "pod_uid": "u1", "unit_kind": "pod", "container": "c1", "cpu_total_ns": (1 << 63) - 1, "cpu_ns": S // 2,
            "cpu_share": 0.5, "cpu_user_ns": 7, "rss_bytes": 4096 * number, "read_bytes": 0,
        }
        for pid in range(20)
    ]  # fmt: skip
    histogram: dict[str, Value] = {
        "timestamp": at, "window_start": at - S, "window_ns": S, "pod_uid": "u1", "command": "web", "metric": "cpu", "ticks": 1,
        "scale": columns.scale, "relative_error": columns.relative_error, "zero_count": columns.zero_count, "count": columns.count,
        "sum": columns.sum, "min": columns.min, "max": columns.max, "first_bucket": columns.first_bucket,
        "counts": list(columns.counts), "keys": 1,
    }  # fmt: skip
    gap: dict[str, Value] = {
        "timestamp": at, "worker": "sampler/host", "run": "r", "epoch": 1, "rows": 2, "reason": "worker_died", "table": "host",
        "from_timestamp": at - 2 * S, "until_timestamp": at,
    }  # fmt: skip
    return [
        stored(HOST, [{"timestamp": at, "elapsed_ns": S, "cores": 2, "load_1": 0.25}], seq=5 * number + 1),
        stored(process.PROCESS, rows, seq=5 * number + 2),
        stored(process.PROCESS_SKETCH, [histogram], seq=5 * number + 3),
        stored(unit.UNIT_EVENT, [common | {"sequence": number, "event": "oom", "kills": 1}], seq=5 * number + 4),
        stored(GAP, [gap], seq=5 * number + 5),
    ]


def sink_of(endpoint: str, **section: int | str | bool) -> OtlpSink:
    """A sink that knows the names."""
    made = SINK.open(sink_context("otlp", {"endpoint": endpoint, "timeout": 20 * S, **section}, tables=OTLP_TABLES))
    assert isinstance(made, OtlpSink)
    made.skip(NAMES)
    return made


def base_of(collector: Collector) -> str:
    """The endpoint of a section."""
    return collector.url("metrics").removesuffix("/v1/metrics")


def parcel_of(sink: OtlpSink, batches: Sequence[StoredBatch]) -> OtlpParcel:
    """What one delivery carries."""
    found = sink.take(batches)
    assert found is not None
    return found


def sent(parcel: OtlpParcel) -> tuple[Any, Any]:
    """Its two requests."""
    assert parcel.metrics is not None
    assert parcel.logs is not None
    metrics, logs = gzip.decompress(parcel.metrics.body), gzip.decompress(parcel.logs.body)
    return ExportMetricsServiceRequest.FromString(metrics), ExportLogsServiceRequest.FromString(logs)


def written(collector: Collector) -> tuple[list[Any], list[Any]]:
    """What the collector has, as requests."""
    metrics = [json_format.Parse(json.dumps(each), ExportMetricsServiceRequest()) for each in collector.records("metrics")]
    for request in metrics:
        for resource in request.resource_metrics:
            for metric in resource.scope_metrics[0].metrics:
                for point in metric.exponential_histogram.data_points:
                    # It writes the side that no value is on, as a side without buckets.
                    assert not point.negative.bucket_counts
                    point.ClearField("negative")
    logs = [json_format.Parse(json.dumps(each), ExportLogsServiceRequest()) for each in collector.records("logs")]
    return metrics, logs


def test_a_collector_has_what_was_sent(tmp_path: Path) -> None:
    """Every resource, attribute, value, bucket, flag and exemplar."""
    with Collector(tmp_path / "collector") as collector:
        sink = sink_of(base_of(collector))
        assert sink.probe() == Delivered()
        parcels = [parcel_of(sink, tick(number)) for number in range(5)]
        assert [sink.deliver(parcel) for parcel in parcels] == [Delivered()] * 5
        sink.close()
        metrics, logs = written(collector)
    expected = [sent(parcel) for parcel in parcels]
    assert metrics == [each for each, _ in expected]
    assert logs == [each for _, each in expected]
    assert b"k8s.pod.name" in metrics_line(expected[0][0].SerializeToString())


def test_a_collector_that_is_killed_has_every_batch_and_the_repeated_one_can_be_told(tmp_path: Path) -> None:
    """At most one batch for each kill comes twice, with the same bytes."""
    ids: list[str] = []
    with Collector(tmp_path / "collector") as collector:
        sink = sink_of(base_of(collector), timeout=5 * S)
        for number in range(9):
            parcel = parcel_of(sink, tick(number))
            if number % 3 == 2:
                collector.kill()
                assert isinstance(sink.deliver(parcel), Later)
                collector.start()
            assert sink.deliver(parcel) == Delivered()
        sink.close()
        for request in written(collector)[0]:
            (found,) = {
                pair.value.string_value
                for resource in request.resource_metrics
                for metric in resource.scope_metrics[0].metrics
                if metric.name == "evergauge.export.rows"
                for point in metric.sum.data_points
                for exemplar in point.exemplars
                for pair in exemplar.filtered_attributes
            }
            ids.append(found)
    assert len(set(ids)) == 9
    assert len(ids) <= 9 + 3


@pytest.mark.runbook("Sink of kind otlp")
def test_tls_on_both_sides(tmp_path: Path) -> None:
    """With certificates of an own authority; without ours the sink pauses and nothing is lost."""
    authority = Authority(tmp_path / "authority")
    client = authority.client("node-1")
    tls = CollectorTls(authority.server("127.0.0.1"), authority.certificate)
    with Collector(tmp_path / "collector", tls=tls) as collector:
        ca = str(authority.certificate)
        ours = {"cert_file": str(client.certificate), "key_file": str(client.key)}
        sink = sink_of(base_of(collector), ca_file=ca, **ours)
        parcel = parcel_of(sink, tick(0))
        assert sink.deliver(parcel) == Delivered()
        sink.close()
        without = sink_of(base_of(collector), ca_file=ca)
        verdict = without.deliver(parcel_of(without, tick(1)))
        assert isinstance(verdict, Paused)
        assert "set cert_file and key_file" in verdict.sentence
        strange = sink_of(base_of(collector), **ours)
        verdict = strange.deliver(parcel_of(strange, tick(1)))
        assert isinstance(verdict, Paused)
        assert "set ca_file" in verdict.sentence
        without.close()
        strange.close()
        assert written(collector)[0] == [sent(parcel)[0]]


@pytest.mark.runbook("Sink of kind otlp")
def test_a_request_that_is_too_large_for_it_is_divided(tmp_path: Path) -> None:
    """It says so, and halves of it are taken."""
    with Collector(tmp_path / "collector", body_bytes_max=20_000) as collector:
        sink = sink_of(base_of(collector))
        many = [batch for number in range(4) for batch in tick(number)]
        verdict = sink.deliver(parcel_of(sink, many))
        sink.close()
    assert isinstance(verdict, TooLarge)


@pytest.mark.parametrize("port_of", ["http", "grpc"])
@pytest.mark.runbook("Sink of kind otlp")
def test_a_wrong_port_is_told(tmp_path: Path, port_of: str) -> None:
    """The one of gRPC speaks another protocol; another path has nothing."""
    with Collector(tmp_path / "collector") as collector:
        port = collector.grpc_port if port_of == "grpc" else collector.http_port
        sink = sink_of(f"http://127.0.0.1:{port}" + ("" if port_of == "grpc" else "/elsewhere"))
        verdict = sink.deliver(parcel_of(sink, tick(0)))
        sink.close()
    assert isinstance(verdict, Later | Paused)
    assert (
        "closed the connection before it answered" if port_of == "grpc" else "there is no OTLP receiver here"
    ) in verdict.sentence
