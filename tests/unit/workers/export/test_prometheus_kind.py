"""The section of a sink of kind prometheus."""

import pytest

from agent.model.errors import ConfigError
from workers.export.sink import SinkValues
from workers.exporters.prometheus import SINK, common_labels

GOOD = "http://127.0.0.1:9090/api/v1/write"


def values(**given: str) -> SinkValues:
    """A section."""
    return SinkValues("p", "prometheus", given)


def test_every_series_has_the_host_and_a_job() -> None:
    """And what the section adds; an empty one is left out."""
    assert common_labels(values(), "node-1") == (("instance", "node-1"), ("job", "evergauge"))
    labels = common_labels(values(job="", labels="cluster = eu-1 , zone=a,"), "node-1")
    assert labels == (("cluster", "eu-1"), ("instance", "node-1"), ("zone", "a"))


@pytest.mark.parametrize("labels", ["x", "=y", "1a=y", "a-b=y", "__name__=y", "ü=y"])
def test_labels_that_are_none_are_refused(labels: str) -> None:
    """With an example."""
    with pytest.raises(ConfigError):
        common_labels(values(labels=labels), "node-1")
    assert "name=value" in SINK.check(values(endpoint=GOOD, labels=labels))


def test_a_section_is_checked() -> None:
    """Endpoint and what goes with it."""
    assert SINK.check(values(endpoint=GOOD)) == ""
    assert SINK.check(values()) != ""
    assert SINK.check(values(endpoint="prometheus:9090")) != ""
    assert SINK.check(values(endpoint=GOOD, ca_file="/ca.pem")) != ""
    assert len({setting.key for setting in SINK.options}) == len(SINK.options)
