"""A request of OTLP as one line of JSON, made from its protobuf, so that both say the same. PURE.

*Source:* opentelemetry-specification, protocol/file-exporter.md; opentelemetry-proto, docs/specification.md, section JSON:
names in lowerCamelCase, enumerations as numbers, whole numbers of 64 bits as text.
"""

from collections.abc import Callable, Mapping
from math import isfinite, isnan
from struct import Struct as Layout
from typing import Union

import msgspec

from agent.model.protobuf import BYTES, FIXED64, VARINT

_DOUBLE, _UINT64, _INT64 = Layout("<d"), Layout("<Q"), Layout("<q")
_INT64_BIAS = 1 << 64

_Json = Union[str, int, float, bool, list["_Json"], dict[str, "_Json"]]  # noqa: UP007  # a recursive name cannot be written with |
_Scalar = Callable[[int | bytes], _Json]
# By number: name in JSON, whether it is repeated, and the message or the scalar that it holds.
_Message = Mapping[int, tuple[str, bool, "_Message | _Scalar"]]


def _text(value: int | bytes) -> _Json:
    assert isinstance(value, bytes)
    return value.decode("utf-8", "replace")


def _double(value: int | bytes) -> _Json:
    assert isinstance(value, bytes)
    number: float = _DOUBLE.unpack(value)[0]
    return number if isfinite(number) else "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _fixed64(value: int | bytes) -> _Json:
    assert isinstance(value, bytes)
    return str(_UINT64.unpack(value)[0])


def _sfixed64(value: int | bytes) -> _Json:
    assert isinstance(value, bytes)
    return str(_INT64.unpack(value)[0])


def _int64(value: int | bytes) -> _Json:
    assert isinstance(value, int)
    return str(value - _INT64_BIAS if value >> 63 else value)


def _number(value: int | bytes) -> _Json:
    assert isinstance(value, int)
    return value


def _sint32(value: int | bytes) -> _Json:
    assert isinstance(value, int)
    return (value >> 1) ^ -(value & 1)


def _bool(value: int | bytes) -> _Json:
    return bool(value)


def _packed(value: int | bytes) -> _Json:
    assert isinstance(value, bytes)
    found: list[_Json] = []
    place = 0
    while place < len(value):
        count, place = _varint(value, place)
        found.append(str(count))
    return found


_ARRAY: dict[int, tuple[str, bool, "_Message | _Scalar"]] = {}
_ANY: _Message = {
    1: ("stringValue", False, _text),
    2: ("boolValue", False, _bool),
    3: ("intValue", False, _int64),
    4: ("doubleValue", False, _double),
    5: ("arrayValue", False, _ARRAY),
}
_ARRAY[1] = ("values", True, _ANY)
_PAIR: _Message = {1: ("key", False, _text), 2: ("value", False, _ANY)}
_RESOURCE: _Message = {1: ("attributes", True, _PAIR)}
_SCOPE: _Message = {1: ("name", False, _text), 2: ("version", False, _text)}
_EXEMPLAR: _Message = {
    2: ("timeUnixNano", False, _fixed64),
    3: ("asDouble", False, _double),
    6: ("asInt", False, _sfixed64),
    7: ("filteredAttributes", True, _PAIR),
}
_POINT: _Message = {
    2: ("startTimeUnixNano", False, _fixed64),
    3: ("timeUnixNano", False, _fixed64),
    4: ("asDouble", False, _double),
    5: ("exemplars", True, _EXEMPLAR),
    6: ("asInt", False, _sfixed64),
    7: ("attributes", True, _PAIR),
    8: ("flags", False, _number),
}
_BUCKETS: _Message = {1: ("offset", False, _sint32), 2: ("bucketCounts", False, _packed)}
_HISTOGRAM_POINT: _Message = {
    1: ("attributes", True, _PAIR),
    2: ("startTimeUnixNano", False, _fixed64),
    3: ("timeUnixNano", False, _fixed64),
    4: ("count", False, _fixed64),
    5: ("sum", False, _double),
    6: ("scale", False, _sint32),
    7: ("zeroCount", False, _fixed64),
    8: ("positive", False, _BUCKETS),
    12: ("min", False, _double),
    13: ("max", False, _double),
}
_GAUGE: _Message = {1: ("dataPoints", True, _POINT)}
_SUM: _Message = {1: ("dataPoints", True, _POINT), 2: ("aggregationTemporality", False, _number), 3: ("isMonotonic", False, _bool)}
_HISTOGRAM: _Message = {1: ("dataPoints", True, _HISTOGRAM_POINT), 2: ("aggregationTemporality", False, _number)}
_METRIC: _Message = {
    1: ("name", False, _text),
    3: ("unit", False, _text),
    5: ("gauge", False, _GAUGE),
    7: ("sum", False, _SUM),
    10: ("exponentialHistogram", False, _HISTOGRAM),
}
_RECORD: _Message = {
    1: ("timeUnixNano", False, _fixed64),
    2: ("severityNumber", False, _number),
    3: ("severityText", False, _text),
    5: ("body", False, _ANY),
    6: ("attributes", True, _PAIR),
    11: ("observedTimeUnixNano", False, _fixed64),
    12: ("eventName", False, _text),
}


def _request(name: str, scoped: str, element: str, content: _Message) -> _Message:
    scope: _Message = {1: ("scope", False, _SCOPE), 2: (element, True, content), 3: ("schemaUrl", False, _text)}
    resource: _Message = {1: ("resource", False, _RESOURCE), 2: (scoped, True, scope), 3: ("schemaUrl", False, _text)}
    return {1: (name, True, resource)}


_METRICS = _request("resourceMetrics", "scopeMetrics", "metrics", _METRIC)
_LOGS = _request("resourceLogs", "scopeLogs", "logRecords", _RECORD)
_ENCODER = msgspec.json.Encoder()


def metrics_line(request: bytes) -> bytes:
    """A request for metrics, as `OtlpEncoder` makes it, with the end of the line."""
    return _ENCODER.encode(_object(request, _METRICS)) + b"\n"


def logs_line(request: bytes) -> bytes:
    """The same of log records."""
    return _ENCODER.encode(_object(request, _LOGS)) + b"\n"


def _object(data: bytes, message: _Message) -> dict[str, _Json]:
    """A message that our own encoder wrote. No recursion over foreign data: its depth is that of the tables above."""
    found: dict[str, _Json] = {}
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        value: int | bytes
        if key & 7 == VARINT:
            value, place = _varint(data, place)
        elif key & 7 == FIXED64:
            value, place = data[place : place + 8], place + 8
        else:
            assert key & 7 == BYTES
            length, place = _varint(data, place)
            value, place = data[place : place + length], place + length
        name, is_repeated, content = message[key >> 3]
        inner: _Json
        if callable(content):
            inner = content(value)
        else:
            assert isinstance(value, bytes)
            inner = _object(value, content)
        if is_repeated:
            elements = found.setdefault(name, [])
            assert isinstance(elements, list)
            elements.append(inner)
        else:
            found[name] = inner
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = data[place]
    place += 1
    if value < 128:
        return value, place
    value &= 127
    shift = 7
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
