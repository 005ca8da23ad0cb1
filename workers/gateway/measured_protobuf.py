"""Writes metrics in the protobuf format of Prometheus, which has native histograms and start times. PURE.

*Source:* prometheus/client_model, io/prometheus/client/metrics.proto; each family is preceded by its length.
"""

from collections.abc import Iterable, Iterator

from agent.model.protobuf import delimited, double, packed, signed, text, varint, whole, zigzag
from agent.model.sketch import SketchColumns
from agent.model.sketch_export import native_histogram
from agent.model.timebase import S
from workers.export.series.metric import Metric
from workers.export.series.sketch_cache import SketchCache
from workers.export.series.table import SeriesFamily
from workers.export.series.tracked import Number
from workers.gateway.metrics import Family

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_TYPES = {"counter": 0, "gauge": 1, "info": 1, "gaugehistogram": 5}
# The field of a Metric that holds the value of a type.
_FIELDS = {"counter": 3, "gauge": 2, "info": 2}


def agent_protobuf(families: Iterable[Family]) -> Iterator[bytes]:
    """The agent's own families."""
    for family in families:
        metrics = [
            delimited(4, b"".join(_pair(*pair) for pair in labels) + delimited(_FIELDS[family.kind], double(1, value)))
            for labels, value in family.samples.items()
        ]
        yield _family(family.name, family.about, family.kind, metrics)


def measured_protobuf(families: Iterable[SeriesFamily], histograms: SketchCache[bytes]) -> Iterator[bytes]:
    """The families of stored rows, each in one piece; a sketch is a gauge histogram with native buckets."""
    for family in families:
        fixed: dict[Metric, bytes] = {}
        metrics: list[bytes] = []
        for tracked, metric, value in family.samples:
            head = fixed.get(metric)
            if head is None:
                head = fixed[metric] = b"".join(_pair(*pair) for pair in metric.labels)
            pairs = head + b"".join(_pair(*pair) for pair in tracked.labels.pairs)
            metrics.append(delimited(4, pairs + _value(metric, value, tracked.created_ns, histograms)))
        yield _family(family.metric.name, family.metric.about, family.metric.type, metrics)


def _family(name: str, about: str, kind: str, metrics: list[bytes]) -> bytes:
    # Field 3 is not left out where it is 0: the format has the syntax of version 2.
    content = text(1, name) + text(2, about) + b"\x18" + varint(_TYPES[kind]) + b"".join(metrics)
    return varint(len(content)) + content


def _pair(name: str, value: str) -> bytes:
    return delimited(1, text(1, name) + text(2, value))


def _value(metric: Metric, value: "Number | SketchColumns", created_ns: int, histograms: SketchCache[bytes]) -> bytes:
    if isinstance(value, SketchColumns):
        return delimited(7, histograms.get(value))
    if metric.type == "counter" and metric.source == "grown":
        seconds, nanoseconds = divmod(created_ns, S)
        return delimited(3, double(1, value) + delimited(3, whole(1, seconds) + whole(2, nanoseconds)))
    return delimited(_FIELDS[metric.type], double(1, value))


def histogram_of(columns: SketchColumns) -> bytes:
    """A sketch as the fields of a Histogram."""
    found = native_histogram(columns)
    spans = b"".join(delimited(12, signed(1, span.offset) + whole(2, span.length)) for span in found.spans)
    deltas = packed(13, map(zigzag, found.deltas))
    # A histogram without a bucket says by an empty span that it is a native one.
    return (
        whole(1, found.count)
        + double(2, found.sum)
        + signed(5, found.schema)
        + whole(7, found.zero_count)
        + (spans or b"\x62\x00")
        + deltas
    )
