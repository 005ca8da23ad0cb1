"""What a node keeps of a hub that it has joined: one file for each hub, read and written as JSON. PURE, and light: no msgspec.

    <state>/hubs/NAME.json    {"v": 1, "hub": "...", "endpoint": "tcp://HOST:PORT", "hub_key": "...", "public_key": "...",
                               "secret_key": "..."}

Keys are those of CURVE, 32 bytes as unpadded base64 with - and _.
"""

import json

from agent.fleet.invitation import KEY_BYTES, from_text, to_text
from agent.model.errors import FormatError
from agent.model.foreign import readable
from agent.model.host import PORT_MAX, parse_host

FOLDER = "hubs"
SUFFIX = ".json"
FILE_BYTES_MAX = 4096
_SCHEME = "tcp://"


class JoinedHub:
    """A hub, and this node's key pair for it. `endpoint` is its endpoint for data, as ZeroMQ takes it."""

    __slots__ = ("endpoint", "hub", "hub_key", "public_key", "secret_key")

    def __init__(self, hub: str, endpoint: str, hub_key: bytes, public_key: bytes, secret_key: bytes) -> None:
        self.hub = hub
        self.endpoint = endpoint
        self.hub_key = hub_key
        self.public_key = public_key
        self.secret_key = secret_key


def check_endpoint(text: str) -> str:
    """An endpoint as ZeroMQ takes it. *Raises:* ValueError that says what is wrong with it."""
    if not text.startswith(_SCHEME):
        raise ValueError("it does not begin with tcp://")
    authority = text.removeprefix(_SCHEME)
    _, _, port = authority.rpartition(":")
    if parse_host(authority) is None or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise ValueError("it is not tcp://HOST:PORT; an IPv6 address stands in brackets")
    return text


def encode_joined_hub(joined: JoinedHub) -> bytes:
    """The content of the file."""
    document = {
        "v": 1,
        "hub": joined.hub,
        "endpoint": joined.endpoint,
        "hub_key": to_text(joined.hub_key),
        "public_key": to_text(joined.public_key),
        "secret_key": to_text(joined.secret_key),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def parse_joined_hub(data: bytes, origin: str) -> JoinedHub:
    """*Raises:* FormatError, never with a key in it."""
    problem = "this is no file of a joined hub"
    try:
        document = json.loads(data)
        if document["v"] != 1:
            problem = f"version {readable(str(document['v']), 20)} is not known"
            raise ValueError
        endpoint = check_endpoint(document["endpoint"])
        keys = [from_text(document[name], KEY_BYTES) for name in ("hub_key", "public_key", "secret_key")]
        return JoinedHub(readable(document["hub"], 255), endpoint, *keys)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FormatError(readable(origin), problem, "join the hub again: `agentctl join INVITATION`") from None
