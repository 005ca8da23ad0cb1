"""A plugin that obeys every rule of the wire, so that the fake runtime itself can be tested; and, on request, breaks one."""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from fakes.nri_wire import (
    MESSAGE_BYTES_MAX,
    PLUGIN_SERVICE,
    REQUEST,
    RUNTIME_SERVICE,
    UNIMPLEMENTED,
    bytes_of,
    fields,
    frame,
    message_bytes,
    number_of,
    response,
    text_of,
)
from fakes.nri_wire import field as wire_field

SUBSCRIPTION = 0b110_0010_0111


@dataclass(slots=True)
class Habits:
    """What the plugin does otherwise than a good one."""

    name: str = "lab"
    index: str = "10"
    mask: int = SUBSCRIPTION
    frame_bytes: int = 4096
    has_dedicated: bool = True
    echoes_more: bool = True
    silent_on: frozenset[str] = field(default_factory=frozenset)
    fails_on: frozenset[str] = field(default_factory=frozenset)


class SimplePlugin:
    """One connection to a runtime, served by a thread; `calls` are the methods that it was called by, in order."""

    def __init__(self, path: Path, habits: Habits | None = None) -> None:
        self._habits = habits or Habits()
        self.calls: list[str] = []
        self.payloads: list[bytes] = []
        self.refusal = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        asked = wire_field(1, self._habits.name) + wire_field(2, self._habits.index)
        call = wire_field(1, "nri.pkg.api.v1alpha1.Runtime") + wire_field(2, "RegisterPlugin") + wire_field(3, asked)
        self._send(RUNTIME_SERVICE, message_bytes(1, REQUEST, call))
        self._thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _send(self, connection: int, message: bytes) -> None:
        step = self._habits.frame_bytes
        with suppress(OSError):
            self._socket.sendall(b"".join(frame(connection, message[at : at + step]) for at in range(0, len(message), step)))

    def _serve(self) -> None:
        streams = {PLUGIN_SERVICE: bytearray(), RUNTIME_SERVICE: bytearray()}
        with suppress(OSError, EOFError):
            while True:
                connection, length = struct.unpack(">II", self._read(8))
                payload = self._read(length)
                if connection in streams:
                    streams[connection] += payload
                    self._take(connection, streams[connection])

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            if not (part := self._socket.recv(count - len(data))):
                raise EOFError
            data += part
        return bytes(data)

    def _take(self, connection: int, stream: bytearray) -> None:
        while len(stream) >= 10:
            length, number, kind, _flags = struct.unpack(">IIBB", stream[:10])
            assert length <= MESSAGE_BYTES_MAX
            if len(stream) < 10 + length:
                return
            data = bytes(stream[10 : 10 + length])
            del stream[: 10 + length]
            if kind == REQUEST:
                self._answer(number, data)
            elif connection == RUNTIME_SERVICE:
                self.refusal = number_of(fields(bytes_of(fields(data), 1)), 1)

    def _answer(self, number: int, data: bytes) -> None:
        call = fields(data)
        method, payload = text_of(call, 2), bytes_of(call, 3)
        self.calls.append(method)
        self.payloads.append(payload)
        if method in self._habits.silent_on:
            return
        if method in self._habits.fails_on:
            answer = response(number, code=2, text="this plugin fails")
        elif method == "Configure":
            answer = response(number, wire_field(2, self._habits.mask))
        elif method == "Synchronize":
            more = number_of(fields(payload), 3) if self._habits.echoes_more else 0
            answer = response(number, wire_field(2, more))
        elif method in ("StateChange", "StopContainer", "CreateContainer", "Shutdown") or self._habits.has_dedicated:
            answer = response(number)
        else:
            answer = response(number, code=UNIMPLEMENTED)
        self._send(PLUGIN_SERVICE, answer)
