"""Addresses of sinks: what is taken, and the sentence for what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.endpoint import Endpoint, parse_endpoint
from agent.model.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://collector:4318", Endpoint(False, "collector", 4318)),
        ("http://collector", Endpoint(False, "collector", 80)),
        ("HTTPS://otlp.example.com/", Endpoint(True, "otlp.example.com", 443)),
        ("https://[fd00::1]:9/a/b/", Endpoint(True, "fd00::1", 9, "/a/b")),
        ("http://10.0.0.1:9090/api/v1/write?tenant=a", Endpoint(False, "10.0.0.1", 9090, "/api/v1/write", "?tenant=a")),
        ("http://host?x=1", Endpoint(False, "host", 80, "", "?x=1")),
        ("http://host:/x", Endpoint(False, "host", 80, "/x")),
    ],
)
def test_what_is_taken(url: str, expected: Endpoint) -> None:
    """Scheme, host, port, path and query."""
    assert parse_endpoint(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "it is missing"),
        ("collector:4318", "it is no URL"),
        ("grpc://collector:4317", "grpc is not supported"),
        ("unix:///run/x", "unix is not supported"),
        ("http://user:hunter2@host", "the URL has a user or a password in it"),
        ("http://host/#x", "the URL has a part behind #"),
        ("http://host/\r\nX: 1", "control characters"),
        ("http://host/a b", "spaces"),
        ("http://h\u00f6st", "not ASCII"),
        ("http://host\\@other", "control characters or letters"),
        ("http://:80", "names no host"),
        ("http://fd00::1:80", "names no host"),
        ("http://host:0", "port 0 does not exist"),
        ("http://host:65536", "port 65536 does not exist"),
        ("http://host:http", "names no host"),
    ],
)
def test_what_is_refused(url: str, problem: str) -> None:
    """The sentence says what is wrong and never repeats the URL, which may have a secret in it."""
    with pytest.raises(ConfigError) as failure:
        parse_endpoint(url)
    assert problem in failure.value.sentence
    assert "hunter2" not in failure.value.sentence
    assert failure.value.sentence.startswith("endpoint: ")


def test_host_target_and_place() -> None:
    """What is written into a request, and into sentences."""
    six = parse_endpoint("http://[::1]:4318/base?x=1").below("/v1/metrics")
    assert (six.authority, six.target, six.place) == ("[::1]:4318", "/base/v1/metrics?x=1", "[::1]:4318")
    assert parse_endpoint("https://host").authority == "host"
    assert parse_endpoint("https://host").target == "/"
    assert parse_endpoint("http://host:443").authority == "host:443"


@given(st.text(max_size=40))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """Nothing else is raised."""
    for url in (text, f"http://{text}"):
        try:
            found = parse_endpoint(url)
        except ConfigError:
            continue
        assert found.host.isascii()
        assert "\r" not in found.target
