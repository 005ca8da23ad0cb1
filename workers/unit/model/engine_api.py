"""Asks an engine for its models: one GET, within a deadline and a size. It runs in a thread of its own.

HTTP/1.0 without the package http.client: that costs 2 MiB of memory, and bounds neither the whole time nor the size of an answer.
"""

import socket
from errno import ETIMEDOUT
from time import monotonic

from agent.model.absence import Absence
from agent.model.served_model_document import ANSWER_BYTES_MAX, parse_answer
from workers.unit.model.engine_address import EngineAddress
from workers.unit.model.finding import ModelFinding, ModelSource

# A server that answers at all lists its models in milliseconds; one that loads a model may not answer for minutes.
DEADLINE_SECONDS = 2.0
HEAD_BYTES_MAX = 16 << 10
_PART_BYTES = 64 << 10
_REFUSED = (b"401", b"403")


def ask_engine(address: EngineAddress) -> ModelFinding:
    """What the engine says. `told` and `absent` are both None where it serves no model now."""
    try:
        answer = _get(address)
    except OSError:
        return _nothing(Absence.NOT_ANSWERED)
    if answer is None:
        return _nothing(Absence.MALFORMED)
    head, end, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if not end or len(words) < 2 or not words[0].startswith(b"HTTP/1."):
        return _nothing(Absence.MALFORMED)
    if words[1] != b"200":
        return _nothing(Absence.NO_PERMISSION if words[1] in _REFUSED else Absence.UNREADABLE)
    told = parse_answer(body)
    return _nothing(told) if isinstance(told, Absence) else ModelFinding(ModelSource.ENGINE_API, told)


def _nothing(reason: Absence) -> ModelFinding:
    return ModelFinding(ModelSource.ENGINE_API, None, reason)


def _get(address: EngineAddress) -> bytes | None:
    """The whole answer. *Absent:* it is too long. *Raises:* OSError; TimeoutError past the deadline, however it drips."""
    until = monotonic() + DEADLINE_SECONDS
    answer = bytearray()
    with socket.create_connection((address.host, address.port), DEADLINE_SECONDS) as peer:
        host = f"[{address.host}]" if ":" in address.host else address.host
        peer.sendall(
            f"GET {address.path} HTTP/1.0\r\nHost: {host}:{address.port}\r\n"
            "Accept: application/json\r\nUser-Agent: evergauge\r\nConnection: close\r\n\r\n".encode()
        )
        while len(answer) <= HEAD_BYTES_MAX + ANSWER_BYTES_MAX:
            patience = until - monotonic()
            if patience <= 0:
                raise TimeoutError(ETIMEDOUT, "the answer takes too long")
            peer.settimeout(patience)
            part = peer.recv(_PART_BYTES)
            answer += part
            if not part or _is_whole(answer):
                return bytes(answer)
    return None


def _is_whole(answer: bytearray) -> bool:
    """Whether the length that the head tells has arrived: some servers keep the connection open whatever they are asked."""
    end = answer.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
    for line in answer[:end].split(b"\r\n") if end >= 0 else ():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return len(answer) - end - 4 >= int(value[:20])
    return False
