"""Points of entities as samples of series: grouped, in the order of time, with the labels that every series has. PURE."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from struct import Struct as Layout
from typing import NamedTuple

from msgspec import Struct

from agent.model.sketch import SketchColumns
from agent.model.timebase import MS
from workers.export.series.identity import SeriesLabels
from workers.export.series.metric import Metric, View
from workers.export.series.tracked import SeriesPoint

Pairs = tuple[tuple[str, str], ...]
# The NaN that ends a series. *Source:* prometheus/model/value, StaleNaN; remote write 2.0, "Stale Markers".
(STALE,) = Layout("<d").unpack((0x7FF0000000000002).to_bytes(8, "little"))


class WrittenSample(NamedTuple):
    """*Units:* milliseconds of unix time. `value`: STALE ends the series. `created_ms`: 0 where its start is not known."""

    at_ms: int
    created_ms: int
    value: int | float | SketchColumns


class WrittenSeries(Struct, frozen=True):
    """The samples of one series, each time once and in order. `pairs`: all labels in order, the name first among equals."""

    metric: Metric
    pairs: Pairs
    samples: Sequence[WrittenSample]

    @property
    def is_histogram(self) -> bool:
        """Whether its samples are histograms."""
        return self.metric.source == "sketch"


def series_of(points: Iterable[SeriesPoint], common: Pairs) -> list[WrittenSeries]:
    """The series of some points, those that come first first. `common`: labels that each of them gets beside its own."""
    grouped: dict[tuple[int, str], tuple[View, SeriesLabels, list[SeriesPoint]]] = {}
    for point in points:
        key = (id(point.labels), point.view.name)
        grouped.setdefault(key, (point.view, point.labels, []))[2].append(point)
    found: list[WrittenSeries] = []
    for view, labels, of_entity in grouped.values():
        # In order already, but for those of the metric: sorting it again costs little.
        of_all = sorted((*labels.pairs, *common))
        for place, metric in enumerate(view.metrics):
            samples = _samples(of_entity, place, metric)
            if samples:
                pairs = sorted((("__name__", metric.name), *metric.labels, *of_all))
                found.append(WrittenSeries(metric, tuple(pairs), samples))
    return _merged(found)


def divided_at(series: Iterable[WrittenSeries], at_ms: int) -> tuple[list[WrittenSeries], list[WrittenSeries]]:
    """The samples before a time, and those from it on."""
    earlier: list[WrittenSeries] = []
    later: list[WrittenSeries] = []
    for each in series:
        place = bisect_left(each.samples, at_ms, key=lambda sample: sample.at_ms)
        if place:
            earlier.append(WrittenSeries(each.metric, each.pairs, each.samples[:place]))
        if place < len(each.samples):
            later.append(WrittenSeries(each.metric, each.pairs, each.samples[place:]))
    return earlier, later


def _samples(points: Sequence[SeriesPoint], place: int, metric: Metric) -> list[WrittenSample]:
    samples: list[WrittenSample] = []
    last_ms = -1
    for point in points:
        value = point.values[place]
        if place in point.stale:
            value = STALE
        if value is None:
            continue
        at_ms = point.at_ns // MS
        if at_ms <= last_ms and value is STALE:
            # One time has one sample; an end is the last one.
            at_ms = last_ms + 1
        last_ms = at_ms
        samples.append(WrittenSample(at_ms, point.created_ns // MS if metric.source == "grown" else 0, value))
    return samples


def _merged(found: list[WrittenSeries]) -> list[WrittenSeries]:
    """An entity that ended and came back within the same points has two sets of labels, which are equal."""
    by_pairs: dict[Pairs, WrittenSeries] = {}
    for series in found:
        held = by_pairs.get(series.pairs)
        if held is not None:
            series = WrittenSeries(series.metric, series.pairs, [*held.samples, *series.samples])
        by_pairs[series.pairs] = series
    return [_in_order(series) for series in by_pairs.values()]


def _in_order(series: WrittenSeries) -> WrittenSeries:
    samples = series.samples
    if all(one.at_ms < other.at_ms for one, other in pairwise(samples)):
        return series
    # A clock that was set back; of two samples of one time the later one holds.
    by_time = {sample.at_ms: sample for sample in samples}
    return WrittenSeries(series.metric, series.pairs, [by_time[at_ms] for at_ms in sorted(by_time)])
