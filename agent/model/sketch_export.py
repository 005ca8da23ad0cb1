"""A sketch as the histograms of OpenTelemetry and Prometheus, and back: plain values, without a bucket moved or estimated. PURE.

*Source:* opentelemetry/proto/metrics/v1/metrics.proto, `ExponentialHistogramDataPoint`; prometheus/prompb/types.proto,
`Histogram` and `BucketSpan`.
"""

from collections.abc import Sequence
from math import isfinite

from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.sketch import Sketch, SketchColumns

# A gap of this many empty buckets costs less as deltas of 0 than as the head of another span.
SPAN_GAP_MAX = 2
# The scale says the error, so a sketch does not read it from its columns.
_NOT_READ = 0.0
# Together with the gaps of its spans, a foreign histogram may ask for any memory.
BUCKETS_MAX = 5_000


class ExponentialHistogram(Struct, frozen=True):
    """The values of an `ExponentialHistogramDataPoint`. Bucket `i` of `bucket_counts` has the index `offset + i`.

    *Range:* `sum` is floating point there, so exact up to 2^53. *Absent:* `min` and `max` of a histogram without values.
    """

    scale: int
    count: int
    sum: float
    zero_count: int
    offset: int
    bucket_counts: list[int]
    min: float | None
    max: float | None
    zero_threshold: float = 0.0


class BucketSpan(Struct, frozen=True):
    """Neighbouring buckets: how many empty ones lie before them (for the first span: its index), and how many they are."""

    offset: int
    length: int


class NativeHistogram(Struct, frozen=True):
    """The values of a `Histogram`: its positive spans, and in `deltas` the differences of counts, bucket by bucket of all spans.

    *Range:* `sum` is floating point there, so exact up to 2^53. It has no minimum and maximum.
    """

    schema: int
    count: int
    sum: float
    zero_count: int
    spans: list[BucketSpan]
    deltas: list[int]
    zero_threshold: float = 0.0


def exponential_histogram(columns: SketchColumns) -> ExponentialHistogram:
    """The data point of a sketch: the convention of its buckets is that of the sketch."""
    least = None if columns.min is None else float(columns.min)
    most = None if columns.max is None else float(columns.max)
    return ExponentialHistogram(
        columns.scale,
        columns.count,
        float(columns.sum),
        columns.zero_count,
        columns.first_bucket,
        list(columns.counts),
        least,
        most,
    )


def sketch_of_exponential(histogram: ExponentialHistogram) -> Sketch:
    """The sketch of a data point. *Raises:* FormatError for one that no sketch has, such as one of another zero threshold."""
    if histogram.zero_threshold != 0:
        raise FormatError("histogram", f"its zero bucket reaches up to {histogram.zero_threshold}", "leave it out")
    least = None if histogram.min is None else _whole(histogram.min)
    most = None if histogram.max is None else _whole(histogram.max)
    first, counts = _trimmed(histogram.offset, histogram.bucket_counts)
    return Sketch.from_columns(
        SketchColumns(
            histogram.scale,
            _NOT_READ,
            histogram.zero_count,
            histogram.count,
            _whole(histogram.sum),
            least,
            most,
            first,
            counts,
        )
    )


def native_histogram(columns: SketchColumns) -> NativeHistogram:
    """The native histogram of a sketch. Its bucket `i` ends at base^i, so each index is one higher than the sketch's."""
    spans: list[BucketSpan] = []
    deltas: list[int] = []
    previous = 0
    # Where the span that is being made began, and where the last one ended, as indexes of Prometheus.
    behind_last = 0
    for first, counts in _runs(columns.counts):
        begin = columns.first_bucket + first + 1
        spans.append(BucketSpan(begin - behind_last, len(counts)))
        behind_last = begin + len(counts)
        for count in counts:
            deltas.append(count - previous)
            previous = count
    return NativeHistogram(columns.scale, columns.count, float(columns.sum), columns.zero_count, spans, deltas)


def sketch_of_native(histogram: NativeHistogram, least: int | None, most: int | None) -> Sketch:
    """The sketch of a native histogram; its minimum and maximum are handed in, for the format has none.

    *Raises:* FormatError for one that no sketch has.
    """
    if histogram.zero_threshold != 0:
        raise FormatError("histogram", f"its zero bucket reaches up to {histogram.zero_threshold}", "leave it out")
    if sum(span.length for span in histogram.spans) != len(histogram.deltas):
        raise FormatError("histogram", "its spans have not as many buckets as it has deltas", "leave it out")
    first = histogram.spans[0].offset - 1 if histogram.spans else 0
    trimmed_first, counts = _trimmed(first, _counts(histogram))
    return Sketch.from_columns(
        SketchColumns(
            histogram.schema,
            _NOT_READ,
            histogram.zero_count,
            histogram.count,
            _whole(histogram.sum),
            least,
            most,
            trimmed_first,
            counts,
        )
    )


def _runs(counts: Sequence[int]) -> list[tuple[int, list[int]]]:
    """The counts in runs without more than SPAN_GAP_MAX empty buckets between two others; each with where it begins."""
    runs: list[tuple[int, list[int]]] = []
    gap = 0
    for index, count in enumerate(counts):
        if not count:
            gap += 1
            continue
        if not runs or gap > SPAN_GAP_MAX:
            runs.append((index, []))
        else:
            runs[-1][1].extend([0] * gap)
        runs[-1][1].append(count)
        gap = 0
    return runs


def _counts(histogram: NativeHistogram) -> list[int]:
    """The dense counts from the first span on. *Raises:* FormatError where they would be too many."""
    counts: list[int] = []
    deltas = iter(histogram.deltas)
    count = 0
    for number, span in enumerate(histogram.spans):
        gap = span.offset if number else 0
        if gap < 0 or len(counts) + gap + span.length > BUCKETS_MAX:
            raise FormatError("histogram", "its spans reach farther than any value", "leave it out")
        counts += [0] * gap
        for _ in range(span.length):
            count += next(deltas)
            counts.append(count)
    return counts


def _trimmed(first: int, counts: Sequence[int]) -> tuple[int, list[int]]:
    """The counts without empty buckets at both ends, and the index of the first one; 0 where all are empty."""
    filled = [index for index, count in enumerate(counts) if count]
    if not filled:
        return 0, []
    return first + filled[0], list(counts[filled[0] : filled[-1] + 1])


def _whole(value: float) -> int:
    """*Raises:* FormatError for a value that no sketch counts."""
    if not isfinite(value) or value != int(value):
        raise FormatError("histogram", f"{value} is no whole number", "leave it out")
    return int(value)
