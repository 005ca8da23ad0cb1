"""Processor time for each event file and tick: the sampler's, and that of pqos over an emulator of its own; length of scans."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from harness.proc import cpu_ns

from resctrl_bench import pqos
from resctrl_bench.agent import SAMPLER, Agent, agent
from resctrl_bench.bench import Bench
from resctrl_bench.emulator import PROFILE, emulator
from resctrl_bench.figures import Figure, Section, spread
from resctrl_bench.load import Pod
from workers.resctrl.emulator.profile import PROFILES

MUST_US, GOAL_US = 30.0, 20.0
MUST_SCAN_MS, GOAL_SCAN_MS = 500.0, 300.0
MUST_RATIO, GOAL_RATIO = 5.0, 10.0
EVENTS = 3
START_SECONDS = 90.0
INTERVAL_SECONDS = 1.0
# A window begins and ends this long after the start of a scan: by then it is over, and the window holds whole ticks.
QUIET_SECONDS = 0.85


@dataclass(slots=True)
class Window:
    """One stretch of whole ticks."""

    sampler_us: float = 0.0
    agent_percent: float = 0.0
    groups: int = 0
    files: int = 0
    ticks: int = 0
    scan_ms: list[float] = field(default_factory=list)


def measure(bench: Bench) -> Section:
    """Agent and pqos in turn, each alone and started again."""
    options = bench.options
    windows: list[Window] = []
    rivals: dict[bool, list[pqos.Cost]] = {False: [], True: []}
    with bench.pods([1] * options.groups) as (_pods, made):
        pids = [pod.leader for pod in made]
        for number in range(options.repeats):
            windows.append(_window(bench, made))
            bench.say(
                f"cost: {windows[-1].sampler_us:.1f} us a file; load {os.getloadavg()[0]:.1f} ({number + 1}/{options.repeats})"
            )
            for are_names_kept, costs in rivals.items() if options.pqos_seconds else ():
                costs.append(pqos.cost(bench, pids, are_names_kept=are_names_kept))
                spent = costs[-1].microseconds
                bench.say(f"cost: {costs[-1].remark}" + (f"; {median(spent):.1f} us a file" if spent else ""))
    return _section(windows, rivals)


def _window(bench: Bench, made: Sequence[Pod]) -> Window:
    with (
        emulator(bench.place, bench.new_name("cost")) as emulated,
        agent(bench.place, emulated.mount, bench.new_name("agent")) as running,
    ):
        running.wait_for_whole(len(made), seconds=START_SECONDS)
        running.wait_for_readers(len(made), seconds=START_SECONDS)
        running.wait_for_ticks(bench.options.settle_ticks, seconds=START_SECONDS)
        return _measure(bench, running)


def _measure(bench: Bench, running: Agent) -> Window:
    window = Window()
    sampler = running.pid(SAMPLER)
    everybody = [each.pid for each in running.process.note_processes() if each.is_running()]
    last = running.query("SELECT max(start_timestamp) AS at FROM occupancy")[0]["at"] / 1e9
    _rest_until(bench, last + QUIET_SECONDS, 0.0)
    begin, before, before_all = time.time(), cpu_ns(sampler), _all_ns(everybody)
    _rest_until(bench, last + QUIET_SECONDS, bench.options.cost_seconds)
    end, after, after_all = time.time(), cpu_ns(sampler), _all_ns(everybody)
    span = f"start_timestamp > {begin * 1e9:.0f} AND start_timestamp <= {end * 1e9:.0f}"
    scans = running.query(
        f"SELECT start_timestamp AS at, max(timestamp) - start_timestamp AS took FROM occupancy WHERE {span} "
        "GROUP BY start_timestamp ORDER BY start_timestamp"
    )
    read = running.query(
        f"SELECT count(*) AS directories, count(DISTINCT resctrl_group) AS groups FROM occupancy_domain WHERE {span}"
    )
    window.ticks = len(scans)
    window.groups = read[0]["groups"]
    window.files = EVENTS * read[0]["directories"] // max(1, window.ticks)
    window.scan_ms = [row["took"] / 1e6 for row in scans]
    window.sampler_us = (after - before) / 1e3 / (EVENTS * read[0]["directories"])
    window.agent_percent = 100 * (after_all - before_all) / 1e9 / (end - begin)
    return window


def _rest_until(bench: Bench, phase: float, at_least: float) -> None:
    """Until the raster that goes through `phase` (unix seconds) has an instant, and that much time at least has gone by."""
    left = at_least + (phase - time.time() - at_least) % INTERVAL_SECONDS
    bench.rest(left, "cost")


def _all_ns(pids: Sequence[int]) -> int:
    return sum(cpu_ns(pid) for pid in pids)


def _section(windows: Sequence[Window], rivals: Mapping[bool, Sequence[pqos.Cost]]) -> Section:
    ours = median(window.sampler_us for window in windows)
    scan = spread([took for window in windows for took in window.scan_ms])
    theirs, theirs_kept = (_median_us(rivals[are_names_kept]) for are_names_kept in (False, True))
    first = windows[0]
    return Section(
        "cost",
        f"{first.groups} groups, {first.files:,} event files a tick, {first.ticks} ticks in each of {len(windows)} windows",
        [
            Figure("sampler, for each file, median", ours, "us", MUST_US, GOAL_US),
            Figure("pqos, for each file, median", theirs, "us"),
            Figure("pqos to sampler", _ratio(theirs, ours), "times", MUST_RATIO, GOAL_RATIO, at_least=True),
            Figure("pqos, names kept by the kernel", theirs_kept, "us"),
            Figure("pqos to sampler, names kept by the kernel", _ratio(theirs_kept, ours), "times"),
            Figure("scan, p50", scan["p50"], "ms"),
            Figure("scan, p99", scan["p99"], "ms", MUST_SCAN_MS, GOAL_SCAN_MS),
            Figure("scan, most", scan["max"], "ms"),
            Figure("sampler, of one processor", ours * first.files / 1e4, "%"),
            Figure("whole agent, of one processor, median", median(window.agent_percent for window in windows), "%"),
        ],
        {
            "sampler_us": [window.sampler_us for window in windows],
            "pqos_us": [us for cost in rivals[False] for us in cost.microseconds],
            "pqos_names_kept_us": [us for cost in rivals[True] for us in cost.microseconds],
            "scan_ms": [took for window in windows for took in window.scan_ms],
        },
        [
            f"the machine has {PROFILES[PROFILE].rmids} ids, of which the root keeps one; {first.groups} groups were read",
            "names kept: as on a real machine no look at a name asks the emulator, which spares pqos, and the sampler nothing",
            *dict.fromkeys(cost.remark for costs in rivals.values() for cost in costs),
        ],
        {"windows": [{"groups": w.groups, "files": w.files, "ticks": w.ticks, "agent_percent": w.agent_percent} for w in windows]},
    )


def _median_us(costs: Sequence[pqos.Cost]) -> float | None:
    """The median over runs, each with the median of its ticks; None where no run could be measured."""
    known = [median(cost.microseconds) for cost in costs if cost.microseconds]
    return median(known) if known else None


def _ratio(theirs: float | None, ours: float) -> float | None:
    return None if theirs is None else theirs / ours
