"""What a scripted HTTP server answers: every status, and the ways in which real ones break off, stay silent or take for ever."""

import gzip
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum
from http import HTTPStatus


class Manner(Enum):
    """How an answer is sent."""

    WHOLE = "whole"
    # Nothing; the connection stays until the client ends it.
    SILENT = "silent"
    # So many bytes of it, then the end of the connection, or a reset.
    CUT = "cut"
    RESET = "reset"
    # Byte by byte with pauses.
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `Content-Length` is added where no header says the length.

    `length` is how many bytes of a CUT or RESET answer are sent; `pause_seconds` is the pause before each byte of a SLOW one.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    manner: Manner = Manner.WHOLE
    length: int = 0
    pause_seconds: float = 0.0

    def encode(self) -> bytes:
        """All its bytes."""
        known = {name.lower() for name, _ in self.headers}
        headers = list(self.headers)
        if not known & {"content-length", "transfer-encoding"} and self.status >= 200 and self.status != 204:
            headers.append(("Content-Length", str(len(self.body))))
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Unknown"
        head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {self.status} {phrase}", *(f"{a}: {b}" for a, b in headers)))
        return f"{head}\r\n".encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: `raw` is all its bytes, `body` is without the lengths of chunks, but still compressed.

    `at_ns` is the monotonic time at which it was whole; `connection` counts connections from 0; `client` is the common name of the
    client's certificate, empty without one.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    raw: bytes = field(repr=False)
    at_ns: int
    connection: int
    client: str = ""

    def header(self, name: str) -> str | None:
        """The first header of this name, in any case of letters. *Absent:* None."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)

    @property
    def content(self) -> bytes:
        """The body, decompressed where it says gzip."""
        return gzip.decompress(self.body) if self.header("Content-Encoding") == "gzip" else self.body


OK = Answer()
# Long enough to be cut.
_LONG = Answer(body=b"x" * 100)


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """Any status; a header `Retry-After` is written `retry_after="3"`."""
    return Answer(code, tuple((name.replace("_", "-").title(), value) for name, value in headers.items()), body)


def retry_after(code: int, seconds: int) -> Answer:
    """429 or 503 with a wait in seconds."""
    return status(code, retry_after=str(seconds))


def retry_at(code: int, moment: datetime) -> Answer:
    """429 or 503 with a wait until a time of the wall clock, which has a zone."""
    return status(code, retry_after=format_datetime(moment.astimezone(UTC), usegmt=True))


def html(code: int = 200) -> Answer:
    """A page for people, as a captive portal or a proxy gives it."""
    return status(code, b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>", content_type="text/html; charset=utf-8")


def redirect(url: str, code: int = 307) -> Answer:
    """Elsewhere."""
    return status(code, location=url)


def silence() -> Answer:
    """No answer, for as long as the client waits."""
    return Answer(manner=Manner.SILENT)


def cut(length: int, answer: Answer = _LONG) -> Answer:
    """Only the first bytes of an answer, then the connection ends; 0 is none at all."""
    return Answer(answer.status, answer.headers, answer.body, Manner.CUT, length=length)


def reset(length: int = 0, answer: Answer = _LONG) -> Answer:
    """As `cut`, but by a reset."""
    return Answer(answer.status, answer.headers, answer.body, Manner.RESET, length=length)


def slow(pause_seconds: float, answer: Answer = OK) -> Answer:
    """An answer byte by byte."""
    return Answer(answer.status, answer.headers, answer.body, Manner.SLOW, pause_seconds=pause_seconds)
