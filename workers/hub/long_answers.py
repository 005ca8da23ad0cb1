"""Documents of a large fleet for clients of HTTP, made a few rows at a time: in a turn of the loop everybody has a part of it."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from agent.model.timebase import MS, S
from agent.ports import Clock
from workers.http.request import HttpRequest
from workers.http.response import DATA_HEADERS, JSON, PLAIN, response
from workers.http.server import Server
from workers.hub.listing import PARTS_PER_TURN, Listing, in_parts

# Of a turn of the loop, whatever the rows take.
TURN_NS = 4 * MS
# An answer whose turn does not come for so long is none.
LONG_ANSWER_NS = 60 * S
BUSY = b"Too many clients wait here; try again.\n"


class _LongAnswer(Struct):
    """A document that is being made."""

    ticket: int
    request: HttpRequest
    parts: Iterator[bytes]
    body: bytearray


class LongAnswers:
    """Those that are being made, in the order of their questions."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._waiting: deque[_LongAnswer] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def answer(self, ticket: int, request: HttpRequest, listing: Listing, now_ns: int) -> None:
        """At once where it is short. *Raises:* what the listing raises with its first row."""
        answer = _LongAnswer(ticket, request, in_parts(listing), bytearray())
        if _make(answer, PARTS_PER_TURN):
            self._send(answer, now_ns)
        else:
            self._wait(answer, now_ns)

    def answer_later(self, ticket: int, request: HttpRequest, listing: Listing, now_ns: int) -> None:
        """Behind those that wait already. The listing raises nothing."""
        self._wait(_LongAnswer(ticket, request, in_parts(listing), bytearray()), now_ns)

    def go_on(self, now_ns: int) -> None:
        """Make what is still to be answered, a bounded part of it."""
        left = PARTS_PER_TURN
        until_ns = self._clock.now_ns() + TURN_NS
        while self._waiting and left and self._clock.now_ns() < until_ns:
            answer = self._waiting[0]
            if self._server.is_waiting(answer.ticket):
                if not (left := _make(answer, left)):
                    break
                self._send(answer, now_ns)
            self._waiting.popleft()

    def _wait(self, answer: _LongAnswer, now_ns: int) -> None:
        if self._server.hold(answer.ticket, now_ns + LONG_ANSWER_NS):
            self._waiting.append(answer)
        else:
            refusal = response(503, BUSY, PLAIN, headers=DATA_HEADERS)
            self._server.answer(answer.ticket, refusal, now_ns)

    def _send(self, answer: _LongAnswer, now_ns: int) -> None:
        with_body = answer.request.method != "HEAD"
        whole = response(200, bytes(answer.body), JSON, with_body=with_body, headers=DATA_HEADERS)
        self._server.answer(answer.ticket, whole, now_ns)


def _make(answer: _LongAnswer, parts: int) -> int:
    """Make at most so many parts of an answer; how many fewer it took. 0: it is not whole yet."""
    for part in islice(answer.parts, parts):
        answer.body += part
        parts -= 1
    if parts:
        answer.body += b"\n"
    return parts
