"""Sketches as the histograms of remote write, which both versions of the protocol have alike. PURE.

*Source:* prometheus/prompb/types.proto and prompb/io/prometheus/write/v2/types.proto, message Histogram.
"""

from agent.model.protobuf import delimited, double, packed, signed, tag, varint, whole, zigzag
from agent.model.sketch import SketchColumns
from agent.model.sketch_export import native_histogram
from workers.export.remote_write.sample import WrittenSample

# A histogram of one window, not a sum of all so far.
_GAUGE = 3
_COUNT, _SUM, _SCHEMA, _ZERO_COUNT, _SPANS, _DELTAS, _RESET_HINT, _TIMESTAMP = 1, 3, 4, 6, 11, 12, 14, 15


def histogram_message(sample: WrittenSample) -> bytes:
    """The fields of a Histogram; one that ends a series is empty, and its sum is the NaN that says so."""
    value = sample.value
    if not isinstance(value, SketchColumns):
        return _whole(_COUNT, 0) + double(_SUM, value) + _tail(sample)
    found = native_histogram(value)
    spans = b"".join(delimited(_SPANS, signed(1, span.offset) + whole(2, span.length)) for span in found.spans)
    return b"".join(
        (
            # A member of a oneof is written also where it is 0.
            _whole(_COUNT, found.count),
            double(_SUM, found.sum),
            signed(_SCHEMA, found.schema),
            _whole(_ZERO_COUNT, found.zero_count),
            spans,
            packed(_DELTAS, map(zigzag, found.deltas)),
            _tail(sample),
        )
    )


def _tail(sample: WrittenSample) -> bytes:
    return whole(_RESET_HINT, _GAUGE) + whole(_TIMESTAMP, sample.at_ms)


def _whole(field: int, number: int) -> bytes:
    return tag(field, 0) + varint(number)
