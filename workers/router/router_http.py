"""The router's HTTP: a question becomes an agentctl, its answer the document. Called by the worker's loop; it waits for nothing."""

from collections.abc import Callable
from socket import gaierror
from typing import Any

import msgspec
from msgspec import Struct

from agent import __version__
from agent.model.errors import EvergaugeError, ExitCode
from agent.model.json_text import json_bytes
from agent.model.timebase import S
from agent.ports import Interest
from agent.router.question import Kind
from workers.http.edge import Edge
from workers.http.host import HostPolicy
from workers.http.request import HttpRequest
from workers.http.response import DATA_HEADERS, JSON, PLAIN, Headers, response
from workers.http.server import Server, TlsAccept
from workers.router.api import ASK, ROUTES, V1, words_of
from workers.router.asking import PATIENCE_NS, AskEnd, Asking

LISTEN_AGAIN_NS = 2 * S
# Those who wait hold a connection each.
WAITING_LOOK_NS = 1 * S
RETRY_SECONDS = 5
STATUS_BY_CODE: dict[int, int] = {ExitCode.MISUSE: 400, ExitCode.UNAVAILABLE: 404, ExitCode.TRY_AGAIN: 503}


class RouterPlace(Struct, frozen=True):
    """Where it is served, and who may ask."""

    address: str
    port: int
    hosts: HostPolicy
    edge: Edge
    tls: TlsAccept | None = None


class RouterHttp:
    """`problem`: why it does not serve, or not everything; empty: it does. `on_answer` gets each answer that was given."""

    def __init__(
        self, place: RouterPlace, asking: Asking, timeout_ns: int, long_max: int, on_answer: Callable[[bytes], None], now_ns: int
    ) -> None:
        self.problem = place.edge.problem
        self._place = place
        self._asking = asking
        self._timeout_ns = timeout_ns
        self._on_answer = on_answer
        self._server = Server(self._on_request, place.hosts, long_max=long_max, tls=place.tls)
        self._listen_at_ns: int | None = now_ns
        self._look_at_ns = now_ns
        self._waiting: dict[int, Callable[[AskEnd, int], None]] = {}
        self._openapi: bytes | None = None

    def stats(self) -> dict[str, Any]:
        """What was asked of the server itself."""
        return {"address": self._server.address, "requests": self._server.requests, "refused": self._server.refused}

    def interests(self) -> tuple[Interest, ...]:
        """Clients, and those to come."""
        return self._server.interests()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """See Server."""
        self._server.on_readable(descriptor, now_ns)

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """See Server."""
        self._server.on_writable(descriptor, now_ns)

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do."""
        deadlines = [self._server.next_deadline_ns(), self._listen_at_ns, self._look_at_ns if self._waiting else None]
        return min((each for each in deadlines if each is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        """Do what is due; questions whose clients have gone end."""
        if self._listen_at_ns is not None and now_ns >= self._listen_at_ns:
            self._listen(now_ns)
        self._server.on_timer(now_ns)
        if self._waiting and now_ns >= self._look_at_ns:
            self._look_at_ns = now_ns + WAITING_LOOK_NS
            for ticket, done in list(self._waiting.items()):
                if not self._server.is_waiting(ticket):
                    del self._waiting[ticket]
                    self._asking.forget(done)

    def close(self) -> None:
        """End all connections."""
        self._server.close()

    def _listen(self, now_ns: int) -> None:
        self._listen_at_ns = now_ns + LISTEN_AGAIN_NS
        where = f"{self._place.address}:{self._place.port}"
        try:
            self._server.listen(self._place.address, self._place.port)
        except gaierror:
            self.problem = f"{where} is not an IP address; set router.address, such as 127.0.0.1"
        except OSError as problem:
            self.problem = f"{where} cannot be served: {problem.strerror}; set router.port"
        else:
            self.problem = self._place.edge.problem
            self._listen_at_ns = None

    def _on_request(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        edge = self._place.edge
        if request.path == "/live":
            self._send(ticket, request, (200, b"alive\n", PLAIN), now_ns)
        elif edge.problem:
            self._send(ticket, request, (403, f"{edge.problem}\n".encode(), PLAIN), now_ns)
        elif (refused := edge.answer(request)) is not None:
            self._server.answer(ticket, refused, now_ns)
        elif request.method not in ("GET", "HEAD"):
            self._send(ticket, request, (405, b"This path can only be read: use GET.\n", PLAIN), now_ns)
        elif request.path == f"{V1}/openapi.json":
            self._send(ticket, request, (200, self._description(), JSON), now_ns)
        elif (kind := request.path.removeprefix(ASK)) != request.path and kind in [str(each) for each in Kind]:
            self._ask(ticket, request, Kind(kind), now_ns)
        else:
            there = ", ".join(route.path for route in ROUTES)
            self._send(ticket, request, (404, f"There is only {there} and {V1}/openapi.json here.\n".encode(), PLAIN), now_ns)

    def _ask(self, ticket: int, request: HttpRequest, kind: Kind, now_ns: int) -> None:
        try:
            words = words_of(kind, request.query)
        except EvergaugeError as failure:
            self._refuse(ticket, request, 400, failure.sentence, now_ns)
            return
        if request.method == "HEAD":
            # The answer's length is not known without the answer, and HTTP does not want it.
            self._send(ticket, request, (200, b"", JSON), now_ns)
            return

        def done(end: AskEnd, at_ns: int) -> None:
            self._waiting.pop(ticket, None)
            if end.code == 0:
                self._on_answer(end.output)
                self._send(ticket, request, (200, end.output, JSON), at_ns)
            else:
                self._refuse(ticket, request, STATUS_BY_CODE.get(end.code, 500), end.sentence, at_ns)

        until_ns = now_ns + self._asking.rounds_ahead * (self._timeout_ns + PATIENCE_NS) + S
        if not self._server.hold(ticket, until_ns) or not self._asking.ask(words, done, now_ns):
            self._refuse(ticket, request, 503, f"too many questions at this moment; ask again in {RETRY_SECONDS} s", now_ns)
        elif self._server.is_waiting(ticket):
            self._waiting[ticket] = done
            self._look_at_ns = min(self._look_at_ns, now_ns + WAITING_LOOK_NS)

    def _description(self) -> bytes:
        if self._openapi is None:
            from workers.http.openapi import openapi_document

            about = "Questions over the stored rows of all hosts, each answer with an interval that the true number lies in."
            self._openapi = msgspec.json.encode(openapi_document("evergauge router", __version__, about, ROUTES))
        return self._openapi

    def _refuse(self, ticket: int, request: HttpRequest, status: int, sentence: str, now_ns: int) -> None:
        later: Headers = (("Retry-After", str(RETRY_SECONDS)),) if status == 503 else ()
        body = json_bytes({"error": {"sentence": sentence}}) + b"\n"
        self._send(ticket, request, (status, body, JSON), now_ns, later)

    def _send(self, ticket: int, request: HttpRequest, content: tuple[int, bytes, str], now_ns: int, more: Headers = ()) -> None:
        with_body = request.method != "HEAD"
        self._server.answer(ticket, response(*content, with_body=with_body, headers=(*DATA_HEADERS, *more)), now_ns)
