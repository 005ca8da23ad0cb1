"""The emulator's control socket: one JSON document per line, one answer per line; failures as `{"problem": …}`."""

import json
import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import suppress

from agent.model.errors import EvergaugeError, StorageError

LINE_BYTES_MAX = 64 << 10
# A client that does not read its answers is dropped at this limit.
UNREAD_BYTES_MAX = 64 << 20
_CHUNK_BYTES = 64 << 10
_BACKLOG = 16

Respond = Callable[[dict[str, object]], dict[str, object]]


class _SocketClient:
    __slots__ = ("incoming", "outgoing", "stream")

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.incoming = b""
        self.outgoing = b""


class EmulatorSocket:
    """Listens at `path`, only for the user that runs the emulator. `answer` gets each document. *Raises:* StorageError."""

    def __init__(self, path: str, answer: Respond) -> None:
        self._path = path
        self._answer = answer
        self._clients: dict[int, _SocketClient] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            _remove_stale(path)
            before = os.umask(0o177)
            try:
                self._listener.bind(path)
            finally:
                os.umask(before)
            self._listener.listen(_BACKLOG)
        except OSError as cause:
            self._listener.close()
            raise StorageError(path, f"the control socket cannot be made: {cause.strerror or cause}") from cause

    def interests(self) -> dict[int, int]:
        """What to poll for, by descriptor."""
        wanted = {self._listener.fileno(): select.POLLIN}
        for descriptor, client in self._clients.items():
            wanted[descriptor] = select.POLLIN | (select.POLLOUT if client.outgoing else 0)
        return wanted

    def on_ready(self, descriptor: int) -> None:
        """Accepts, receives or sends, as this descriptor is ready."""
        if descriptor == self._listener.fileno():
            self._accept()
        elif descriptor in self._clients:
            client = self._clients[descriptor]
            if not (self._receive(client) and self._send(client)):
                self._drop(descriptor)

    def close(self) -> None:
        """Drops all clients and removes the socket."""
        for descriptor in list(self._clients):
            self._drop(descriptor)
        self._listener.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            stream, _ = self._listener.accept()
            stream.setblocking(False)
            self._clients[stream.fileno()] = _SocketClient(stream)

    def _drop(self, descriptor: int) -> None:
        self._clients.pop(descriptor).stream.close()

    def _receive(self, client: _SocketClient) -> bool:
        try:
            data = client.stream.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if not data:
            return False
        *lines, client.incoming = (client.incoming + data).split(b"\n")
        for line in lines:
            client.outgoing += json.dumps(self._answer_line(line)).encode() + b"\n"
        return len(client.incoming) <= LINE_BYTES_MAX and len(client.outgoing) <= UNREAD_BYTES_MAX

    def _answer_line(self, line: bytes) -> dict[str, object]:
        try:
            document = json.loads(line)
        except ValueError as cause:
            return {"problem": f"this is not JSON: {cause}"}
        if not isinstance(document, dict):
            return {"problem": 'a document is an object with a key "do"'}
        try:
            return self._answer(document)
        except EvergaugeError as failure:
            return {"problem": failure.sentence}
        except OSError as failure:
            return {"problem": f"the emulation refuses it: {failure}"}

    def _send(self, client: _SocketClient) -> bool:
        if client.outgoing:
            try:
                sent = client.stream.send(client.outgoing)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            client.outgoing = client.outgoing[sent:]
        return True


def _remove_stale(path: str) -> None:
    """Removes the socket of a killed emulator. Other files are not removed, and a socket that answers is in use."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
