"""Figures of one load: how far rows and kernel are apart."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from resctrl_bench.figures import Figure, Section

from closing_bench.loads import Load
from closing_bench.measure import Measured
from closing_bench.truth import value_at

MUST_PERCENT, GOAL_PERCENT = 5.0, 0.5
# Of attribution by command: 90 to 110 must, 97 to 103 is the goal.
COMMAND_MUST_PERCENT, COMMAND_GOAL_PERCENT = 10.0, 3.0


def judge(name: str, load: Load, measured: Measured) -> Section:
    """Compare."""
    stored, record = measured.stored, measured.record
    times = sorted(stored.ticks)
    before = [at for at in times if at <= measured.begin_ns]
    window = [at for at in times if before and at > before[-1]]
    section = Section(name, load.about)
    if not before or not window:
        section.figures.append(Figure("ticks in the window", len(window), must=1, at_least=True))
        return section
    kernel_ns = value_at(record.host_cpu, window[-1]) - value_at(record.host_cpu, before[-1])
    ours = {part: sum(stored.ticks[at][part] for at in window) for part in ("named", "tail", "dead")}
    unit_kernel_ns = record.unit_cpu[-1][1]
    rss_errors = [100 * (stored.ticks[at]["rss_bytes"] / value_at(record.rss, at) - 1) for at in window]
    section.figures += [
        Figure("ticks", len(window)),
        Figure("kernel: CPU of the host", kernel_ns / 1e9, "s"),
        Figure("rows: named", ours["named"] / 1e9, "s"),
        Figure("rows: tail", ours["tail"] / 1e9, "s"),
        Figure("rows: dead", ours["dead"] / 1e9, "s"),
        _off("CPU of the host", sum(ours.values()), kernel_ns, MUST_PERCENT, GOAL_PERCENT),
        _off("CPU of the unit", stored.units.get(measured.pod_uid, 0), unit_kernel_ns, MUST_PERCENT, GOAL_PERCENT),
        Figure("RSS, off, mean", abs(sum(rss_errors)) / len(rss_errors), "%", MUST_PERCENT, GOAL_PERCENT),
        Figure("RSS, off, worst tick", max(map(abs, rss_errors)), "%"),
    ]
    for command, kernel in measured.commands.items():
        found = stored.commands.get(command, 0)
        section.figures.append(_off(f"CPU of {command}", found, kernel, COMMAND_MUST_PERCENT, COMMAND_GOAL_PERCENT))
    if measured.churn_ns:
        section.figures.append(Figure("processes a second", measured.started / measured.churn_ns * 1e9))
        section.figures.append(Figure("processes begun", measured.started))
    section.figures += _losses(measured, window)
    section.further = {"ticks": _by_tick(measured, [before[-1], *window]), "exits": stored.exits, "gaps": stored.gaps}
    return section


def _off(what: str, ours: float, kernel: float, must: float, goal: float) -> Figure:
    error = 100 * (ours - kernel) / kernel if kernel else 0.0
    # The sign says whether time is missing or counted twice; the limit holds for both.
    return Figure(f"{what}, off ({error:+.3f} %)", abs(error), "%", must, goal)


def _losses(measured: Measured, window: list[int]) -> list[Figure]:
    scans = [row for row in measured.stored.scans if row["timestamp"] in set(window)]
    figures = [Figure("rows of table gap of samplers", len(measured.stored.gaps), must=0)]
    if scans:
        inside = sum(row["cpu_ns"] or 0 for row in scans)
        shown = sum(sum(measured.stored.ticks[at][part] for part in ("named", "tail", "dead")) for at in window)
        figures += [
            Figure("sum of rows less process_scan", (shown - inside) / 1e9, "s"),
            Figure("exit records lost", sum(row["exit_records_lost"] or 0 for row in scans)),
            Figure("deaths counted", sum(row["deaths"] or 0 for row in scans)),
            Figure("CPU capture, mean", _mean(scans, "cpu_capture"), "", 0.95, at_least=True),
            Figure("RSS capture, mean", _mean(scans, "rss_capture"), "", 0.95, at_least=True),
            Figure("named rows a tick, mean", (_mean(scans, "cpu_rows") or 0) + 0.0),
        ]
    return figures


def _mean(rows: list[dict[str, Any]], column: str) -> float | None:
    known = [row[column] for row in rows if row[column] is not None]
    return sum(known) / len(known) if known else None


def _by_tick(measured: Measured, times: list[int]) -> list[dict[str, float]]:
    """Kernel and rows of every tick, in ms: where time goes missing."""
    kernel: Callable[[int], float] = lambda at: value_at(measured.record.host_cpu, at)  # noqa: E731  one line, used twice
    found = []
    for earlier, later in pairwise(times):
        tick = measured.stored.ticks[later]
        found.append(
            {
                "kernel_ms": round((kernel(later) - kernel(earlier)) / 1e6, 2),
                **{f"{part}_ms": round(tick[part] / 1e6, 2) for part in ("named", "tail", "dead")},
                "rows": tick["rows"],
                "rss_mib": round(tick["rss_bytes"] / 2**20, 1),
                "kernel_rss_mib": round(value_at(measured.record.rss, later) / 2**20, 1),
            }
        )
    return found
