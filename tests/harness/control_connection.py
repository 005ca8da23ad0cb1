"""A connection to the control socket of an agent: documents, and bytes as they are.

Speaks the protocol by itself, without agentctl's client, which is under test and cannot send what is malformed.
"""

import json
import socket
import struct
from pathlib import Path
from typing import Any, Self

from harness.waiting import DEADLINE_SECONDS

from agent.model.control import PROTOCOL_VERSION

_CREDENTIALS = struct.Struct("3i")


class Refused(RuntimeError):
    """The agent answered with an error; the text is its sentence."""


class ControlConnection:
    """Waits for each answer, at most `DEADLINE_SECONDS`."""

    def __init__(self, path: Path | str) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        try:
            # Without a time limit, with which the kernel would refuse connections while its queue is full.
            self.stream.connect(str(path))
        except BaseException:
            self.stream.close()
            raise
        self.stream.settimeout(DEADLINE_SECONDS)
        self._lines = self.stream.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_rest: object) -> None:
        self.close()

    def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.stream.sendall(data)

    def request(self, operation: str, **arguments: Any) -> None:
        """Send one operation without waiting for its answer."""
        self.say(json.dumps({"v": PROTOCOL_VERSION, "op": operation, "args": arguments}).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """The next line, as JSON. *Raises:* ConnectionResetError at the connection's end."""
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the agent has ended the connection")
        document: dict[str, Any] = json.loads(line)
        return document

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """The whole answer to one operation, an error's too."""
        self.request(operation, **arguments)
        return self.answer()

    def call(self, operation: str, **arguments: Any) -> Any:
        """The result of one operation. *Raises:* Refused; OSError and ValueError when there is no answer."""
        return result_of(self.ask(operation, **arguments))

    def rest(self) -> bytes:
        """What comes until the agent ends the connection; nothing of an answer may be there."""
        try:
            return self._lines.read()
        except ConnectionResetError:
            return b""

    def agent_pid(self) -> int:
        """The process that listens at the other end, by the kernel's word."""
        pid: int = _CREDENTIALS.unpack(self.stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        return pid

    def is_ended(self) -> bool:
        """Whether the agent ends the connection without another word; waits for it."""
        try:
            return self._lines.readline() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """End it."""
        self._lines.close()
        self.stream.close()


def result_of(answer: dict[str, Any]) -> Any:
    """The result in an answer. *Raises:* Refused, with the error's sentence."""
    if not answer["ok"]:
        raise Refused(answer["error"]["sentence"])
    return answer["result"]


def ask(path: Path | str, operation: str, **arguments: Any) -> dict[str, Any]:
    """The whole answer to one operation over a connection of its own."""
    with ControlConnection(path) as connection:
        return connection.ask(operation, **arguments)


def call(path: Path | str, operation: str, **arguments: Any) -> Any:
    """The result of one operation over a connection of its own. *Raises:* Refused, OSError, ValueError."""
    return result_of(ask(path, operation, **arguments))
