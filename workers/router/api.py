"""The paths of the router's /v1, and the words of agentctl that a request is. PURE."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.model.errors import MisuseError
from agent.router.question import BY, METRICS, Kind
from workers.http.openapi import Route, RouteParameter

V1 = "/v1"
ASK = f"{V1}/ask/"
# More of one parameter nobody writes by hand.
VALUES_MAX, CHARACTERS_MAX = 64, 1024


class Sources(Struct, frozen=True):
    """Minutes of hosts, by where their values came from."""

    sketch: int
    raw: int
    unknown: int


class IntervalDocument(Struct, frozen=True):
    """The least and the most that the true number can be."""

    low: float
    high: float
    is_exact: bool


class NewestDocument(Struct, frozen=True):
    """Of the newest windows: how many were read from sketches, and how many were not, by reason."""

    sketch: int
    reasons: dict[str, int]


class LineDocument(Struct, frozen=True, omit_defaults=True):
    """One line of an answer. `value` and `interval` are those of other questions than percentile, which has `percentiles` and
    `intervals` by percent. `bounds` are of the number of values, their sum and the largest."""

    is_further: bool
    values: int
    windows: int
    bounds: dict[str, IntervalDocument | None]
    pod: str | None = None
    pod_name: str | None = None
    command: str | None = None
    namespace: str | None = None
    host: str | None = None
    percentiles: dict[str, float | None] = {}
    intervals: dict[str, IntervalDocument | None] = {}
    relative_error: float | None = None
    sum: int | None = None
    min: int | None = None
    max: int | None = None
    value: float | None = None
    interval: IntervalDocument | None = None


class LegDocument(Struct, frozen=True):
    """Minutes of a host that were read one way. *Absent:* `why` is null where whole sketches were read."""

    host: str
    since_ns: int
    until_ns: int
    windows: int
    way: str
    why: str | None


class AnswerDocument(Struct, frozen=True, omit_defaults=True):
    """An answer. `covered` of `total` minutes of hosts are known, exactly or by bounds."""

    kind: str
    metric: str
    unit: str
    since_ns: int | None
    until_ns: int | None
    windows: int
    windows_partial: int
    windows_missing: int
    windows_shared: int
    ticks_of_full: int
    rows_damaged: int
    covered: int
    total: int
    sources: Sources
    reasons: dict[str, int]
    newest: NewestDocument
    groups: list[LineDocument]
    explain: list[LegDocument] = []


class RowsDocument(Struct, frozen=True):
    """Stored rows, the newest first, by column."""

    kind: str
    metric: str
    unit: str
    rows: list[dict[str, str | int | float | None]]


_PERCENTS = RouteParameter("p", "which percentiles, such as 50,95,99.9")
_SHARED = (
    RouteParameter("metric", "what the values are", is_required=True, choices=tuple(METRICS)),
    RouteParameter("by", f"a line for each of these, with commas: {', '.join(BY)}"),
    RouteParameter("pod", "only this pod or unit, by uid or name; may be given again"),
    RouteParameter("namespace", "only pods of this namespace; may be given again"),
    RouteParameter("command", "only this command; may be given again"),
    RouteParameter("host", "only hosts whose names fit, such as node-*; may be given again"),
    RouteParameter("since", "windows since then: 1h (default), 2d, or 2024-01-31T03:12Z"),
    RouteParameter("until", "windows before this time"),
)
_EXPLAIN = RouteParameter("explain", "1: say for each host and time what was read, and why", choices=("1",))
_LINES = RouteParameter("lines", "so many rows at most", "integer")
_PROBLEMS = {
    400: "A parameter cannot be used; the body says which.",
    404: "Nothing is stored of what was asked for.",
    503: "Too many questions at this moment, or this one took too long; Retry-After says when to ask again.",
}
_ABOUT = {
    Kind.PERCENTILE: "Percentiles of values, with an interval that the true one lies in.",
    Kind.SUM: "The sum of values.",
    Kind.AVG: "The mean of values.",
    Kind.MAX: "The largest value.",
    Kind.COUNT: "How many values there are.",
    Kind.TOP: "The sum for each pod and command, or what `by` says, the largest first.",
    Kind.ROWS: "Stored rows, the newest first.",
}


def _parameters(kind: Kind) -> tuple[RouteParameter, ...]:
    if kind is Kind.ROWS:
        return (*_SHARED, _LINES)
    return (*([_PERCENTS] if kind is Kind.PERCENTILE else []), *_SHARED, _EXPLAIN)


ROUTES = tuple(
    Route(
        f"{ASK}{kind}",
        f"{_ABOUT[kind]} The parameters are the options of `agentctl ask`.",
        RowsDocument if kind is Kind.ROWS else AnswerDocument,
        parameters=_parameters(kind),
        problems=_PROBLEMS,
    )
    for kind in Kind
)


def words_of(kind: Kind, query: Mapping[str, Sequence[str]]) -> list[str]:
    """The words of `agentctl` for a request. *Raises:* MisuseError for a parameter that there is not, or that says too much."""
    known = {parameter.name for parameter in _parameters(kind)}
    words = ["ask", str(kind)]
    for name, values in query.items():
        if name not in known:
            raise MisuseError(name, "there is no such parameter", f"write {', '.join(sorted(known))}")
        if len(values) > VALUES_MAX or any(len(value) > CHARACTERS_MAX for value in values):
            raise MisuseError(name, f"it says more than {VALUES_MAX} values of {CHARACTERS_MAX} characters", "ask for less")
        if name == "explain":
            if values != ["1"]:
                raise MisuseError(name, "it is not 1", "write explain=1, or leave it out")
            words.append("--explain")
        else:
            # In one word, so that no value is taken for an option.
            words += [f"--{name}={value}" for value in values]
    return [*words, "--json"]
