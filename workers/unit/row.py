"""The row of a unit, from what was read last and what its last row was made of. PURE."""

from agent.model.absence import Absence
from agent.model.table import Row
from agent.model.timebase import S
from workers.unit import value
from workers.unit.tracked_unit import Instant, TrackedUnit
from workers.unit.value import COUNTERS_COUNT, Values


def row_of(unit: TrackedUnit, at: Instant, *, is_final: bool = False) -> Row:
    """One row, in the order of the columns of table `unit`. From here on the next row counts."""
    values = unit.values
    told = unit.told
    elapsed_ns = None if told is None else max(1, at.now_ns - unit.told_at_ns)
    reasons = set(unit.absences.values())
    grown = _grown(told, values, reasons)
    unit.told, unit.told_at_ns, unit.is_changed = values[:COUNTERS_COUNT], at.now_ns, False
    (
        cpu, cpu_user, cpu_system, periods, throttled_periods, throttled, faults, major_faults,
        read_bytes, write_bytes, reads, writes, *pressure_and_events,
    ) = grown  # fmt: skip
    cpu_limit, memory_limit, memory_high, pids_limit = unit.limits
    current, inactive = values[value.CURRENT], values[value.INACTIVE_FILE]
    started = unit.started_wall_ns
    return (
        at.wall_ns, unit.uid, unit.kind.value, unit.container, unit.cgroup,
        started, None if started is None else max(0, at.wall_ns - started), elapsed_ns, is_final,
        cpu, cpu_user, cpu_system, _per(cpu, elapsed_ns, 1),
        periods, throttled_periods, throttled, cpu_limit, values[value.WEIGHT],
        current, values[value.ANON], values[value.FILE], values[value.SHMEM], values[value.KERNEL],
        None if current is None or inactive is None else max(0, current - inactive),
        values[value.SWAP], _peak(values), memory_limit, memory_high,
        faults, major_faults, read_bytes, write_bytes, reads, writes,
        _per(read_bytes, elapsed_ns, S), _per(write_bytes, elapsed_ns, S), _per(reads, elapsed_ns, S), _per(writes, elapsed_ns, S),
        values[value.PIDS], pids_limit, *pressure_and_events, *unit.network,
        ",".join(sorted(reason.value for reason in reasons)) or None,
    )  # fmt: skip


def _grown(told: Values | None, values: Values, reasons: set[Absence]) -> Values:
    if told is None:
        reasons.add(Absence.FIRST_TICK)
        return [None] * COUNTERS_COUNT
    grown: Values = []
    for before, now in zip(told, values, strict=False):
        if before is None or now is None:
            grown.append(None)
            if now is not None:
                # It could not be read before.
                reasons.add(Absence.FIRST_TICK)
        elif now < before:
            reasons.add(Absence.COUNTER_RESET)
            grown.append(None)
        else:
            grown.append(now - before)
    return grown


def _per(amount: int | None, elapsed_ns: int | None, scale: int) -> float | None:
    return None if amount is None or elapsed_ns is None else amount * scale / elapsed_ns


def _peak(values: Values) -> int | None:
    # It is read less often than what it is the most of.
    peak, current = values[value.PEAK], values[value.CURRENT]
    return peak if peak is None or current is None else max(peak, current)
