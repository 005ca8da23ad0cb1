"""Writes series of stored rows in the text formats of Prometheus. PURE.

The official client's encoder needs nine times as long for a node with 100 units (docs/decisions/0077-two-writers-of-metrics.md);
its parsers read the same samples from both.
"""

from collections.abc import Iterable, Iterator

from agent.model.sketch import Sketch, SketchColumns
from workers.export.series.catalogue import QUANTILES, SKETCHED
from workers.export.series.metric import Metric
from workers.export.series.sketch_cache import SketchCache
from workers.export.series.table import SeriesFamily

_SKETCH_BY_NAME = {family.histogram: family for family in SKETCHED}


Quantiles = list[tuple[float, float]]


def measured_text(families: Iterable[SeriesFamily], quantiles: SketchCache[Quantiles], *, openmetrics: bool) -> Iterator[bytes]:
    """The families, each in one piece, without the end mark of OpenMetrics."""
    for family in families:
        yield (
            _quantiles(family, quantiles) if family.metric.type == "gaugehistogram" else _plain(family, openmetrics=openmetrics)
        ).encode()


def _plain(family: SeriesFamily, *, openmetrics: bool) -> str:
    metric = family.metric
    shown = metric.name.removesuffix("_total") if openmetrics and metric.type == "counter" else metric.name
    lines = [_head(shown, metric.about, metric.type)]
    heads: dict[Metric, str] = {}
    for tracked, each, value in family.samples:
        head = heads.get(each)
        if head is None:
            head = heads[each] = "".join(f'{name}="{text}",' for name, text in each.labels)
        lines.append(_line(metric.name, head + tracked.labels.text, value))
    return "".join(lines)


def _quantiles(family: SeriesFamily, quantiles: SketchCache[Quantiles]) -> str:
    """A sketch has hundreds of buckets, which no text format can hold: its quantiles instead, which are as exact as it is."""
    shown = _SKETCH_BY_NAME[family.metric.name]
    lines = [_head(shown.quantile, shown.quantile_about, "gauge")]
    for tracked, _, columns in family.samples:
        labels = tracked.labels.text
        assert isinstance(columns, SketchColumns)
        for part, value in quantiles.get(columns):
            pairs = f'quantile="{part}"' + (f",{labels}" if labels else "")
            lines.append(_line(shown.quantile, pairs, value / shown.per))
    return "".join(lines)


def quantiles_of(columns: SketchColumns) -> Quantiles:
    """The quantiles that are shown of a sketch, in the unit of its buckets. *Absent:* none for one without values."""
    found = Sketch.from_columns(columns).quantiles(QUANTILES)
    return [(part, value) for part, value in zip(QUANTILES, found, strict=True) if value is not None]


def _head(name: str, about: str, kind: str) -> str:
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"


def _line(name: str, labels: str, value: object) -> str:
    assert isinstance(value, int | float)
    number = repr(value)
    return f"{name}{{{labels.removesuffix(',')}}} {number}\n" if labels else f"{name} {number}\n"
