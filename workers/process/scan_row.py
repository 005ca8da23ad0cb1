"""The row of `process_scan`: the account of one tick. PURE."""

from collections.abc import Iterable, Mapping

from agent.model.absence import Absence
from agent.model.table import Row
from workers.process.process_table import Totals, TrackedProcess
from workers.process.row import Interval
from workers.process.unit_command import UnitCommand


def scan_row(
    totals: Mapping[UnitCommand, Totals], chosen: Mapping[TrackedProcess, str], unreadable: int, interval: Interval
) -> Row:
    """The sums over everything, and what rows of `process` hold of them."""
    parts = totals.values()
    all_cpu_ns, rss_bytes = sum(part.cpu_ns for part in parts), sum(part.rss_bytes for part in parts)
    is_first = interval.elapsed_ns is None
    reasons = [Absence.FIRST_TICK.value] if is_first else []
    if any(part.incomplete for part in parts):
        reasons.append(Absence.INCOMPLETE.value)
    cpu_share = None if interval.elapsed_ns is None else all_cpu_ns / interval.elapsed_ns
    return (
        interval.wall_ns, sum(part.processes for part in parts), sum(part.threads for part in parts), None, None,
        None if is_first else all_cpu_ns, cpu_share, None, rss_bytes, None, None,
        None if is_first else _part((process.interval_cpu_ns or 0 for process in chosen), all_cpu_ns),
        _part((process.rss_bytes for process in chosen), rss_bytes), None,
        _rows_of("cpu", chosen), _rows_of("rss", chosen), 0, None, 0, 0, unreadable, interval.elapsed_ns,
        ",".join(reasons) or None,
    )  # fmt: skip


def _part(values: Iterable[int], whole: int) -> float | None:
    return sum(values) / whole if whole else None


def _rows_of(metric: str, chosen: Mapping[TrackedProcess, str]) -> int:
    return sum(metric in words.split(",") for words in chosen.values())
