"""The settings of the page."""

from agent.gateway_setting import PAGE_SETTINGS


def test_the_page_is_served_to_this_host_unless_told_otherwise() -> None:
    """Without a token, a certificate or a proxy."""
    assert {setting.key: setting.default for setting in PAGE_SETTINGS} == {
        "gateway.page": True,
        "gateway.token_file": "",
        "gateway.tls_cert_file": "",
        "gateway.tls_key_file": "",
        "gateway.trusted_proxy": "",
    }
