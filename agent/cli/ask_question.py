"""A question of `agentctl ask`, as its options say it."""

import time

from agent.cli.ask import LINES
from agent.cli.call import Call
from agent.cli.local_zone import LocalZone
from agent.cli.moment import parse_moment
from agent.cli.option import near
from agent.cli.span import span_of
from agent.cli.time_bounds import FIRST_NS, TimeBounds
from agent.model.errors import MisuseError
from agent.router.question import BY, METRICS, Kind, RoutedQuestion

DEFAULT_SPAN = "1h"
DEFAULT_PERCENTS = "50,95,99"
PERCENTS_MAX = 20


def question_of(call: Call) -> RoutedQuestion:
    """What the options ask for. *Raises:* MisuseError that names the option."""
    kind = Kind(call.words[0])
    metric = call.text("--metric")
    if metric is None:
        raise MisuseError("--metric", "it is missing", "write --metric cpu or --metric rss, or another of those that --help names")
    lines = call.whole("--lines", LINES)
    if lines < 1:
        raise MisuseError("--lines", f"{lines} is not accepted", "write 1 or more")
    asked, by = call.text("--p"), parts_of(call.text("--by"))
    if asked is not None and kind is not Kind.PERCENTILE:
        raise MisuseError("--p", f"{kind} has no percentiles", "ask for percentile, or leave it out")
    found = METRICS[metric]
    commands = frozenset(call.texts("--command"))
    if found.occupancy and (commands or "command" in by):
        raise MisuseError("--command" if commands else "--by", f"{metric} is measured of pods", "leave the command out")
    if kind is Kind.TOP and not by:
        by = ("pod",) if found.occupancy else ("pod", "command")
    bounds = _bounds_of(call)
    return RoutedQuestion(
        kind,
        found,
        bounds.since_ns,
        bounds.until_ns,
        percents_of(DEFAULT_PERCENTS if asked is None else asked) if kind is Kind.PERCENTILE else (),
        by,
        frozenset(call.texts("--pod")),
        commands,
        frozenset(call.texts("--namespace")),
        frozenset(call.texts("--host")),
        lines,
    )


def percents_of(text: str) -> tuple[tuple[str, float], ...]:
    """Percentiles as they were written, each with its part of 1. *Raises:* MisuseError."""
    words = [word.strip().lower().removeprefix("p") for word in text.split(",")]
    found: dict[str, float] = {}
    for word in words:
        try:
            percent = float(word)
        except ValueError as cause:
            raise MisuseError("--p", f"{word!a} is no percentile", "write numbers from 0 to 100, such as 50,95,99.9") from cause
        if not 0 <= percent <= 100:
            raise MisuseError("--p", f"{word} is not between 0 and 100", "write percentiles such as 50,95,99.9")
        found[word] = percent / 100
    if len(found) > PERCENTS_MAX:
        raise MisuseError("--p", f"{len(found)} percentiles are too many", f"write {PERCENTS_MAX} at most")
    return tuple(found.items())


def parts_of(text: str | None) -> tuple[str, ...]:
    """What the answer is split by. *Raises:* MisuseError."""
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in BY:
            remedy = near(part, BY) or "write pod, namespace, command or host, or several: pod,command"
            raise MisuseError("--by", f"{part!a} is not accepted", remedy)
    return tuple(dict.fromkeys(parts))


def _bounds_of(call: Call) -> TimeBounds:
    span = span_of(call)
    if span.since_ns != FIRST_NS:
        return span
    # Before an --until, or before now.
    until_ns = min(span.until_ns, time.time_ns())
    return TimeBounds(parse_moment(DEFAULT_SPAN, option="--since", now_wall_ns=max(0, until_ns), zone=LocalZone()), span.until_ns)
