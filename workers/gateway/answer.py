"""One answer to /metrics, piece by piece: the agent's own metrics, then what it measures. May import what `exposition` may."""

from collections.abc import Iterator, Sequence

from workers.export.series.sketch_cache import SketchCache
from workers.export.series.table import SeriesFamily
from workers.gateway.exposition import OPENMETRICS, PLAIN_TEXT, expose
from workers.gateway.measured_protobuf import PROTOBUF, agent_protobuf, histogram_of, measured_protobuf
from workers.gateway.measured_text import measured_text, quantiles_of
from workers.gateway.metrics import Family
from workers.gateway.metrics_format import MetricsFormat

CONTENT_TYPES = {MetricsFormat.PLAIN: PLAIN_TEXT, MetricsFormat.OPENMETRICS: OPENMETRICS, MetricsFormat.PROTOBUF: PROTOBUF}
_OPENMETRICS_END = b"# EOF\n"


class AnswerWriter:
    """Writes answers, one after the other."""

    def __init__(self) -> None:
        self._quantiles = SketchCache(quantiles_of)
        self._histograms = SketchCache(histogram_of)

    def pieces(self, form: MetricsFormat, own: Sequence[Family], measured: Sequence[SeriesFamily]) -> Iterator[bytes]:
        """The parts of an answer; each is made when it is asked for."""
        if form is MetricsFormat.PROTOBUF:
            yield from agent_protobuf(own)
            yield from measured_protobuf(measured, self._histograms)
            self._histograms.sweep()
            return
        is_openmetrics = form is MetricsFormat.OPENMETRICS
        text, _ = expose(own, openmetrics=is_openmetrics)
        yield text.removesuffix(_OPENMETRICS_END)
        yield from measured_text(measured, self._quantiles, openmetrics=is_openmetrics)
        self._quantiles.sweep()
        if is_openmetrics:
            yield _OPENMETRICS_END
