"""A TCP server on loopback that answers each connection as a test wrote it down, and keeps what it was sent."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

SECONDS_MAX = 20.0
Act = Callable[[socket.socket, "ScriptedServer"], None]


class ScriptedServer:
    """`acts[i]` handles the i-th connection, the last one all further ones."""

    def __init__(self, acts: Sequence[Act], context: ssl.SSLContext | None = None) -> None:
        self._acts = acts
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        # The requests as they came: head and body.
        self.requests: list[tuple[bytes, bytes]] = []
        self.connections = 0
        self.is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all of it."""
        self.is_over.set()
        # Wakes `accept`.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(SECONDS_MAX)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self.is_over.is_set():
                    return
                connection.settimeout(SECONDS_MAX)
                act = self._acts[min(self.connections, len(self._acts) - 1)]
                self.connections += 1
                try:
                    if self._context is None:
                        act(connection, self)
                    else:
                        with self._context.wrap_socket(connection, server_side=True) as wrapped:
                            act(wrapped, self)
                except OSError:
                    # The client went away, or refused the certificate: that is what some tests are about.
                    continue


def read_request(connection: socket.socket) -> tuple[bytes, bytes] | None:
    """Head and body of the next request; None: the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (found := connection.recv(65536)):
            return None
        data += found
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        if not (found := connection.recv(65536)):
            return None
        body += found
    return head, body


def answering(*answers: bytes) -> Act:
    """Answer the requests of a connection one after another with these bytes, then close."""

    def act(connection: socket.socket, server: ScriptedServer) -> None:
        for answer in answers:
            request = read_request(connection)
            if request is None:
                return
            server.requests.append(request)
            connection.sendall(answer)

    return act


def dripping(answer: bytes, seconds: float) -> Act:
    """Answer byte by byte, each so long after the one before it."""

    def act(connection: socket.socket, server: ScriptedServer) -> None:
        read_request(connection)
        for byte in answer:
            connection.sendall(bytes([byte]))
            if server.is_over.wait(seconds):
                return

    return act


def silent(connection: socket.socket, server: ScriptedServer) -> None:
    """Take all that comes and never answer."""
    while connection.recv(65536):
        pass


def deaf(connection: socket.socket, server: ScriptedServer) -> None:
    """Neither read nor answer."""
    server.is_over.wait(SECONDS_MAX)


def http(status: int, body: bytes = b"", *headers: str) -> bytes:
    """An answer with a length."""
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextmanager
def serving(*acts: Act, context: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """A server for the length of a test."""
    server = ScriptedServer(acts, context)
    try:
        yield server
    finally:
        server.close()
