"""How a node gets to know a hub: an invitation in one line, and the frames by which the node uses it. PURE, and light: no msgspec.

    evergauge-1:HOST:PORT:KEY:TOKEN

HOST and PORT are the hub's endpoint for joining, an IPv6 address in brackets. KEY is the hub's public key, TOKEN what only the
invited have; both are unpadded base64 with - and _ (RFC 4648, 5), so that a shell leaves them alone.
"""

import binascii
import json

from agent.model.errors import FormatError
from agent.model.foreign import readable
from agent.model.host import PORT_MAX, parse_host

SCHEME = "evergauge-1"
KEY_BYTES = 32
TOKEN_BYTES = 16
# The endpoint for joining takes no frame that is larger.
JOIN_BYTES_MAX = 512
TEXT_CHARACTERS_MAX = 512


class Invitation:
    """Where a hub can be joined, the key that it must have, and the right to join it."""

    __slots__ = ("host", "key", "port", "token")

    def __init__(self, host: str, port: int, key: bytes, token: bytes) -> None:
        assert len(key) == KEY_BYTES
        assert len(token) == TOKEN_BYTES
        self.host = host
        self.port = port
        self.key = key
        self.token = token

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Invitation) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def text(self) -> str:
        """The line."""
        return f"{SCHEME}:{bracketed(self.host)}:{self.port}:{to_text(self.key)}:{to_text(self.token)}"


def bracketed(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def to_text(data: bytes) -> str:
    """Bytes as unpadded base64 with - and _."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode()


def from_text(text: str, size: int) -> bytes:
    """The bytes of such a text. *Raises:* ValueError where they are not so many."""
    encoded = text.encode("ascii")
    if not _LETTERS.issuperset(encoded):
        raise ValueError("a letter that does not belong there")
    data = binascii.a2b_base64(encoded.translate(_FROM_URL) + b"=" * (-len(encoded) % 4))
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes instead of {size}")
    return data


def parse_invitation(text: str) -> Invitation:
    """*Raises:* FormatError that says which part is wrong; never with the token in it."""
    words = text.strip()
    if len(words) > TEXT_CHARACTERS_MAX:
        raise _wrong(f"it has more than {TEXT_CHARACTERS_MAX} characters")
    scheme, _, rest = words.partition(":")
    if scheme != SCHEME:
        raise _wrong(f"it does not begin with {SCHEME}:")
    parts = rest.rsplit(":", 3)
    if len(parts) != 4:
        raise _wrong("it is not evergauge-1:HOST:PORT:KEY:TOKEN")
    authority, port, key, token = parts
    host = parse_host(authority)
    if host is None:
        raise _wrong(f"{readable(authority, 80)!r} is no host; an IPv6 address stands in brackets")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise _wrong(f"{readable(port, 20)!r} is no port")
    try:
        return Invitation(host, int(port), from_text(key, KEY_BYTES), from_text(token, TOKEN_BYTES))
    except ValueError as cause:
        raise _wrong("its key or token is cut or changed") from cause


def encode_join(token: bytes, install: str, host: str) -> bytes:
    """What a node sends to join; the key that it will have is the one of its connection. *Range:* at most JOIN_BYTES_MAX."""
    name = host
    while True:
        data = json.dumps({"v": 1, "token": to_text(token), "install": install, "host": name}, ensure_ascii=False).encode()
        if len(data) <= JOIN_BYTES_MAX:
            return data
        name = name[:-1]


def decode_join(frame: bytes) -> tuple[bytes, str, str]:
    """Token, install and host of what a node sends to join. *Raises:* FormatError."""
    try:
        document = json.loads(frame)
        token, install, host = document["token"], document["install"], document["host"]
        if document["v"] != 1 or not all(isinstance(text, str) for text in (token, install, host)):
            raise ValueError("another version")
        found = from_text(token, TOKEN_BYTES)
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise FormatError("join", "this is no request to join") from cause
    if len(install) != 16 or not set(install) <= set("0123456789abcdef") or not host or host != readable(host, 255):
        raise FormatError("join", "this is no request to join")
    return found, install, host


def encode_joined(hub: str, data_port: int) -> bytes:
    """The hub's answer to a node that it takes: its name, and the port of its endpoint for data."""
    return json.dumps({"v": 1, "ok": True, "hub": hub, "port": data_port}).encode()


def encode_not_joined(code: str, sentence: str) -> bytes:
    """The hub's answer to a node that it does not take."""
    return json.dumps({"v": 1, "ok": False, "code": code, "sentence": sentence}).encode()


class Joined:
    """What the hub said: `hub` and `port` where it takes the node, else `code` and `sentence`."""

    __slots__ = ("code", "hub", "port", "sentence")

    def __init__(self, hub: str, port: int, code: str, sentence: str) -> None:
        self.hub = hub
        self.port = port
        self.code = code
        self.sentence = sentence


def decode_joined(frame: bytes) -> Joined:
    """*Raises:* FormatError."""
    try:
        document = json.loads(frame)
        if document["ok"] is True:
            hub, port = document["hub"], document["port"]
            if isinstance(hub, str) and type(port) is int and 0 < port <= PORT_MAX:
                return Joined(readable(hub, 255), port, "", "")
        elif isinstance(document["code"], str) and isinstance(document["sentence"], str):
            return Joined("", 0, readable(document["code"], 40), readable(document["sentence"], 400))
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise FormatError("answer of the hub", "it cannot be read") from cause
    raise FormatError("answer of the hub", "it cannot be read")


def _wrong(problem: str) -> FormatError:
    return FormatError("invitation", problem, "copy the whole line that `agentctl hub invite` printed")


_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
