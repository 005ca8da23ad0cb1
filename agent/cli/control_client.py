"""One question to the agent over its control socket (`agent.model.control`), within a deadline."""

# `socket` costs 4 ms of imports for names that one stream does not need; `_socket` is the C module it is made of,
# with the same class below it since Python 2.
import _socket
import os
import time

from agent.cli.remedy import start_remedy
from agent.membership import joining
from agent.model.control import ANSWER_BYTES_MAX, PROTOCOL_VERSION, REQUEST_BYTES_MAX
from agent.model.errors import (
    BusyError,
    EvergaugeError,
    ExitCode,
    MisuseError,
    PermissionRefused,
    ProtocolError,
    UnavailableError,
)
from agent.model.foreign import readable
from agent.paths import SOCKET_PATH_BYTES_MAX, checkout

Document = dict[str, object]

CHUNK_BYTES = 64 << 10
# The agent's queue of connections is full: it is there and busy, so the next try comes soon.
CONNECT_AGAIN_SECONDS = 0.02


class AnsweredError(EvergaugeError):
    """The agent answered, with an error: its sentence and the exit code it names."""

    def __init__(self, operation: str, error: Document) -> None:
        sentence = error.get("sentence")
        super().__init__("", sentence if isinstance(sentence, str) and sentence else f"{operation} failed without a reason")
        number = error.get("exit")
        known = {int(code): code for code in ExitCode if code is not ExitCode.DONE}
        self.code = known.get(number, ExitCode.FAILED) if isinstance(number, int) else ExitCode.FAILED


class NoAgentError(UnavailableError):
    """Nobody listens on the control socket."""


def ask_here_or_there(path: str, elsewhere: str, operation: str, arguments: Document, timeout_seconds: float) -> Document:
    """As `ask`; where no agent answers at `path`, one may at `elsewhere` (empty: nowhere else)."""
    until = time.monotonic() + timeout_seconds
    try:
        return ask(path, operation, arguments, timeout_seconds)
    except NoAgentError as nobody:
        if not elsewhere or not os.path.isdir(os.path.dirname(elsewhere)):
            raise
        try:
            return ask(elsewhere, operation, arguments, max(until - time.monotonic(), 0.001))
        except NoAgentError:
            # What is told is the place where this user's own agent would be.
            raise nobody from None


def ask(path: str, operation: str, arguments: Document, timeout_seconds: float) -> Document:
    """The result of one operation.

    *Raises:* NoAgentError when no agent is there, UnavailableError when it goes away, PermissionRefused, BusyError when
    it does not answer in time, ProtocolError when its answer cannot be read, AnsweredError when it answers with an
    error, MisuseError when the path or the request is too long.
    """
    import json

    _check_path(path)
    request = json.dumps({"v": PROTOCOL_VERSION, "op": operation, "args": arguments}).encode() + b"\n"
    if len(request) > REQUEST_BYTES_MAX:
        raise MisuseError(operation, f"a request of {len(request)} bytes is too long", f"at most {REQUEST_BYTES_MAX} are taken")
    deadline = time.monotonic() + timeout_seconds
    stream = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        _connect(stream, path, deadline)
        line = _exchange(stream, request, deadline)
    except TimeoutError as cause:
        waited = round(timeout_seconds, 1 if timeout_seconds >= 0.1 else 4)
        problem = f"no answer within {waited:g} s from {path}"
        raise BusyError(operation, problem, "try again, or give a longer --timeout") from cause
    finally:
        stream.close()
    return parse_answer(operation, line)


def parse_answer(operation: str, line: bytes) -> Document:
    """The result in one line of an answer. *Raises:* ProtocolError, AnsweredError."""
    import json

    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as cause:
        raise _foreign(operation, "is not JSON") from cause
    if not isinstance(answer, dict) or answer.get("v") != PROTOCOL_VERSION:
        raise _foreign(operation, f"is not of version {PROTOCOL_VERSION} of the control protocol")
    body = answer.get("result" if answer.get("ok") is True else "error")
    if not isinstance(body, dict):
        raise _foreign(operation, "holds neither a result nor an error")
    if answer.get("ok") is not True:
        raise AnsweredError(operation, body)
    return body


def _check_path(path: str) -> None:
    length_bytes = len(os.fsencode(path))
    if length_bytes > SOCKET_PATH_BYTES_MAX:
        problem = f"{path} has {length_bytes} bytes, the path of a socket at most {SOCKET_PATH_BYTES_MAX}"
        raise MisuseError("control socket", problem, "name a shorter folder with --runtime-dir DIR, to agentd and agentctl")


def _foreign(operation: str, problem: str) -> ProtocolError:
    return ProtocolError(operation, f"the agent's answer {problem}", "agentctl and agentd must be of one version")


def _connect(stream: _socket.socket, path: str, deadline: float) -> None:
    while True:
        try:
            stream.settimeout(_left(deadline))
            stream.connect(path)
            return
        except BlockingIOError:
            time.sleep(min(CONNECT_AGAIN_SECONDS, _left(deadline)))
        except TimeoutError:
            raise
        except PermissionError as cause:
            raise _refused(path) from cause
        except OSError as cause:
            raise NoAgentError(
                "control socket",
                f"no agent is running: nobody answers on {path} ({cause.strerror or cause})",
                start_remedy("--runtime-dir", checkout()),
            ) from cause


def _refused(path: str) -> PermissionRefused:
    """Whose agent it is that this user may not ask, as far as the folders tell."""
    owner = _owner(path)
    if owner is None:
        return PermissionRefused(
            "control socket", f"{path} may not be opened by this user", "call agentctl as root or as the agent's user"
        )
    problem = f"an agent is run here by {owner} ({path}), and this user may not ask it"
    calling = "call `sudo agentctl`" if owner == "root" else f"call agentctl as {owner}"
    return PermissionRefused("control socket", problem, " or ".join(filter(None, (calling, joining(path)))))


def _owner(path: str) -> str | None:
    """The user of the socket or, where that is hidden, of the innermost folder that can be seen; None: it cannot be told."""
    while path not in ("", "/"):
        try:
            number = os.stat(path).st_uid
        except OSError:
            path = os.path.dirname(path)
            continue
        # An import that only a refusal pays for.
        import pwd

        try:
            return readable(pwd.getpwuid(number).pw_name)
        except KeyError:
            return f"user {number}"
    return None


def _send(stream: _socket.socket, request: bytes) -> None:
    try:
        stream.sendall(request)
    except BrokenPipeError:
        # Turned away before it could ask: the reason is there to be read.
        return


def _exchange(stream: _socket.socket, request: bytes, deadline: float) -> bytes:
    received = bytearray()
    try:
        stream.settimeout(_left(deadline))
        _send(stream, request)
        while not received.endswith(b"\n"):
            stream.settimeout(_left(deadline))
            chunk = stream.recv(CHUNK_BYTES)
            if not chunk:
                raise UnavailableError("control socket", "the agent closed the connection without an answer", "look at its log")
            received += chunk
            if len(received) > ANSWER_BYTES_MAX:
                raise ProtocolError("control socket", f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    except TimeoutError:
        raise
    except PermissionError as cause:
        raise PermissionRefused("control socket", "the agent refuses this user", "call agentctl as root") from cause
    except OSError as cause:
        raise UnavailableError("control socket", f"the connection broke ({cause.strerror})", "look at the agent's log") from cause
    return bytes(received)


def _left(deadline: float) -> float:
    """Seconds to the deadline, never 0, which would mean «do not wait». *Raises:* TimeoutError behind it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
