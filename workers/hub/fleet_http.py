"""The hub's HTTP: documents of /v1, the stream, and the fleet's page. Called by the worker's loop; it waits for nothing."""

from base64 import b64encode
from collections.abc import Callable
from random import Random
from socket import gaierror
from typing import Any

import msgspec
from msgspec import Struct

from agent import __version__
from agent.model.control.document import Document
from agent.model.control.fleet import FleetHeat, FleetHistoryRow, FleetReservation
from agent.model.errors import EvergaugeError, MisuseError
from agent.model.json_text import json_bytes
from agent.model.timebase import S, iso_utc
from agent.ports import Clock, Interest
from workers.http.edge import Edge
from workers.http.event_stream import EventChannel
from workers.http.host import HostPolicy
from workers.http.request import HttpRequest
from workers.http.response import DATA_HEADERS, JSON, PLAIN, response, stream_head
from workers.http.server import STREAM_BYTES_MAX, Server, TlsAccept
from workers.hub.api import ROUTES, V1, WAIT_SECONDS_MAX, described
from workers.hub.effect import HubEffect, NodeChanged, UnitsChanged
from workers.hub.fleet_operations import FleetOperations, worker_question
from workers.hub.fleet_row import MIB, unit_row
from workers.hub.fleet_stream import WHOLE_NODES_MAX, FleetStream, has_whole
from workers.hub.history import METRICS, STEP_NS, STEPS, FleetHistory
from workers.hub.listing import Listing
from workers.hub.long_answers import BUSY, LongAnswers
from workers.hub.questions import WorkerQuestion, age_text_ns
from workers.hub.recent_changes import RecentChanges
from workers.hub.registry import NodeRegistry
from workers.hub.reservation import Reservation

LISTEN_AGAIN_NS = 2 * S
# A thousand browsers and schedulers.
LONG_MAX = 1200
HEAT_ROWS_DEFAULT, HEAT_ROWS_MAX = 200, 2000
TTL_DEFAULT_NS, TTL_MAX_NS = 10 * S, 3600 * S
TOPICS_MAX = 16
# The row of a node in an event: some 600 bytes, and more where its conditions have long sentences.
NODE_BYTES = 1500
# Clients that have gone are forgotten with the next look.
WAITING_LOOK_NS = 1 * S
# Of an index: it grows by some thousands a second at most.
INDEX_DIGITS_MAX = 18


class HttpPlace(Struct, frozen=True):
    """Where it is served, and who may ask. `address` empty: nowhere. `assets` gives a file of the page: content, type; None: no
    such file."""

    address: str
    port: int
    hosts: HostPolicy
    edge: Edge
    tls: TlsAccept | None = None
    assets: "Callable[[HttpRequest], bytes | None] | None" = None


class _IndexWaiter(Struct):
    """Who is answered when the index has grown. *Absent:* `question` None: all nodes were asked for."""

    ticket: int
    request: HttpRequest
    question: WorkerQuestion | None
    index: int
    until_ns: int


class FleetHttp:
    """`problem`: why it does not serve, or not everything; empty: it does."""

    def __init__(self, place: HttpPlace, registry: NodeRegistry, operations: FleetOperations, clock: Clock, chance: Random) -> None:
        self.problem = place.edge.problem
        self.history = FleetHistory(clock.now_ns())
        self._place = place
        self._registry = registry
        self._operations = operations
        self._clock = clock
        self._chance = chance
        self._server = Server(self._on_request, place.hosts, long_max=LONG_MAX, tls=place.tls)
        run = registry.terms.run
        self._stream = FleetStream(registry, operations, lambda picture: EventChannel(run, picture, chance), clock.now_ns)
        self._waiting: list[_IndexWaiter] = []
        self._waiting_at_ns = 0
        self._answered_index = 0
        self._long = LongAnswers(self._server, clock)
        self._listen_at_ns: int | None = clock.now_ns() if place.address else None
        self._changes = RecentChanges()
        self._reserved = 0
        self._openapi: bytes | None = None

    @property
    def address(self) -> str | None:
        """Where it listens; None: nowhere."""
        return self._server.address

    def stats(self) -> dict[str, Any]:
        """What was asked, and who listens."""
        channel = self._stream.channel
        return {
            "address": self._server.address,
            "requests": self._server.requests,
            "refused": self._server.refused,
            "streams": len(channel),
            "events": channel.counts.published,
            "dropped": channel.counts.dropped,
            "disconnected": channel.counts.disconnected + self._server.crowded_out,
        }

    def interests(self) -> tuple[Interest, ...]:
        """Clients, and those to come."""
        return self._server.interests()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """See Server."""
        self._server.on_readable(descriptor, now_ns)

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """See Server."""
        self._server.on_writable(descriptor, now_ns)

    def next_deadline_ns(self) -> int:
        """At once while an answer is being made; the next step of the history at the latest."""
        if self._long:
            return 0
        deadlines = [self._server.next_deadline_ns(), self._stream.next_deadline_ns(), self._listen_at_ns]
        if self._waiting:
            deadlines.append(self._waiting_at_ns)
        return min((self.history.next_at_ns, *(each for each in deadlines if each is not None)))

    def on_timer(self, now_ns: int) -> None:
        """Do what is due."""
        if self._listen_at_ns is not None and now_ns >= self._listen_at_ns:
            self._listen(now_ns)
        if now_ns >= self.history.next_at_ns:
            self.history.take(self._registry.nodes, now_ns)
        # Before the server ends those that have waited too long: after a stall both are due.
        if self._waiting and (now_ns >= self._waiting_at_ns or self._registry.index != self._answered_index):
            self._answer_waiting(now_ns)
        self._long.go_on(now_ns)
        self._server.on_timer(now_ns)
        self._stream.on_timer(now_ns)

    def on_effect(self, effect: HubEffect, now_ns: int) -> None:
        """Something that the stream may tell."""
        for change in self._changes.take(effect, self._registry.nodes, self._clock.wall_ns()):
            self._stream.on_change(change, now_ns)
        if isinstance(effect, NodeChanged):
            self._stream.on_node(effect, now_ns)
        elif isinstance(effect, UnitsChanged):
            self._stream.on_units(effect, now_ns)

    def close(self) -> None:
        """End all connections."""
        self._stream.channel.close()
        self._server.close()

    def _listen(self, now_ns: int) -> None:
        self._listen_at_ns = now_ns + LISTEN_AGAIN_NS
        where = f"{self._place.address}:{self._place.port}"
        try:
            self._server.listen(self._place.address, self._place.port)
        except gaierror:
            self.problem = f"{where} is not an IP address; set hub.address, such as 127.0.0.1"
        except OSError as problem:
            self.problem = f"{where} cannot be served: {problem.strerror}; set hub.port"
        else:
            self.problem = self._place.edge.problem
            self._listen_at_ns = None
            scheme = "https" if self._place.tls is not None else "http"
            self._operations.page = None if self.problem else f"{scheme}://{self._server.address}/"

    # ---- requests ----

    def _on_request(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        if request.path == "/live":
            self._send(ticket, request, (200, b"alive\n", PLAIN), now_ns)
            return
        if self._place.edge.problem:
            self._send(ticket, request, (403, f"{self._place.edge.problem}\n".encode(), PLAIN), now_ns)
            return
        if (refused := self._place.edge.answer(request)) is not None:
            self._server.answer(ticket, refused, now_ns)
            return
        try:
            self._dispatch(ticket, request, now_ns)
        except EvergaugeError as failure:
            self._send_document(ticket, request, 400, {"error": {"sentence": failure.sentence}}, now_ns)

    def _dispatch(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        is_read = request.method in ("GET", "HEAD")
        path = request.path
        if path == f"{V1}/reservations" and request.method == "POST":
            self._reserve(ticket, request, now_ns)
        elif path.startswith(f"{V1}/reservations/") and request.method == "DELETE":
            ended = self._operations.end_reservation(path.rpartition("/")[2])
            self._send_document(ticket, request, 200 if ended else 404, {"ended": ended}, now_ns)
        elif not is_read:
            self._send(ticket, request, (405, b"This path can only be read: use GET.\n", PLAIN), now_ns)
        elif path == f"{V1}/stream":
            self._open_stream(ticket, request, now_ns)
        elif path in (f"{V1}/nodes", f"{V1}/workers") and request.parameter("index"):
            self._wait(ticket, request, now_ns)
        elif path == f"{V1}/openapi.json":
            self._send(ticket, request, (200, self._description(), JSON), now_ns)
        elif (listing := self._listing(request)) is not None:
            self._long.answer(ticket, request, listing, now_ns)
        elif (document := self._document(request, now_ns)) is not None:
            self._send_document(ticket, request, 200, document, now_ns)
        elif self._place.assets is not None and (asset := self._place.assets(request)) is not None:
            self._server.answer(ticket, asset, now_ns)
        else:
            there = ", ".join(route.path for route in ROUTES)
            self._send(ticket, request, (404, f"There is only {there} and {V1}/openapi.json here.\n".encode(), PLAIN), now_ns)

    def _listing(self, request: HttpRequest) -> Listing | None:
        match request.path:
            case "/v1/nodes":
                return self._asked(None)
            case "/v1/units":
                return self._operations.units(_arguments(request), self._clock.now_ns, self._clock.wall_ns())
            case "/v1/workers":
                return self._asked(worker_question(_arguments(request)))
        return None

    def _asked(self, question: WorkerQuestion | None) -> Listing:
        """The workers that fit; None: all nodes."""
        now, wall_ns = self._clock.now_ns, self._clock.wall_ns()
        return self._operations.nodes(now, wall_ns) if question is None else self._operations.workers(question, now, wall_ns)

    def _document(self, request: HttpRequest, now_ns: int) -> Document | None:
        wall_ns = self._clock.wall_ns()
        match request.path:
            case "/v1/node":
                return self._operations.node(request.parameter("node"), now_ns, wall_ns)
            case "/v1/changes":
                terms = self._registry.terms
                return self._changes.document((terms.name, terms.run), wall_ns)
            case "/v1/heat":
                return self._heat(request, wall_ns)
        return None

    def _heat(self, request: HttpRequest, wall_ns: int) -> FleetHeat:
        metric = request.parameter("metric", METRICS[0])
        if metric not in METRICS:
            raise MisuseError("metric", "there is no such metric", f"one of {', '.join(METRICS)}")
        limit = request.parameter("limit", str(HEAT_ROWS_DEFAULT))
        if not limit.isdecimal() or len(limit) > len(str(HEAT_ROWS_MAX)) or not 1 <= int(limit) <= HEAT_ROWS_MAX:
            raise MisuseError("limit", f"1 to {HEAT_ROWS_MAX}")
        nodes = self._operations.worst_first()
        rows = [
            FleetHistoryRow(node=node.install, host=node.host, values=b64encode(self.history.of(node.install, metric)).decode())
            for node in nodes[: int(limit)]
        ]
        return FleetHeat(
            hub=self._registry.terms.name, as_of=iso_utc(wall_ns), metric=metric, step_seconds=STEP_NS // S, steps=STEPS,
            found=len(nodes), rows=rows,
        )  # fmt: skip

    def _reserve(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        try:
            body = msgspec.json.decode(request.content or b"{}", type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as cause:
            raise MisuseError("body", "this is no JSON object") from cause
        vram, ttl = body.pop("vram", 0), body.pop("ttl", "")
        if type(vram) is not int or not 0 <= vram < 1 << 60:
            raise MisuseError("vram", "bytes, a whole number")
        try:
            ttl_ns = age_text_ns(ttl) if ttl else TTL_DEFAULT_NS
        except (ValueError, AttributeError, TypeError) as cause:
            raise MisuseError("ttl", "a span such as 10s") from cause
        if not 0 < ttl_ns <= TTL_MAX_NS:
            raise MisuseError("ttl", f"at most {TTL_MAX_NS // S}s")
        places = self._operations.best(worker_question({"min_free_vram": vram or None, **body, "limit": 1}), now_ns)
        if not places:
            self._send_document(ticket, request, 404, {"error": {"sentence": "no worker fits"}}, now_ns)
            return
        self._reserved += 1
        name = f"{self._registry.terms.run}-{self._reserved}-{self._chance.getrandbits(32):08x}"
        self._operations.reserve(Reservation(name, places[0], -(-vram // MIB), now_ns + ttl_ns))
        install, key = places[0]
        node = self._registry.nodes[install]
        row = unit_row(node, node.state.labels[key], node.state.uses[key], self._operations.held(places[0]), now_ns)
        until = iso_utc(self._clock.wall_ns() + ttl_ns)
        document = FleetReservation(reservation=name, worker=row, until=until, vram_bytes=vram)
        self._send_document(ticket, request, 201, document, now_ns)

    def _wait(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        index, wait = request.parameter("index"), request.parameter("wait", "30s")
        try:
            if not index.isdecimal() or len(index) > INDEX_DIGITS_MAX:
                raise ValueError("no index")
            until_ns = now_ns + min(age_text_ns(wait), WAIT_SECONDS_MAX * S)
        except ValueError as cause:
            raise MisuseError("index, wait", "a whole number, and a span such as 30s") from cause
        # A bad question is refused now: when its time is over there is nobody to raise to.
        question = worker_question(_arguments(request)) if request.path == f"{V1}/workers" else None
        waiting = _IndexWaiter(ticket, request, question, int(index), until_ns)
        if self._registry.index > waiting.index:
            self._long.answer(ticket, request, self._asked(question), now_ns)
        elif self._server.hold(ticket, until_ns + S):
            self._waiting_at_ns = min(until_ns, self._waiting_at_ns if self._waiting else now_ns + WAITING_LOOK_NS)
            self._waiting.append(waiting)
        else:
            self._send(ticket, request, (503, BUSY, PLAIN), now_ns)

    def _answer_waiting(self, now_ns: int) -> None:
        """Let those be answered whose time has come."""
        index = self._registry.index
        kept: list[_IndexWaiter] = []
        for each in self._waiting:
            if not self._server.is_waiting(each.ticket):
                continue
            if index > each.index or each.until_ns <= now_ns:
                self._long.answer_later(each.ticket, each.request, self._asked(each.question), now_ns)
            else:
                kept.append(each)
        self._waiting = kept
        self._answered_index = index
        self._waiting_at_ns = min([now_ns + WAITING_LOOK_NS, *(each.until_ns for each in kept)])

    def _open_stream(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        topics = frozenset(filter(None, request.parameter("topics").split(",")))
        if len(topics) > TOPICS_MAX:
            raise MisuseError("topics", f"at most {TOPICS_MAX}")
        if has_whole(topics) and len(self._registry.nodes) > WHOLE_NODES_MAX:
            sentence = f"the rows of more than {WHOLE_NODES_MAX} nodes are no event"
            raise MisuseError("topics", sentence, f"ask for {V1}/nodes, and name `later` among the topics")
        # What waits for a client is bounded; one that wants the whole picture has room for it.
        room = STREAM_BYTES_MAX + (NODE_BYTES * len(self._registry.nodes) if has_whole(topics) else 0)
        stream = self._server.open_stream(ticket, stream_head(), now_ns, room)
        if stream is None:
            self._send(ticket, request, (503, b"Too many clients listen here; try again.\n", PLAIN), now_ns)
        else:
            self._stream.channel.join(stream, request.last_event_id, topics, now_ns)

    def _description(self) -> bytes:
        if self._openapi is None:
            from workers.http.openapi import openapi_document

            about = (
                "What a hub of evergauge knows of its fleet. Every number may be null: not known, which is neither zero nor old."
            )
            self._openapi = msgspec.json.encode(openapi_document("evergauge hub", __version__, about, described(ROUTES)))
        return self._openapi

    def _send(self, ticket: int, request: HttpRequest, content: tuple[int, bytes, str], now_ns: int) -> None:
        with_body = request.method != "HEAD"
        self._server.answer(ticket, response(*content, with_body=with_body, headers=DATA_HEADERS), now_ns)

    def _send_document(self, ticket: int, request: HttpRequest, status: int, document: object, now_ns: int) -> None:
        self._send(ticket, request, (status, json_bytes(document) + b"\n", JSON), now_ns)


def _arguments(request: HttpRequest) -> dict[str, Any]:
    """The parameters of a request; of one that is there twice the last."""
    return {name: values[-1] for name, values in request.query.items()}
