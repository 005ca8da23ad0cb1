"""The answer to an HTTP/1.1 request, read from a connection with a bound on every part. PURE.

The standard library's `http.client` brings `email` and `ssl`, also where no TLS is used: 4.7 MiB of PSS more in each process.
A sink needs a status, four headers and a short body. *Source:* RFC 9112, RFC 9110 (section 10.2.3 for `Retry-After`).
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct

from agent.model.errors import ProtocolError
from agent.model.timebase import S

HEAD_BYTES_MAX = BODY_BYTES_MAX = 64 << 10
RECEIVE_BYTES = 16 << 10
# Interim answers before the real one, such as `100 Continue`.
INTERIM_MAX = 8
# A server that asks for more than this is asked again after this.
RETRY_AFTER_NS_MAX = 3600 * S
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_DATE = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class CutAnswerError(ProtocolError):
    """The connection ended before the answer did. `is_silent`: not one byte of it came."""

    is_silent = False


class HttpAnswer(Struct, frozen=True):
    """An answer. `headers` by lower-case name, as the server wrote them; a header that came twice has both, with a comma.

    `body`: its first BODY_BYTES_MAX bytes; `is_cut`: it was longer. `keeps_open`: the connection takes another request.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    is_cut: bool = False
    keeps_open: bool = False

    @property
    def media_type(self) -> str:
        """The type of the body without its parameters, in lower case; empty: the server does not say it."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people, as proxies and web servers answer."""
        return self.media_type in ("text/html", "application/xhtml+xml") or self.body[:64].lstrip().lower().startswith(
            (b"<!doctype html", b"<html")
        )


def read_answer(receive: Callable[[int], bytes]) -> HttpAnswer:
    """The next answer of a connection. `receive` gives up to so many bytes, b"" at the end.

    *Raises:* CutAnswerError, ProtocolError for what is no HTTP/1.1, and what `receive` raises.
    """
    reader = _AnswerReader(receive)
    for _ in range(INTERIM_MAX):
        answer, length = _read_head(reader)
        if answer.status >= 200:
            return _with_body(answer, length, reader)
    raise ProtocolError("answer", f"{INTERIM_MAX} interim answers and no other")


def retry_after_ns(answer: HttpAnswer, wall_ns: int) -> int | None:
    """How long the server asks us to wait. *Range:* 0 to RETRY_AFTER_NS_MAX. *Absent:* None: it does not say."""
    word = answer.headers.get("retry-after", "").strip()
    if word.isascii() and word.isdigit():
        return min(int(word[:12]) * S, RETRY_AFTER_NS_MAX)
    found = _DATE.fullmatch(word)
    if found is None or found[2] not in _MONTHS:
        return None
    day, _, year, hour, minute, second = found.groups()
    try:
        at = datetime(int(year), _MONTHS.index(found[2]) + 1, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC)
    except ValueError:
        return None
    return max(0, min(int(at.timestamp()) * S - wall_ns, RETRY_AFTER_NS_MAX))


class _AnswerReader:
    """Lines and bytes from what comes in pieces."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._data = bytearray()
        self._head_bytes = 0
        self._has_begun = False

    def more(self) -> bool:
        """Whether there was something more."""
        found = self._receive(RECEIVE_BYTES)
        self._data += found
        self._has_begun = self._has_begun or bool(found)
        return bool(found)

    def line(self) -> bytes:
        """The next line, without its end."""
        while (end := self._data.find(b"\n")) < 0:
            if len(self._data) > HEAD_BYTES_MAX:
                break
            if not self.more():
                failure = CutAnswerError("answer", "the connection ended before the answer did")
                failure.is_silent = not self._has_begun
                raise failure
        self._head_bytes += end + 1
        if end < 0 or self._head_bytes > HEAD_BYTES_MAX:
            raise ProtocolError("answer", f"the head is longer than {HEAD_BYTES_MAX} bytes")
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        return line.removesuffix(b"\r")

    def content(self, length: int | None, room: int) -> tuple[bytes, bool]:
        """The next `length` bytes (None: all to the end), and whether there are more than `room`, which is where it stops."""
        wanted = room + 1 if length is None else min(length, room + 1)
        while len(self._data) < wanted:
            if not self.more():
                if length is None:
                    break
                raise CutAnswerError("answer", "the connection ended in the middle of the answer")
        found = bytes(self._data[:wanted])
        del self._data[:wanted]
        return found[:room], len(found) > room

    @property
    def has_rest(self) -> bool:
        """Whether something came that nobody asked for."""
        return bool(self._data)


def _read_head(reader: _AnswerReader) -> tuple[HttpAnswer, str]:
    """The head of one answer, and how the length of its body is known: a number, `chunked`, or empty: up to the end."""
    first = reader.line()
    found = _STATUS.fullmatch(first)
    if found is None:
        raise ProtocolError("answer", "it is not HTTP/1.1")
    headers: dict[str, str] = {}
    while line := reader.line():
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise ProtocolError("answer", "a header is damaged")
        key, value = name.lower(), value.strip()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    status = int(found[2])
    keeps_open = found[1] == b"1" and "close" not in headers.get("connection", "").lower()
    if status < 200 or status in (204, 304):
        length = "0"
    elif "chunked" in headers.get("transfer-encoding", "").lower():
        length = "chunked"
    else:
        length = headers.get("content-length", "")
    return HttpAnswer(status, headers, keeps_open=keeps_open and length != ""), length


def _with_body(head: HttpAnswer, length: str, reader: _AnswerReader) -> HttpAnswer:
    if length == "chunked":
        body, is_cut = _chunks(reader)
    elif length == "":
        body, is_cut = reader.content(None, BODY_BYTES_MAX)
    elif length.isascii() and length.isdigit() and len(length) < 16:
        body, is_cut = reader.content(int(length), BODY_BYTES_MAX)
    else:
        raise ProtocolError("answer", "its length is not a number")
    # Bytes behind the answer belong to no request of ours: that connection is not used again.
    keeps_open = head.keeps_open and not is_cut and not reader.has_rest
    return HttpAnswer(head.status, head.headers, body, is_cut, keeps_open)


def _chunks(reader: _AnswerReader) -> tuple[bytes, bool]:
    body = bytearray()
    while True:
        found = _CHUNK.fullmatch(reader.line())
        if found is None:
            raise ProtocolError("answer", "a chunk has no length")
        length = int(found[1], 16)
        if length == 0:
            break
        part, is_cut = reader.content(length, BODY_BYTES_MAX - len(body))
        body += part
        if is_cut:
            return bytes(body), True
        if reader.line():
            raise ProtocolError("answer", "a chunk is longer than it says")
    while reader.line():
        pass
    return bytes(body), False
