"""Runs a scenario with an agent: load, baseline, psutil loop, agent, failures by the clock; gives the evidence."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness import proc
from harness.waiting import SLOWNESS, wait_until
from process_bench.checkout import Checkout
from process_bench.load import build

from agent.model.timebase import parse_duration_ns
from scenarios import gathering
from scenarios.agent_under_scenario import AgentUnderScenario, Profile
from scenarios.baseline import CpuCounter
from scenarios.definition import Scenario
from scenarios.evidence import ClockStep, CommandCpu, Cost, Evidence
from scenarios.failing import Action, Failing, check_programs
from scenarios.receiver import receiver
from scenarios.stage import Baseline, Groups, Load, baseline, disk, groups, load, reference_loop

SAMPLER = "sampler/process"
START_SECONDS = 60.0 * SLOWNESS
# After the window: exit records are counted at the tick after a death, and a tick may be late.
AFTER_TICKS = 2
PROGRESS_SECONDS = 10.0
# Memory is read at these parts of the window: rarely, since each reading walks all pages of the agent.
MEMORY_PARTS = (0.1, 0.5, 0.9)
Say = Callable[[str], None]


@dataclass(slots=True)
class Run:
    """What a run gave beside its evidence: notes for the report, series for its pictures."""

    evidence: Evidence
    notes: list[str] = field(default_factory=list)
    series: dict[str, list[list[float]]] = field(default_factory=dict)


@dataclass(slots=True)
class _Window:
    """What is read while the window lasts."""

    begin_ns: int = 0
    boot_at_ns: int = 0
    end_ns: int = 0
    elapsed_ns: int = 0
    agent_cpu_ns: int = 0
    reference_cpu_ns: int | None = None
    pss: list[int] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    by_part: dict[str, int] = field(default_factory=dict)
    by_worker: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    churned: tuple[int, int, int] | None = None


def measure(scenario: Scenario, folder: Path, say: Say, profile: Profile | None = None) -> Run:
    """One run in a private folder. *Raises:* NotPossible, LoadError, NotInTime, RuntimeError, OSError."""
    check_programs(scenario.failures)
    program = build(folder)
    checkout = Checkout("ours")
    with ExitStack() as place:
        home = folder / "a"
        if scenario.disk is not None:
            home.mkdir()
            place.enter_context(disk(home / "state", scenario.disk))
        with ExitStack() as stack:
            where = stack.enter_context(groups(_pods(scenario)))
            network = stack.enter_context(receiver()) if scenario.sink else None
            written = folder / "w"
            written.mkdir()
            say(f"workload {scenario.workload.name}")
            made = stack.enter_context(load(program, scenario.workload, where, written, scenario.duration_seconds))
            # What the load's processes hold now they hold for good, where they do not grow on purpose.
            recorder = stack.enter_context(baseline(where, folder / "baseline"))
            wants_loop = any(each.name == "cost" for each in scenario.validators)
            loop = stack.enter_context(reference_loop()) if wants_loop else None
            agent = AgentUnderScenario(home, scenario, where, endpoint=network.endpoint if network else "", profile=profile)
            failing = Failing(agent, say, network)
            stack.callback(failing.end)
            say(f"agent, configuration {scenario.configuration}")
            with agent:
                window = _run_window(scenario, agent, failing, made, where, loop, say)
                recorder.end()
        # The load has ended: reading takes nothing from it, and waits for nothing of it.
        say("reading what was stored")
        return _gather(scenario, checkout, agent, recorder, where, window, failing, made)


def _pods(scenario: Scenario) -> int:
    return int(scenario.workload.values.get("cgroups", 1))


def _run_window(
    scenario: Scenario, agent: AgentUnderScenario, failing: Failing, made: Load, where: Groups, loop: int | None, say: Say
) -> _Window:
    wait_until(agent.ticks, "the first tick", seconds=START_SECONDS, pause_seconds=0.1)
    time.sleep(scenario.warm_up_seconds)
    window, counter = _Window(), CpuCounter(where.agent)
    workers = {str(each.limits["part"]) for each in scenario.validators if each.name == "memory"}
    actions = [action for failure in scenario.failures for action in failing.actions(failure)]
    actions += [Action(part * scenario.duration_seconds, "", lambda: _read_memory(agent, window, workers)) for part in MEMORY_PARTS]
    counted = {(str(each.limits["part"]), str(each.limits["count"])) for each in scenario.validators if each.name == "counter"}
    counts = {key: agent.count(*key) for key in counted}
    say(f"measuring {scenario.duration_seconds:g} s")
    made.begin()
    parts_before = agent.cpu_by_part()
    loop_before = proc.cpu_ns(loop) if loop else 0
    begun_ns, before = time.monotonic_ns(), counter.read()
    window.begin_ns = time.time_ns()
    window.boot_at_ns = window.begin_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    _follow(sorted(actions, key=lambda action: action.at_seconds), scenario.duration_seconds, say)
    window.end_ns = time.time_ns()
    window.elapsed_ns, window.agent_cpu_ns = time.monotonic_ns() - begun_ns, counter.read() - before
    window.reference_cpu_ns = proc.cpu_ns(loop) - loop_before if loop else None
    window.by_part = {name: used - parts_before.get(name, 0) for name, used in agent.cpu_by_part().items()}
    window.counts = {
        key: (before_count, after)
        for key, before_count in counts.items()
        if before_count is not None and (after := agent.count(*key)) is not None
    }
    window.churned = made.end()
    _wait_ticks(agent)
    return window


def _wait_ticks(agent: AgentUnderScenario) -> None:
    """So many more; a sampler that was replaced begins to count again."""
    wanted = agent.ticks() + AFTER_TICKS
    wait_until(lambda: agent.ticks() >= wanted, f"{AFTER_TICKS} more ticks", seconds=START_SECONDS, pause_seconds=0.1)


def _follow(actions: Sequence[Action], seconds: float, say: Say) -> None:
    """Carry out each at its time, and say now and then how far it is; one that lasts longer than planned delays those after it."""
    begin, said, left = time.monotonic(), time.monotonic(), list(actions)
    while (now := time.monotonic() - begin) < seconds or left:
        if left and left[0].at_seconds <= now:
            action = left.pop(0)
            if action.what:
                say(f"{now:5.1f} s: {action.what}")
            action.do()
        elif time.monotonic() - said >= PROGRESS_SECONDS:
            said = time.monotonic()
            say(f"{now:5.1f} of {seconds:g} s")
        else:
            time.sleep(min(0.1, max(0.0, (left[0].at_seconds if left else seconds) - now)))


def _read_memory(agent: AgentUnderScenario, window: _Window, workers: set[str]) -> None:
    pss, rss = agent.memory()
    if pss:
        window.pss.append(pss)
        window.rss.append(rss)
    for name in workers:
        with suppress(OSError, KeyError, ValueError, TypeError):
            window.by_worker.setdefault(name, []).append(proc.memory(agent.worker_pid(name)).pss_bytes)


def _gather(
    scenario: Scenario,
    checkout: Checkout,
    agent: AgentUnderScenario,
    recorder: Baseline,
    where: Groups,
    window: _Window,
    failing: Failing,
    made: Load,
) -> Run:
    record = gathering.read_record(recorder.path)
    uids = [uid for uid, _container in where.pods]
    sketches = gathering.read_sketches(checkout, agent)
    wants_exact = any(each.name == "sketch_error" for each in scenario.validators)
    exact = gathering.exact_memory(record["memory"], uids, sketches) if wants_exact else []
    if wants_exact:
        exact += gathering.exact_cpu(checkout, agent, sketches)
    commands = []
    if window.churned is not None:
        commands.append(CommandCpu(made.command, window.churned[1], gathering.command_cpu(checkout, agent, made.command)))
    evidence = Evidence(
        begin_ns=window.begin_ns,
        end_ns=window.end_ns,
        interval_ns=parse_duration_ns(scenario.settings.get("sampler.process.interval", "1s")),
        boot_at_ns=window.boot_at_ns,
        cost=_cost(window, record),
        host_cpu=record["host"],
        unit_cpu=record["unit"],
        host_rss=record["rss"],
        host_io=record["io"],
        ticks=gathering.read_ticks(checkout, agent, uids),
        sketches=sketches,
        exact=exact,
        events=gathering.read_events(checkout, agent),
        gaps=gathering.read_gaps(checkout, agent),
        replacements=failing.replacements,
        commands=commands,
        counts=window.counts,
        pss_by_worker=window.by_worker,
    )
    if failing.step is not None:
        _set_steady(evidence, failing.step)
    notes = [*failing.notes, gathering.own_account(checkout, agent, window.begin_ns, window.end_ns)]
    lost = Counter((gap.worker, gap.reason) for gap in evidence.gaps)
    if lost:
        notes.append(
            "rows of table gap: " + ", ".join(f"{worker} {reason} {count}" for (worker, reason), count in sorted(lost.items()))
        )
    if window.churned is not None:
        count, _used, took_ns = window.churned
        notes.append(f"{count} processes in {took_ns / 1e9:.1f} s: {count / took_ns * 1e9:.0f} a second")
    shares = sorted(window.by_part.items(), key=lambda pair: -pair[1])
    notes.append(
        "CPU by process, % of a core: " + ", ".join(f"{name} {100 * used / window.elapsed_ns:.2f}" for name, used in shares)
    )
    return Run(evidence, notes, _series(evidence))


def _set_steady(evidence: Evidence, step: ClockStep) -> None:
    """Date everything as a clock would have that was not set."""
    evidence.end_ns = step.steady(evidence.end_ns)
    evidence.ticks = [dataclasses.replace(tick, at_ns=step.steady(tick.at_ns)) for tick in evidence.ticks]
    evidence.gaps = [dataclasses.replace(gap, at_ns=step.steady(gap.at_ns)) for gap in evidence.gaps]
    for name in ("host_cpu", "unit_cpu", "host_rss", "host_io"):
        setattr(evidence, name, [(step.steady(at), value) for at, value in getattr(evidence, name)])


def _cost(window: _Window, record: dict[str, Any]) -> Cost:
    own = [(at, value) for at, value in record["own"] if window.begin_ns <= at <= window.end_ns]
    # By the length of its own readings, which are a second apart.
    rate = (own[-1][1] - own[0][1]) / (own[-1][0] - own[0][0]) if len(own) > 1 else 0.0
    return Cost(
        elapsed_ns=window.elapsed_ns,
        agent_cpu_ns=window.agent_cpu_ns,
        reference_cpu_ns=window.reference_cpu_ns,
        baseline_cpu_ns=round(rate * window.elapsed_ns),
        pss_bytes=window.pss,
        rss_bytes=window.rss,
        processes=record["processes"][-1][1],
        by_part=window.by_part,
    )


def _series(evidence: Evidence) -> dict[str, list[list[float]]]:
    """For pictures: seconds after the window began, and CPU in cores by tick."""
    ticks = list(evidence.ticks)
    found: dict[str, list[list[float]]] = {"named": [], "tail": [], "dead": []}
    for earlier, later in pairwise(ticks):
        at, took = (later.at_ns - evidence.begin_ns) / 1e9, later.at_ns - earlier.at_ns
        for name, used in (("named", later.named_cpu_ns), ("tail", later.tail_cpu_ns), ("dead", later.dead_cpu_ns)):
            found[name].append([round(at, 2), round(used / took, 4)])
    step = 50
    host = list(evidence.host_cpu)[::step]
    found["kernel"] = [
        [round((later[0] - evidence.begin_ns) / 1e9, 2), round((later[1] - earlier[1]) / (later[0] - earlier[0]), 4)]
        for earlier, later in pairwise(host)
    ]
    return found
