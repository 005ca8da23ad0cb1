"""Settings of sinks over HTTP that do not go together, and answers that are taken."""

import pytest

from agent.endpoint import parse_endpoint
from agent.model.errors import ConfigError
from agent.model.timebase import S
from workers.export.http_answer import HttpAnswer
from workers.export.http_option import check_http, http_setup
from workers.export.http_verdict import verdict_of
from workers.export.sink import SinkValues


def values(**section: str) -> SinkValues:
    """A section."""
    return SinkValues("lake", "object", section)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"key_file": "/k"}, "a key without a certificate"),
        ({"username": "u"}, "username and password_file belong together"),
        ({"password_file": "/p"}, "username and password_file belong together"),
        ({"username": "a:b", "password_file": "/p"}, "a user of basic authentication has no colon in it"),
        ({"token_file": "/t", "token_variable": "T"}, "the section has token_file too"),
        ({"token_file": "/t", "username": "u", "password_file": "/p"}, "the section has token_file too"),
    ],
)
def test_what_does_not_go_together_is_refused(section: dict[str, str], problem: str) -> None:
    """The sentence names what to change."""
    with pytest.raises(ConfigError, match=problem):
        check_http(values(**section), parse_endpoint("https://h"))


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file", "server_name"])
def test_without_tls_there_are_no_certificates(key: str) -> None:
    """An address that begins with http:// would never use them."""
    with pytest.raises(ConfigError, match="the endpoint is http://, which has no certificates"):
        check_http(values(**{key: "x"}), parse_endpoint("http://h"))


def test_a_sound_section_is_a_setup() -> None:
    """What it leaves open has its default; the environment is read later."""
    section = values(username="u", password_file="/p", cert_file="/c", key_file="/k")
    check_http(section, parse_endpoint("https://h"))
    check_http(values(), parse_endpoint("http://h"))
    setup = http_setup(section, "a store", {"T": "x"})
    assert (setup.what, setup.username, setup.cert_file, setup.timeout_ns, setup.variables) == (
        "a store",
        "u",
        "/c",
        10 * S,
        {"T": "x"},
    )


def test_an_answer_that_took_it_has_no_verdict() -> None:
    """Its caller reads how much was taken."""
    verdict = verdict_of(HttpAnswer(204, {}), what="a store", place="h/x", wall_ns=0, is_retried=lambda _status: False)
    assert verdict is None
