"""Where the hub's HTTP is served and who may ask, from the settings. Touches the file system."""

import os

import workers.http
import workers.hub
from agent.config import Config
from agent.hub_setting import (
    HUB_ADDRESS,
    HUB_ALLOWED_HOSTS,
    HUB_PORT,
    HUB_TLS_CERT_FILE,
    HUB_TLS_KEY_FILE,
    HUB_TOKEN_FILE,
    HUB_TRUSTED_PROXY,
)
from agent.kernel_file import read_whole
from agent.model.errors import ConfigError
from workers.http.edge import TOKEN_CHARACTERS_MAX, edge_of, token_of
from workers.http.host import host_policy
from workers.http.static_files import StaticFiles
from workers.http.tls import ServerTls
from workers.hub.fleet_http import HttpPlace


def http_place(config: Config) -> HttpPlace:
    """*Raises:* ConfigError where a file of the settings cannot be used."""
    address, cert = config.of(HUB_ADDRESS), config.of(HUB_TLS_CERT_FILE)
    tls = None
    if cert:
        tls = ServerTls(cert, config.of(HUB_TLS_KEY_FILE))
        tls.load()
    edge = edge_of(
        address or "127.0.0.1",
        token=_token(config.of(HUB_TOKEN_FILE)),
        has_tls=tls is not None,
        trusted_proxy=config.of(HUB_TRUSTED_PROXY),
        section="hub",
        cookie=f"evergauge-hub-{config.of(HUB_PORT)}",
    )
    hosts = host_policy(address or "127.0.0.1", config.of(HUB_ALLOWED_HOSTS), "hub.allowed_hosts (--hub-allowed-hosts)")
    return HttpPlace(address, config.of(HUB_PORT), hosts, edge, tls, page_files().answer)


def page_files() -> StaticFiles:
    """The files of the fleet's page, and what it shares with the node's."""
    shared = os.path.join(os.path.dirname(workers.http.__file__), "assets")
    page = os.path.join(os.path.dirname(workers.hub.__file__), "page")
    return StaticFiles({"/assets": shared, "/fleet": page}, {"/": ("/fleet", "index.html")})


def _token(path: str) -> bytes:
    if not path:
        return b""
    try:
        return token_of(read_whole(path, TOKEN_CHARACTERS_MAX + 64))
    except OSError as cause:
        raise ConfigError(HUB_TOKEN_FILE.key, f"{path} cannot be read: {cause.strerror}", "name a readable file") from cause
    except ValueError as cause:
        raise ConfigError(HUB_TOKEN_FILE.key, f"{path} has no token: {cause}", "such as `openssl rand -hex 32` makes") from cause
