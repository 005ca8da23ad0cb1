"""A sketch as OpenTelemetry and Prometheus have it: through their official messages and back, without any change."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint
from remote_pb2 import types_pb2

from agent.model.errors import FormatError
from agent.model.sketch import BUCKETS_MAX, Sketch
from agent.model.sketch_export import (
    BucketSpan,
    ExponentialHistogram,
    NativeHistogram,
    exponential_histogram,
    native_histogram,
    sketch_of_exponential,
    sketch_of_native,
)

# The sum of twenty of them is a whole number that a float has.
VALUES = st.lists(st.one_of(st.integers(0, 50), st.integers(0, 1 << 48)), max_size=20)
LIMITS = st.sampled_from([BUCKETS_MAX, 8, 20])


def sketch_of(values: Sequence[int], buckets_max: int = BUCKETS_MAX) -> Sketch:
    sketch = Sketch(buckets_max)
    sketch.add_all(values)
    return sketch


def through_opentelemetry(histogram: ExponentialHistogram) -> ExponentialHistogram:
    """As bytes on the wire, and back."""
    point = ExponentialHistogramDataPoint(
        scale=histogram.scale,
        count=histogram.count,
        sum=histogram.sum,
        zero_count=histogram.zero_count,
        zero_threshold=histogram.zero_threshold,
        positive=ExponentialHistogramDataPoint.Buckets(offset=histogram.offset, bucket_counts=histogram.bucket_counts),
    )
    if histogram.min is not None and histogram.max is not None:
        point.min, point.max = histogram.min, histogram.max
    back = ExponentialHistogramDataPoint.FromString(point.SerializeToString())
    return ExponentialHistogram(
        back.scale,
        back.count,
        back.sum,
        back.zero_count,
        back.positive.offset,
        list(back.positive.bucket_counts),
        back.min if back.HasField("min") else None,
        back.max if back.HasField("max") else None,
        back.zero_threshold,
    )


def through_prometheus(histogram: NativeHistogram) -> NativeHistogram:
    """As bytes on the wire, and back."""
    message = types_pb2.Histogram(
        schema=histogram.schema,
        count_int=histogram.count,
        sum=histogram.sum,
        zero_count_int=histogram.zero_count,
        zero_threshold=histogram.zero_threshold,
        positive_spans=[types_pb2.BucketSpan(offset=span.offset, length=span.length) for span in histogram.spans],
        positive_deltas=histogram.deltas,
    )
    back = types_pb2.Histogram.FromString(message.SerializeToString())
    spans = [BucketSpan(span.offset, span.length) for span in back.positive_spans]
    return NativeHistogram(
        back.schema, back.count_int, back.sum, back.zero_count_int, spans, list(back.positive_deltas), back.zero_threshold
    )


@given(VALUES, LIMITS)
def test_opentelemetry_and_back_is_the_same_sketch(values: list[int], limit: int) -> None:
    """Through the official message, at every scale."""
    sketch = sketch_of(values, limit)
    histogram = exponential_histogram(sketch.to_columns())
    assert through_opentelemetry(histogram) == histogram
    assert sketch_of_exponential(through_opentelemetry(histogram)) == sketch


@given(VALUES, LIMITS)
def test_prometheus_and_back_is_the_same_sketch(values: list[int], limit: int) -> None:
    """Through the official message, at every scale; it has no minimum and maximum, so these are handed in."""
    sketch = sketch_of(values, limit)
    columns = sketch.to_columns()
    histogram = native_histogram(columns)
    assert through_prometheus(histogram) == histogram
    assert sketch_of_native(through_prometheus(histogram), columns.min, columns.max) == sketch


def test_a_bucket_of_opentelemetry_ends_where_ours_does() -> None:
    """Index i covers (base^i, base^(i+1)]: 2 is the last value of bucket 63 of scale 6, and 1 of bucket -1."""
    histogram = exponential_histogram(sketch_of([1, 2]).to_columns())
    assert (histogram.scale, histogram.offset, len(histogram.bucket_counts)) == (6, -1, 65)
    assert (histogram.bucket_counts[0], histogram.bucket_counts[64], sum(histogram.bucket_counts)) == (1, 1, 2)


def test_a_bucket_of_prometheus_has_the_index_of_its_end() -> None:
    """Index i covers (base^(i-1), base^i]: 1 is in bucket 0, and 2 in bucket 64 of schema 6."""
    assert native_histogram(sketch_of([1, 2]).to_columns()).spans == [BucketSpan(0, 1), BucketSpan(63, 1)]


def test_deltas_go_on_from_span_to_span() -> None:
    """Short gaps are deltas, longer ones begin a span."""
    columns = replace(sketch_of([1]).to_columns(), counts=[5, 0, 0, 7, 7, 0, 0, 0, 2], first_bucket=10, count=21, sum=30, max=2)
    histogram = native_histogram(columns)
    assert histogram.spans == [BucketSpan(11, 5), BucketSpan(3, 1)]
    assert histogram.deltas == [5, -5, 0, 7, 0, -5]


def test_an_empty_sketch_is_an_empty_histogram() -> None:
    """Without spans and buckets."""
    columns = Sketch().to_columns()
    assert native_histogram(columns) == NativeHistogram(6, 0, 0.0, 0, [], [])
    assert exponential_histogram(columns) == ExponentialHistogram(6, 0, 0.0, 0, 0, [], None, None)


def test_empty_buckets_at_the_ends_are_no_difference() -> None:
    """Other programs may write them."""
    sketch = sketch_of([100, 200])
    histogram = exponential_histogram(sketch.to_columns())
    padded = replace(histogram, offset=histogram.offset - 2, bucket_counts=[0, 0, *histogram.bucket_counts, 0])
    assert sketch_of_exponential(padded) == sketch


NATIVE = native_histogram(sketch_of([100, 200]).to_columns())


@pytest.mark.parametrize(
    "bad",
    [
        replace(NATIVE, zero_threshold=0.5),
        replace(NATIVE, schema=7),
        replace(NATIVE, deltas=NATIVE.deltas[:-1]),
        replace(NATIVE, spans=[NATIVE.spans[0], BucketSpan(-5, 1)]),
        replace(NATIVE, spans=[NATIVE.spans[0], BucketSpan(1 << 30, 1)]),
        replace(NATIVE, count=7),
        replace(NATIVE, sum=float("inf")),
        replace(NATIVE, sum=float("nan")),
    ],
)
def test_a_foreign_native_histogram_that_no_sketch_has_is_refused(bad: NativeHistogram) -> None:
    """It comes from elsewhere."""
    with pytest.raises(FormatError):
        sketch_of_native(bad, 100, 200)


EXPONENTIAL = exponential_histogram(sketch_of([100, 200]).to_columns())


@pytest.mark.parametrize(
    "bad",
    [
        replace(EXPONENTIAL, zero_threshold=1e-9),
        replace(EXPONENTIAL, scale=20),
        replace(EXPONENTIAL, offset=1 << 30),
        replace(EXPONENTIAL, min=None),
        replace(EXPONENTIAL, max=float("nan")),
        replace(EXPONENTIAL, sum=float("inf")),
    ],
)
def test_a_foreign_data_point_that_no_sketch_has_is_refused(bad: ExponentialHistogram) -> None:
    """Other programs have values that are no whole numbers, and finer scales."""
    with pytest.raises(FormatError):
        sketch_of_exponential(bad)
