"""The gateway's work: /live, /ready and /metrics over HTTP, from what the supervisor answers, and this node's page.

It holds no state of the agent. /live is answered here. /ready and /metrics ask the supervisor for each answer: `ready`, which
it answers from what it knows, and `status`, for which it asks every worker. What the agent measures is read from the spool, when
/metrics is asked for. Called by the worker's loop only.
"""

import errno
from collections.abc import Iterator, Sequence
from socket import gaierror
from typing import TYPE_CHECKING, Any

from agent.config import (
    GATEWAY_ADDRESS,
    GATEWAY_ALLOWED_HOSTS,
    GATEWAY_METRICS,
    GATEWAY_PID_LABEL,
    GATEWAY_PORT,
    GATEWAY_SERIES_MAX,
    PROC_ROOT,
    Config,
)
from agent.gateway_setting import PAGE, TLS_CERT_FILE, TLS_KEY_FILE, TOKEN_FILE, TRUSTED_PROXY
from agent.model.control.result import AgentStatus, Readiness
from agent.model.errors import ConfigError
from agent.model.json_text import json_bytes
from agent.model.limit import LadderStep
from agent.model.rule_state import RuleState
from agent.model.timebase import MINUTE, S
from agent.model.worker_kind import READY, STATUS
from agent.ports import Bus, Clock, Interest
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork
from workers.gateway.metrics import GatewayCounts, Statistics, families
from workers.gateway.metrics_format import MetricsFormat, preferred_format
from workers.gateway.request_coalescer import RequestCoalescer
from workers.gateway.scrape import ScrapeQueue
from workers.gateway.supervisor_answer import SILENCE, readiness_of, status_of, unready
from workers.http.host import host_policy
from workers.http.request import HttpRequest
from workers.http.response import PLAIN, response
from workers.http.server import Server

if TYPE_CHECKING:
    from workers.gateway.answer import AnswerWriter
    from workers.gateway.holder import HolderSearch
    from workers.gateway.measured import MeasuredSeries
    from workers.gateway.node.site import NodeSite
    from workers.http.edge import Edge

BIND_RETRY_NS = 2 * S
# After so long without a scrape the next one begins again, so nothing is held for it.
FORGET_NS = 5 * MINUTE + 5 * S
_CONDITION = "gateway"
_PAGE_CONDITION = "page"
# Streams, and questions to stored files. Each has a descriptor.
LONG_MAX = 1_024
# A request that waits for the supervisor, with the ticket of its connection.
Waiting = tuple[int, HttpRequest]

_PROBLEM_BY_ERRNO = {
    errno.EADDRNOTAVAIL: "is not an address of this host; set gateway.address (--gateway-address)",
    errno.EACCES: "may not be served by this user; set gateway.port (--gateway-port) to 1024 or above",
}


class GatewayWork(BaseWork):
    """The `agent.ports.Work` of the worker `gateway`."""

    def __init__(
        self,
        clock: Clock,
        bus: Bus,
        config: Config,
        statistics: Statistics,
        state_dir: str,
        *,
        about: tuple[str, str] = ("", ""),
        epoch: str = "0",
    ) -> None:
        """`about`: the host's name and the agent's version. `epoch`: a word that no other start of a gateway here has."""
        super().__init__()
        self._clock = clock
        self._conditions = Conditions(bus)
        self._statistics = statistics
        self._address = config.of(GATEWAY_ADDRESS)
        self._port = config.of(GATEWAY_PORT)
        policy = host_policy(self._address, config.of(GATEWAY_ALLOWED_HOSTS))
        self._server = Server(self._on_request, policy, long_max=LONG_MAX if config.of(PAGE) else 0)
        # Apart: a question about readiness does not wait for the workers that a status waits for.
        self._readiness: RequestCoalescer[Waiting] = RequestCoalescer(lambda: bus.request(READY))
        self._status: RequestCoalescer[Waiting] = RequestCoalescer(lambda: bus.request(STATUS))
        self._page_status: RequestCoalescer[NodeSite] = RequestCoalescer(lambda: bus.request(STATUS))
        self._about = about
        self._epoch = epoch
        # None: no page; made by the first request for it.
        self._edge: Edge | None = None
        self._site: NodeSite | None = None
        self._is_page_left_out = False
        self._config = config
        self._state_dir = state_dir
        self._rules: RuleState | None = None
        self._shown = config.of(GATEWAY_METRICS)
        self._metrics = self._shown
        # What /metrics shows has changed since the queue of scrapes was made.
        self._is_stale = False
        self._measured: MeasuredSeries | None = None
        self._scrapes: ScrapeQueue[Waiting] | None = None
        self._writer: AnswerWriter | None = None
        self._forget_at_ns: int | None = None
        self._listen_at_ns: int | None = None
        self._proc_root = config.of(PROC_ROOT)
        self._holder: HolderSearch | None = None

    def on_start(self, now_ns: int) -> None:
        """Begin to serve, or report why not and try again later; the worker is up in both cases."""
        if self._address:
            self._listen(now_ns)

    def on_rules(self, rules: RuleState) -> None:
        """They have the names of pods; read at the next scrape."""
        self._rules = rules

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """What is measured is not shown, and what was held for it is given up; health and the agent itself are shown as before."""
        is_left_out = self._is_page_left_out = LadderStep.MEASURED_METRICS_OFF in steps
        if is_left_out:
            self._close_site()
        wanted = "agent" if is_left_out and self._shown == "measured" else self._shown
        if wanted != self._metrics:
            self._metrics = wanted
            self._is_stale = True

    def next_deadline_ns(self) -> int | None:
        """None without clients while the port is served: an idle gateway never wakes, once it has forgotten the last scrape."""
        if self._scrapes is not None and self._scrapes.is_busy:
            return 0
        questions = (self._readiness.next_deadline_ns(), self._status.next_deadline_ns(), self._page_status.next_deadline_ns())
        site_ns = None if self._site is None else self._site.next_deadline_ns()
        deadlines = (self._listen_at_ns, self._forget_at_ns, self._server.next_deadline_ns(), site_ns, *questions)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        """Do what is due: try the port again, give up on the supervisor's answer, cut off slow clients, go on with a scrape."""
        if self._listen_at_ns is not None and self._listen_at_ns <= now_ns:
            self._listen(now_ns)
        for waiting in self._readiness.on_timer(now_ns):
            self._answer_ready(waiting, unready(SILENCE), now_ns)
        for waiting in self._status.on_timer(now_ns):
            self._scrape([waiting], None, now_ns)
        for site in self._page_status.on_timer(now_ns):
            site.on_status(None, now_ns)
        self._server.on_timer(now_ns)
        if self._site is not None:
            self._site.on_timer(now_ns)
            if self._site.is_over(now_ns):
                self._close_site()
        if self._scrapes is not None:
            self._scrapes.turn()
        if self._forget_at_ns is not None and self._forget_at_ns <= now_ns:
            self._forget_at_ns = None
            if self._measured is not None:
                self._measured.close_if_idle(self._clock.wall_ns())

    def interests(self) -> tuple[Interest, ...]:
        """The listening socket and the clients that still have something to say."""
        own = self._server.interests()
        return own if self._site is None else (*own, *self._site.interests())

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """One of them."""
        if self._site is None or not self._site.on_readable(descriptor, now_ns):
            self._server.on_readable(descriptor, now_ns)

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """A client takes more of its answer."""
        self._server.on_writable(descriptor, now_ns)

    def stats(self) -> dict[str, Any]:
        """Where it serves (`address` null: nowhere, `problem` says why) and how often it was asked."""
        server, problem = self._server, self._conditions.detail(_CONDITION) or None
        return {"address": server.address, "requests": server.requests, "refused": server.refused, "problem": problem}

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """The supervisor's answer, for all requests that wait for it. One that comes too late is ignored."""
        now_ns = self._clock.now_ns()
        if asked := self._readiness.on_answer(request, now_ns):
            readiness = readiness_of(body)
            for waiting in asked:
                self._answer_ready(waiting, readiness, now_ns)
        elif asked := self._status.on_answer(request, now_ns):
            self._scrape(asked, status_of(body), now_ns)
        elif sites := self._page_status.on_answer(request, now_ns):
            status = status_of(body)
            for site in dict.fromkeys(sites):
                site.on_status(status, now_ns)

    def on_taken_over(self, now_ns: int) -> None:
        """Questions to the earlier supervisor stay unanswered; they are given up and asked again in their time."""

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Close everything: a probe sees a closed port."""
        super().on_stop(now_ns, for_good=for_good)
        self._listen_at_ns = None
        self._close_site()
        self._server.close()

    def _close_site(self) -> None:
        if self._site is not None:
            self._site.close()
            self._site = None

    def _listen(self, now_ns: int) -> None:
        try:
            self._secure()
            self._server.listen(self._address, self._port)
        except ConfigError as problem:
            self._fail(f"is not served: {problem.sentence}", now_ns)
        except gaierror:
            self._fail("is not an IP address; set gateway.address (--gateway-address), such as 127.0.0.1", now_ns)
        except OSError as problem:
            self._fail(self._problem_of(problem), now_ns)
        else:
            self._listen_at_ns = None
            self._holder = None
            self._conditions.end(_CONDITION, f"{self._server.address} is served")
            self._open_page()

    def _secure(self) -> None:
        """TLS, where a certificate is set. *Raises:* ConfigError."""
        if self._config.of(TLS_CERT_FILE):
            from workers.http.edge_files import tls_of_files

            self._server.tls = tls_of_files(self._config.of(TLS_CERT_FILE), self._config.of(TLS_KEY_FILE))

    def _open_page(self) -> None:
        """Who may see the page, or why nobody may."""
        if not self._config.of(PAGE):
            return
        from workers.http.edge_files import read_edge

        port = (self._server.address or "").rpartition(":")[2]
        edge = read_edge(
            self._address,
            token_file=self._config.of(TOKEN_FILE),
            has_tls=self._server.tls is not None,
            trusted_proxy=self._config.of(TRUSTED_PROXY),
            section="gateway",
            cookie=f"evergauge-{port}",
        )
        self._edge = None if edge.problem else edge
        if edge.problem:
            self._conditions.begin(_PAGE_CONDITION, edge.problem)

    def _problem_of(self, problem: OSError) -> str:
        if problem.errno != errno.EADDRINUSE:
            return _PROBLEM_BY_ERRNO.get(problem.errno or 0, f"cannot be served: {problem.strerror}")
        if self._holder is None:
            # Needed by few agents, and once.
            from workers.gateway.holder import HolderSearch

            self._holder = HolderSearch(self._proc_root)
        holder = self._holder.description(self._address, self._port)
        return f"is in use by {holder}; end that program, or set gateway.port (--gateway-port); 0 lets the system choose"

    def _fail(self, problem: str, now_ns: int) -> None:
        self._listen_at_ns = now_ns + BIND_RETRY_NS
        where = f"[{self._address}]" if ":" in self._address else self._address
        # Not ready: a client of this port is answered by another program, and would take its numbers for ours.
        self._conditions.begin(_CONDITION, f"{where}:{self._port} {problem}", blocks_ready=True)

    def _on_request(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        if request.method not in ("GET", "HEAD"):
            self._send(ticket, request, (405, b"These paths can only be read: use GET.\n", PLAIN), now_ns)
        elif request.path == "/live":
            self._send(ticket, request, (200, b"alive\n", PLAIN), now_ns)
        elif request.path == "/ready":
            self._readiness.add((ticket, request), now_ns)
        elif request.path == "/metrics" and self._metrics != "off":
            self._status.add((ticket, request), now_ns)
        elif self._edge is None or not self._of_site(self._edge, ticket, request, now_ns):
            there = ["/live", "/ready"] + ([] if self._metrics == "off" else ["/metrics"])
            there = there if self._edge is None else ["/", "/v1/openapi.json", *there]
            told = f"There is only {', '.join(there[:-1])} and {there[-1]} here.\n"
            self._send(ticket, request, (404, told.encode(), PLAIN), now_ns)

    def _of_site(self, edge: "Edge", ticket: int, request: HttpRequest, now_ns: int) -> bool:
        """Whether the page has an answer."""
        if self._is_page_left_out:
            sentence = "The gateway has used more than it may, and leaves the page out for now; `agentctl list-limits` says more.\n"
            self._send(ticket, request, (503, sentence.encode(), PLAIN), now_ns)
            return True
        if self._site is None:
            from workers.gateway.node.making import made_site

            # With all that it imports: an agent whose page nobody opens never pays for it.
            self._site = made_site(
                clock=self._clock,
                server=self._server,
                edge=edge,
                state_dir=self._state_dir,
                rules=lambda: self._rules,
                ask_status=lambda at_ns: self._ask_for_page(at_ns),
                about=self._about,
                epoch=self._epoch,
            )
        return self._site.on_request(ticket, request, now_ns)

    def _ask_for_page(self, now_ns: int) -> None:
        if self._site is not None:
            self._page_status.add(self._site, now_ns)

    def _send(self, ticket: int, request: HttpRequest, content: tuple[int, bytes, str], now_ns: int) -> None:
        self._server.answer(ticket, response(*content, with_body=request.method != "HEAD"), now_ns)

    def _answer_ready(self, waiting: Waiting, readiness: Readiness, now_ns: int) -> None:
        status = 200 if readiness.ready else 503
        self._send(*waiting, (status, json_bytes(readiness) + b"\n", "application/json"), now_ns)

    def _scrape(self, asked: Sequence[Waiting], status: AgentStatus | None, now_ns: int) -> None:
        if self._scrapes is None or (self._is_stale and not self._scrapes.is_busy):
            self._is_stale = False
            # Made by the first scrape, with all that it imports: an agent without a scraper never pays for it.
            self._measured = self._make_measured() if self._metrics == "measured" else None
            self._scrapes = ScrapeQueue(self._measured, self._pieces, self._send_metrics, self._clock.wall_ns)
        if self._measured is not None:
            self._forget_at_ns = now_ns + FORGET_NS
        self._scrapes.add([(waiting, preferred_format(waiting[1].accept)) for waiting in asked], status)

    def _make_measured(self) -> "MeasuredSeries":
        from workers.export.series.catalogue import TABLES
        from workers.gateway.measured import MeasuredSeries
        from workers.gateway.stored_tail import StoredTail

        has_pids, series_max = self._config.of(GATEWAY_PID_LABEL), self._config.of(GATEWAY_SERIES_MAX)
        return MeasuredSeries(StoredTail(self._state_dir, TABLES), lambda: self._rules, series_max=series_max, has_pids=has_pids)

    def _pieces(self, form: MetricsFormat, status: AgentStatus | None) -> Iterator[bytes]:
        from workers.gateway.answer import AnswerWriter

        self._writer = self._writer or AnswerWriter()
        counts = GatewayCounts(requests=self._server.requests, refused=self._server.refused)
        own = families(status, counts, self._statistics)
        if self._measured is None:
            return self._writer.pieces(form, own, ())
        return self._writer.pieces(form, [*own, *self._measured.own_families()], self._measured.families())

    def _send_metrics(self, waiting: Sequence[Waiting], form: MetricsFormat, body: bytes) -> None:
        from workers.gateway.answer import CONTENT_TYPES

        now_ns = self._clock.now_ns()
        for ticket, request in waiting:
            self._send(ticket, request, (200, body, CONTENT_TYPES[form]), now_ns)
