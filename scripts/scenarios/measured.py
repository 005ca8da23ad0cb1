"""Runs a scenario with an agent: load, baseline, psutil loop, agent, failures by the clock; gives the evidence."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from scenarios.asking import Asker
from scenarios.baseline import CpuCounter
from scenarios.definition import Scenario
from scenarios.evidence import ClockStep, CommandCpu, Cost, Evidence
from scenarios.export_evidence import ExportEvidence
from scenarios.export_gathering import arrivals, deliveries, read_counted, read_moments
from scenarios.failing import Action, Failing, check_programs
from scenarios.program_failing import ProgramFailing
from scenarios.programs import Programs
from scenarios.receiver import receiver
from scenarios.router_evidence import RouterAnswer, RouterEvidence, window_lines
from scenarios.sink_watch import SinkWatch
from scenarios.stage import FIRST_NICE, Groups, Load, Recorder, baseline, disk, groups, load, metronome, reference_loop
from scenarios.store_gathering import StoreReading, read_stores, router_evidence, store_evidence

# Validators that compare with what the baseline recorded.
OF_THE_BASELINE = frozenset({"capture", "closing", "cost", "sketch_error", "stability"})
START_SECONDS = 60.0 * SLOWNESS
# After the window: exit records are counted at the tick after a death, and a tick may be late.
AFTER_TICKS = 2
# Those that compare topics and stores.
OF_STORES = frozenset({"cursor", "marks", "rebinned", "same_rows", "wire_cost"})
PROGRESS_SECONDS = 10.0
# Memory is read at these parts of the window: rarely.
MEMORY_PARTS = (0.1, 0.5, 0.9)
Say = Callable[[str], None]


@dataclass(slots=True)
class Run:
    """What a run gave beside its evidence: notes for the report, series for its pictures, versions of the programs beside it."""

    evidence: Evidence
    notes: list[str] = field(default_factory=list)
    series: dict[str, list[list[float]]] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)


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
    # What each sink had at the end, and what its exporter said then.
    there: dict[str, list[list[tuple[int, int]]]] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    stores: StoreReading = field(default_factory=StoreReading)
    answers: list[RouterAnswer] = field(default_factory=list)
    refused: int = 0
    pss_by_sink: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


@dataclass(slots=True)
class _Stage:
    """Everything that runs, of one scenario. *Absent:* `recorder`, `loop` and `metronome` None where no validator reads them."""

    scenario: Scenario
    where: Groups
    programs: Programs
    load: Load
    recorder: Recorder | None
    loop: int | None
    metronome: Recorder | None
    agent: AgentUnderScenario
    failing: Failing
    faults: ProgramFailing
    say: Say


def measure(scenario: Scenario, folder: Path, say: Say, profile: Profile | None = None) -> Run:
    """One run in a private folder. *Raises:* NotPossible, LoadError, NotInTime, RuntimeError, OSError."""
    check_programs(scenario.failures)
    program = build(folder)
    with ExitStack() as place:
        home = folder / "a"
        if scenario.disk is not None:
            home.mkdir()
            place.enter_context(disk(home / "state", scenario.disk))
        with ExitStack() as stack:
            staged = _set_stage(stack, scenario, program, folder, home, say, profile)
            with staged.agent:
                window = _run_window(staged)
                for recorder in (staged.recorder, staged.metronome):
                    if recorder is not None:
                        recorder.end()
            window.stores = read_stores(staged.programs, window.reports) if _judged_stores(scenario) else StoreReading()
        # The load has ended: reading takes nothing from it, and waits for nothing of it.
        say("reading what was stored")
        return _gather(staged, window)


def _set_stage(
    stack: ExitStack, scenario: Scenario, program: Path, folder: Path, home: Path, say: Say, profile: Profile | None
) -> _Stage:
    where = stack.enter_context(groups(_pods(scenario)))
    network = stack.enter_context(receiver()) if scenario.sink else None
    if scenario.programs:
        say(f"programs: {', '.join(each.name for each in scenario.programs)}")
    programs = stack.enter_context(Programs(folder / "p", scenario.programs))
    written = folder / "w"
    written.mkdir()
    say(f"workload {scenario.workload.name}")
    made = stack.enter_context(load(program, scenario.workload, where, written, scenario.duration_seconds))
    judged = {each.name for each in scenario.validators}
    # What the load's processes hold now they hold for good, where they do not grow on purpose. Beside programs nothing reads every
    # 20 ms that nobody asked for: it would be late ticks that are judged.
    wants_record = not scenario.programs or bool(judged & OF_THE_BASELINE)
    recorder = stack.enter_context(baseline(where, folder / "baseline")) if wants_record else None
    loop = stack.enter_context(reference_loop()) if "cost" in judged else None
    sleeper = stack.enter_context(metronome(folder / "metronome", _interval_ns(scenario))) if "lateness" in judged else None
    agent = AgentUnderScenario(
        home,
        scenario,
        where,
        endpoint=network.endpoint if network else "",
        programs=programs,
        nice=FIRST_NICE if "lateness" in judged else 0,
        profile=profile,
    )
    faults = ProgramFailing(agent, programs, say)
    failing = Failing(agent, say, network, faults)
    stack.callback(failing.end)
    say(f"agent, configuration {scenario.configuration}")
    return _Stage(scenario, where, programs, made, recorder, loop, sleeper, agent, failing, faults, say)


def _judged_stores(scenario: Scenario) -> bool:
    """Whether a validator compares topics and stores."""
    return any(each.name in OF_STORES for each in scenario.validators)


def _pods(scenario: Scenario) -> int:
    return int(scenario.workload.values.get("cgroups", 1))


def _run_window(staged: _Stage) -> _Window:
    scenario, agent = staged.scenario, staged.agent
    wait_until(agent.ticks, "the first tick", seconds=START_SECONDS, pause_seconds=0.1)
    with SinkWatch(agent, staged.programs) as watch, ExitStack() as stack:
        watch.wait_up()
        time.sleep(scenario.warm_up_seconds)
        asker = stack.enter_context(_asker(staged)) if staged.programs.router_port is not None else None
        window = _measure_window(staged)
        staged.programs.assert_alive()
        if staged.programs.placed:
            staged.say("waiting until the programs have everything")
            watch.wait_settled(window.end_ns)
            window.reports = agent.reports()
            window.there = deliveries(staged.programs)
        if asker is not None:
            staged.say("waiting until the router reads sketches again")
            asker.wait_sketched(window.end_ns, staged.say)
            window.answers, window.refused = asker.answers, asker.refused
    window.pss_by_sink = watch.pss
    return window


def _asker(staged: _Stage) -> Asker:
    choice = next(each for each in staged.scenario.programs if each.kind.name == "router")
    assert staged.programs.router_port is not None
    return Asker(staged.programs.router_port, float(choice.kind.values["every"]))


def _measure_window(staged: _Stage) -> _Window:
    scenario, agent = staged.scenario, staged.agent
    window, counter = _Window(), CpuCounter(staged.where.agent)
    counted = {(str(each.limits["part"]), str(each.limits["count"])) for each in scenario.validators if each.name == "counter"}
    counts = {key: agent.count(*key) for key in counted}
    staged.say(f"measuring {scenario.duration_seconds:g} s")
    staged.load.begin()
    parts_before = agent.cpu_by_part()
    loop_before = proc.cpu_ns(staged.loop) if staged.loop else 0
    begun_ns, before = time.monotonic_ns(), counter.read()
    window.begin_ns = time.time_ns()
    window.boot_at_ns = window.begin_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    _follow(_actions(staged, window), scenario.duration_seconds, staged.say)
    window.end_ns = time.time_ns()
    window.elapsed_ns, window.agent_cpu_ns = time.monotonic_ns() - begun_ns, counter.read() - before
    window.reference_cpu_ns = proc.cpu_ns(staged.loop) - loop_before if staged.loop else None
    window.by_part = {name: used - parts_before.get(name, 0) for name, used in agent.cpu_by_part().items()}
    window.counts = {
        key: (before_count, after)
        for key, before_count in counts.items()
        if before_count is not None and (after := agent.count(*key)) is not None
    }
    window.churned = staged.load.end()
    _wait_ticks(agent)
    return window


def _actions(staged: _Stage, window: _Window) -> list[Action]:
    """Failures, and readings of memory, which walk all pages of the agent, for the validators that judge it."""
    scenario = staged.scenario
    actions = [action for failure in scenario.failures for action in staged.failing.actions(failure)]
    workers = {str(each.limits["part"]) for each in scenario.validators if each.name == "memory"}
    if workers or any(each.name == "cost" for each in scenario.validators):
        reading = [part * scenario.duration_seconds for part in MEMORY_PARTS]
        actions += [Action(at, "", lambda: _read_memory(staged.agent, window, workers)) for at in reading]
    return sorted(actions, key=lambda action: action.at_seconds)


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


def _gather(staged: _Stage, window: _Window) -> Run:
    scenario, agent, failing, made, checkout = staged.scenario, staged.agent, staged.failing, staged.load, Checkout("ours")
    record = gathering.read_record(staged.recorder.path) if staged.recorder is not None else gathering.NO_RECORD
    uids = [uid for uid, _container in staged.where.pods]
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
        interval_ns=_interval_ns(scenario),
        boot_at_ns=window.boot_at_ns,
        cost=_cost(window, record) if record["own"] else None,
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
        stores=store_evidence(window.stores, agent, window.end_ns, _interval_ns(scenario)),
        router=router_evidence(window.answers, window.refused, agent, _stopped(staged)) if window.answers else RouterEvidence(),
        exports=_exports(staged, window, checkout) if staged.programs.placed else ExportEvidence(),
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
    notes += window_lines(evidence.router.windows)
    return Run(evidence, notes, _series(evidence), staged.programs.versions)


def _exports(staged: _Stage, window: _Window, checkout: Checkout) -> ExportEvidence:
    faults = staged.faults
    stored = read_counted(checkout, staged.agent, window.end_ns)
    return ExportEvidence(
        begin_ns=window.begin_ns,
        end_ns=window.end_ns,
        interval_ns=_interval_ns(staged.scenario),
        troubles=faults.troubles,
        recoveries=faults.recoveries,
        arrivals=arrivals(stored, staged.programs, window.there, faults.troubles, window.reports),
        moments=read_moments(checkout, staged.agent),
        pss=window.pss_by_sink,
        woken=[int(word) for word in staged.metronome.path.read_text().split()] if staged.metronome is not None else (),
    )


def _stopped(staged: _Stage) -> list[tuple[int, int]]:
    """When a merger was away."""
    mergers = {each.name for each in staged.scenario.programs if each.kind.name == "merger"}
    return [(each.begin_ns, each.end_ns) for each in staged.faults.troubles if mergers & set(each.sinks)]


def _interval_ns(scenario: Scenario) -> int:
    return parse_duration_ns(scenario.settings.get("sampler.process.interval", "1s"))


def _set_steady(evidence: Evidence, step: ClockStep) -> None:
    """Date everything as a clock would have that was not set."""
    evidence.end_ns = step.steady(evidence.end_ns)
    evidence.ticks = [dataclasses.replace(tick, at_ns=step.steady(tick.at_ns)) for tick in evidence.ticks]
    evidence.gaps = [dataclasses.replace(gap, at_ns=step.steady(gap.at_ns)) for gap in evidence.gaps]
    for name in ("host_cpu", "unit_cpu", "host_rss", "host_io"):
        setattr(evidence, name, [(step.steady(at), value) for at, value in getattr(evidence, name)])


def _cost(window: _Window, record: Mapping[str, Any]) -> Cost:
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
