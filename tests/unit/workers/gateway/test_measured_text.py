"""Series of stored rows in the text formats, beside what the official client writes for the same samples."""

import pytest
from fakes.series_rows import at, made, sketch_batch, unit_batch
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from workers import registry
from workers.export.series.catalogue import RANKED, SKETCHED, VIEWS
from workers.export.series.sketch_cache import SketchCache
from workers.export.series.table import SeriesTable
from workers.gateway.measured_text import measured_text, quantiles_of


def table() -> SeriesTable:
    """Some units with odd names and values."""
    found = made()
    found.take(unit_batch(0, 'q"u\\o', "ü{}", "", pids=3, cpu_limit_cores=0.1, cpu_user_ns=1, memory_current_bytes=2**62))
    found.take(unit_batch(0, "/a", cpu_user_ns=10**18, cpu_limit_cores=1e-9, memory_peak_bytes=0))
    return found


class Families:
    """The same samples, as the client's registry has them."""

    def collect(self) -> list[Metric]:
        """As a collector gives them."""
        found = []
        for family in table().families():
            metric = Metric(family.metric.name.removesuffix("_total"), family.metric.about, family.metric.type)
            for tracked, each, value in family.samples:
                metric.add_sample(family.metric.name, dict((*each.labels, *tracked.labels.pairs)), value)  # type: ignore[arg-type]
            found.append(metric)
        return found


def samples(text: str, *, openmetrics: bool) -> list[tuple[str, str, str, frozenset[tuple[str, str]], float]]:
    """What a parser of the format finds, in order."""
    read = read_openmetrics if openmetrics else read_plain
    return [
        (family.documentation, family.type, sample.name, frozenset(sample.labels.items()), sample.value)
        for family in read(text)
        for sample in family.samples
    ]


@pytest.mark.parametrize("openmetrics", [False, True])
def test_the_samples_are_those_that_the_client_writes(openmetrics: bool) -> None:
    """Read back by the client's parsers, in the same order."""
    text = (
        b"".join(measured_text(table().families(), SketchCache(quantiles_of), openmetrics=openmetrics)).decode()
        + "# EOF\n" * openmetrics
    )
    theirs = generate_latest(Families()).decode()
    ours = samples(text, openmetrics=openmetrics)
    assert len(ours) == 15
    assert ours == samples(theirs, openmetrics=False)


def test_a_sketch_is_shown_as_quantiles() -> None:
    """In base units, as exact as the sketch."""
    found = made()
    found.take(sketch_batch(0, None, None, "cpu", list(range(1_000_000, 101_000_000, 100_000))))
    text = b"".join(measured_text(found.families(), SketchCache(quantiles_of), openmetrics=False)).decode()
    values = {dict(labels)["quantile"]: value for _, _, _, labels, value in samples(text, openmetrics=False)}
    assert values == {
        "0.5": pytest.approx(0.051, rel=0.007),
        "0.9": pytest.approx(0.091, rel=0.007),
        "0.99": pytest.approx(0.1, rel=0.007),
    }
    found.take(sketch_batch(60, None, None, "cpu", []))
    assert b"quantile=" not in b"".join(measured_text(found.families(), SketchCache(quantiles_of), openmetrics=False))


def test_names_are_unique_over_views_statistics_and_the_agent() -> None:
    """A name belongs to one family, whatever shows it."""
    names = [name for view in VIEWS for name in view.families]
    names += [family.name for family in RANKED]
    names += [name for family in SKETCHED for name in (family.histogram, family.quantile)]
    assert len(set(names)) == len(names)
    others = {statistic.name for each in registry.statistics().values() for statistic in each}
    assert others & set(names) == set()


def test_each_metric_of_a_family_has_its_own_labels_and_the_same_text() -> None:
    """Otherwise two columns would be one series."""
    for view in VIEWS:
        for places in view.families.values():
            metrics = [view.metrics[place] for place in places]
            assert len({metric.labels for metric in metrics}) == len(metrics)
            assert len({(metric.about, metric.type) for metric in metrics}) == 1


def test_every_column_is_one_of_its_table() -> None:
    """A renamed column would be a metric without samples."""
    tables = {each.name: set(each.column_names) for each in registry.tables()}
    for view in VIEWS:
        wanted = {*view.key, *(metric.column for metric in view.metrics), *filter(None, [view.is_final])}
        assert wanted <= tables[view.table], view.name
    assert at(0) > 0
