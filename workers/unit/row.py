"""The row of a unit, from what was read last and what its last row was made of. PURE."""

from operator import sub

from agent.model.absence import Absence
from agent.model.table import Row
from agent.model.timebase import S
from workers.unit import value
from workers.unit.tracked_unit import Instant, TrackedUnit
from workers.unit.value import COUNTERS_COUNT, Values

_IO = slice(value.READ_BYTES, value.WRITES + 1)
# A whole number takes one byte on the wire, a fraction nine; most units have no I/O in most seconds.
_NOTHING, _STILL = [0, 0, 0, 0], (0, 0, 0, 0)
_WEIGHT_TO_KERNEL = slice(value.WEIGHT, value.KERNEL + 1)


def row_of(unit: TrackedUnit, at: Instant, *, is_final: bool = False) -> Row:
    """One row, in the order of the columns of table `unit`. From here on the next row counts."""
    values, told = unit.values, unit.told
    elapsed_ns = None if told is None else max(1, at.now_ns - unit.told_at_ns)
    reasons = set(unit.absences.values())
    now = values[:COUNTERS_COUNT]
    try:
        # In C; it fails where one of the numbers is not known.
        grown: Values = list(map(sub, now, told))  # type: ignore[arg-type]
        is_plain = min(grown) >= 0  # type: ignore[type-var, operator]
    except TypeError:
        is_plain = False
    if not is_plain:
        grown = _grown(told, now, reasons)
    unit.told, unit.told_at_ns = now, at.now_ns
    started = unit.started_wall_ns
    limits, network = unit.limits, unit.network
    current, inactive = values[value.CURRENT], values[value.INACTIVE_FILE]
    return (
        at.wall_ns, unit.uid, unit.kind_word, unit.container, unit.cgroup,
        started, None if started is None else max(0, at.wall_ns - started), elapsed_ns, is_final,
        *grown[:3], _per(grown[value.CPU], elapsed_ns, 1), *grown[3:6], limits[0], *values[_WEIGHT_TO_KERNEL],
        None if current is None or inactive is None else max(0, current - inactive),
        values[value.SWAP], _peak(values), limits[1], limits[2], *grown[6:12],
        *_rates(grown, elapsed_ns),
        values[value.PIDS], limits[3], *grown[12:], *network,
        ",".join(sorted(reasons)) if reasons else None,
    )  # fmt: skip


def _rates(grown: Values, elapsed_ns: int | None) -> tuple[float | None, ...]:
    parts = grown[_IO]
    return _STILL if parts == _NOTHING and elapsed_ns else tuple(_per(part, elapsed_ns, S) for part in parts)


def _grown(told: Values | None, now: Values, reasons: set[Absence]) -> Values:
    if told is None:
        reasons.add(Absence.FIRST_TICK)
        return [None] * COUNTERS_COUNT
    grown: Values = []
    for before, after in zip(told, now, strict=True):
        if before is None or after is None:
            grown.append(None)
            if after is not None:
                # It could not be read before.
                reasons.add(Absence.FIRST_TICK)
        elif after < before:
            reasons.add(Absence.COUNTER_RESET)
            grown.append(None)
        else:
            grown.append(after - before)
    return grown


def _per(amount: int | None, elapsed_ns: int | None, scale: int) -> float | None:
    return None if amount is None or elapsed_ns is None else amount * scale / elapsed_ns


def _peak(values: Values) -> int | None:
    # It is read less often than what it is the most of.
    peak, current = values[value.PEAK], values[value.CURRENT]
    return peak if peak is None or current is None else max(peak, current)
