"""A row of a sketch as a point of an exponential histogram, or why it is none."""

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogram

from agent.model.row_check import INT64_MAX
from agent.model.table import Value
from workers.export.otlp.sketch_point import histogram_point

ROW: dict[str, Value] = {
    "timestamp": 90, "window_start": 30, "window_ns": 50, "scale": -2, "first_bucket": -7, "zero_count": 3, "count": 6, "sum": 40,
    "min": 0, "max": 25, "counts": [1, 0, 2],
}  # fmt: skip


def read(point: bytes | None) -> ExponentialHistogram:
    """By the official classes."""
    assert point is not None
    found: ExponentialHistogram = ExponentialHistogram.FromString(point)
    return found


def test_a_row_is_one_point_with_each_of_its_values() -> None:
    """Its attributes are those that it is given."""
    (point,) = read(histogram_point(ROW, [("process.executable.name", "web")])).data_points
    assert [(each.key, each.value.string_value) for each in point.attributes] == [("process.executable.name", "web")]
    assert (point.start_time_unix_nano, point.time_unix_nano) == (30, 80)
    assert (point.count, point.sum, point.zero_count, point.min, point.max) == (6, 40.0, 3, 0.0, 25.0)
    assert (point.scale, point.positive.offset, list(point.positive.bucket_counts)) == (-2, -7, [1, 0, 2])


def test_a_window_that_was_written_early_ends_with_its_row() -> None:
    """And none ends before its start, whatever the clock did."""
    for timestamp, end in ((60, 60), (10, 30)):
        (point,) = read(histogram_point(ROW | {"timestamp": timestamp}, [])).data_points
        assert point.time_unix_nano == end


def test_what_is_not_known_is_absent() -> None:
    """A sum that was too large for its column is not known either."""
    (point,) = read(histogram_point(ROW | {"min": None, "max": None, "sum": INT64_MAX}, [])).data_points
    assert not any(point.HasField(name) for name in ("min", "max", "sum"))


@pytest.mark.parametrize("column", ["timestamp", "window_start", "window_ns", "scale", "first_bucket", "zero_count", "count"])
def test_a_row_without_a_number_that_a_histogram_needs_is_none(column: str) -> None:
    """Whether the number is null, or its segment has no such column."""
    assert histogram_point(ROW | {column: None}, []) is None
    assert histogram_point({name: value for name, value in ROW.items() if name != column}, []) is None


@pytest.mark.parametrize("counts", [None, 3, "3", [1, None], [1, -1]])
def test_buckets_that_are_no_counts_make_no_histogram(counts: Value) -> None:
    """Not even with those of them that are."""
    assert histogram_point(ROW | {"counts": counts}, []) is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("window_start", -1),
        ("window_ns", -1),
        ("zero_count", -1),
        ("count", -1),
        ("scale", 1 << 31),
        ("first_bucket", 1 << 31),
    ],
)
def test_numbers_beyond_those_of_a_histogram_make_none(column: str, value: int) -> None:
    """They would be read as others."""
    assert histogram_point(ROW | {column: value}, []) is None
