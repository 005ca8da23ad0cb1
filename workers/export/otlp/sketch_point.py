"""A row of a table of sketches as a point of an exponential histogram. PURE.

*Source:* opentelemetry/proto/metrics/v1/metrics.proto, `ExponentialHistogramDataPoint`.
"""

from collections.abc import Mapping, Sequence

from agent.model.protobuf import delimited, double, packed, signed
from agent.model.row_check import INT64_MAX
from agent.model.table import Value
from workers.export.otlp.wire import AttributeValue, attributes, fixed64

_INT32_MAX = (1 << 31) - 1
_NUMBERS = ("timestamp", "window_start", "window_ns", "scale", "first_bucket", "zero_count", "count")


def histogram_point(row: Mapping[str, Value], dimensions: Sequence[tuple[str, AttributeValue]]) -> bytes | None:
    """The point, as an element of `data_points`; None: the row has values that no histogram has.

    `row` by column. *Absent:* sum, min and max where they are null; a sum that was too large for its column.
    """
    numbers = [value for name in _NUMBERS if isinstance(value := row.get(name), int)]
    counts = row.get("counts")
    if len(numbers) < len(_NUMBERS) or not isinstance(counts, list | tuple):
        return None
    buckets = [count for count in counts if isinstance(count, int) and count >= 0]
    time, start, length, scale, first, zeros, count = numbers
    if len(buckets) < len(counts) or min(start, length, zeros, count) < 0 or max(abs(scale), abs(first)) > _INT32_MAX:
        return None
    least, most, total = row.get("min"), row.get("max"), row.get("sum")
    positive = signed(1, first) + packed(2, buckets)
    return delimited(
        1,
        attributes(1, dimensions)
        + fixed64(2, start)
        # An agent that ends writes its window early: later rows are not in it.
        + fixed64(3, max(start, min(start + length, time)))
        + fixed64(4, count)
        + (double(5, float(total)) if isinstance(total, int) and total != INT64_MAX else b"")
        + signed(6, scale)
        + fixed64(7, zeros)
        + delimited(8, positive)
        + (double(12, float(least)) if isinstance(least, int) else b"")
        + (double(13, float(most)) if isinstance(most, int) else b""),
    )
