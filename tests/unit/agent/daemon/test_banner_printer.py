"""Where a browser finds the page, as the banner says it."""

import pytest

from agent.config import Config
from agent.daemon.banner_printer import page_address


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "http://127.0.0.1:9464/"),
        ({"gateway.address": "::1", "gateway.port": 80}, "http://[::1]:80/"),
        ({"gateway.tls_cert_file": "/c"}, "https://127.0.0.1:9464/"),
        ({"gateway.page": False}, ""),
        ({"gateway.address": ""}, ""),
        ({"gateway.port": 0}, ""),
        ({"gateway.address": "10.0.0.1"}, ""),
        ({"gateway.address": "10.0.0.1", "gateway.token_file": "/t"}, ""),
        ({"gateway.address": "10.0.0.1", "gateway.token_file": "/t", "gateway.tls_cert_file": "/c"}, "https://10.0.0.1:9464/"),
        ({"gateway.address": "10.0.0.1", "gateway.trusted_proxy": "10.0.0.2"}, "http://10.0.0.1:9464/"),
    ],
)
def test_the_address_of_the_page_is_told_where_there_is_one(settings: dict[str, int | str | bool], address: str) -> None:
    """And nothing where nobody would get it."""
    assert page_address(Config(settings)) == address
