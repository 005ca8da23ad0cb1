"""Remote write 1.0: `prometheus.WriteRequest`. Its receivers keep no types and no start times, so none are sent. PURE.

*Source:* prometheus/prompb/remote.proto and types.proto.
"""

from collections.abc import Iterable

from agent.model.protobuf import delimited, text
from workers.export.remote_write.histogram import histogram_message
from workers.export.remote_write.sample import WrittenSeries
from workers.export.remote_write.sample_message import SampleWriter

CONTENT_TYPE = "application/x-protobuf"
VERSION = "0.1.0"


def encoded_1(series: Iterable[WrittenSeries]) -> bytes:
    """The bytes of a request; the same series give the same bytes."""
    # A pair stands in hundreds of series.
    labels: dict[tuple[str, str], bytes] = {}
    parts: list[bytes] = []
    samples = SampleWriter(has_starts=False)
    for each in series:
        for pair in each.pairs:
            if pair not in labels:
                labels[pair] = delimited(1, text(1, pair[0]) + text(2, pair[1]))
        head = b"".join([labels[pair] for pair in each.pairs])
        if each.is_histogram:
            body = b"".join(delimited(4, histogram_message(sample)) for sample in each.samples)
        else:
            body = samples.fields(each.samples)
        parts.append(delimited(1, head + body))
    return b"".join(parts)
