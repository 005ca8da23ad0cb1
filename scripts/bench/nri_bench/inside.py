"""Container starts one after the other: how long the runtime waits for the reply, and whether an instruction ran outside."""

from collections import Counter
from typing import Any

from fakes.nri_dialect import Event
from fakes.nri_node import RealContainer, Where
from harness.agent_process import AgentProcess
from harness.proc import cpu_ns
from harness.waiting import wait_until
from resctrl_bench.figures import Figure, Section, spread

from nri_bench.bench import CONTROL_PLANE, Bench, World, control_plane_pid

REPLY_MUST_MS, REPLY_GOAL_MS, REPLY_MAX_MS = 20.0, 10.0, 100.0
# Containers of a pod that run at any time; older ones end.
ALIVE_MAX = 200
COUNTED_SECONDS = 30.0


def measure(bench: Bench) -> Section:
    """Containers with real processes, in pods that come and go."""
    count = bench.options.inside_starts
    with bench.world("i", ids=2_000) as world, world.agent() as agent:
        world.runtime.wait_plugin()
        pid = control_plane_pid(agent)
        before_ns = cpu_ns(pid)
        started = _start(bench, world, count)
        cost_ms = (cpu_ns(pid) - before_ns) / 1e6 / count
        # Its counts are told with its heartbeats.
        answered = len(world.runtime.replies(Event.START))
        wait_until(
            lambda: _plugin_stats(agent)["starts"] >= answered or agent.workers()[CONTROL_PLANE]["restarts"],
            "all answers are counted",
            seconds=COUNTED_SECONDS,
        )
        counts = _plugin_stats(agent)
        deaths = agent.workers()["control-plane"]["restarts"]
    places = Counter(made.where for made in started)
    replies = world.runtime.replies(Event.START)
    return Section(
        "inside",
        f"{count:,} container starts in {bench.options.inside_pods} pods, over a runtime of the tests and an emulated resctrl",
        [
            *reply_figures(replies),
            Figure("containers with an instruction outside of their group", count - places[Where.INSIDE], "", 0),
            Figure("starts that were answered before their threads were placed", counts["deadline_misses"] + counts["refused"], ""),
            Figure("operations that failed", len(world.runtime.failed_operations), "", 0),
            Figure("connections that were lost", len(world.runtime.dropped), "", 0),
            Figure("restarts of the control plane", deaths, "", 0),
            Figure("processor time of the control plane for a start, all its work included", cost_ms, "ms"),
        ],
        {"reply_ms": replies, "run_pod_ms": world.runtime.replies(Event.RUN_POD)},
        [f"outside: {places[Where.OUTSIDE]}, without a group: {places[Where.MISSING]}"],
    )


def _plugin_stats(agent: AgentProcess) -> dict[str, Any]:
    """The plugin's own counts."""
    stats: dict[str, Any] = agent.stats(CONTROL_PLANE)["runtime"]["wires"]["nri"]
    return stats


def reply_figures(replies: list[float], *, goal: float = REPLY_GOAL_MS) -> list[Figure]:
    """p50, p99 and the largest, of milliseconds."""
    found = spread(replies)
    return [
        Figure("reply to StartContainer, p50", found["p50"], "ms"),
        Figure("reply to StartContainer, p99", found["p99"], "ms", REPLY_MUST_MS, goal),
        Figure("reply to StartContainer, most", found["max"], "ms", REPLY_MAX_MS),
    ]


def _start(bench: Bench, world: World, count: int) -> list[RealContainer]:
    node, started = world.node, list[RealContainer]()
    pods = [node.run_pod(number) for number in range(bench.options.inside_pods)]
    for number in range(count):
        if number % len(pods) == len(pods) - 1:
            # One pod goes and another one comes, as on a host where jobs run.
            node.remove_pod(pods.pop(0))
            pods.append(node.run_pod(10_000 + number))
        pod = pods[number % len(pods)]
        started.append(node.start(pod, number))
        if len(node.running) > ALIVE_MAX:
            node.end(node.running[0])
        if number % 200 == 199:
            bench.say(f"inside: {number + 1} containers")
    return started
