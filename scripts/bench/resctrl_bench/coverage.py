"""Pods with many threads that ran before the agent: when is the last thread in the right group?"""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from harness.waiting import wait_until

from resctrl_bench.agent import CONTROL_PLANE, Agent, is_whole, prepared
from resctrl_bench.bench import Bench, group_path
from resctrl_bench.clock import watched
from resctrl_bench.emulator import Emulator, emulator, threads_of
from resctrl_bench.figures import Figure, Section
from resctrl_bench.load import Pod, thread_counts

MUST_SECONDS = 1.0
LOST_SECONDS = 60.0
CLAIM_EVERY_SECONDS = 0.02
# The truth about thousands of threads costs the emulator 0.1 s in which it answers nobody else: it is asked when the agent says
# that all are in, and when they then are not.
TRUTH_EVERY_SECONDS = 0.25


@dataclass(slots=True)
class Attached:
    """One start of the agent, in seconds since its first look at the control groups."""

    whole_seconds: float = 0.0
    claimed_seconds: float = 0.0
    since_start_seconds: float = 0.0
    threads: int = 0
    outside: int = 0
    course: list[tuple[float, float]] = field(default_factory=list)


def measure(bench: Bench) -> Section:
    """Several starts of an agent over the same pods, each with a new mount; then the model over one of its own."""
    options = bench.options
    counts = thread_counts(options.coverage_pods, options.coverage_threads, most=options.coverage_threads_max, seed=options.seed)
    with bench.pods(counts) as (_pods, made):
        runs = [_attach(bench, made) for _ in range(options.repeats)]
        model_percent, processes = _model(bench, made)
    worst = max(runs, key=lambda run: run.whole_seconds)
    seconds = [run.whole_seconds for run in runs]
    return Section(
        "coverage",
        f"{len(made)} pods with 1 to {max(counts)} threads, {runs[0].threads:,} threads in all, that ran before the agent; "
        f"{len(runs)} starts",
        [
            Figure("first look to all threads in the right group, median", median(seconds), "s", MUST_SECONDS),
            Figure("first look to all threads in the right group, most", worst.whole_seconds, "s", MUST_SECONDS),
            Figure("first look to the agent's own word that all are, median", median(run.claimed_seconds for run in runs), "s"),
            Figure(
                "start of the process to all threads in the right group, median", median(r.since_start_seconds for r in runs), "s"
            ),
            Figure("threads not in the right group at the end", max(run.outside for run in runs), "", 0),
            Figure("threads in the right group by the model", model_percent, "%"),
        ],
        {"whole_seconds": seconds, "claimed_seconds": [run.claimed_seconds for run in runs]},
        [
            f"the model is no program: it moves first threads only ({processes:,}), once, as one does that lists cgroup.procs",
            "the emulator keeps when each thread was moved, and is asked when the agent says that all pods are whole",
        ],
        {"courses": [run.course for run in runs], "threads_of_pods": counts},
    )


def _attach(bench: Bench, made: Sequence[Pod]) -> Attached:
    wanted = {thread: group_path(pod.uid) for pod in made for thread in pod.thread_ids()}
    run = Attached(threads=len(wanted))
    with emulator(bench.place, bench.new_name("cover"), moves=True) as emulated, watched() as clock:
        process = prepared(bench.place, emulated.mount, bench.new_name("agent"))
        running = Agent(process)
        started_at = time.monotonic()
        try:
            process.start(ready=False)
            course, whole_at, claimed_at = _follow(running, emulated, wanted, len(made))
            process.note_processes()
            run.outside = _outside(emulated, made)
            looked_at = _first_look(running, clock.monotonic_ns)
        finally:
            process.end()
        process.assert_nothing_left()
    run.whole_seconds, run.claimed_seconds = whole_at - looked_at, claimed_at - looked_at
    run.since_start_seconds = whole_at - started_at
    run.course = [(round(at - looked_at, 3), round(share, 5)) for at, share in course]
    bench.say(f"coverage: all {len(wanted):,} threads after {run.whole_seconds:.2f} s; {os.getloadavg()[0]:.1f} load")
    return run


def _follow(
    running: Agent, emulated: Emulator, wanted: dict[int, str], pods: int
) -> tuple[list[tuple[float, float]], float, float]:
    """When how large a share of threads was where it belongs; when all were; when the agent said so."""
    course: list[tuple[float, float]] = []
    end_at = time.monotonic() + LOST_SECONDS
    while sum(map(is_whole, running.pods_so_far())) < pods:
        assert time.monotonic() < end_at, f"not whole within {LOST_SECONDS} s, the agent says:\n{running.process.output[-2000:]}"
        time.sleep(CLAIM_EVERY_SECONDS)
    claimed_at = time.monotonic()
    while True:
        truth = emulated.truth()
        group_of = threads_of(truth)
        share = sum(group_of.get(thread) == path for thread, path in wanted.items()) / len(wanted)
        if share == 1.0:
            moved_at = sorted(truth["moved_at_ns"][str(thread)] / 1e9 for thread in wanted)
            return _course(moved_at), moved_at[-1], claimed_at
        course.append((truth["at_ns"] / 1e9, share))
        assert time.monotonic() < end_at, f"the agent says that all are in; by the truth: {course}"
        time.sleep(TRUTH_EVERY_SECONDS)


def _course(moved_at: Sequence[float]) -> list[tuple[float, float]]:
    """When a tenth, two tenths … of all threads had come to where they belong."""
    return [(moved_at[math.ceil(len(moved_at) * tenth / 10) - 1], tenth / 10) for tenth in range(1, 11)]


def _outside(emulated: Emulator, made: Sequence[Pod]) -> int:
    """Live threads that are in no group or in another one than their pod's, now."""
    truth = emulated.threads()
    return sum(truth.get(thread) != group_path(pod.uid) for pod in made for thread in pod.thread_ids())


def _first_look(running: Agent, monotonic_ns: Callable[[int], int]) -> float:
    """When the control plane began to look at the control groups for the first time: its first rows bear the end of that look."""
    rows = wait_until(lambda: running.query("SELECT min(valid_from) AS at FROM pod_group"), "rows of the first look")
    look_ns = int(running.stats(CONTROL_PLANE).get("scan_ns_last", 0))
    return (monotonic_ns(rows[0]["at"]) - look_ns) / 1e9


def _model(bench: Bench, made: Sequence[Pod]) -> tuple[float, int]:
    """What one covers who moves what cgroup.procs lists, and looks once: percent of all threads; how many were moved."""
    moved = 0
    with emulator(bench.place, bench.new_name("model")) as emulated:
        for pod in made:
            group = emulated.mount / group_path(pod.uid)
            group.mkdir()
            for process in pod.process_ids():
                (group / "tasks").write_text(str(process))
                moved += 1
        truth = emulated.threads()
    right = sum(truth.get(thread) == group_path(pod.uid) for pod in made for thread in pod.thread_ids())
    return 100 * right / sum(len(pod.thread_ids()) for pod in made), moved
