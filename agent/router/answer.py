"""The lines of an answer with their bounds, and what of the time they cover. PURE."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from agent.router.cell import Grid
from agent.router.fact import HostCells, Why
from agent.router.gathered import GatheredLines, Group, GroupKey
from agent.router.interval import (
    Interval,
    Spread,
    average_bounds,
    count_bounds,
    largest_bounds,
    quantile_bounds,
    sum_bounds,
)
from agent.router.plan import CellPlan, Leg
from agent.router.question import Kind, RoutedQuestion


class Bound(Struct, frozen=True):
    """A number of an answer. The true one lies in `interval`. *Absent:* both are None without any value; `interval` alone is None
    where nothing bounds it."""

    value: float | None
    interval: Interval | None

    @property
    def is_exact(self) -> bool:
        """Whether it is the true one."""
        return self.interval is not None and self.interval.low == self.interval.high


class AnswerLine(Struct, frozen=True):
    """One line: its key, its numbers by name (the percentile as it was written, or the kind), and what they are made of."""

    key: GroupKey
    numbers: dict[str, Bound]
    group: Group
    count: Bound
    total: Bound
    largest: Bound


class CellCoverage(Struct, frozen=True):
    """How many cells the question has, and how many of them went each way."""

    sketch: int
    raw: int
    unknown: int

    @property
    def covered(self) -> int:
        """Cells whose values are all known, exactly or by bounds."""
        return self.sketch + self.raw

    @property
    def total(self) -> int:
        """All cells."""
        return self.sketch + self.raw + self.unknown


class RoutedAnswer(Struct, frozen=True):
    """An answer. `reasons`: how many cells were not read from sketches, or are unknown, for each reason."""

    question: RoutedQuestion
    grid: Grid
    lines: list[AnswerLine]
    coverage: CellCoverage
    reasons: dict[Why, int]
    legs: list[Leg]
    ticks: "TickCoverage"
    newest: "Newest"
    damaged: int = 0
    warnings: tuple[str, ...] = ()


class Newest(Struct, frozen=True):
    """Of the newest windows of hosts with sketches: how many cells were read from them, and how many were not, by reason."""

    sketch: int = 0
    reasons: dict[Why, int] = {}


class TickCoverage(Struct, frozen=True):
    """Which windows of each host there are: those with any row, those with fewer ticks than the fullest, and those without rows in
    between.

    *Units:* ns. *Absent:* both ends are None without any window.
    """

    windows: int
    partial: int
    missing: int
    ticks_of_full: int
    first_ns: int | None
    behind_ns: int | None
    shared: int = 0


def lines_of(question: RoutedQuestion, gathered: GatheredLines) -> list[AnswerLine]:
    """The lines, the one with the largest number first; of several numbers the last counts."""
    found = [_line(question, key, group, gathered.maybe(key)) for key, group in gathered.groups.items()]
    found = [line for line in found if line.group.estimate.count]
    found.sort(key=lambda line: (-(list(line.numbers.values())[-1].value or 0), str(line.key)))
    return found


def _line(question: RoutedQuestion, key: GroupKey, group: Group, maybe: Spread) -> AnswerLine:
    estimate = group.estimate
    sure = group.sure
    count = _bound(estimate.count, count_bounds(sure, maybe))
    total = _bound(estimate.sum, sum_bounds(sure, maybe))
    largest = _bound(estimate.max, largest_bounds(sure, maybe))
    numbers: dict[str, Bound] = {}
    match question.kind:
        case Kind.PERCENTILE:
            parts = [part for _, part in question.percents]
            bounds = quantile_bounds(sure, maybe, parts)
            for (text, _), value, bound in zip(question.percents, estimate.quantiles(parts), bounds, strict=True):
                numbers[text] = _bound(value, bound)
        case Kind.AVG:
            many = estimate.count
            numbers["avg"] = _bound(estimate.sum / many if many else None, average_bounds(sure, maybe))
        case Kind.MAX:
            numbers["max"] = largest
        case Kind.COUNT:
            numbers["count"] = count
        case _:
            numbers["sum"] = total
    return AnswerLine(key, numbers, group, count, total, largest)


def _bound(value: float | None, interval: Interval | None) -> Bound:
    """A number, moved into its interval where an estimate is outside."""
    if value is None or interval is None:
        return Bound(value, interval)
    return Bound(_whole(interval.clamp(value)), interval)


def _whole(value: float) -> float:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53 else value


def reasons_of(legs: Sequence[Leg]) -> dict[Why, int]:
    """How many cells went which way for which reason."""
    found: dict[Why, int] = {}
    for leg in legs:
        if leg.why is not None:
            found[leg.why] = found.get(leg.why, 0) + leg.windows
    return found


def newest_of(plan: CellPlan, cells: Mapping[str, HostCells], grid: Grid, horizon_ns: int, windows: int) -> Newest:
    """The newest windows, of hosts that have any sketch in the time; the rows of the very last may just be on their way."""
    over = grid.over(horizon_ns) >> 1
    newest = over & ~(over >> windows)
    sketch = 0
    reasons: dict[Why, int] = {}
    for host, ways in plan.hosts.items():
        known = cells[host]
        if not known.partly:
            continue
        sketch += (ways.sketch & newest).bit_count()
        for why, mask in known.why.items():
            if many := (mask & newest & (ways.raw | ways.partly)).bit_count():
                reasons[why] = reasons.get(why, 0) + many
    return Newest(sketch, reasons)


def ticks_of(
    ticks: Mapping[tuple[int, int], Iterable[int]], raw: Collection[tuple[int, int]], grid: Grid, shared: int
) -> TickCoverage:
    """Which windows there are: those of sketches, by host and window the ticks of each part; and those that are read `raw`."""
    sums = {cell: sum(parts) for cell, parts in ticks.items()}
    cells = {*sums, *raw}
    if not cells:
        return TickCoverage(0, 0, 0, 0, None, None)
    full = max(sums.values(), default=0)
    by_host: dict[int, list[int]] = {}
    for host, index in cells:
        by_host.setdefault(host, []).append(index)
    missing = sum(max(each) - min(each) + 1 - len(each) for each in by_host.values())
    partial = sum(count < full for cell, count in sums.items() if cell not in raw)
    first, last = min(map(min, by_host.values())), max(map(max, by_host.values()))
    return TickCoverage(len(cells), partial, missing, full, grid.start_ns(first), grid.start_ns(last + 1), shared)
