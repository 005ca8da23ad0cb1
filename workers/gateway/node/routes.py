"""The documents of this node's page, as a table: what is asked, what is answered. PURE."""

from typing import Any

from workers.gateway.node.document import AgentDocument, NodeDocument, ProcessesDocument, SeriesDocument
from workers.gateway.node.question import NeighboursDocument
from workers.http.openapi import Route, RouteParameter

_SINCE = RouteParameter("since", "the first second, unix time", "integer")
_UNTIL = RouteParameter("until", "the second behind the last, unix time", "integer")
_BAD = {400: "a parameter cannot be read; `problem` says which"}
_BUSY = {503: "too many such questions wait, or stored rows cannot be read; `problem` says more"}

ABOUT = (
    "What this node does, as its own page shows it. Nothing here changes anything. On the loopback device no token is needed; "
    "beyond it a bearer token is, over TLS, or a reverse proxy that the settings name."
)

ROUTES = (
    Route("/v1/node", "What this node is, and what can be seen of it.", NodeDocument, problems=_BUSY),
    Route(
        "/v1/node/series",
        "The host and its largest units over time. The last minutes come from the open spool; an older time is read from stored "
        "files, which takes seconds. Without a time: the last ten minutes.",
        SeriesDocument,
        parameters=(
            _SINCE,
            _UNTIL,
            RouteParameter("at_hand", "true: only what the open spool has, at once", "boolean"),
        ),
        problems=_BAD | _BUSY,
    ),
    Route(
        "/v1/node/processes",
        "The processes that hold the most, now or at a moment.",
        ProcessesDocument,
        parameters=(RouteParameter("at", "a second, unix time; without it, now", "integer"),),
        problems=_BAD | _BUSY,
    ),
    Route(
        "/v1/node/neighbours",
        "Who made whom slow. It reads stored rows, which takes seconds; without a time, the last fifteen minutes.",
        NeighboursDocument,
        parameters=(_SINCE, _UNTIL),
        problems=_BAD | _BUSY,
    ),
    Route("/v1/node/agent", "The agent itself: its workers, and the conditions that hold.", AgentDocument, problems=_BUSY),
    Route(
        "/v1/stream",
        "Server-sent events. `tick` has a TickDocument, `processes` a ProcessesDocument, `agent` an AgentDocument, each with an "
        "id; `reset` comes before a whole picture where what was missed is gone, `dropped` where a client was too slow. Comments "
        "keep it alive.",
        parameters=(RouteParameter("topics", "names of events, separated by commas; without it, all"),),
        problems={503: "all places of streams are taken"},
    ),
    Route("/v1/openapi.json", "This description.", dict[str, Any]),
)
