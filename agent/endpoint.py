"""The address of a sink over HTTP, taken apart and checked. PURE.

*Source:* RFC 3986, of which only what such an address needs is taken: no user, no fragment, no relative parts.
"""

import re

from msgspec import Struct

from agent.model.errors import ConfigError

PORTS = {"http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<authority>[^/?#]*)"
    r"(?P<path>/[^?#]*)?"
    r"(?P<query>\?[^#]*)?"
    r"(?P<fragment>#.*)?"
)
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::(?P<port>[0-9]{0,9}))?")
EXAMPLE = "write it as http://HOST:PORT or https://HOST:PORT/PATH"


class Endpoint(Struct, frozen=True):
    """Where requests go. `host`: a name, an IPv4 or an IPv6 address (without brackets). `path` has no `/` at its end.

    `query` begins with `?`, or is empty.
    """

    is_tls: bool
    host: str
    port: int
    path: str = ""
    query: str = ""

    @property
    def authority(self) -> str:
        """What header `Host` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS["https" if self.is_tls else "http"] else f"{host}:{self.port}"

    @property
    def place(self) -> str:
        """Host and port, for sentences."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def below(self, path: str) -> "Endpoint":
        """The endpoint whose path is this one's with `path` at its end."""
        return Endpoint(self.is_tls, self.host, self.port, self.path + path, self.query)

    @property
    def target(self) -> str:
        """What the first line of a request asks for."""
        return (self.path or "/") + self.query


def parse_endpoint(url: str, *, key: str = "endpoint") -> Endpoint:
    """The endpoint that a URL names. *Raises:* ConfigError, without the URL, which may hold a secret."""
    if not url.isascii() or any(letter <= " " or letter == "\x7f" for letter in url) or "\\" in url:
        raise ConfigError(key, "the URL has spaces, control characters or letters that are not ASCII", EXAMPLE)
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(key, "it is no URL" if url else "it is missing", EXAMPLE)
    scheme, authority = found["scheme"].lower(), found["authority"]
    if scheme not in PORTS:
        raise ConfigError(key, f"{scheme} is not supported", EXAMPLE)
    if "@" in authority:
        raise ConfigError(
            key, "the URL has a user or a password in it", "name files instead: username and password_file, or token_file"
        )
    if found["fragment"] is not None:
        raise ConfigError(key, "the URL has a part behind #", EXAMPLE)
    host, port = _host_and_port(authority, PORTS[scheme], key)
    return Endpoint(scheme == "https", host, port, (found["path"] or "").rstrip("/"), found["query"] or "")


def _host_and_port(authority: str, default_port: int, key: str) -> tuple[str, int]:
    found = _HOST_AND_PORT.fullmatch(authority)
    if found is None:
        raise ConfigError(key, "the URL names no host that can be used", f"{EXAMPLE}; an IPv6 address stands in brackets")
    port = int(found["port"] or default_port)
    if not 0 < port < 65536:
        raise ConfigError(key, f"port {port} does not exist", "a port is a number from 1 to 65535")
    return found["v6"] or found["name"], port
