"""In which format a client wants metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.gateway.metrics_format import MetricsFormat, preferred_format


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0", True),
        ("APPLICATION/OpenMetrics-Text;VERSION=1.0.0", True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.7", False),
        ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.5", True),
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        (",;,=;q=", False),
    ],
)
def test_openmetrics_is_given_to_who_prefers_it(accept: str, openmetrics: bool) -> None:
    """Everybody else gets the plain text format."""
    expected = MetricsFormat.OPENMETRICS if openmetrics else MetricsFormat.PLAIN
    assert preferred_format(accept) is expected


@given(st.text(max_size=60))
def test_any_accept_header_has_an_answer(accept: str) -> None:
    """Noise raises nothing."""
    assert isinstance(preferred_format(accept), MetricsFormat)


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        (
            f"{PROTOBUF};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2",
            MetricsFormat.PROTOBUF,
        ),
        (f"{PROTOBUF};q=0.4,application/openmetrics-text;version=1.0.0;q=0.5", MetricsFormat.OPENMETRICS),
        (PROTOBUF.replace("delimited", "text"), MetricsFormat.PLAIN),
        (PROTOBUF.replace("MetricFamily", "Other"), MetricsFormat.PLAIN),
        (PROTOBUF + ";q=0", MetricsFormat.PLAIN),
    ],
)
def test_protobuf_is_given_to_who_prefers_it(accept: str, found: MetricsFormat) -> None:
    """As Prometheus asks for it where it wants native histograms."""
    assert preferred_format(accept) is found
