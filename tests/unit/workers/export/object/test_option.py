"""Sections of a sink of kind `object`: what is accepted, and the sentence for what is not."""

import pytest

from agent.model.errors import ConfigError
from agent.object.place import parse_place
from workers.export.object.option import check_object
from workers.export.sink import SinkValues


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"url": "gs://b", "endpoint": "https://x"}, "has no other endpoint"),
        ({"url": "s3://b", "endpoint": "http://x:9000"}, "allow_http = true"),
        ({"url": "s3://b", "endpoint": "nowhere"}, "no URL"),
        ({"url": "az://c", "region": "x"}, "has no region"),
        ({"url": "file:///x", "credentials_file": "/y"}, "a folder has none"),
        ({"url": "file:///x", "ca_file": "/y"}, "a folder has none"),
    ],
)
def test_settings_that_do_not_go_together_get_a_sentence(values: dict[str, str], problem: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError) as refused:
        check_object(SinkValues("s", "object", values))
    assert problem in refused.value.sentence


@pytest.mark.parametrize(
    "values",
    [
        {"url": "s3://b", "endpoint": "http://x:9000", "allow_http": True, "region": "eu-1"},
        {"url": "s3://b", "endpoint": "https://x"},
        {"url": "az://c", "endpoint": "https://x", "ca_file": "/y", "credentials_file": "/z"},
        {"url": "file:///x"},
    ],
)
def test_settings_that_go_together_are_a_place(values: dict[str, str | bool]) -> None:
    """Nothing else is asked for."""
    assert check_object(SinkValues("s", "object", values)) == parse_place(str(values["url"]))
