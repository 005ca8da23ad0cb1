"""Remote write 2.0: `io.prometheus.write.v2.Request`, as 2.0-rc.4 has it: a table of texts, types, units and start times. PURE.

*Source:* prometheus/prompb/io/prometheus/write/v2/types.proto; prometheus.io/docs/specs/prw/remote_write_spec_2_0.
"""

from collections.abc import Iterable

from agent.model.protobuf import delimited, text, varint, whole
from workers.export.remote_write.histogram import histogram_message
from workers.export.remote_write.sample import WrittenSeries
from workers.export.remote_write.sample_message import SampleWriter
from workers.export.series.metric import Metric

CONTENT_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
VERSION = "2.0.0"

_TYPES = {"counter": 1, "gauge": 2, "gaugehistogram": 4}
# Words that a name may end with, `_total` left out.
_UNITS = ("seconds", "nanoseconds", "bytes", "ratio", "cores", "watts", "celsius", "hertz", "bytes_per_second")


class SymbolTable:
    """The texts of one request; the first is empty."""

    def __init__(self) -> None:
        self._references = {"": 0}

    def reference(self, symbol: str) -> int:
        """The number of a text."""
        return self._references.setdefault(symbol, len(self._references))

    def message(self) -> bytes:
        """The texts as fields of the request."""
        return b"".join(text(4, symbol) for symbol in self._references)


def encoded_2(series: Iterable[WrittenSeries]) -> bytes:
    """The bytes of a request; the same series give the same bytes."""
    symbols = SymbolTable()
    labels: dict[tuple[str, str], bytes] = {}
    metadata: dict[str, bytes] = {}
    parts: list[bytes] = []
    samples = SampleWriter(has_starts=True)
    for each in series:
        for pair in each.pairs:
            if pair not in labels:
                labels[pair] = varint(symbols.reference(pair[0])) + varint(symbols.reference(pair[1]))
        if each.metric.name not in metadata:
            metadata[each.metric.name] = _metadata(each.metric, symbols)
        head = delimited(1, b"".join([labels[pair] for pair in each.pairs]))
        if each.is_histogram:
            body = b"".join(delimited(3, histogram_message(sample)) for sample in each.samples)
        else:
            body = samples.fields(each.samples)
        parts.append(delimited(5, head + body + metadata[each.metric.name]))
    return symbols.message() + b"".join(parts)


def _metadata(metric: Metric, symbols: SymbolTable) -> bytes:
    unit = unit_of(metric.name)
    content = whole(1, _TYPES[metric.type]) + whole(3, symbols.reference(metric.about)) + whole(4, symbols.reference(unit))
    return delimited(5, content)


def unit_of(name: str) -> str:
    """The unit that a metric's name says; empty: it counts things."""
    plain = name.removesuffix("_total")
    return next((unit for unit in reversed(_UNITS) if plain.endswith(f"_{unit}")), "")
