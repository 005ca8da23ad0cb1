"""What a router answered while things went wrong, and what is true by the rows that the agent itself stored. PURE.

*Units:* times are unix ns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WINDOW_NS = 60_000_000_000
# Floats of JSON.
TOLERANCE = 1e-9
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AnsweredNumber:
    """One number of an answer. *Absent:* `low` and `high` are None where the router claims no bound, `value` without any value."""

    name: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class RouterAnswer:
    """An answer over windows from `since_ns` on and before `until_ns`.

    `ways`: by the start of each window where it was read; `whys`: why not from sketches, in the router's word.
    """

    asked_ns: int
    seconds: float
    kind: str
    metric: str
    since_ns: int
    until_ns: int
    numbers: Sequence[AnsweredNumber]
    sources: Mapping[str, int]
    ways: Mapping[int, str]
    whys: Mapping[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class KnownValues:
    """The values of one metric in one window: each that has a row, and those of which only the sum and the largest are stored."""

    exact: list[int] = field(default_factory=list)
    together: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, other: "KnownValues") -> None:
        """Those of another window too."""
        self.exact += other.exact
        self.together += other.together


@dataclass(frozen=True, slots=True)
class AskedWindow:
    """A window that ended while questions were asked.

    `has_sketch`: the agent has made a whole one; `is_stopped`: what brings sketches to the store was away when it ended. `ways`:
    what answers said, with seconds after its end, in order; `whys`: why not sketches.
    """

    start_ns: int
    has_sketch: bool
    is_stopped: bool
    ways: Sequence[tuple[float, str]]
    whys: Sequence[str] = ()


@dataclass(slots=True)
class RouterEvidence:
    """Of one run. `untrue`: answers whose interval lacks the truth, in words; `unbounded`: numbers without an interval."""

    answers: Sequence[RouterAnswer] = ()
    refused: int = 0
    judged: int = 0
    unbounded: int = 0
    untrue: Sequence[str] = ()
    windows: Sequence[AskedWindow] = ()


def answer_of(document: Row, asked_ns: int, seconds: float, since_ns: int, until_ns: int) -> RouterAnswer:
    """From the JSON of one answer that has one line, with its explanation."""
    (line,) = document["groups"]
    if document["kind"] == "percentile":
        found = [(name, value, line["intervals"].get(name)) for name, value in line["percentiles"].items()]
    else:
        found = [(document["kind"], line["value"], line["interval"])]
    numbers = [
        AnsweredNumber(name, value, None if between is None else between["low"], None if between is None else between["high"])
        for name, value, between in found
    ]
    legs = [(at, leg) for leg in document.get("explain", ()) for at in range(leg["since_ns"], leg["until_ns"], WINDOW_NS)]
    return RouterAnswer(
        asked_ns=asked_ns,
        seconds=seconds,
        kind=document["kind"],
        metric=document["metric"],
        since_ns=since_ns,
        until_ns=until_ns,
        numbers=numbers,
        sources=document["sources"],
        ways={at: leg["way"] for at, leg in legs},
        whys={at: leg["why"] for at, leg in legs if leg["why"] is not None},
    )


def known_values(tables: Mapping[str, Iterable[Row]]) -> dict[tuple[int, str], KnownValues]:
    """The values by window and metric, from rows that the agent stored."""
    found: dict[tuple[int, str], KnownValues] = {}

    def of(row: Row, metric: str) -> KnownValues:
        return found.setdefault((row["timestamp"] // WINDOW_NS * WINDOW_NS, metric), KnownValues())

    for row in tables.get("process", ()):
        for metric, column in (("cpu", "cpu_ns"), ("rss", "rss_bytes")):
            if row[column] is not None:
                of(row, metric).exact.append(row[column])
    for row in tables.get("process_tail", ()):
        for metric, column, largest in (("cpu", "cpu_ns", "cpu_largest_ns"), ("rss", "rss_bytes", "rss_largest_bytes")):
            of(row, metric).together.append((row["processes"], row[column] or 0, row[largest] or 0))
    for row in tables.get("process_exit", ()):
        if row["cpu_ns"] is not None:
            if row["deaths"] == 1:
                of(row, "cpu").exact.append(row["cpu_ns"])
            else:
                of(row, "cpu").together.append((row["deaths"], row["cpu_ns"], row["cpu_ns"]))
    return found


def is_true(answer: RouterAnswer, number: AnsweredNumber, values: KnownValues) -> bool:
    """Whether the interval of a number holds what is true: with values that are only known together, what can be true."""
    if number.low is None or number.high is None:
        return True
    low, high = _truth(answer.kind, number.name, values)
    slack = TOLERANCE * max(abs(low), abs(high), 1.0)
    return number.low <= high + slack and low - slack <= number.high


def _truth(kind: str, name: str, values: KnownValues) -> tuple[float, float]:
    if kind == "sum":
        total = sum(values.exact) + sum(part for _, part, _ in values.together)
        return total, total
    if kind == "max":
        largest = max(values.exact, default=0)
        return largest, max([largest, *(most for _, _, most in values.together)])
    assert kind == "percentile", kind
    count = len(values.exact) + sum(many for many, _, _ in values.together)
    if not count:
        return 0.0, float("inf")
    # As `floor(p * (count - 1))`, counted from 0.
    rank = int(float(name) / 100 * (count - 1))
    unknown = sum(many for many, _, _ in values.together)
    most = [largest for many, _, largest in values.together for _ in range(many)]
    return sorted([*values.exact, *[0] * unknown])[rank], sorted([*values.exact, *most])[rank]


def judge_answers(answers: Sequence[RouterAnswer], values: Mapping[tuple[int, str], KnownValues]) -> tuple[int, int, list[str]]:
    """How many numbers were judged, how many of them claim no bound, and those whose interval lacks the truth, in words."""
    judged = unbounded = 0
    untrue: list[str] = []
    for answer in answers:
        within = KnownValues()
        for (start_ns, metric), found in values.items():
            if metric == answer.metric and answer.since_ns <= start_ns < answer.until_ns:
                within.add(found)
        for number in answer.numbers:
            judged += 1
            unbounded += number.low is None
            if not is_true(answer, number, within):
                low, high = _truth(answer.kind, number.name, within)
                claimed, true = f"[{number.low}, {number.high}]", f"{low:g} to {high:g}"
                untrue.append(f"{answer.kind} {number.name} of {answer.metric} {claimed}, true {true}; {dict(answer.sources)}")
    return judged, unbounded, untrue


def asked_windows(
    answers: Sequence[RouterAnswer], sketched: Iterable[int], stopped: Sequence[tuple[int, int]]
) -> list[AskedWindow]:
    """Each window that some answer speaks of. `sketched`: windows with whole sketches; `stopped`: when none came to the store."""
    whole = set(sketched)
    ways: dict[int, list[tuple[float, str]]] = {}
    whys: dict[int, dict[str, None]] = {}
    for answer in sorted(answers, key=lambda each: each.asked_ns):
        for start_ns, way in answer.ways.items():
            ways.setdefault(start_ns, []).append(((answer.asked_ns - start_ns - WINDOW_NS) / 1e9, way))
            if (why := answer.whys.get(start_ns)) is not None:
                whys.setdefault(start_ns, {})[why] = None
    return [
        AskedWindow(
            start_ns,
            start_ns in whole,
            any(begin_ns <= start_ns + WINDOW_NS < end_ns for begin_ns, end_ns in stopped),
            ways[start_ns],
            list(whys.get(start_ns, ())),
        )
        for start_ns in sorted(ways)
    ]


def window_lines(windows: Sequence[AskedWindow]) -> list[str]:
    """Where each window was read from, and since when, for people."""
    lines = []
    for number, window in enumerate(windows, 1):
        changes = [found for at, found in enumerate(window.ways) if not at or window.ways[at - 1][1] != found[1]]
        said = ", ".join(f"{way} after {seconds:.1f} s" for seconds, way in changes)
        told = "" if window.has_sketch else "; without a whole sketch"
        told += f"; because {', '.join(window.whys)}" if window.whys else ""
        told += "; what brings sketches was away" if window.is_stopped else ""
        lines.append(f"router, minute {number}: {said}{told}")
    return lines
