"""A runtime that is lost in mid-stream, again and again: when is the list the truth, and does any group suffer?"""

import time
from collections import Counter
from pathlib import Path

from fakes.nri_agent import is_true
from fakes.nri_dialect import container_of, pod_of
from fakes.nri_runtime import NriRuntime
from harness.agent_process import AgentProcess
from harness.waiting import wait_until
from resctrl_bench.figures import Figure, Section, spread

from nri_bench.bench import Bench, World

MUST_SECONDS = 3.0
LOST_SECONDS = 60.0
SETTLE_SECONDS = 120.0
CHANGES = 10


def measure(bench: Bench) -> Section:
    """Pods come and go all along; half of each ten changes happen while nobody is connected."""
    options = bench.options
    log = bench.new_folder("log") / "ids"
    with bench.world("x", ids=options.drop_pods + 20 * CHANGES * options.drops, ids_log=log) as world:
        for number in range(options.drop_pods):
            pod = pod_of(number)
            world.runtime.start_pod(pod, container_of(pod))
        with world.agent() as agent:
            wait_until(lambda: _is_settled(agent, world), "all groups are made", seconds=SETTLE_SECONDS, pause_seconds=0.2)
            runs, away = _drop(bench, world, agent)
            wait_until(
                lambda: _is_settled(agent, world), "all groups are as they must be", seconds=SETTLE_SECONDS, pause_seconds=0.2
            )
            retired = _retired(log)
            row = agent.workers()["control-plane"]
    found = spread(runs)
    removed = CHANGES * options.drops
    return Section(
        "drops",
        f"{options.drops} losses of the runtime at {options.drop_pods:,} pods, {2 * removed:,} changes meanwhile",
        [
            Figure("reconnection to the list being the truth, median", found["p50"], "s", MUST_SECONDS),
            Figure("reconnection to the list being the truth, most", found["max"], "s", MUST_SECONDS),
            Figure("loss to reconnection, most", max(away), "s"),
            Figure("groups that went though their pod stayed", retired - removed, "", 0),
            Figure("operations that failed", len(world.runtime.failed_operations), "", 0),
            Figure("restarts of the control plane", row["restarts"], "", 0),
        ],
        {"seconds": runs, "away_seconds": away},
    )


def _is_settled(agent: AgentProcess, world: World) -> bool:
    expected = {f"pod_{pod.uid!s}" for pod in world.runtime.pods.values()}
    return is_true(agent, world.runtime) and set(world.emulator.groups()) == expected


def _drop(bench: Bench, world: World, agent: AgentProcess) -> tuple[list[float], list[float]]:
    runs, away, runtime = [], [], world.runtime
    for number in range(bench.options.drops):
        before = runtime.synchronisations
        dropped_at = time.perf_counter()
        for change in range(CHANGES):
            new = pod_of(100_000 + number * CHANGES + change)
            runtime.start_pod(new, container_of(new))
            runtime.remove_pod(pod_of(number * CHANGES + change))
            if change == CHANGES // 2:
                runtime.end(announced=number % 2 == 1)
                dropped_at = time.perf_counter()
        runtime.start()
        wait_until(lambda before=before: _is_back(runtime, before), "the agent is back", seconds=LOST_SECONDS)  # type: ignore[misc]
        away.append(runtime.synchronized_at_ns / 1e9 - dropped_at)
        wait_until(lambda: is_true(agent, runtime), "the list is the truth", seconds=LOST_SECONDS)
        runs.append(time.perf_counter() - runtime.synchronized_at_ns / 1e9)
        bench.say(f"drops: {number + 1}: {runs[-1]:.2f} s")
    return runs, away


def _is_back(runtime: NriRuntime, before: int) -> bool:
    return runtime.synchronisations > before


def _retired(log: Path) -> int:
    words = Counter(line.split()[1] for line in log.read_text().splitlines() if len(line.split()) == 3)
    return words["retired"]
