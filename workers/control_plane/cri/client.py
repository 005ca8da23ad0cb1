"""One connection to a CRI socket: calls with a deadline, and one stream of events beside them.

It blocks its thread, never longer than the deadline, and `Interrupt` ends every wait at once. It imports `h2` (by `session`).
"""

import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from errno import ENOTSOCK

from agent.model.errors import ProtocolError, UnavailableError
from agent.model.timebase import S
from workers.control_plane.cri.grpc_frame import ANSWER_BYTES_MAX, GrpcError, GrpcStatus
from workers.control_plane.cri.interrupt import Interrupt
from workers.control_plane.cri.session import GoneAway, GrpcEnded, GrpcEvent, GrpcMessage, GrpcSession

_READ_BYTES = 256 << 10
# An event names one pod with its containers.
EVENT_BYTES_MAX = 1 << 20
# Beyond this, what comes between two lists is no stream of events.
UNASKED_BYTES_MAX = 8 << 20
# A node that starts a hundred pods a second, with four events each, and a runtime that takes ten seconds for a list.
EVENTS_MAX = 4_000

_CLOSED = "the runtime closed the connection"


class CriConnection:
    """A connection that is open. Every method but `close` *raises* OSError, ProtocolError or Interrupted; then close it."""

    def __init__(self, path: str, interrupt: Interrupt, now_ns: Callable[[], int], call_ns: int) -> None:
        """`call_ns` is the longest time for an answer, or for the runtime to read."""
        self._path = path
        self._interrupt = interrupt
        self._now_ns = now_ns
        self._call_ns = call_ns
        self._session = GrpcSession()
        self._events_call: int | None = None
        self._events_pending = 0
        self._events_unlisted = 0
        self._unasked_bytes = 0
        self._is_gone_away = False
        self.events_end: GrpcStatus | None = None
        """How the stream of events ended; None: it goes on, or there is none."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            # A Unix socket connects at once or not at all.
            self._socket.connect(path)
        except ConnectionRefusedError as problem:
            self._socket.close()
            raise _as_no_socket(path, problem) from problem
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Drop the connection; the runtime sees it at once."""
        self._socket.close()

    def call(self, method: str, message: bytes) -> bytes:
        """The answer to one call. *Raises:* GrpcError for a status that is not OK; UnavailableError at the deadline."""
        end_ns = self._now_ns() + self._call_ns
        self._unasked_bytes = self._events_unlisted = 0
        number = self._session.begin(method, message, deadline_ns=self._call_ns, bytes_max=ANSWER_BYTES_MAX)
        payload: bytes | None = None
        while (left_ns := end_ns - self._now_ns()) > 0:
            self._send(left_ns)
            for event in self._receive(end_ns - self._now_ns()):
                match event:
                    case GrpcMessage(call=call) if call == number:
                        if payload is not None:
                            raise ProtocolError(self._path, "two answers to one call")
                        payload = event.payload
                    case GrpcEnded(call=call, status=status) if call == number:
                        return self._answer(method, status, payload)
                    case _:
                        self._note(event)
            self._check_presence()
        raise UnavailableError(self._path, f"{_short(method)} has no answer within {self._call_ns / S:g} s")

    def subscribe(self, method: str, message: bytes) -> None:
        """Begin the stream of events; its first one can come at any time."""
        self._events_call = self._session.begin(method, message, deadline_ns=None, bytes_max=EVENT_BYTES_MAX)

    def take_events(self, until_ns: int) -> int:
        """The number of events since this was called last; waits for the first one, or for the end of the stream, until then."""
        end = self.events_end
        while not self._events_pending and self.events_end is end:
            left_ns = until_ns - self._now_ns()
            if left_ns <= 0:
                break
            self._send(self._call_ns)
            for event in self._receive(left_ns):
                self._note(event)
            self._check_presence()
        pending, self._events_pending = self._events_pending, 0
        return pending

    def _check_presence(self) -> None:
        if self._is_gone_away:
            raise UnavailableError(self._path, "the runtime closes the connection")

    def _answer(self, method: str, status: GrpcStatus, payload: bytes | None) -> bytes:
        if not status.is_ok:
            raise GrpcError(f"{self._path}: {_short(method)}", status)
        if payload is None:
            raise ProtocolError(self._path, f"{_short(method)} is answered with nothing")
        return payload

    def _note(self, event: GrpcEvent) -> None:
        match event:
            case GrpcMessage(call=call) if call == self._events_call:
                self._events_pending += 1
                self._events_unlisted += 1
                if self._events_unlisted > EVENTS_MAX:
                    raise ProtocolError(self._path, f"more than {EVENTS_MAX} events came between two calls")
            case GrpcEnded(call=call) if call == self._events_call:
                self._events_call, self.events_end = None, event.status
            case GoneAway():
                self._is_gone_away = True
            case _:
                raise ProtocolError(self._path, "an answer to no call")

    def _receive(self, duration_ns: int) -> list[GrpcEvent]:
        if not self._interrupt.wait(duration_ns, self._socket.fileno()):
            return []
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            data = b""
        if not data:
            raise UnavailableError(self._path, _CLOSED)
        self._unasked_bytes += len(data)
        if self._unasked_bytes > ANSWER_BYTES_MAX + UNASKED_BYTES_MAX:
            raise ProtocolError(self._path, "what listens sends without an end")
        return self._session.receive(data)

    def _send(self, duration_ns: int) -> None:
        """Send all that is queued. A runtime that does not read is given up at the deadline."""
        output = self._session.take_output()
        end_ns = self._now_ns() + duration_ns
        while output:
            try:
                output = output[self._socket.send(output) :]
            except (BrokenPipeError, ConnectionResetError) as cause:
                raise UnavailableError(self._path, _CLOSED) from cause
            except BlockingIOError as cause:
                left_ns = end_ns - self._now_ns()
                if left_ns <= 0 or not self._interrupt.wait(left_ns, self._socket.fileno(), select.POLLOUT):
                    raise UnavailableError(self._path, "what listens does not read") from cause


def _short(method: str) -> str:
    return method.rpartition("/")[2]


def _as_no_socket(path: str, problem: OSError) -> OSError:
    # The kernel refuses a folder, a file and a pipe as it refuses a socket at which nobody listens.
    with suppress(OSError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return OSError(ENOTSOCK, os.strerror(ENOTSOCK), path)
    return problem
