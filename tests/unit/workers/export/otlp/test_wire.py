"""The encoder of protobuf against the official one: every kind of field, every number, every text."""

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, NumberDataPoint, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from agent.model.protobuf import double, packed, signed, varint, whole
from workers.export.otlp import wire

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
UINT64 = st.integers(0, (1 << 64) - 1)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


@given(INT64)
def test_whole_numbers(value: int) -> None:
    """Varints of 64 bits, negative ones too."""
    assert AnyValue(int_value=value).SerializeToString() == wire.any_value(value)
    assert Sum(is_monotonic=value > 0).SerializeToString() == whole(3, int(value > 0))


@given(INT32, st.lists(UINT64, max_size=20))
def test_buckets(offset: int, counts: list[int]) -> None:
    """Zigzag offsets and packed counts."""
    buckets = ExponentialHistogramDataPoint.Buckets(offset=offset, bucket_counts=counts)
    head = signed(1, offset)
    assert buckets.SerializeToString() == head + packed(2, counts)


@given(st.floats())
def test_doubles(value: float) -> None:
    """Infinite ones and NaN too."""
    point = NumberDataPoint.FromString(double(4, value))
    assert point.as_double == value or (isnan(value) and isnan(point.as_double))


@given(UINT64)
def test_times(value: int) -> None:
    """Fixed numbers of 64 bits; 0 is not sent."""
    assert NumberDataPoint(time_unix_nano=value).SerializeToString() == wire.fixed64(3, value)


@given(st.text(max_size=300))
def test_texts(value: str) -> None:
    """Any Unicode, control characters too."""
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        return
    assert AnyValue(string_value=value).SerializeToString() == wire.any_value(value)


@given(st.text(min_size=1, max_size=200).filter(str.isascii), st.booleans(), st.lists(st.text("ab", max_size=3), max_size=3))
def test_attributes(key: str, flag: bool, texts: list[str]) -> None:
    """Each kind of value, in its place."""
    official = Resource(
        attributes=[
            KeyValue(key=key, value=AnyValue(bool_value=flag)),
            KeyValue(key=key, value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=each) for each in texts]))),
            KeyValue(key=key, value=AnyValue(double_value=0.5)),
        ]
    )
    assert official.SerializeToString() == wire.attributes(1, [(key, flag), (key, texts), (key, 0.5)])


def test_a_lone_surrogate_and_an_endless_text_do_no_harm() -> None:
    """They are replaced, or cut."""
    assert AnyValue.FromString(wire.any_value("a\udc80")).string_value == "a?"
    long = AnyValue.FromString(wire.any_value("\u00e9" * 70_000)).string_value
    assert len(long) == wire.TEXT_LENGTH_MAX
    assert long.endswith("…")


@pytest.mark.parametrize(("value", "expected"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (-1, b"\xff" * 9 + b"\x01")])
def test_some_varints(value: int, expected: bytes) -> None:
    """As the documentation has them."""
    assert varint(value) == expected
