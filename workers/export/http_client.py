"""One kept connection to a sink over HTTP/1.1, with one time limit for each request as a whole.

A time-out of a socket begins again with every byte, so a server that drips would hold a worker for hours: here every wait gets what
is left of the request's time. Redirects are not followed, and proxies of the environment are not used.
"""

import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agent.endpoint import Endpoint
from agent.model.errors import ConfigError, EvergaugeError, ProtocolError
from agent.model.timebase import S
from workers.export.http_answer import CutAnswerError, HttpAnswer, read_answer
from workers.export.http_credential import HttpCredentials
from workers.export.http_option import HttpSetup
from workers.export.http_verdict import plain_text, verdict_of
from workers.export.sink import Later, Paused, Refused, TooLarge

if TYPE_CHECKING:
    from workers.export.tls import TlsSide

SEND_BYTES = 256 << 10
# Gateways forget a connection that says nothing, some without a word; most wait for a minute or more.
IDLE_NS_MAX = 45 * S
USER_AGENT = "evergauge"


class HttpClient:
    """Sends requests to one host. Only one thread may use it at a time.

    `post` never raises: what fails is a Later (it may pass), or a Paused (a person must act).
    Looking up a name takes as long as the resolver of this host tries; nothing can shorten that (getaddrinfo(3)).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        setup: HttpSetup,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._endpoint = endpoint
        self._setup = setup
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._credentials = HttpCredentials(setup)
        self._tls: TlsSide | None = None
        self._connection: socket.socket | None = None
        self._used_at_ns = 0

    def post(self, target: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer | Later | Paused:
        """Send one request and wait for its answer. `target`: path and query; `headers`: those of the content."""
        deadline_ns = self._monotonic_ns() + self._setup.timeout_ns
        try:
            answer = self._post(target, body, headers, deadline_ns)
            if answer.status == 401 and self._credentials.read():
                # The token was exchanged under us: with the new one the same request may be taken.
                self.close()
                answer = self._post(target, body, headers, deadline_ns)
        except TimeoutError:
            self.close()
            return Later(f"{self._endpoint.place} did not answer within {self._setup.timeout_ns / S:g} s")
        except ConfigError as failure:
            self.close()
            return Paused(failure.sentence)
        except ProtocolError as failure:
            self.close()
            return Later(self._protocol_sentence(failure))
        except OSError as cause:
            self.close()
            return self._verdict_of_failure(cause)
        return answer

    def verdict(
        self, answer: HttpAnswer, target: str, is_retried: Callable[[int], bool], text: str | None = None
    ) -> Refused | TooLarge | Later | Paused | None:
        """What the answer means, see `verdict_of`. `text`: what the server said; None: the body, where it is text."""
        said = plain_text(answer) if text is None else text
        return verdict_of(
            answer,
            what=self._setup.what,
            place=self.place_of(target),
            wall_ns=self._wall_ns(),
            is_retried=is_retried,
            text=self._credentials.hidden(said),
        )

    def place_of(self, target: str) -> str:
        """Host, port and path, for sentences; what stands behind `?` may be a secret."""
        return f"{self._endpoint.place}{target.partition('?')[0]}"

    def hidden(self, text: str) -> str:
        """A server's text without what it repeats of our credentials."""
        return self._credentials.hidden(text)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, target: str, body: bytes, headers: Mapping[str, str], deadline_ns: int) -> HttpAnswer:
        is_kept = self._is_usable()
        try:
            return self._exchange(target, body, headers, deadline_ns)
        except (CutAnswerError, ConnectionError) as cause:
            # A kept connection that the server closed at this moment: not one byte came back, so it is tried once more.
            if not is_kept or (isinstance(cause, CutAnswerError) and not cause.is_silent):
                raise
            self.close()
            return self._exchange(target, body, headers, deadline_ns)

    def _exchange(self, target: str, body: bytes, headers: Mapping[str, str], deadline_ns: int) -> HttpAnswer:
        connection = self._connection or self._connected(deadline_ns)
        head = self._head(target, len(body), headers)
        broken: OSError | None = None
        try:
            self._send(connection, head + body if len(body) < SEND_BYTES else head, deadline_ns)
            if len(body) >= SEND_BYTES:
                self._send(connection, body, deadline_ns)
        except TimeoutError:
            raise
        except OSError as cause:
            # A server that refuses a request may close before it has read all of it; what it said may have come. Over TLS 1.3 it
            # says only then that it does not take our certificate.
            broken = cause
        try:
            answer = read_answer(lambda size: self._receive(connection, size, deadline_ns))
        except (CutAnswerError, ConnectionError) as cause:
            raise (broken or cause) from cause
        if answer.keeps_open and broken is None:
            self._used_at_ns = self._monotonic_ns()
        else:
            self.close()
        return answer

    def _head(self, target: str, length: int, headers: Mapping[str, str]) -> bytes:
        fields = {
            "Host": self._endpoint.authority,
            "User-Agent": USER_AGENT,
            **headers,
            "Content-Length": str(length),
            **self._credentials.headers,
        }
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _is_usable(self) -> bool:
        """Whether there is a connection that was not closed by the other side."""
        if self._connection is None:
            return False
        if self._monotonic_ns() - self._used_at_ns > IDLE_NS_MAX or not self._is_quiet(self._connection):
            self.close()
        return self._connection is not None

    def _is_quiet(self, connection: socket.socket) -> bool:
        waits: tuple[type[OSError], ...] = (BlockingIOError,)
        if self._endpoint.is_tls:
            from ssl import SSLWantReadError

            waits = (BlockingIOError, SSLWantReadError)
        connection.setblocking(False)
        try:
            # Either its end, or bytes that nobody asked for. Tickets of a TLS session are neither.
            connection.recv(1)
        except waits:
            return True
        except OSError:
            return False
        return False

    def _connected(self, deadline_ns: int) -> socket.socket:
        self._credentials.read()
        until_ns = min(deadline_ns, self._monotonic_ns() + self._setup.connect_timeout_ns)
        connection = self._reached(until_ns)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._endpoint.is_tls:
                connection.settimeout(self._left_seconds(until_ns))
                connection = self._tls_side().wrapped(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _reached(self, until_ns: int) -> socket.socket:
        """A connection to the first of the host's addresses that takes one."""
        failure: OSError | None = None
        host, port = self._endpoint.host, self._endpoint.port
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as cause:
            raise ConfigError("endpoint", f"{host} is no name of a host", "look at its dots") from cause
        for family, kind, protocol, _, address in addresses:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(self._left_seconds(until_ns))
                connection.connect(address)
            except OSError as cause:
                connection.close()
                failure = failure or cause
            else:
                return connection
        raise failure or OSError("the name has no address")

    def _tls_side(self) -> "TlsSide":
        if self._tls is None:
            from workers.export.tls import TlsSide

            self._tls = TlsSide(self._setup, self._endpoint.host)
        return self._tls

    def _send(self, connection: socket.socket, data: bytes, deadline_ns: int) -> None:
        view = memoryview(data)
        while view:
            connection.settimeout(self._left_seconds(deadline_ns))
            view = view[connection.send(view[:SEND_BYTES]) :]

    def _receive(self, connection: socket.socket, size: int, deadline_ns: int) -> bytes:
        connection.settimeout(self._left_seconds(deadline_ns))
        return connection.recv(size)

    def _left_seconds(self, deadline_ns: int) -> float:
        left_ns = deadline_ns - self._monotonic_ns()
        if left_ns <= 0:
            raise TimeoutError
        return left_ns / S

    def _verdict_of_failure(self, cause: OSError) -> Later | Paused:
        place = self._endpoint.place
        if isinstance(cause, socket.gaierror):
            return Later(f"the name {self._endpoint.host} cannot be resolved ({cause.strerror}); look at the endpoint and at DNS")
        if isinstance(cause, ConnectionRefusedError):
            return Later(f"nothing takes connections at {place}; start the sink there, or look at the port")
        if isinstance(cause, ConnectionError):
            return Later(f"{place} closed the connection before it answered")
        if self._endpoint.is_tls:
            from workers.export.tls import is_end, tls_problem

            if is_end(cause):
                return Later(f"{place} closed the connection before it answered")
            if problem := tls_problem(cause, self._setup, self._endpoint.host):
                return Paused(problem)
        return Later(f"{place} cannot be reached ({cause.strerror or type(cause).__name__})")

    def _protocol_sentence(self, failure: EvergaugeError) -> str:
        place = self._endpoint.place
        hint = "; OTLP over gRPC has port 4317, over HTTP it has 4318" if self._endpoint.port == 4317 else ""
        if isinstance(failure, CutAnswerError):
            when = "before it answered" if failure.is_silent else "in the middle of its answer"
            return f"{place} closed the connection {when}{hint}"
        return f"{place} did not answer in HTTP/1.1 ({failure.problem}): this is not {self._setup.what}{hint}"
