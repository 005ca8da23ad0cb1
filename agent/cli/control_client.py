"""agentctl's client of the control socket (`agent.model.control`): one question to the agent, within a deadline.

Tests, benchmarks and the soak have one of their own (`tests/harness/control_connection.py`), which can also send what is malformed.
"""

# `socket` costs 4 ms of imports for names that one stream does not need; `_socket` is the C module it is made of,
# with the same class below it since Python 2.
import _socket
import os
import time

from agent.cli.remedy import start_remedy
from agent.model.control import ANSWER_BYTES_MAX
from agent.model.errors import BusyError, MisuseError, PermissionRefused, ProtocolError, UnavailableError
from agent.paths import SOCKET_PATH_BYTES_MAX, checkout

CHUNK_BYTES = 64 << 10
# The agent's queue of connections is full: it is there and busy, so the next try comes soon.
CONNECT_AGAIN_SECONDS = 0.02


class NoAgentError(UnavailableError):
    """Nobody listens on the control socket."""


class ControlClient:
    """One connection to an agent. `seconds` are the time for all that is done with it.

    *Raises:* as `ask`, from its construction on; TimeoutError when the time is over.
    """

    def __init__(self, path: str, seconds: float) -> None:
        length_bytes = len(os.fsencode(path))
        if length_bytes > SOCKET_PATH_BYTES_MAX:
            problem = f"{path} has {length_bytes} bytes, the path of a socket at most {SOCKET_PATH_BYTES_MAX}"
            raise MisuseError("control socket", problem, "name a shorter folder with --runtime-dir DIR, to agentd and agentctl")
        self._deadline = time.monotonic() + seconds
        # What came behind the last line.
        self._received = bytearray()
        self._stream = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            self._connect(path)
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, *_rest: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._stream.settimeout(self._left())
        try:
            self._stream.sendall(data)
        except BrokenPipeError:
            # Turned away before it could ask: the reason is there to be read.
            return
        except TimeoutError:
            raise
        except OSError as cause:
            raise _broken(cause) from cause

    def line(self) -> bytes:
        """The next line, with its end; what comes behind it stays for the next call."""
        looked_at = 0
        while (end := self._received.find(b"\n", looked_at)) < 0:
            looked_at = len(self._received)
            chunk = self._receive()
            if not chunk:
                raise UnavailableError("control socket", "the agent closed the connection without an answer", "look at its log")
            self._received += chunk
            if len(self._received) > ANSWER_BYTES_MAX:
                raise ProtocolError("control socket", f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
        line = bytes(self._received[: end + 1])
        del self._received[: end + 1]
        return line

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

    def _receive(self) -> bytes:
        self._stream.settimeout(self._left())
        try:
            return self._stream.recv(CHUNK_BYTES)
        except TimeoutError:
            raise
        except PermissionError as cause:
            raise PermissionRefused("control socket", "the agent refuses this user", "call agentctl as root") from cause
        except OSError as cause:
            raise _broken(cause) from cause

    def _connect(self, path: str) -> None:
        while True:
            try:
                self._stream.settimeout(self._left())
                self._stream.connect(path)
                return
            except BlockingIOError:
                time.sleep(min(CONNECT_AGAIN_SECONDS, self._left()))
            except TimeoutError:
                raise
            except PermissionError as cause:
                from agent.cli.refusal import refused

                raise refused(path) from cause
            except OSError as cause:
                raise NoAgentError(
                    "control socket",
                    f"no agent is running: nobody answers on {path} ({cause.strerror or cause})",
                    start_remedy("--runtime-dir", checkout()),
                ) from cause

    def _left(self) -> float:
        """Seconds to the deadline, never 0, which would mean «do not wait». *Raises:* TimeoutError behind it."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def ask(path: str, operation: str, arguments: "dict[str, object]", timeout_seconds: float) -> "dict[str, object]":
    """The result of one operation, as it came, over a connection of its own.

    *Raises:* NoAgentError when no agent is there, UnavailableError when it goes away, PermissionRefused, BusyError when
    it does not answer in time, ProtocolError when its answer cannot be read, `agent.model.control.answer.AnsweredError`
    when it answers with an error, MisuseError when the path or the request is too long.
    """
    from agent.model.control.answer import parse_answer
    from agent.model.control.request import request_line

    request = request_line(operation, arguments)
    try:
        with ControlClient(path, timeout_seconds) as client:
            client.send(request)
            return parse_answer(operation, client.line())
    except TimeoutError as cause:
        waited = f"{round(timeout_seconds, 1):g}" if timeout_seconds >= 0.1 else f"{timeout_seconds:.2g}"
        problem = f"no answer within {waited} s from {path}"
        raise BusyError(operation, problem, "try again, or give a longer --timeout") from cause


def ask_here_or_there(
    path: str, elsewhere: str, operation: str, arguments: "dict[str, object]", timeout_seconds: float
) -> "dict[str, object]":
    """As `ask`; if no agent answers at `path`, ask at `elsewhere` (empty: nowhere else). *Raises:* as `ask`."""
    until = time.monotonic() + timeout_seconds
    try:
        return ask(path, operation, arguments, timeout_seconds)
    except NoAgentError as nobody:
        if not elsewhere or not os.path.isdir(os.path.dirname(elsewhere)):
            raise
        try:
            return ask(elsewhere, operation, arguments, max(until - time.monotonic(), 0.001))
        except NoAgentError:
            # The sentence names the place where this user's own agent would be.
            raise nobody from None


def _broken(cause: OSError) -> UnavailableError:
    return UnavailableError("control socket", f"the connection broke ({cause.strerror})", "look at the agent's log")
