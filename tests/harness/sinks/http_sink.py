"""A small HTTP and HTTPS server in the process of a test: it answers what it is told, and keeps every byte that it is sent.

    with HttpSink([retry_after(429, 1), status(200)]) as sink:
        ...                                   # POST to sink.url
        sink.wait_requests(2)[0].content

It runs in threads: a test that is measured, or that forks, needs a real program instead.
"""

import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.sinks.certificates import Identity
from harness.sinks.http_answer import OK, Answer, Manner, Request
from harness.sinks.loopback_port import LOOPBACK, LoopbackPort
from harness.waiting import DEADLINE_SECONDS, wait_until

_READ_BYTES = 1 << 16
_HEAD_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class SinkTls:
    """How the server proves who it is; with `client_authority` (a file of certificates) each client has to, too."""

    identity: Identity
    client_authority: Path | None = None

    def context(self) -> ssl.SSLContext:
        """For a server."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.identity.certificate, self.identity.key)
        if self.client_authority is not None:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(self.client_authority)
        return made


class HttpSink:
    """Use it as a context. `answers` are given in turn, then `otherwise`; or a function of the request gives each.

    `requests` are those that came whole, in that order; `cut_requests` counts those of which only a part came. `failed_handshakes`
    says of each connection without TLS, or with a certificate that was refused, what was wrong. While `is_stalled`, connections are
    taken, but nothing is read from new ones.
    """

    def __init__(
        self,
        answers: Iterable[Answer] | Callable[[Request], Answer] = (),
        *,
        otherwise: Answer = OK,
        tls: SinkTls | None = None,
        address: str = LOOPBACK,
    ) -> None:
        self._choose = answers if callable(answers) else None
        self._answers = deque(() if callable(answers) else answers)
        self.otherwise = otherwise
        self._tls = tls
        self._context = None if tls is None else tls.context()
        self.address = address
        self._port = LoopbackPort.take()
        self.port = self._port.number
        self.is_stalled = False
        self.requests: list[Request] = []
        self.cut_requests = 0
        self.failed_handshakes: list[str] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http{'s' if self._tls else ''}://{self.address}:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._port.release()

    def start(self) -> None:
        """Listen; also again, after `stop`."""
        self._over = threading.Event()
        self._listener = socket.create_server((self.address, self.port))
        self._run(self._accept, self._listener, self._over)

    def stop(self) -> None:
        """As a server that is killed: every connection ends at once, and later ones are refused."""
        assert self._listener is not None
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive(), "a connection does not end"
        self._threads.clear()

    def prove(self, tls: SinkTls) -> None:
        """Another certificate, for connections from now on."""
        self._context = tls.context()

    def then(self, *answers: Answer) -> None:
        """Further answers, after those that are left."""
        with self._lock:
            self._answers.extend(answers)

    def wait_requests(self, count: int) -> list[Request]:
        """All requests, once there are so many."""
        wait_until(lambda: len(self.requests) >= count, f"{count} requests came, not {len(self.requests)}")
        return list(self.requests)

    def _run(self, work: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, over: threading.Event) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                number = self.connections
                self.connections += 1
                self._open.add(connection)
                if over.is_set():
                    connection.close()
                    return
            self._run(self._serve, connection, number, over)

    def _serve(self, raw: socket.socket, number: int, over: threading.Event) -> None:
        connection = raw
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._open ^= {raw, connection}
            while self.is_stalled and not over.wait(0.01):
                pass
            while (request := self._read(connection, number)) is not None and self._answer(connection, request, over):
                pass
        except ssl.SSLError as refused:
            self.failed_handshakes.append(str(refused))
        except OSError:
            # The client has gone, or `stop` has ended it.
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
                self._open.discard(raw)
            connection.close()

    def _read(self, connection: socket.socket, number: int) -> Request | None:
        """The next request. *Absent:* None at the end of the connection."""
        incoming = Incoming(connection)
        try:
            head = incoming.until(b"\r\n\r\n")
            if not head:
                return None
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            method, target, _ = first.split(" ", 2)
            headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
            body = incoming.body({name.lower(): value for name, value in headers})
        except CutShort:
            self.cut_requests += 1
            return None
        certificate = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
        request = Request(
            method, target, headers, body, bytes(incoming.raw), time.monotonic_ns(), number, _common_name(certificate)
        )
        self.requests.append(request)
        return request

    def _answer(self, connection: socket.socket, request: Request, over: threading.Event) -> bool:
        """Send the next answer; whether the connection goes on."""
        if self._choose is not None:
            answer = self._choose(request)
        else:
            with self._lock:
                answer = self._answers.popleft() if self._answers else self.otherwise
        encoded = answer.encode()
        match answer.manner:
            case Manner.WHOLE:
                connection.sendall(encoded)
                return (request.header("Connection") or "").lower() != "close"
            case Manner.SLOW:
                for place in range(len(encoded)):
                    if over.wait(answer.pause_seconds):
                        return False
                    connection.sendall(encoded[place : place + 1])
                return True
            case Manner.SILENT:
                while connection.recv(_READ_BYTES):
                    pass
                return False
            case Manner.CUT:
                connection.sendall(encoded[: answer.length])
                return False
            case Manner.RESET:
                connection.sendall(encoded[: answer.length])
                # No time to linger: what closes a socket then resets the connection.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False


class CutShort(Exception):
    """The connection ended within a request."""


class Incoming:
    """The bytes of one request, of which none is of the next: nobody here sends a request before it has the last answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.raw = bytearray()
        self._taken = 0

    def until(self, end: bytes) -> bytes:
        """Up to and with `end`; nothing where the connection ends before the first byte. *Raises:* CutShort."""
        while (place := self.raw.find(end, self._taken)) < 0:
            if len(self.raw) - self._taken > _HEAD_BYTES_MAX or not self._more():
                if not self.raw:
                    return b""
                raise CutShort
        return self._take(place + len(end) - self._taken)

    def body(self, headers: dict[str, str]) -> bytes:
        """What follows the head. *Raises:* CutShort."""
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._exactly(int(headers.get("content-length", "0")))
        parts = []
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            parts.append(self._exactly(size))
            self._exactly(2)
        # Nobody here sends trailers.
        self._exactly(2)
        return b"".join(parts)

    def _exactly(self, count: int) -> bytes:
        while len(self.raw) - self._taken < count:
            if not self._more():
                raise CutShort
        return self._take(count)

    def _take(self, count: int) -> bytes:
        self._taken += count
        return bytes(self.raw[self._taken - count : self._taken])

    def _more(self) -> bool:
        try:
            data = self._connection.recv(_READ_BYTES)
        except ConnectionResetError:
            data = b""
        self.raw += data
        return bool(data)


def _common_name(certificate: object) -> str:
    match certificate:
        case {"subject": tuple() as subject}:
            return next((value for part in subject for name, value in part if name == "commonName"), "")
        case _:
            return ""
