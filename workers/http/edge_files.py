"""The rule of the edge from a server's settings: reads its token and its certificate. Touches the file system, only to read."""

import os

from agent.model.errors import ConfigError
from workers.http.edge import Edge, edge_of, token_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from workers.http.tls import ServerTls

_TOKEN_FILE_BYTES_MAX = 4096


def read_token(path: str, key: str) -> bytes:
    """The token in a file. *Raises:* ConfigError whose sentence names the setting `key`."""
    remedy = "write a long random word into it, as `openssl rand -hex 32` makes one, and let only the agent's user read it"
    try:
        with open(path, "rb") as file:
            return token_of(file.read(_TOKEN_FILE_BYTES_MAX))
    except OSError as cause:
        raise ConfigError(key, f"{path} cannot be read ({os.strerror(cause.errno or 0)})", remedy) from cause
    except ValueError as cause:
        raise ConfigError(key, f"{path} holds no token: {cause}", remedy) from cause


def read_edge(address: str, *, token_file: str, has_tls: bool, trusted_proxy: str, section: str, cookie: str) -> Edge:
    """The rule of a server at `address`; a token that cannot be read is a problem, and nothing is served without it."""
    token, problem = b"", ""
    if token_file:
        try:
            token = read_token(token_file, f"{section}.token_file")
        except ConfigError as failure:
            problem = f"pages and /v1 are not served: {failure.sentence}"
    edge = edge_of(address, token=token, has_tls=has_tls, trusted_proxy=trusted_proxy, section=section, cookie=cookie)
    return Edge(problem=problem, is_beyond_loopback=True) if problem else edge


def tls_of_files(cert_file: str, key_file: str) -> "ServerTls | None":
    """The certificate of a server, its files read. *Absent:* None where none is set. *Raises:* ConfigError."""
    if not cert_file:
        return None
    from workers.http.tls import ServerTls

    tls = ServerTls(cert_file, key_file)
    tls.load()
    return tls
