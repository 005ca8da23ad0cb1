"""The paths of the hub's /v1: what may be asked, and which operation answers. PURE.

Parameters are those of the control socket's operations; documents are the same. `workers.http.openapi` describes them from this
table.
"""

from types import GenericAlias, NoneType, UnionType
from typing import Any

from msgspec import defstruct

from agent.model.control.document import Document
from agent.model.control.fleet import (
    FleetChanges,
    FleetHeat,
    FleetNodeDetail,
    FleetNodes,
    FleetReservation,
    FleetUnits,
    FleetWorkers,
)
from workers.http.openapi import Route, RouteParameter
from workers.hub.history import METRICS
from workers.hub.questions import ORDERS, STATES

V1 = "/v1"
WAIT_SECONDS_MAX = 60
_NODE = RouteParameter("node", "only this node: its id, or the name of its host")
_LIMIT = RouteParameter("limit", "so many rows at most", "integer")
_QUESTION = (
    RouteParameter("model", "those that serve it, by any of its names; upper and lower case are one"),
    RouteParameter("lora", "those that serve this adapter"),
    RouteParameter("state", "by the engine's own word; unknown where it says nothing", choices=STATES),
    RouteParameter("min_free_vram", "so many bytes free on one GPU that the worker uses, reservations taken off", "integer"),
    RouteParameter("max_age", "numbers that are no older, such as 500ms or 5s"),
    _NODE,
    RouteParameter(
        "order", "load: the least first; vram: the most free first; random2: the better of two random ones", choices=ORDERS
    ),
    _LIMIT,
)
_WAITING = (
    RouteParameter("index", "answer when the hub's index is above this one, or the time is over", "integer"),
    RouteParameter("wait", f"how long to wait for that, such as 30s; at most {WAIT_SECONDS_MAX}s"),
)
_BAD = {400: "A parameter cannot be used; the body says which."}

STREAM_ABOUT = (
    "Events of the fleet as they come (server-sent events). First the whole picture: `hub` and `nodes`; then what changes: `hub` "
    "(states, suspicion), `nodes` (rows of nodes that have changed, at most "
    "250 each second, those whose state has changed first), `unit` (one has started or ended, at "
    "once), `change` (a row of /v1/changes), `gone` (a node was taken out). "
    "`reset` says that a whole picture follows, `dropped` that events were left out for this "
    "client. `topics` names the events that are wanted, separated by commas."
)

TOPICS_ABOUT = (
    "names of events; with `later` among them the rows of all nodes do not come at the begin, and of more than 2,000 nodes they "
    "never do: ask for them at /v1/nodes"
)

ROUTES = (
    Route(f"{V1}/nodes", "The nodes, worst off first.", FleetNodes, parameters=_WAITING, problems=_BAD),
    Route(
        f"{V1}/node",
        "One node: its row, its GPUs, and its conditions with what to do.",
        FleetNodeDetail,
        parameters=(_NODE,),
        problems=_BAD,
    ),
    Route(f"{V1}/changes", "What has changed lately, the newest first.", FleetChanges),
    Route(
        f"{V1}/units",
        "Units of one node, or of all, busiest first.",
        FleetUnits,
        parameters=(
            _NODE,
            RouteParameter("unit", "only this unit: a pod's uid, or the path of a cgroup"),
            RouteParameter("kind", "pod, service, scope, slice or workload"),
            _LIMIT,
        ),
        problems=_BAD,
    ),
    Route(
        f"{V1}/workers",
        "Workers that fit, best first. A worker serves a model, or is a workload. Numbers are a second old at best: they serve "
        "placement and admission, not the routing of single requests.",
        FleetWorkers,
        parameters=(*_QUESTION, *_WAITING),
        problems=_BAD,
    ),
    Route(
        f"{V1}/reservations",
        "Hold the best worker that fits for a time, so that others who ask do not choose it too. The body has the parameters of "
        "/v1/workers, `vram` (bytes that will be used) and `ttl` (such as 10s).",
        FleetReservation,
        method="post",
        body=dict[str, Any],
        problems={**_BAD, 404: "No worker fits."},
        status=201,
    ),
    Route(
        f"{V1}/reservations/{{reservation}}",
        "Hold a worker no longer.",
        dict[str, bool],
        method="delete",
        parameters=(RouteParameter("reservation", "the name that its reservation was given"),),
        problems={404: "No reservation has this name, or its time is over."},
    ),
    Route(
        f"{V1}/heat",
        "The last hour of the nodes, for a heat map.",
        FleetHeat,
        parameters=(RouteParameter("metric", "what is shown", choices=METRICS), _LIMIT),
        problems=_BAD,
    ),
    Route(
        f"{V1}/stream",
        STREAM_ABOUT,
        None,
        parameters=(RouteParameter("topics", TOPICS_ABOUT),),
        problems=_BAD,
    ),
)


def described(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """The same routes with types that msgspec can describe in place of documents."""
    from msgspec.structs import replace

    made: dict[type[Document], Any] = {}

    def typed(kind: Any) -> Any:
        if isinstance(kind, UnionType):
            found = None
            for each in kind.__args__:
                found = typed(each) if found is None else found | (None if each is NoneType else typed(each))
            return found
        if isinstance(kind, GenericAlias):
            return GenericAlias(kind.__origin__, tuple(map(typed, kind.__args__)))  # type: ignore[arg-type]  # list or dict
        if isinstance(kind, type) and issubclass(kind, Document):
            if kind not in made:
                made[kind] = None
                fields = [(name, typed(inner)) for name, inner in kind._types.items()]
                made[kind] = defstruct(kind.__name__, fields, namespace={"__doc__": kind.__doc__})
            return made[kind]
        return kind

    return tuple(replace(route, answer=None if route.answer is None else typed(route.answer)) for route in routes)
