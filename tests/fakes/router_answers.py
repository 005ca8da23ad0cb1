"""Answers of a router, made by hand."""

from typing import Any

from agent.router.answer import CellCoverage, Newest, RoutedAnswer, TickCoverage, lines_of
from agent.router.cell import WINDOW_NS, Grid
from agent.router.gathered import GatheredLines, GroupKey
from agent.router.question import METRICS, Kind, RoutedQuestion

BEGIN = 1_700_000_040 * 10**9
GRID = Grid(BEGIN // WINDOW_NS, 4)
P = (("50", 0.5), ("99", 0.99))
WHOLE = TickCoverage(2, 0, 0, 60, BEGIN, BEGIN + 2 * WINDOW_NS)


def answer_of(
    groups: dict[GroupKey, list[int]], *, kind: Kind = Kind.PERCENTILE, metric: str = "cpu", **changes: Any
) -> RoutedAnswer:
    """An answer over these values, all of them exact."""
    by = changes.pop("by", ())
    question = RoutedQuestion(kind, METRICS[metric], 0, 1, P if kind is Kind.PERCENTILE else (), by, **changes.pop("asked", {}))
    gathered = GatheredLines()
    for key, values in groups.items():
        group = gathered.group(key)
        group.windows = {0}
        group.keys = 9 if key is None else 1
        for value in values:
            group.sure.add_exact(value)
            group.estimate.add(value)
    base: dict[str, Any] = {
        "coverage": CellCoverage(2, 0, 0), "reasons": {}, "legs": [], "ticks": WHOLE, "newest": Newest(2, {}),
    }  # fmt: skip
    return RoutedAnswer(question=question, grid=GRID, lines=lines_of(question, gathered), **{**base, **changes})
