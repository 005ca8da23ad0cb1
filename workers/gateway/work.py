"""The gateway's work: /live, /ready and /metrics over HTTP, from what the supervisor answers.

It holds no state of the agent: every answer but /live is asked for anew. It is called by the worker's loop only.
"""

import errno
from collections.abc import Sequence
from socket import gaierror
from typing import TYPE_CHECKING, Any

import msgspec

from agent.config import GATEWAY_ADDRESS, GATEWAY_ALLOWED_HOSTS, GATEWAY_PORT, PROC_ROOT, Config
from agent.model.errors import ProtocolError
from agent.model.message import Condition
from agent.model.rule_state import RuleState
from agent.model.timebase import S
from agent.ports import Bus, Clock
from workers.gateway.host import host_policy
from workers.gateway.http import PLAIN, HttpRequest, response, wants_openmetrics
from workers.gateway.metrics import GatewayCounts, families
from workers.gateway.request_coalescer import RequestCoalescer
from workers.gateway.server import Server
from workers.gateway.status import Status, parse_status

if TYPE_CHECKING:
    from workers.gateway.holder import HolderSearch

BIND_RETRY_NS = 2 * S
SILENCE = "the supervisor does not answer"

_PROBLEM_BY_ERRNO = {
    errno.EADDRNOTAVAIL: "is not an address of this host; set gateway.address (--gateway-address)",
    errno.EACCES: "may not be served by this user; set gateway.port (--gateway-port) to 1024 or above",
}


class GatewayWork:
    """Implements `agent.ports.Work`."""

    def __init__(self, clock: Clock, bus: Bus, config: Config) -> None:
        self._clock = clock
        self._bus = bus
        self._address = config.of(GATEWAY_ADDRESS)
        self._port = config.of(GATEWAY_PORT)
        self._server = Server(self._on_request, host_policy(self._address, config.of(GATEWAY_ALLOWED_HOSTS)))
        self._coalescer: RequestCoalescer[tuple[int, HttpRequest]] = RequestCoalescer(lambda: bus.request("status"))
        self._listen_at_ns: int | None = None
        self._problem: str | None = None
        self._proc_root = config.of(PROC_ROOT)
        self._holder: HolderSearch | None = None

    def on_start(self, now_ns: int) -> None:
        """Begin to serve, or say why not and try again; the worker is up either way."""
        if self._address:
            self._listen(now_ns)

    def on_rules(self, rules: RuleState) -> None:
        """Rules are nothing to the gateway."""

    def next_deadline_ns(self) -> int | None:
        """None while nobody asks and the port is served: an idle gateway never wakes."""
        deadlines = (self._listen_at_ns, self._server.next_deadline_ns(), self._coalescer.next_deadline_ns())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        """Try the port again, give up on the supervisor's answer, cut slow clients: whatever is due."""
        if self._listen_at_ns is not None and self._listen_at_ns <= now_ns:
            self._listen(now_ns)
        for ticket, request in self._coalescer.on_timer(now_ns):
            self._answer(ticket, request, SILENCE, now_ns)
        self._server.on_timer(now_ns)

    def descriptors(self) -> Sequence[int]:
        """The listening socket and the clients that still have something to say."""
        return self._server.descriptors()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """One of them."""
        self._server.on_readable(descriptor, now_ns)

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        """`stats`: where it serves (`address` null: nowhere, `problem` says why) and how often it was asked."""
        if what != "stats":
            return {}
        server = self._server
        return {"address": server.address, "requests": server.requests, "refused": server.refused, "problem": self._problem}

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """It answers at once, always."""
        return ()

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """The supervisor's status, for everybody who waits for it."""
        now_ns = self._clock.now_ns()
        waiting = self._coalescer.on_answer(request, now_ns)
        if not waiting:
            return
        try:
            status: Status | str = parse_status(body)
        except ProtocolError as problem:
            status = problem.sentence
        for ticket, asked in waiting:
            self._answer(ticket, asked, status, now_ns)

    def on_taken_over(self, now_ns: int) -> None:
        """What was asked of the former supervisor stays unanswered, and is asked again in its time."""

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Close everything: a prober takes a closed port for what it is."""
        self._listen_at_ns = None
        self._server.close()

    def is_done(self) -> bool:
        """Nothing is ever left to do."""
        return True

    def _listen(self, now_ns: int) -> None:
        try:
            self._server.listen(self._address, self._port)
        except gaierror:
            self._fail("is not an IP address; set gateway.address (--gateway-address), such as 127.0.0.1", now_ns)
        except OSError as problem:
            self._fail(self._problem_of(problem), now_ns)
        else:
            self._listen_at_ns = None
            self._holder = None
            if self._problem is not None:
                self._problem = None
                self._bus.condition(Condition(kind="gateway", active=False, detail=f"{self._server.address} is served"))

    def _problem_of(self, problem: OSError) -> str:
        if problem.errno != errno.EADDRINUSE:
            return _PROBLEM_BY_ERRNO.get(problem.errno or 0, f"cannot be served: {problem.strerror}")
        if self._holder is None:
            # Needed by few agents, and once.
            from workers.gateway.holder import HolderSearch

            self._holder = HolderSearch(self._proc_root)
        holder = self._holder.words(self._address, self._port)
        return f"is in use by {holder}; end that program, or set gateway.port (--gateway-port); 0 lets the system choose"

    def _fail(self, problem: str, now_ns: int) -> None:
        self._listen_at_ns = now_ns + BIND_RETRY_NS
        where = f"[{self._address}]" if ":" in self._address else self._address
        sentence = f"{where}:{self._port} {problem}"
        if sentence != self._problem:
            self._problem = sentence
            # Not ready: whoever asks at the port is answered by another program, and takes its numbers for ours.
            self._bus.condition(Condition(kind="gateway", active=True, detail=sentence, blocks_ready=True))

    def _on_request(self, ticket: int, request: HttpRequest, now_ns: int) -> None:
        if request.method not in ("GET", "HEAD"):
            self._send(ticket, request, (405, b"These paths can only be read: use GET.\n", PLAIN), now_ns)
        elif request.path == "/live":
            self._send(ticket, request, (200, b"alive\n", PLAIN), now_ns)
        elif request.path in ("/ready", "/metrics"):
            self._coalescer.add((ticket, request), now_ns)
        else:
            self._send(ticket, request, (404, b"There is only /live, /ready and /metrics here.\n", PLAIN), now_ns)

    def _send(self, ticket: int, request: HttpRequest, content: tuple[int, bytes, str], now_ns: int) -> None:
        self._server.answer(ticket, response(*content, with_body=request.method != "HEAD"), now_ns)

    def _answer(self, ticket: int, request: HttpRequest, status: Status | str, now_ns: int) -> None:
        content = self._metrics(request, status) if request.path == "/metrics" else _readiness(status)
        self._send(ticket, request, content, now_ns)

    def _metrics(self, request: HttpRequest, status: Status | str) -> tuple[int, bytes, str]:
        # The encoder is loaded by the first scrape: an agent that nobody scrapes never pays for it.
        from workers.gateway.exposition import expose

        counts = GatewayCounts(requests=self._server.requests, refused=self._server.refused)
        known = families(None if isinstance(status, str) else status, counts)
        return 200, *expose(known, openmetrics=wants_openmetrics(request.accept))


def _readiness(status: Status | str) -> tuple[int, bytes, str]:
    ready, reasons = (False, [status]) if isinstance(status, str) else (status.ready, status.reasons)
    body = msgspec.json.encode({"ready": ready, "reasons": reasons}) + b"\n"
    return 200 if ready else 503, body, "application/json"
