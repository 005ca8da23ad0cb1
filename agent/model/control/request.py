"""Requests of the control socket: one line of JSON each. PURE, light."""

import json

from agent.model.control import PROTOCOL_VERSION, REQUEST_BYTES_MAX
from agent.model.control.document import Document
from agent.model.errors import MisuseError


class ControlRequest(Document):
    """An operation and what it is called with. Whether there is such an operation is decided later."""

    operation: str
    arguments: dict[str, object]


def request_line(operation: str, arguments: dict[str, object]) -> bytes:
    """A request as it is sent. *Raises:* MisuseError for one that is longer than an agent takes."""
    line = json.dumps({"v": PROTOCOL_VERSION, "op": operation, "args": arguments}).encode() + b"\n"
    if len(line) > REQUEST_BYTES_MAX:
        raise MisuseError(operation, f"a request of {len(line)} bytes is too long", f"at most {REQUEST_BYTES_MAX} are taken")
    return line


def parse_request(line: bytes) -> ControlRequest:
    """The request in one line. *Raises:* ValueError or RecursionError saying what is wrong with it."""
    request = json.loads(line)
    # Half a surrogate pair is JSON but no text: it could be stored and never be encoded again.
    json.dumps(request, ensure_ascii=False).encode()
    if not isinstance(request, dict):
        raise ValueError("it is no JSON object")
    if request.get("v", PROTOCOL_VERSION) != PROTOCOL_VERSION:
        raise ValueError(f"version {request.get('v')!r} is not spoken here, {PROTOCOL_VERSION} is")
    operation, arguments = request.get("op"), request.get("args", {})
    if not isinstance(operation, str) or not isinstance(arguments, dict):
        raise ValueError('"op" must be text and "args" an object')
    if unknown := set(request) - {"v", "op", "args"}:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    return ControlRequest(operation=operation, arguments=arguments)
