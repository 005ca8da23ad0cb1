"""One ClickHouse server over its HTTP interface: statements, and inserts of Parquet, each answered or failed within a time."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from agent.lake_setting import ClickHousePlace
from agent.model.errors import ConfigError, StorageError
from agent.model.timebase import S
from agent.secret_text import text_of

USER, PASSWORD = "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"
ANSWER_BYTES_MAX = 64 << 20
_PIECE_BYTES = 256 << 10
_SENTENCE_LENGTH_MAX = 300
# The server answers when it has stored, and numbers are numbers.
_ALWAYS = {"wait_end_of_query": "1", "output_format_json_quote_64bit_integers": "0"}
_HIDDEN = "…"


class ClickHouseFailure(StorageError):
    """The server did not do it; it may do it later. `status`: that of HTTP; 0: there was no answer."""

    def __init__(self, where: str, problem: str, remedy: str = "", *, status: int = 0) -> None:
        super().__init__(where, problem, remedy)
        self.status = status


class ClickHouseAccess(Struct, frozen=True):
    """How a server is reached. `variables`: the environment, where user and password may stand."""

    place: ClickHousePlace
    timeout_ns: int
    connect_timeout_ns: int
    credentials_file: str = ""
    ca_file: str = ""
    variables: Mapping[str, str] = {}


class ClickHouseServer:
    """For one thread. *Raises:* ClickHouseFailure, ConfigError, from everything."""

    def __init__(self, access: ClickHouseAccess, *, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._access = access
        self._now_ns = now_ns
        self._connection: http.client.HTTPConnection | None = None

    @property
    def shown(self) -> str:
        """As sentences name it."""
        return self._access.place.shown

    @property
    def database(self) -> str:
        """The one that it is used for."""
        return self._access.place.database

    def run(self, statement: str, settings: Mapping[str, str] | None = None) -> None:
        """Carry out a statement."""
        self._send({}, statement.encode(), settings or {})

    def insert(self, statement: str, content: bytes, settings: Mapping[str, str]) -> None:
        """Carry out an INSERT whose data is `content`."""
        self._send({"query": statement}, content, settings)

    def ask(self, statement: str) -> list[list[object]]:
        """The rows of an answer. The statement names no format."""
        answer = self._send({}, f"{statement}\nFORMAT JSONCompactEachRow".encode(), {})
        try:
            return [json.loads(line) for line in answer.splitlines() if line]
        except ValueError as cause:
            raise ClickHouseFailure(self.shown, "its answer is no JSON", "name a ClickHouse server in lake.url") from cause

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, words: Mapping[str, str], body: bytes, settings: Mapping[str, str]) -> bytes:
        user, password = self._credentials()
        headers = {"X-ClickHouse-User": user, **({"X-ClickHouse-Key": password} if password else {})}
        target = "/?" + urlencode({**_ALWAYS, **settings, **words})
        deadline_ns = self._now_ns() + self._access.timeout_ns
        is_kept = self._connection is not None
        try:
            try:
                status, answer = self._exchange(target, body, headers, deadline_ns)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # The server closed a connection that waited. All that is sent twice here is sent with a token or is idempotent.
                if not is_kept:
                    raise
                self.close()
                status, answer = self._exchange(target, body, headers, deadline_ns)
        except (OSError, http.client.HTTPException) as cause:
            self.close()
            raise ClickHouseFailure(self.shown, _network_problem(cause), "look at the server and at the network between") from cause
        if status != 200:
            raise ClickHouseFailure(self.shown, _said(status, answer, password), _remedy(status), status=status)
        return answer

    def _exchange(self, target: str, body: bytes, headers: Mapping[str, str], deadline_ns: int) -> tuple[int, bytes]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connected()
        assert connection.sock is not None
        connection.sock.settimeout(self._left_seconds(deadline_ns))
        connection.request("POST", target, body, dict(headers))
        response = connection.getresponse()
        answer = bytearray()
        # A server that drips would begin the socket's time again with every byte.
        while piece := response.read1(_PIECE_BYTES):
            answer += piece
            if len(answer) > ANSWER_BYTES_MAX:
                self.close()
                raise http.client.HTTPException(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
            if connection.sock is not None:
                connection.sock.settimeout(self._left_seconds(deadline_ns))
        response.close()
        if response.will_close:
            self.close()
        return response.status, bytes(answer)

    def _connected(self) -> http.client.HTTPConnection:
        endpoint = self._access.place.endpoint
        seconds = self._access.connect_timeout_ns / S
        if endpoint.is_tls:
            path = self._access.ca_file
            try:
                context = ssl.create_default_context(cadata=text_of(path, "lake.ca_file") if path else None)
            except ssl.SSLError as cause:
                raise ConfigError("lake.ca_file", f"{path} has no certificates of authorities", "name a PEM file") from cause
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                endpoint.host, endpoint.port, timeout=seconds, context=context
            )
        else:
            connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=seconds)
        connection.connect()
        return connection

    def _left_seconds(self, deadline_ns: int) -> float:
        left = deadline_ns - self._now_ns()
        if left <= 0:
            raise TimeoutError(f"it took longer than {self._access.timeout_ns / S:g} s")
        return left / S

    def _credentials(self) -> tuple[str, str]:
        """Read at each request: an exchanged password is used at once."""
        found = {key: self._access.variables.get(key, "") for key in (USER, PASSWORD)}
        if path := self._access.credentials_file:
            for line in text_of(path, "lake.credentials_file").splitlines():
                key, equals, value = line.strip().partition("=")
                if equals and key in found:
                    found[key] = value
        for key, value in found.items():
            if any(letter < " " or letter == "\x7f" for letter in value):
                raise ConfigError("lake.credentials_file", f"{key} has a control character", "write it as one line")
        return found[USER] or "default", found[PASSWORD]


def _network_problem(cause: Exception) -> str:
    return f"it does not answer: {str(cause) or type(cause).__name__}"


def _said(status: int, answer: bytes, password: str) -> str:
    """What the server says, on one line, without our password."""
    text = " ".join(answer[: 4 * _SENTENCE_LENGTH_MAX].decode("utf-8", "replace").split())
    if password:
        text = text.replace(password, _HIDDEN)
    return f"it answered {status}: {text[:_SENTENCE_LENGTH_MAX] or 'nothing'}"


def _remedy(status: int) -> str:
    if status in (401, 403):
        return f"look at {USER} and {PASSWORD}, in the environment or in lake.credentials_file"
    return "look at the server's log"


def json_rows(rows: list[dict[str, object]]) -> bytes:
    """Rows as FORMAT JSONEachRow takes them."""
    return b"\n".join(map(msgspec.json.encode, rows))
