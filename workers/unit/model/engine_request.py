"""One GET of an engine, within a deadline and a size. It runs in a thread of its own.

HTTP/1.0 without the package http.client: that costs 2 MiB of memory, and bounds neither the whole time nor the size of an answer.
"""

import socket
from errno import ETIMEDOUT
from time import monotonic

from agent.model.absence import Absence
from workers.unit.model.engine_address import EngineAddress
from workers.unit.model.http_reply import HttpReply

# A server that answers at all does so in milliseconds; one that loads a model may not answer for minutes.
DEADLINE_SECONDS = 2.0
_PART_BYTES = 64 << 10
_REFUSED = (401, 403)


def get(address: EngineAddress, path: str, media_type: str, body_bytes_max: int) -> HttpReply:
    """The answer. Of one that is not 200 the body is not waited for.

    *Raises:* OSError; TimeoutError past the deadline, however it drips; ProtocolError where it is no answer, or too long.
    """
    until = monotonic() + DEADLINE_SECONDS
    reply = HttpReply(body_bytes_max)
    with socket.create_connection((address.host, address.port), DEADLINE_SECONDS) as peer:
        host = f"[{address.host}]" if ":" in address.host else address.host
        peer.sendall(
            f"GET {path} HTTP/1.0\r\nHost: {host}:{address.port}\r\n"
            f"Accept: {media_type}\r\nUser-Agent: evergauge\r\nConnection: close\r\n\r\n".encode()
        )
        while (patience := until - monotonic()) > 0:
            peer.settimeout(patience)
            if reply.take(peer.recv(_PART_BYTES)) or reply.status not in (0, 200):
                return reply
    raise TimeoutError(ETIMEDOUT, "the answer takes too long")


def refusal(reply: HttpReply) -> Absence | None:
    """Why there is nothing in it. Redirections are not followed: that is not where the operator wrote. *Absent:* there is."""
    if reply.status == 200:
        return None
    return Absence.NO_PERMISSION if reply.status in _REFUSED else Absence.UNREADABLE
