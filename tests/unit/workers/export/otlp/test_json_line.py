"""Lines of JSON say what the protobuf says, as the official classes read both."""

import json
import math

import msgspec
from fakes.stored_batch import STAMP_NS, stored
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from agent.model.protobuf import delimited, double
from agent.model.tables import GAP
from agent.model.timebase import S
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.export.otlp.encoder import OtlpEncoder
from workers.export.otlp.json_line import logs_line, metrics_line
from workers.export.otlp.wire import any_value, attributes
from workers.host.schema import HOST
from workers.process import schema as process

BATCHES = [
    stored(HOST, [{"timestamp": STAMP_NS, "elapsed_ns": S, "cores": 2, "load_1": 0.25, "context_switches": -1, "cpu_user_ns": 5}]),
    stored(
        process.PROCESS_SKETCH,
        [
            {
                "timestamp": STAMP_NS,
                "window_start": STAMP_NS - S,
                "window_ns": S,
                "metric": "cpu",
                "ticks": 1,
                "scale": -2,
                "relative_error": 0.1,
                "zero_count": 1,
                "count": 301,
                "sum": 9,
                "min": 0,
                "max": 9,
                "first_bucket": -7,
                "counts": [300, 0],
                "keys": 1,
                "command": "\x1b w\u00e9b \u2028",
            }
        ],
    ),
    stored(GAP, [{"timestamp": STAMP_NS, "worker": "w", "run": "r", "epoch": -1, "rows": 4, "reason": "worker_died"}]),
]


def test_a_line_is_the_request() -> None:
    """The official decoder of JSON reads the same message from it."""
    encoded = OtlpEncoder(CONVENTIONS, "9").take(BATCHES)
    for line, request, kind in (
        (metrics_line(encoded.metrics), encoded.metrics, ExportMetricsServiceRequest),
        (logs_line(encoded.logs), encoded.logs, ExportLogsServiceRequest),
    ):
        assert line.count(b"\n") == 1
        assert json_format.Parse(line, kind()) == kind.FromString(request)


def test_numbers_are_written_as_the_specification_wants() -> None:
    """Whole numbers of 64 bits as text, enumerations as numbers."""
    encoded = OtlpEncoder(CONVENTIONS, "9").take(BATCHES)
    resource = json.loads(metrics_line(encoded.metrics))["resourceMetrics"][0]
    metric = {each["name"]: each for each in resource["scopeMetrics"][0]["metrics"]}["evergauge.host.context_switches"]
    assert metric["sum"]["aggregationTemporality"] == 1
    assert metric["sum"]["dataPoints"][0]["asInt"] == "-1"
    assert metric["sum"]["dataPoints"][0]["timeUnixNano"] == str(STAMP_NS)


def test_every_kind_of_attribute() -> None:
    """Those that rows do not have now too."""
    pairs = [("a", True), ("b", False), ("c", ["x", ""]), ("d", 0.5), ("e", -1), ("f", "")]
    resource = delimited(1, attributes(1, pairs) + delimited(1, delimited(2, any_value(math.inf))))  # type: ignore[arg-type]  # of several kinds
    line = metrics_line(delimited(1, resource))
    values = [each["value"] for each in json.loads(line)["resourceMetrics"][0]["resource"]["attributes"]]
    assert values == [
        {"boolValue": True},
        {"boolValue": False},
        {"arrayValue": {"values": [{"stringValue": "x"}, {"stringValue": ""}]}},
        {"doubleValue": 0.5},
        {"intValue": "-1"},
        {"stringValue": ""},
        {"doubleValue": "Infinity"},
    ]
    assert msgspec.json.decode(line)
    assert double(4, math.nan) != double(4, math.inf)
