"""Where a sink of OTLP sends to: its section first, then the variables of OpenTelemetry."""

import pytest

from agent.endpoint import Endpoint
from agent.model.errors import ConfigError
from agent.model.timebase import S
from workers.export.otlp.setup import OtlpSetup, check_otlp, otlp_setup
from workers.export.sink import SinkValues


def values(**section: int | str | bool) -> SinkValues:
    """A section."""
    return SinkValues("x", "otlp", section)


def setup(variables: dict[str, str], **section: int | str | bool) -> OtlpSetup:
    """What comes of both."""
    return otlp_setup(values(**section), variables)


def places(found: OtlpSetup) -> list[str]:
    """Where both signals go."""
    return [f"{each[0].place}{each[0].target}" for each in (found.metrics, found.logs) if each is not None]


def test_without_anything_it_is_the_collector_of_this_host() -> None:
    """As every exporter of OpenTelemetry."""
    assert places(setup({})) == ["127.0.0.1:4318/v1/metrics", "127.0.0.1:4318/v1/logs"]
    assert places(setup({}, logs=False)) == ["127.0.0.1:4318/v1/metrics"]


def test_variables_fill_what_the_section_leaves_open() -> None:
    """Those of a signal before the common ones; a signal's endpoint is the whole URL."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://all:1/base/",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://logs:2/in",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "1",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/crt",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b%zz, x=1",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    found = setup(variables)
    assert places(found) == ["all:1/base/v1/metrics", "logs:2/in"]
    assert not found.is_zipped
    assert found.metrics is not None
    assert found.logs is not None
    http = found.metrics[1]
    assert (http.timeout_ns, found.logs[1].timeout_ns) == (2_500_000_000, 100_000_000)
    assert (http.ca_file, http.cert_file, http.key_file) == ("/ca", "/crt", "/key")
    assert http.secret_headers == {"api-key": "a b%zz", "x": "1"}


def test_the_section_comes_first() -> None:
    """Whatever it says."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://all:1",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://logs:2/in",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca",
    }
    found = setup(variables, endpoint="https://mine", timeout=3 * S, ca_file="/own")
    assert places(found) == ["mine:443/v1/metrics", "mine:443/v1/logs"]
    assert found.metrics is not None
    assert (found.metrics[0], found.metrics[1].timeout_ns) == (Endpoint(True, "mine", 443, "/v1/metrics"), 3 * S)
    assert found.metrics[1].ca_file == "/own"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT: it is no URL"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "ftp://x"}, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: ftp is not supported"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT: it is no number of milliseconds"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "hunter2"}, "OTEL_EXPORTER_OTLP_HEADERS: it is no header"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=hunter2%0d%0ab"}, "OTEL_EXPORTER_OTLP_HEADERS: it is no header"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": ",".join(f"a{n}=1" for n in range(70))}, "more than 64 headers"),
    ],
)
def test_variables_that_cannot_be_used_are_named(variables: dict[str, str], words: str) -> None:
    """Without what they hold."""
    with pytest.raises(ConfigError) as failure:
        setup(variables)
    assert words in failure.value.sentence
    assert "hunter2" not in failure.value.sentence


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({}, ""),
        ({"endpoint": "http://collector:4318"}, ""),
        ({"endpoint": "collector"}, "endpoint: it is no URL"),
        ({"endpoint": "http://x", "ca_file": "/ca"}, "ca_file: the endpoint is http://"),
        ({"endpoint": "https://x", "key_file": "/k"}, "key_file: a key without a certificate"),
        ({"endpoint": "https://x", "username": "u"}, "username: username and password_file belong together"),
        ({"endpoint": "https://x", "username": "u:v", "password_file": "/p"}, "has no colon"),
        ({"endpoint": "https://x", "token_file": "/t", "token_variable": "T"}, "token_variable: the section has token_file too"),
        ({"token_file": "/t", "username": "u", "password_file": "/p"}, "username: the section has token_file too"),
        ({"ca_file": "/ca"}, ""),
        ({"metrics": False, "logs": False}, "nothing would be sent"),
    ],
)
def test_a_section_is_checked(section: dict[str, str | bool], words: str) -> None:
    """With a sentence for what does not go together."""
    found = check_otlp(values(**section))
    assert words in found
    assert bool(words) == bool(found)


def test_a_certificate_of_the_section_is_used_with_its_own_key() -> None:
    """That of the variables would not fit to it."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://all:1",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/crt",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key",
    }
    found = setup(variables, cert_file="/own")
    assert found.metrics is not None
    http = found.metrics[1]
    assert (http.ca_file, http.cert_file, http.key_file) == ("/ca", "/own", "")
