"""One question over one place of rows: reads what there is of each cell, plans the ways, reads the values, bounds the answer.

Cells whose sketches turn out to hold rows that are none go another way in a second turn; there is no third.
"""

from collections.abc import Callable, Mapping
from typing import Any

from agent.model.errors import MisuseError
from agent.router.answer import CellCoverage, RoutedAnswer, lines_of, newest_of, reasons_of, ticks_of
from agent.router.cell import Grid, grid_of, indexes_of
from agent.router.fact import HostCells, HostFacts, cells_of
from agent.router.gathered import GatheredLines, Placing
from agent.router.plan import CellPlan, legs_of, plan_of
from agent.router.question import Kind, PodNames, RoutedQuestion
from agent.router.source import RowSource

# Each is a byte while values are read.
CELLS_MAX = 64 << 20
# A fallback is looked for in so many of the newest windows.
NEWEST_WINDOWS = 3


def ask(
    source: RowSource, question: RoutedQuestion, names: PodNames, now_ns: int, check: Callable[[], None] = lambda: None
) -> RoutedAnswer:
    """The answer. `check` is called between batches of rows, and raises when there is no more time. *Raises:* EvergaugeError."""
    from agent.router.cell_rows import CellRows
    from agent.router.fact_reader import AskedHosts, FactReader
    from agent.router.value_reader import ValueReader

    grid = grid_of(question.since_ns, min(question.until_ns, now_ns))
    hosts = AskedHosts(question)
    reader = FactReader(source, question, grid, hosts, check)
    facts = reader.read()
    if len(hosts.names) * grid.count > CELLS_MAX:
        problem = f"{len(hosts.names)} hosts have {len(hosts.names) * grid.count} minutes in this time, and {CELLS_MAX} is the most"
        raise MisuseError("--since", problem, "ask for a shorter time, or for some hosts with --host")
    newest_ns = max((known.last_ns for known in facts.values()), default=0)
    horizon_ns = min(grid.until_ns, now_ns if source.is_delivered else newest_ns)
    placing = Placing(question, names)
    rows = CellRows(source, grid, hosts, check)
    values = ValueReader(
        rows, question.metric, placing, by_host="host" in question.by, has_buckets=question.kind is Kind.PERCENTILE
    )
    cells, plan, gathered = _read(values, facts, grid, horizon_ns, question)
    damaged = reader.damaged + values.damaged_rows
    if values.damaged:
        for host, index in values.damaged:
            if (sketch := facts[host].sketches.get(index)) is not None:
                sketch.is_damaged = True
        cells, plan, gathered = _read(values, facts, grid, horizon_ns, question)
    has_sketches = bool(question.metric.sketch)
    legs = legs_of(plan, cells, grid, has_sketches=has_sketches)
    return RoutedAnswer(
        question,
        grid,
        lines_of(question, gathered),
        CellCoverage(plan.sketch, plan.raw, plan.unknown),
        reasons_of(legs),
        legs,
        ticks_of(reader.ticks, raw_cells(plan, hosts), grid, len(reader.shared_windows)),
        newest_of(plan, cells, grid, horizon_ns, NEWEST_WINDOWS),
        damaged,
        tuple(source.warnings()),
    )


def raw_cells(plan: CellPlan, hosts: Any) -> set[tuple[int, int]]:
    """The cells that are read from raw rows, by host and window."""
    return {(hosts.code(name), index) for name, ways in plan.hosts.items() for index in indexes_of(ways.raw)}


def _read(
    values: Any, facts: Mapping[str, HostFacts], grid: Grid, horizon_ns: int, question: RoutedQuestion
) -> tuple[dict[str, HostCells], CellPlan, GatheredLines]:
    counts_dead = bool(question.metric.exit)
    cells = {host: cells_of(grid, known, horizon_ns, counts_dead=counts_dead) for host, known in facts.items()}
    plan = plan_of(cells, has_sketches=bool(question.metric.sketch))
    return cells, plan, values.read(plan, facts)
