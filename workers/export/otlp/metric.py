"""Metrics and their points, encoded: what does not change is made once, a point is some concatenations. PURE."""

from collections.abc import Sequence
from struct import Struct as Layout
from typing import NamedTuple

from msgspec import Struct

from agent.model.protobuf import BYTES, FIXED64, VARINT, delimited, tag, varint
from workers.export.otlp.column_map import MetricKind, Point, ValueForm
from workers.export.otlp.wire import AttributeValue, attributes, fixed64, text

CUMULATIVE, DELTA = 2, 1
# DataPointFlags: the series has no value at this time.
NO_RECORDED_VALUE = 1
_START, _TIME = tag(2, FIXED64), tag(3, FIXED64)
_AS_DOUBLE, _AS_INT = tag(4, FIXED64), tag(6, FIXED64)
_FIXED64_BYTES = 8
_PLAIN_BYTES = 2 * (1 + _FIXED64_BYTES)
_STARTED_BYTES = _PLAIN_BYTES + 1 + _FIXED64_BYTES
_UINT64 = Layout("<Q")
_POINTS = tag(1, BYTES)


class MetricHead(Struct, frozen=True):
    """One metric without its points. `field`: which kind of data it holds. `ending`: what stands behind its points."""

    name: str
    encoded: bytes
    field: int
    ending: bytes

    def with_points(self, points: bytes | bytearray) -> bytes:
        """The metric as an element of `ScopeMetrics.metrics`."""
        data = self.encoded + tag(self.field, BYTES) + varint(len(points) + len(self.ending)) + points + self.ending
        return delimited(2, data)


def metric_head(name: str, unit: str, kind: MetricKind | None) -> MetricHead:
    """The head of a metric. `kind` None: an exponential histogram, which is always of one window."""
    if kind is None:
        field, ending = 10, tag(2, VARINT) + varint(DELTA)
    elif kind is MetricKind.GAUGE:
        field, ending = 5, b""
    else:
        temporality = DELTA if kind is MetricKind.DELTA else CUMULATIVE
        monotonic = b"" if kind is MetricKind.LEVEL else tag(3, VARINT) + varint(1)
        field, ending = 7, tag(2, VARINT) + varint(temporality) + monotonic
    return MetricHead(name, text(1, name) + text(3, unit), field, ending)


class PreparedPoint(NamedTuple):
    """A point of one column, for one set of dimensions: what stands before and behind what changes.

    `slot`: of its metric in the table. `plain`, `started`: tag and length without and with a start_time.
    """

    column: int
    slot: int
    form: ValueForm
    is_delta: bool
    is_total: bool
    plain: bytes
    started: bytes
    ending: bytes


def prepared_point(column: int, slot: int, point: Point, dimensions: bytes) -> PreparedPoint:
    """`dimensions`: attributes of the row, encoded."""
    ending = attributes(7, point.attributes) + dimensions
    return PreparedPoint(
        column,
        slot,
        point.form,
        point.kind is MetricKind.DELTA,
        point.kind is MetricKind.TOTAL,
        _POINTS + varint(_PLAIN_BYTES + len(ending)),
        _POINTS + varint(_STARTED_BYTES + len(ending)) + _START,
        ending,
    )


def time_parts(time_ns: int) -> tuple[bytes, bytes]:
    """The time of a point with the tag of a whole value behind it, and with that of a double."""
    stamp = _TIME + _UINT64.pack(time_ns)
    return stamp + _AS_INT, stamp + _AS_DOUBLE


def start_part(start_ns: int) -> bytes:
    """The value of a start_time."""
    return _UINT64.pack(start_ns)


def missing_point(time_ns: int, pairs: Sequence[tuple[str, AttributeValue]]) -> bytes:
    """A point that says that the series has no value at this time."""
    return delimited(1, fixed64(3, time_ns) + attributes(7, pairs) + tag(8, VARINT) + varint(NO_RECORDED_VALUE))


def counting_point(time_ns: int, value: int, pairs: Sequence[tuple[str, AttributeValue]], batch: str) -> bytes:
    """A point that counts rows. The id of the batch is in an exemplar: as an attribute it would make a series for each batch."""
    exemplar = fixed64(2, time_ns) + _AS_INT + _UINT64.pack(value) + attributes(7, [("evergauge.batch.id", batch)])
    data = fixed64(3, time_ns) + delimited(5, exemplar) + _AS_INT + _UINT64.pack(value) + attributes(7, pairs)
    return delimited(1, data)
