"""The lines of the charts, out of the board's seconds. PURE."""

from collections.abc import Callable, Sequence

from workers.gateway.node.board import HOST_METRICS, UNIT_METRICS, BoardUnit, NodeBoard
from workers.gateway.node.document import GapSpan, SeriesDocument, UnitSeries, Values

# More lines than that nobody can tell apart.
LARGEST = 8
# A screen has fewer columns.
POINTS_MAX = 900


def series_of(board: NodeBoard, since: int, until: int) -> SeriesDocument:
    """The host and the largest units from the second `since` to before `until`. *Range:* at most POINTS_MAX steps."""
    until = max(until, since + 1)
    step = -(-(until - since) // POINTS_MAX)
    chosen: dict[str, dict[str, Values]] = {}
    for column, metric in enumerate(UNIT_METRICS):
        for unit in _largest(board, column, since, until):
            chosen.setdefault(unit.uid, {})[metric] = _steps(_value_of(board, unit, column), since, until, step)
    host = {
        metric: _steps(lambda second, column=column: board.host.get(second, column), since, until, step)  # type: ignore[misc]
        for column, metric in enumerate(HOST_METRICS)
    }
    units = [UnitSeries(uid, board.units[uid].name, board.units[uid].kind, values) for uid, values in sorted(chosen.items())]
    return SeriesDocument(since=since, until=until, step=step, gaps=gaps_of(board, since, until), host=host, units=units)


def gaps_of(board: NodeBoard, since: int, until: int) -> list[GapSpan]:
    """The times from which nothing is known, with the reason that table `gap` has for some part of each.

    What is before the first second that is known, and after the newest, is no gap.
    """
    firsts = [ring.first for ring in (board.host, board.looked) if ring.first is not None]
    if not firsts or board.newest is None:
        return []
    found: list[GapSpan] = []
    begin: int | None = None
    for second in range(max(since, min(firsts)), min(until, board.newest) + 1):
        is_known = second < until and (
            board.looked.get(second, 0) is not None or any(board.host.get(second, column) is not None for column in range(3))
        )
        if second < until and not is_known:
            begin = second if begin is None else begin
        elif begin is not None:
            found.append(GapSpan(begin, second, _reason(board.gaps, begin, second)))
            begin = None
    return found


def _reason(gaps: Sequence[GapSpan], since: int, until: int) -> str:
    return next((gap.reason for gap in reversed(gaps) if gap.since < until and gap.until >= since), "")


def _largest(board: NodeBoard, column: int, since: int, until: int) -> list[BoardUnit]:
    sizes = []
    for unit in board.units.values():
        if unit.ring.newest is None or unit.ring.newest < since:
            continue
        known = [value for value in unit.ring.column(column, since, until) if value is not None]
        if known:
            # A unit without a row did nothing: the sum, and not the mean of its rows, is how much it did.
            size = max(known) if UNIT_METRICS[column] in ("memory", "cache") else sum(known)
            sizes.append((size, unit.uid, unit))
    sizes.sort(key=lambda each: (-each[0], each[1]))
    return [unit for size, _, unit in sizes[:LARGEST] if size > 0]


def _value_of(board: NodeBoard, unit: BoardUnit, column: int) -> Callable[[int], float | None]:
    """The value of a second; what a unit holds on to stays while it does nothing."""
    held: list[float | None] = [None]

    def value(second: int) -> float | None:
        found = board.value(unit, second, column)
        if UNIT_METRICS[column] != "memory":
            return found
        if found is not None:
            held[0] = found
        elif board.looked.get(second, 0) is None or (unit.gone and unit.ring.newest is not None and second > unit.ring.newest):
            return None
        return held[0]

    return value


def _steps(value: Callable[[int], float | None], since: int, until: int, step: int) -> Values:
    """The mean of what is known in each step."""
    found: Values = []
    for begin in range(since, until, step):
        known = [each for second in range(begin, min(begin + step, until)) if (each := value(second)) is not None]
        found.append(_short(sum(known) / len(known)) if known else None)
    return found


def _short(value: float) -> float:
    """Four digits after the point are more than a picture shows, and a third of the bytes."""
    return float(round(value)) if value >= 10_000 else round(value, 4)
