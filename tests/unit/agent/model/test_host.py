"""Hosts of requests and settings, in one form that can be compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.host import is_literal, is_loopback, parse_host, parse_host_list


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost:9464", "localhost"),
        ("localhost.:80", "localhost"),
        ("localhost:", "localhost"),
        ("localhost..", "localhost."),
        ("node_7.example", "node_7.example"),
        ("127.0.0.1:9464", "127.0.0.1"),
        ("[::1]:9464", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[FE80::1%25eth0]:80", "fe80::1"),
        ("[fe80::1%eth0]", "fe80::1"),
        ("", None),
        (".", None),
        ("..", None),
        (":80", None),
        ("localhost:x", None),
        ("localhost:65536", None),
        ("localhost:-1", None),
        ("localhost:80:80", None),
        ("user@localhost", None),
        ("user:word@localhost", None),
        ("localhost/x", None),
        ("local host", None),
        ("localhost\t", None),
        ("::1", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[localhost]", None),
        ("[::1%]", None),
        ("[1.2.3]", None),
        ("ｌocalhost", None),
        ("localhost:٣", None),
        ("a" * 256, None),
    ],
)
def test_a_host_has_one_form(authority: str, host: str | None) -> None:
    """Small letters, no port, no final dot, no zone, the shortest address; what is no host is none."""
    assert parse_host(authority) == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "::1"])
def test_the_loopback_names_are_these(host: str) -> None:
    """By definition, and no name server changes it."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["127.evil.example", "127.0.0.1.example", "127.1", "localhost.example", "10.0.0.1", "::2", "127.0.0.256"]
)
def test_names_that_only_look_like_them_are_none(host: str) -> None:
    """A name may begin and end with anything."""
    assert not is_loopback(host)


def test_addresses_are_told_from_names() -> None:
    """What a name server could give out is a name."""
    assert [host for host in ("10.0.0.1", "::", "fd00::1", "1.2.3", "0x7f.0.0.1", "010.0.0.1", "a") if is_literal(host)] == [
        "10.0.0.1",
        "::",
        "fd00::1",
    ]


def test_a_list_is_read_in_the_same_form() -> None:
    """With blanks, doubles and empty places; an IPv6 address needs no brackets."""
    assert parse_host_list(" Node-7.Example. ,node-7.example,, fd00::0:1,[fd00::2],10.0.0.1,*") == {
        "node-7.example",
        "fd00::1",
        "fd00::2",
        "10.0.0.1",
        "*",
    }
    assert parse_host_list("") == frozenset()


@pytest.mark.parametrize("text", ["node:9464", "node:", "[::1]:80", "http://node", "no de", "*.example", "a,b/", "user@a"])
def test_a_list_with_a_port_or_a_url_is_refused(text: str) -> None:
    """The word that is wrong is named."""
    with pytest.raises(ValueError, match="is no host name and no IP address"):
        parse_host_list(text)


@given(st.text(max_size=80))
def test_any_text_is_a_host_or_none(text: str) -> None:
    """And a host that was read is read again as the same."""
    host = parse_host(text)
    if host is not None:
        assert parse_host(f"[{host}]" if ":" in host else host) in (host, host.removesuffix("."))
