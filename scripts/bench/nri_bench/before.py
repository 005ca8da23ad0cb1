"""Pods that ran before the agent: when all are grouped and named, and what it costs to follow them from then on."""

import time
from contextlib import suppress
from statistics import median

from harness.agent_process import AgentProcess
from harness.proc import cpu_ns
from harness.waiting import wait_until
from resctrl_bench.agent import is_whole
from resctrl_bench.figures import Figure, Section

from nri_bench.bench import Bench, World, control_plane_pid

MUST_SECONDS = 1.0
LOST_SECONDS = 60.0
SETTLE_SECONDS = 2.0


def measure(bench: Bench) -> Section:
    """Several agents, each over the same pods with a new mount."""
    runs, steady = [], []
    for number in range(bench.options.repeats):
        with bench.world("b", ids=500) as world:
            took, cost = _start(bench, world)
            runs.append(took)
            steady.append(cost)
        bench.say(f"before: run {number + 1}: {runs[-1]:.2f} s")
    threads = bench.options.before_pods * (bench.options.before_children + 1)
    return Section(
        "before",
        f"{bench.options.before_pods} pods with {threads} processes that ran before the agent; {len(runs)} starts",
        [
            Figure("registration to all pods in their groups with their names, median", median(runs), "s", MUST_SECONDS),
            Figure("registration to all pods in their groups with their names, most", max(runs), "s", MUST_SECONDS),
            Figure("processor time of the control plane for a minute in which nothing changes", median(steady), "ms"),
        ],
        {"seconds": runs, "steady_ms": steady},
    )


def _start(bench: Bench, world: World) -> tuple[float, float]:
    for number in range(bench.options.before_pods):
        pod = world.node.run_pod(number)
        world.node.start(pod, children=bench.options.before_children, is_heard=False)
    with world.agent() as agent:
        wait_until(lambda: _all_named(agent, world), "all pods are named and whole", seconds=LOST_SECONDS, pause_seconds=0.02)
        took = time.perf_counter_ns() - world.runtime.registered_at_ns
        truth = world.emulator.threads()
        for made in world.node.running:
            outside = {thread for thread in made.threads() if truth.get(thread) != f"mon_groups/pod_{made.pod.uid!s}"}
            assert not outside, f"{outside} of {made.pod.name!r} are outside, and the agent says that they are in"
        pid, seconds = control_plane_pid(agent), bench.options.steady_seconds
        # What was done for the start has its second look by then.
        time.sleep(SETTLE_SECONDS)
        before_ns = cpu_ns(pid)
        time.sleep(seconds)
        cost = (cpu_ns(pid) - before_ns) / 1e6 * 60 / seconds
    return took / 1e9, cost


def _all_named(agent: AgentProcess, world: World) -> bool:
    with suppress(OSError, ValueError):
        rows = [row for row in agent.call("list-pods")["pods"] if row["kind"] == "pod"]
        names = {row["name"] for row in rows if is_whole(row)}
        return names == {pod.name for pod in world.runtime.pods.values()}
    return False
