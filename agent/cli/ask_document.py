"""An answer of `agentctl ask` as JSON. PURE. *Units:* ns, bytes or bytes a second; whole numbers where they are exact."""

from collections.abc import Mapping, Sequence

from agent.router.answer import AnswerLine, Bound, RoutedAnswer
from agent.router.gathered import GroupKey
from agent.router.plan import Leg
from agent.router.question import Kind


def document_of(answer: RoutedAnswer, names: Mapping[str, str], *, is_explained: bool) -> dict[str, object]:
    """The answer as JSON."""
    question, covered, ways = answer.question, answer.ticks, answer.coverage
    found: dict[str, object] = {
        "metric": question.metric.name,
        "unit": question.metric.unit,
        "since_ns": covered.first_ns,
        "until_ns": covered.behind_ns,
        "windows": covered.windows,
        "windows_partial": covered.partial,
        "windows_missing": covered.missing,
        "windows_shared": covered.shared,
        "ticks_of_full": covered.ticks_of_full,
        "rows_damaged": answer.damaged,
        "groups": [line_document(line, answer, names) for line in answer.lines],
        "kind": str(question.kind),
        "covered": ways.covered,
        "total": ways.total,
        "sources": {"sketch": ways.sketch, "raw": ways.raw, "unknown": ways.unknown},
        "reasons": {str(why): cells for why, cells in answer.reasons.items()},
        "newest": {
            "sketch": answer.newest.sketch,
            "reasons": {str(why): cells for why, cells in answer.newest.reasons.items()},
        },
    }
    if is_explained:
        found["explain"] = [leg_document(leg) for leg in answer.legs]
    return found


def leg_document(leg: Leg) -> dict[str, object]:
    """Minutes of a host that went one way. *Absent:* `why` is null where they were read from whole sketches."""
    return {
        "host": leg.host,
        "since_ns": leg.since_ns,
        "until_ns": leg.until_ns,
        "windows": leg.windows,
        "way": str(leg.way),
        "why": None if leg.why is None else str(leg.why),
    }


def line_document(line: AnswerLine, answer: RoutedAnswer, names: Mapping[str, str]) -> dict[str, object]:
    """One line as JSON."""
    question, sketch = answer.question, line.group.estimate
    found: dict[str, object] = {
        **key_document(line.key, question.by, names),
        "is_further": line.key is None,
        "values": sketch.count,
        "windows": len(line.group.windows),
    }
    if question.kind is Kind.PERCENTILE:
        found |= {
            "percentiles": {text: bound.value for text, bound in line.numbers.items()},
            "relative_error": sketch.relative_error,
            "sum": sketch.sum,
            "min": sketch.min,
            "max": sketch.max,
            "intervals": {text: interval_document(bound) for text, bound in line.numbers.items()},
        }
    else:
        (bound,) = line.numbers.values()
        found |= {"value": bound.value, "interval": interval_document(bound)}
    intervals = {"values": line.count, "sum": line.total, "max": line.largest}
    return {**found, "bounds": {name: interval_document(bound) for name, bound in intervals.items()}}


def key_document(key: GroupKey, by: Sequence[str], names: Mapping[str, str]) -> dict[str, object]:
    """Which line it is; nothing for further keys."""
    told: dict[str, object] = {} if key is None else dict(zip(by, key, strict=True))
    uid = told.get("pod")
    return {**told, "pod_name": names.get(uid) if isinstance(uid, str) else None} if "pod" in told else told


def interval_document(bound: Bound) -> dict[str, object] | None:
    """Where the true number lies. *Absent:* null where nothing bounds it."""
    interval = bound.interval
    return None if interval is None else {"low": interval.low, "high": interval.high, "is_exact": bound.is_exact}
