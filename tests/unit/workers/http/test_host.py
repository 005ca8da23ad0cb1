"""Under which names the gateway answers."""

import pytest

from workers.http.host import host_policy
from workers.http.request import HttpRequest

ADDRESSES = ("10.0.0.1", "fd00::1")


def answered(address: str, allowed: str, *hosts: str | None) -> list[str | None]:
    """Those of the hosts to which a gateway answers."""
    policy = host_policy(address, allowed)
    return [host for host in hosts if policy.refusal(HttpRequest("GET", "/metrics", "", host)) is None]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "localhost.invalid", ""])
def test_on_the_loopback_device_only_its_names_are_answered(address: str) -> None:
    """And a client that names no host, which no browser is."""
    hosts = ("localhost", "127.0.0.1", "127.3.2.1", "::1", None, *ADDRESSES, "node", "evil.example", "")
    assert answered(address, "", *hosts) == ["localhost", "127.0.0.1", "127.3.2.1", "::1", None]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "fe80::1%eth0"])
def test_beyond_it_every_address_is_answered_and_still_no_name(address: str) -> None:
    """No name server can make a page's name of an address."""
    assert answered(address, "", "localhost", *ADDRESSES, "node", "10.0.0.1.example", "") == ["localhost", *ADDRESSES]


def test_names_and_addresses_that_are_set_are_answered_too() -> None:
    """Exactly these, or with a star all."""
    hosts = ("node.example", "x.node.example", "node", "10.0.0.1", "fd00::1", "")
    assert answered("127.0.0.1", "node.example,10.0.0.1", *hosts) == ["node.example", "10.0.0.1"]
    assert answered("127.0.0.1", "*", *hosts) == list(hosts)


def test_a_refusal_names_the_setting() -> None:
    """The operator who asks by a name of his own sees what to do."""
    refused = host_policy("127.0.0.1", "").refusal(HttpRequest("GET", "/x", "", "node"))
    assert refused is not None
    assert (refused.status, "gateway.allowed_hosts (--gateway-allowed-hosts)" in refused.sentence) == (421, True)
