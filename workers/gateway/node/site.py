"""This node's page: its files, its documents and its stream.

Made by the first request and forgotten when nobody has looked for a while; until then nothing of it is imported or read. It reads
the end of the spool while somebody looks. Called by the gateway's work only; it touches the world through what it is handed.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from agent.model.control.result import AgentStatus
from agent.model.errors import FormatError
from agent.model.rule_state import RuleState
from agent.model.timebase import MS, S
from agent.ports import Clock, Interest
from workers.export.assigned_names import AssignedNames
from workers.gateway.batch_source import BatchSource
from workers.gateway.node import question
from workers.gateway.node.agent_document import UNKNOWN, agent_document
from workers.gateway.node.board import SECONDS_MAX, NodeBoard
from workers.gateway.node.command import CommandEnd, CommandRunner
from workers.gateway.node.document import AgentDocument, NodeDocument
from workers.gateway.node.feed import NodeFeed
from workers.gateway.node.routes import ABOUT, ROUTES
from workers.gateway.node.series import series_of
from workers.gateway.node.unit_name import unit_name
from workers.http.edge import Edge
from workers.http.event_stream import EventChannel, StreamEvent
from workers.http.openapi import openapi_document
from workers.http.request import HttpRequest
from workers.http.response import DATA_HEADERS, JSON, response, stream_head
from workers.http.server import Server
from workers.http.static_files import StaticFiles

# How soon what was stored is shown; a look costs some 0.1 ms.
POLL_NS = 250 * MS
# The supervisor asks every worker for it.
AGENT_NS = 5 * S
# What is kept after the last look, so that a page that is loaded again is there at once.
LINGER_NS = 60 * S
# A question to stored files, and those that wait before it.
ANSWER_NS = 90 * S
DEFAULT_SECONDS = 600
MISSING_SECONDS_MAX = 60
CHARTS_FILE = "uPlot.iife.min.js"
VENDOR = "/assets/vendor"
_REMEDY = "run `scripts/assets` in the checkout that this agent was made from, and install it again; docs/pages.md says more"
_ENCODER = msgspec.json.Encoder()


class NodeSite:
    """`ask_status` asks the supervisor; its answer comes to `on_status`. `about`: name of the host and version of the agent."""

    def __init__(
        self,
        *,
        clock: Clock,
        server: Server,
        edge: Edge,
        source: BatchSource,
        files: StaticFiles,
        runner: CommandRunner,
        rules: Callable[[], RuleState | None],
        ask_status: Callable[[int], None],
        about: tuple[str, str],
        epoch: str,
    ) -> None:
        now_ns = clock.now_ns()
        self._clock = clock
        self._server = server
        self._edge = edge
        self._files = files
        self._runner = runner
        self._rules = rules
        self._ask_status = ask_status
        self._host, self._version = about
        self._names = AssignedNames()
        self._names.refresh(rules())
        self._board = NodeBoard(self._names)
        self._feed = NodeFeed(source, self._board, clock.wall_ns())
        # Phases and waits of clients only.
        self._channel = EventChannel(epoch, self._picture, Random(epoch))
        self._agent: AgentDocument = UNKNOWN
        self._agent_at_ns = now_ns
        self._poll_at_ns: int | None = None
        self._used_ns = now_ns
        self._is_reading = False
        # Requests that wait until everything that is stored by now is read, and those for the agent's own state.
        self._awaiting: list[tuple[int, HttpRequest]] = []
        self._asking: list[tuple[int, HttpRequest]] = []

    def on_request(self, ticket: int, request: HttpRequest, now_ns: int) -> bool:
        """Answer, now or later. False: there is nothing of that path here."""
        self._used_ns = now_ns
        if (refused := self._edge.answer(request)) is not None:
            self._server.answer(ticket, refused, now_ns)
        elif request.path == "/v1/openapi.json":
            document = openapi_document(f"evergauge on {self._host}", self._version, ABOUT, ROUTES)
            self._document(ticket, request, document, now_ns)
        elif request.path == "/v1/stream":
            self._open_stream(ticket, request, now_ns)
        elif request.path == "/v1/node/agent":
            self._asking.append((ticket, request))
            self._refresh_agent(now_ns)
        elif request.path in ("/v1/node", "/v1/node/series", "/v1/node/processes", "/v1/node/neighbours"):
            self._awaiting.append((ticket, request))
            self._is_reading = True
        elif (found := self._files.answer(request)) is not None:
            self._server.answer(ticket, found, now_ns)
        else:
            return False
        return True

    def is_over(self, now_ns: int) -> bool:
        """Whether nobody has looked for a while."""
        is_used = len(self._channel) or self._awaiting or self._asking or self._runner.is_busy
        return not is_used and now_ns - self._used_ns >= LINGER_NS

    def interests(self) -> tuple[Interest, ...]:
        """What to wait for."""
        return self._runner.interests()

    def on_readable(self, descriptor: int, now_ns: int) -> bool:
        """Whether the descriptor was one of these."""
        return self._runner.on_readable(descriptor, now_ns)

    def next_deadline_ns(self) -> int:
        """When `on_timer` has something to do; at the latest when it may be over."""
        if self._is_reading:
            return 0
        deadlines = [self._channel.next_deadline_ns(), self._runner.next_deadline_ns()]
        if len(self._channel):
            deadlines += [self._poll_at_ns, self._agent_at_ns]
        else:
            deadlines.append(self._used_ns + LINGER_NS)
        return min(deadline for deadline in deadlines if deadline is not None)

    def on_timer(self, now_ns: int) -> None:
        """Read a portion, tell what is new, keep clients alive."""
        if len(self._channel):
            self._used_ns = now_ns
            if self._poll_at_ns is None or self._poll_at_ns <= now_ns:
                self._poll_at_ns = now_ns + POLL_NS
                self._is_reading = True
            if self._agent_at_ns <= now_ns:
                self._refresh_agent(now_ns)
        if self._is_reading:
            self._read(now_ns)
        self._channel.on_timer(now_ns)
        self._runner.on_timer(now_ns)

    def on_status(self, status: AgentStatus | None, now_ns: int) -> None:
        """The supervisor's answer; None: it gave none."""
        found = agent_document(status)
        is_new = found != self._agent
        self._agent = found
        waiting, self._asking = self._asking, []
        for ticket, request in waiting:
            self._document(ticket, request, found, now_ns)
        if is_new:
            self._channel.publish(StreamEvent("agent", _ENCODER.encode(found), "agent"), now_ns)

    def close(self) -> None:
        """Give everything back."""
        self._channel.close()
        self._runner.close()
        self._feed.close()

    # ---- reading -------------------------------------------------------------------------------------

    def _read(self, now_ns: int) -> None:
        if not self._feed.turn():
            return
        self._is_reading = False
        version = self._names.version
        self._names.refresh(self._rules())
        if self._names.version != version:
            self._board.rename()
        for tick in self._board.ticks():
            self._channel.publish(StreamEvent("tick", _ENCODER.encode(tick), f"tick {tick.t}"), now_ns)
        if self._board.processes_changed and len(self._channel):
            self._channel.publish(StreamEvent("processes", _ENCODER.encode(self._board.processes()), "processes"), now_ns)
        waiting, self._awaiting = self._awaiting, []
        for ticket, request in waiting:
            self._answer(ticket, request, now_ns)

    def _picture(self, topics: frozenset[str]) -> list[StreamEvent]:
        tick = self._board.last_tick()
        parts: list[tuple[str, Any]] = [] if tick is None else [("tick", tick)]
        parts += [("processes", self._board.processes()), ("agent", self._agent)]
        return [StreamEvent(name, _ENCODER.encode(part)) for name, part in parts if not topics or name in topics]

    def _refresh_agent(self, now_ns: int) -> None:
        self._agent_at_ns = now_ns + AGENT_NS
        self._ask_status(now_ns)

    # ---- answers -------------------------------------------------------------------------------------

    def _answer(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        if self._feed.problem:
            self._problem(ticket, request, 503, self._feed.problem, now_ns)
            return
        wall_s = self._clock.wall_ns() // S
        try:
            since = _second(request, "since")
            until = _second(request, "until") or wall_s + 1
            at = _second(request, "at")
        except ValueError as bad:
            self._problem(ticket, request, 400, str(bad), now_ns)
            return
        if since is not None and not 0 < until - since <= question.SPAN_MAX:
            self._problem(ticket, request, 400, f"until is behind since, by {question.SPAN_MAX} seconds at most", now_ns)
            return
        match request.path:
            case "/v1/node":
                self._document(ticket, request, self._node(), now_ns)
            case "/v1/node/series":
                self._series(ticket, request, (until - DEFAULT_SECONDS if since is None else since, until), now_ns)
            case "/v1/node/processes":
                self._processes(ticket, request, at, now_ns)
            case _:
                span = (until - SECONDS_MAX if since is None else since, until)
                arguments = question.neighbours_arguments(*map(_moment, span))
                self._ask(ticket, request, arguments, question.neighbours_answer, now_ns)

    def _node(self) -> NodeDocument:
        size, board = self._board.size, self._board
        has_charts = self._files.has(VENDOR, CHARTS_FILE)
        firsts = [ring.first for ring in (board.host, board.looked) if ring.first is not None]
        newest = board.newest
        return NodeDocument(
            host=self._host,
            version=self._version,
            now=round(self._clock.wall_ns() / S, 3),
            since=max(min(firsts), newest - SECONDS_MAX + 1) if firsts and newest is not None else self._clock.wall_ns() // S,
            older=self._runner.has_files(),
            cores=size.cores,
            memory_bytes=size.memory_bytes,
            cache_bytes=size.cache_bytes,
            charts=f"{VENDOR}/{CHARTS_FILE}" if has_charts else None,
            charts_remedy="" if has_charts else _REMEDY,
            neighbours_command="agentctl neighbours --since 1h",
        )

    def _series(self, ticket: int, request: HttpRequest, span: tuple[int, int], now_ns: int) -> None:
        since, until = span
        # A minute less is not worth a search.
        if since >= self._node().since - MISSING_SECONDS_MAX or request.parameter("at_hand") == "true":
            self._document(ticket, request, series_of(self._board, since, until), now_ns)
            return
        gaps = tuple(self._board.gaps)

        def made(output: bytes) -> object:
            return question.series_answer(output, since, until, gaps, self._name)

        self._ask(ticket, request, question.series_arguments(since, until), made, now_ns)

    def _processes(self, ticket: int, request: HttpRequest, at: int | None, now_ns: int) -> None:
        if at is None:
            self._document(ticket, request, self._board.processes(), now_ns)
            return

        def made(output: bytes) -> object:
            return question.processes_answer(output, self._name)

        self._ask(ticket, request, question.processes_arguments(at), made, now_ns)

    def _name(self, uid: str, cgroup: str) -> str:
        known = self._board.units.get(uid)
        return known.name if known is not None else unit_name(self._names, uid, cgroup)

    def _ask(
        self, ticket: int, request: HttpRequest, arguments: Sequence[str], made: Callable[[bytes], object], now_ns: int
    ) -> None:
        def done(end: CommandEnd, now_ns: int) -> None:
            self._used_ns = now_ns
            problem = end.problem
            if not problem:
                try:
                    self._document(ticket, request, made(end.output), now_ns)
                    return
                except FormatError as failure:
                    problem = failure.sentence
            self._problem(ticket, request, 503, problem, now_ns)

        if not self._server.hold(ticket, now_ns + ANSWER_NS) or not self._runner.ask(arguments, done, now_ns):
            self._problem(ticket, request, 503, "too many questions to stored data wait; ask again later", now_ns)

    def _open_stream(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        if request.method == "HEAD":
            self._server.answer(ticket, response(200, b"", "text/event-stream", with_body=False, headers=DATA_HEADERS), now_ns)
            return
        stream = self._server.open_stream(ticket, stream_head(), now_ns)
        if stream is None:
            self._problem(ticket, request, 503, "all places of streams are taken; the page asks for its documents instead", now_ns)
            return
        topics = frozenset(filter(None, request.parameter("topics").split(",")))
        last = request.last_event_id or request.parameter("last_event_id") or None
        self._channel.join(stream, last, topics, now_ns)
        self._poll_at_ns = self._poll_at_ns or now_ns
        self._agent_at_ns = min(self._agent_at_ns, now_ns)

    def _document(self, ticket: int, request: HttpRequest, document: object, now_ns: int) -> None:
        body = _ENCODER.encode(document)
        self._server.answer(ticket, response(200, body, JSON, with_body=request.method != "HEAD", headers=DATA_HEADERS), now_ns)

    def _problem(self, ticket: int, request: HttpRequest, status: int, sentence: str, now_ns: int) -> None:
        body = _ENCODER.encode({"problem": sentence})
        self._server.answer(ticket, response(status, body, JSON, with_body=request.method != "HEAD", headers=DATA_HEADERS), now_ns)


def _second(request: HttpRequest, name: str) -> int | None:
    """A parameter that is a second. *Absent:* None where it is not given. *Raises:* ValueError."""
    text = request.parameter(name)
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 11:
        raise ValueError(f"{name} is no second of unix time")
    return int(text)


def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
