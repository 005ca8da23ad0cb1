"""An answer of `agentctl ask` as people read it. PURE."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from agent.cli.render import ABSENT, TextColumn, bytes_of, counted, rate_of, text_of
from agent.model.timebase import S
from agent.router.answer import AnswerLine, Bound, RoutedAnswer, TickCoverage
from agent.router.fact import ABOUT
from agent.router.gathered import GroupKey
from agent.router.plan import Leg
from agent.router.question import Kind, RoutedQuestion

_TIME_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))
NO_POD, NO_NAMESPACE, FURTHER = "no pod", "no namespace", "further pods and commands"
# An interval that is hardly wider than what the column ERROR says is not shown beside each number.
_WIDER = 1.01


def time_of(value_ns: float) -> str:
    """A span of time in the largest unit that leaves at least 1: `12.3 ms`, `850 ns`."""
    for size, unit in _TIME_UNITS:
        if value_ns >= size:
            return f"{value_ns / size:.3g} {unit}" if value_ns < 1_000 * size else f"{value_ns / size:.0f} {unit}"
    return f"{value_ns:.0f} ns"


def amount_of(unit: str, value: float | None) -> str:
    """A value with its unit."""
    match unit:
        case "bytes":
            return bytes_of(value)
        case "bytes/s":
            return rate_of(value)
    return ABSENT if value is None else time_of(value)


def bound_text(unit: str, bound: Bound, error: float = 0.0) -> str:
    """A number, with its interval where that says more than a relative error: `20 ms [18 ms..25 ms]`."""
    text = amount_of(unit, bound.value) if unit else text_of(None if bound.value is None else round(bound.value))
    interval = bound.interval
    if bound.value is None or interval is None:
        return text
    room = abs(bound.value) * 2 * error * _WIDER
    if interval.high - interval.low <= max(room, 1 if error else 0):
        return text
    low, high = (amount_of(unit, end) if unit else str(round(end)) for end in (interval.low, interval.high))
    return f"{text} [{low}..{high}]"


def answer_table(answer: RoutedAnswer, names: Mapping[str, str]) -> tuple[list[TextColumn], list[tuple[str, ...]]]:
    """The columns and lines of an answer."""
    question = answer.question
    columns = [TextColumn(part.upper(), yields=True) for part in question.by]
    if question.kind is Kind.PERCENTILE:
        titles = ["VALUES", "WINDOWS", *(f"P{text}" for text, _ in question.percents), "MAX", "ERROR"]
    else:
        word = "sum" if question.kind is Kind.TOP else str(question.kind)
        titles = ["WINDOWS", *([] if word == "count" else ["VALUES"]), word.upper()]
    columns += [TextColumn(title, right=True) for title in titles]
    return columns, [(*key_texts(line.key, question.by, names, line.group.keys), *_cells(answer, line)) for line in answer.lines]


def _cells(answer: RoutedAnswer, line: AnswerLine) -> list[str]:
    kind, unit = answer.question.kind, answer.question.metric.unit
    group = line.group
    values, windows = str(group.estimate.count), str(len(group.windows))
    if kind is Kind.PERCENTILE:
        error = group.estimate.relative_error
        numbers = [bound_text(unit, bound, error) for bound in line.numbers.values()]
        return [values, windows, *numbers, bound_text(unit, line.largest, error), f"{100 * error:.2f} %"]
    if kind is Kind.COUNT:
        return [windows, bound_text("", line.count)]
    return [windows, values, *(bound_text(unit, bound) for bound in line.numbers.values())]


def key_texts(key: GroupKey, by: Sequence[str], names: Mapping[str, str], keys: int) -> tuple[str, ...]:
    """The cells that say which line it is."""
    if key is None:
        # They may be others in each window.
        return (f"{FURTHER}, up to {keys} at once", *("-" for _ in by[1:]))
    return tuple(_part_text(part, value, names) for part, value in zip(by, key, strict=True))


def _part_text(part: str, value: str | None, names: Mapping[str, str]) -> str:
    match part:
        case "pod":
            return NO_POD if value is None else text_of(names.get(value, value))
        case "namespace":
            return NO_NAMESPACE if value is None else text_of(value)
    return text_of(value)


def coverage_lines(answer: RoutedAnswer, zone: tzinfo) -> list[str]:
    """What the values are, over which time, and what of it is missing."""
    ticks = answer.ticks
    lines = [answer.question.metric.about]
    if ticks.first_ns is not None and ticks.behind_ns is not None:
        since, until = (_moment(at_ns, zone) for at_ns in (ticks.first_ns, ticks.behind_ns))
        lines = [f"{lines[0]}; {counted(ticks.windows, 'window')} from {since} to {until}"]
    lines += missing_lines(ticks)
    if ticks.shared and answer.question.is_chosen:
        lines.append(
            f"in {counted(ticks.shared, 'window')} some units and commands share a sketch: "
            "values of the chosen ones may be missing there"
        )
    return [*lines, *source_lines(answer)]


def missing_lines(covered: TickCoverage) -> list[str]:
    """What is missing of the windows, a line for each kind."""
    lines = []
    if covered.partial:
        verb = "has" if covered.partial == 1 else "have"
        lines.append(f"{counted(covered.partial, 'window')} {verb} fewer ticks than the fullest, which has {covered.ticks_of_full}")
    if covered.missing:
        lines.append(f"{counted(covered.missing, 'window')} in between without rows: the agent or the sampler did not run")
    return lines


def source_lines(answer: RoutedAnswer) -> list[str]:
    """Where the values come from, if not all of them from whole sketches."""
    ways = answer.coverage
    if ways.sketch == ways.total:
        return []
    lines = [
        f"{ways.covered} of {counted(ways.total, 'minute')} of hosts covered: {ways.sketch} by sketches, {ways.raw} by raw rows; "
        "--explain says which"
    ]
    lines += [f"{counted(cells, 'minute')}: {ABOUT[why]}" for why, cells in answer.reasons.items()]
    return lines


def explain_table(legs: Sequence[Leg], zone: tzinfo) -> tuple[list[TextColumn], list[tuple[str, ...]]]:
    """Which way was taken for each host and time, and why."""
    columns = [TextColumn("HOST", yields=True), TextColumn("FROM"), TextColumn("TO"), TextColumn("MINUTES", right=True)]
    columns += [TextColumn("WAY"), TextColumn("WHY")]
    lines: list[tuple[str, ...]] = [
        (
            text_of(leg.host), _moment(leg.since_ns, zone), _moment(leg.until_ns, zone), str(leg.windows), str(leg.way),
            "whole sketches" if leg.why is None else ABOUT[leg.why],
        )
        for leg in legs
    ]  # fmt: skip
    return columns, lines


def rows_table(
    question: RoutedQuestion, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], zone: tzinfo
) -> tuple[list[TextColumn], list[tuple[str, ...]]]:
    """The columns and lines of stored rows."""
    metric = question.metric
    column, is_group = metric.occupancy or metric.process, bool(metric.occupancy)
    columns = [TextColumn("TIME"), TextColumn("HOST", yields=True), TextColumn("POD", yields=True)]
    columns += [] if is_group else [TextColumn("COMMAND"), TextColumn("PID", right=True)]
    columns.append(TextColumn(metric.name.upper(), right=True))
    lines = []
    for row in rows:
        key = (text_of(row["host"]), _part_text("pod", row["pod_uid"], names))
        process = () if is_group else (text_of(row["comm"]), text_of(row["pid"]))
        cells: tuple[str, ...] = (_moment(row["timestamp"], zone), *key, *process, amount_of(metric.unit, row[column]))
        lines.append(cells)
    return columns, lines


def _moment(at_ns: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ns // S, zone).strftime("%Y-%m-%d %H:%M:%S")
