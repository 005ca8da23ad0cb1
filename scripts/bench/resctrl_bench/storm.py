"""Pods that fork all the time while the agent attaches to them: is anybody outside after the first clean pass?"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from resctrl_bench.agent import CONTROL_PLANE, Agent, is_whole, prepared
from resctrl_bench.bench import Bench, group_path
from resctrl_bench.emulator import Emulator, emulator
from resctrl_bench.figures import Figure, Section, spread
from resctrl_bench.load import Pod, Pods

LOOK_EVERY_SECONDS = 0.02
TRUTH_EVERY_SECONDS = 0.5


@dataclass(slots=True)
class _Times:
    """Unix times, by the pod's uid: when its group was made, and when the agent was first heard to say that it is whole in it."""

    grouped_at: dict[str, float] = field(default_factory=dict)
    clean_at: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Storm:
    """One start of the agent in a storm. `clean_seconds`: from the making of a pod's group to the word that all of it is in."""

    clean_seconds: list[float] = field(default_factory=list)
    looked_at: int = 0
    outside: list[str] = field(default_factory=list)
    lapses: int = 0
    forks_a_second: float = 0.0
    checks_a_pod: float | None = None


def measure(bench: Bench) -> Section:
    """Several starts of the agent, each during a storm of its own."""
    options = bench.options
    runs = [_run(bench) for _ in range(options.repeats)]
    asked = options.storm_pods * options.storm_forks
    checks = [run.checks_a_pod for run in runs if run.checks_a_pod is not None]
    reached = [run.forks_a_second for run in runs]
    clean = spread([seconds for run in runs for seconds in run.clean_seconds])
    return Section(
        "storm",
        f"{options.storm_pods} pods that ask for {options.storm_forks} forks a second each; {len(runs)} starts of the agent, "
        f"{options.storm_seconds / len(runs):.0f} s each",
        [
            Figure("forks a second that were reached, all pods together, median", median(reached)),
            Figure("forks a second that were asked for", asked),
            Figure("threads looked at after the clean pass of their pod", sum(run.looked_at for run in runs)),
            Figure("threads outside of their group then", sum(len(run.outside) for run in runs), "", 0),
            Figure("pods that never had a clean pass", sum(options.storm_pods - len(run.clean_seconds) for run in runs), "", 0),
            Figure("pods said to be not whole again after it", sum(run.lapses for run in runs)),
            Figure("passes for each pod until all had a clean one, mean", median(checks) if len(checks) == len(runs) else None),
            Figure("group to clean pass, p50", clean["p50"], "s"),
            Figure("group to clean pass, p99", clean["p99"], "s"),
            Figure("group to clean pass, most", clean["max"], "s"),
        ],
        {"clean_seconds": [seconds for run in runs for seconds in run.clean_seconds], "forks_a_second": reached},
        [
            "half of the forks come from a process that was itself forked two periods ago, not from the pod's first",
            "said to be not whole again: a thread may have ended between the agent's two listings; the truth above decides",
            f"the agent is asked every {LOOK_EVERY_SECONDS} s, so a time can be longer by that",
        ],
        {"outside": [words for run in runs for words in run.outside]},
    )


def _run(bench: Bench) -> Storm:
    options = bench.options
    storm = Storm()
    with bench.pods() as (pods, _none), emulator(bench.place, bench.new_name("storm")) as emulated:
        made = [
            pods.start(forks_per_second=options.storm_forks, lifetime_ms=options.storm_lifetime_ms)
            for _ in range(options.storm_pods)
        ]
        process = prepared(bench.place, emulated.mount, bench.new_name("agent"))
        running = Agent(process)
        try:
            process.start(ready=False)
            begun, forks = time.monotonic(), _forks(pods, made)
            _watch(bench, running, emulated, made, storm)
            storm.forks_a_second = (_forks(pods, made) - forks) / (time.monotonic() - begun)
            process.note_processes()
        finally:
            process.end()
        process.assert_nothing_left()
    bench.say(
        f"storm: {storm.forks_a_second:,.0f} forks a second, {storm.looked_at:,} threads looked at, {len(storm.outside)} outside"
    )
    return storm


def _forks(pods: Pods, made: Sequence[Pod]) -> int:
    return sum(pods.forks(pod) for pod in made)


def _watch(bench: Bench, running: Agent, emulated: Emulator, made: Sequence[Pod], storm: Storm) -> None:
    by_uid = {pod.uid: pod for pod in made}
    times = _Times()
    end_at = time.monotonic() + bench.options.storm_seconds / bench.options.repeats
    truth_at = 0.0
    while (now := time.monotonic()) < end_at:
        was_all_clean = len(times.clean_at) == len(by_uid)
        has_more = (not was_all_clean or now >= truth_at) and _note_claims(running, emulated, by_uid, times, storm)
        if has_more and len(times.clean_at) == len(by_uid):
            storm.checks_a_pod = running.stats(CONTROL_PLANE).get("resctrl", {}).get("steps", {}).get("check", 0) / len(by_uid)
        if has_more or now >= truth_at:
            truth_at = now + TRUTH_EVERY_SECONDS
            _compare(emulated, [by_uid[uid] for uid in times.clean_at], storm)
        time.sleep(LOOK_EVERY_SECONDS)
    storm.clean_seconds = [at - times.grouped_at[uid] for uid, at in times.clean_at.items()]


def _note_claims(running: Agent, emulated: Emulator, by_uid: dict[str, Pod], times: _Times, storm: Storm) -> bool:
    """Whether the agent says of more pods than before that they are whole."""
    rows = running.pods_so_far()
    now = time.time()
    before = len(times.clean_at)
    for row in rows:
        uid = row["uid"]
        if uid not in by_uid:
            continue
        if row["group_paths"] and uid not in times.grouped_at:
            times.grouped_at[uid] = (emulated.mount / group_path(uid)).stat().st_mtime
        if is_whole(row):
            times.clean_at.setdefault(uid, now)
        elif uid in times.clean_at:
            storm.lapses += 1
    return len(times.clean_at) > before


def _compare(emulated: Emulator, made: Sequence[Pod], storm: Storm) -> None:
    """Every thread that was in a pod's control group before the truth was asked, and still is after."""
    before = {pod.uid: pod.thread_ids() for pod in made}
    truth = emulated.threads()
    for pod in made:
        threads = before[pod.uid] & pod.thread_ids()
        storm.looked_at += len(threads)
        storm.outside += [
            f"{thread} of {pod.uid} is in {truth.get(thread, '') or 'the root'}"
            for thread in threads
            if truth.get(thread) != group_path(pod.uid)
        ]
