"""One question to a world that was damaged by chance, and whether the truth is inside what the router says."""

from collections.abc import Mapping
from random import Random

from fakes.router_world import BEGIN, COLUMNS, HostWorld, S, WorldRows, WorldShape, cut_off, damaged, true_values, wrong_bounds
from msgspec import Struct

from agent.router import router
from agent.router.answer import RoutedAnswer
from agent.router.cell import WINDOW_NS
from agent.router.question import METRICS, Kind, PodNames, RoutedQuestion

NAMES = PodNames({"u1": "ns1/a", "u2": "ns1/b", "u3": "ns2/c"}, {"u1": "ns1", "u2": "ns1", "u3": "ns2"})
PERCENTS = (("0", 0.0), ("50", 0.5), ("90", 0.9), ("99", 0.99), ("100", 1.0))
# Of the tables whose rows may be lost; a loss is always recorded.
_LOSABLE = tuple(table for table in COLUMNS if table not in ("gap", "export_gap", "pod_group", "occupancy"))


class Trial(Struct):
    """The answer, what of it is wrong, and how wide the intervals of its percentiles are, as parts of the true values."""

    question: RoutedQuestion
    answer: RoutedAnswer
    wrong: list[str]
    widths: list[float]


def trial(seed: int) -> Trial:
    """Everything of it is drawn by this seed."""
    drawn = Random(seed)
    shape = WorldShape(
        windows=drawn.randrange(1, 4),
        ticks=drawn.choice([2, 3, 4, 6]),
        processes=drawn.randrange(1, 12),
        restart=drawn.choice([0, 0.1]),
        clock_step=drawn.choice([0, 0, 0.05]),
        unknown=drawn.choice([0, 0, 0.05]),
        keys_max=drawn.choice([2, 50]),
    )
    written, stored = [], []
    for number in range(drawn.randrange(1, 4)):
        rows = HostWorld(f"h{number}", shape, drawn).rows
        written += rows
        fate = drawn.choice(["whole", "late", "lost", "both"])
        if fate in ("late", "both"):
            rows = cut_off(rows, {table: drawn.choice([1, 1, drawn.random()]) for table in _LOSABLE})
        if fate in ("lost", "both"):
            rows = damaged(rows, {table: drawn.choice([0, 0, 0.2, 0.7, 1]) for table in _LOSABLE}, drawn)
        stored += rows
    question = _question(drawn)
    source = WorldRows(stored, is_delivered=drawn.random() < 0.3)
    answer = router.ask(source, question, NAMES, BEGIN + shape.windows * WINDOW_NS + 30 * S)
    truth = true_values(answer, NAMES, written, stored)
    return Trial(question, answer, wrong_bounds(answer, truth), _widths(answer, truth))


def _question(drawn: Random) -> RoutedQuestion:
    kind = drawn.choice([*[Kind.PERCENTILE] * 3, Kind.AVG, Kind.SUM, Kind.MAX, Kind.COUNT])
    return RoutedQuestion(
        kind,
        METRICS[drawn.choice(["cpu", "rss", "read"])],
        BEGIN + drawn.choice([0, 60 * S]),
        BEGIN + 200 * S,
        PERCENTS if kind is Kind.PERCENTILE else (),
        drawn.choice([(), (), ("pod",), ("pod", "command"), ("command",), ("host",), ("host", "namespace")]),
        drawn.choice([*[frozenset[str]()] * 3, frozenset({"u1"}), frozenset({"ns1/b"})]),
        drawn.choice([*[frozenset[str]()] * 3, frozenset({"a", "b"})]),
        drawn.choice([*[frozenset[str]()] * 5, frozenset({"ns1"})]),
    )


def _widths(answer: RoutedAnswer, truth: Mapping[tuple[str | None, ...], list[int]]) -> list[float]:
    found = []
    for line in answer.lines:
        if line.key in truth and answer.question.kind is Kind.PERCENTILE:
            for bound in line.numbers.values():
                if bound.interval is not None and bound.value:
                    found.append((bound.interval.high - bound.interval.low) / bound.value)
    return found
