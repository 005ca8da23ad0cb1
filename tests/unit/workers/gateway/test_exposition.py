"""The two text formats, read back with the official client's parsers and compared with its own writing."""

import prometheus_client
import pytest
from fakes.status import status_document
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from workers import registry
from workers.gateway.exposition import OPENMETRICS, PLAIN_TEXT, expose
from workers.gateway.metrics import Family, GatewayCounts, families
from workers.gateway.supervisor_answer import status_of

HELD = families(status_of(status_document()), GatewayCounts(requests=1, refused=0), registry.statistics())
ODD = [Family("a_total", "counter", "An odd \\ one.", {(("worker", 'q"uo\\te\nü'),): 2**53})]


class Registry:
    """The same families, made with the client's own classes."""

    def collect(self) -> list[object]:
        """As a collector gives them."""
        made: list[object] = []
        for family in HELD:
            names = [name for name, _ in next(iter(family.samples))]
            kind = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "info": InfoMetricFamily}[family.kind]
            metric = kind(family.name.removesuffix("_info"), family.about, labels=[] if family.kind == "info" else names)
            for labels, value in family.samples.items():
                if family.kind == "info":
                    metric.add_metric([], dict(labels))
                else:
                    metric.add_metric([text for _, text in labels], value)
            made.append(metric)
        return made


def test_plain_text_is_what_the_whole_client_would_write() -> None:
    """Byte for byte, although only its OpenMetrics encoder is loaded."""
    assert expose(HELD, openmetrics=False) == (prometheus_client.generate_latest(Registry()), PLAIN_TEXT)  # type: ignore[arg-type]  # a collector


def test_openmetrics_is_what_the_whole_client_would_write() -> None:
    """Byte for byte."""
    assert expose(HELD, openmetrics=True) == (write_openmetrics(Registry()), OPENMETRICS)  # type: ignore[no-untyped-call]  # the client's encoder has no types


@pytest.mark.parametrize("held", [HELD, ODD], ids=["a status", "odd labels"])
@pytest.mark.parametrize("openmetrics", [False, True], ids=["plain", "openmetrics"])
def test_every_sample_is_read_back(held: list[Family], openmetrics: bool) -> None:
    """Names, labels and values, by the parser of the format."""
    text, _ = expose(held, openmetrics=openmetrics)
    read = read_openmetrics if openmetrics else read_plain
    found = {(s.name, frozenset(s.labels.items())): s.value for metric in read(text.decode()) for s in metric.samples}
    assert found == {(f.name, frozenset(labels)): value for f in held for labels, value in f.samples.items()}
