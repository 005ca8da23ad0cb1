"""Pods through a real containerd, side by side: without a plugin, with this agent, with the example plugin.

Each kind has a containerd of its own, all of one configuration and all up at once. Pods of all kinds start in turns, in an order
drawn by chance, so that a slow moment of the machine hits all of them alike. After each round the kinds change places, so that
none has the luck or the bad luck of one particular containerd.
"""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

from harness.agent_process import AgentProcess
from harness.lab.cri import ContainerSpec
from harness.lab.runtime import LabRuntime
from harness.waiting import wait_until
from resctrl_bench.emulator import Emulator, emulator
from resctrl_bench.figures import Figure, Section, spread

from nri_bench.bench import FLAGS, Bench
from nri_bench.rival import build, rival

RATIO_MUST, RATIO_GOAL = 1.03, 1.01
NONE, OURS, RIVAL = "no plugin", "evergauge", "example plugin"
WARM_PODS = 3
Samples = dict[str, list[float]]
Counts = dict[str, Any]


def measure(bench: Bench) -> Section:
    """As many rounds as there are kinds; in each, every kind is at another containerd."""
    kinds = [NONE, OURS]
    missing = build(bench)
    if not isinstance(missing, str):
        kinds.append(RIVAL)
    samples: Samples = {kind: [] for kind in kinds}
    stats: list[Counts] = []
    with ExitStack() as ending:
        labs = [ending.enter_context(LabRuntime(bench.new_folder("c"), bench.options.containerd)) for _kind in kinds]
        mount = ending.enter_context(emulator(bench.place, "s/r", more_ids=500, are_names_kept=True))
        version = labs[0].cri.version()
        for turn in range(len(kinds)):
            places = dict(zip(kinds, labs[turn:] + labs[:turn], strict=True))
            with _plugins(bench, places, mount) as agent:
                _round(bench, places, samples, -(-bench.options.start_pods // len(kinds)))
                stats.append(_nri_stats(agent))
            bench.say(f"starts: round {turn + 1} of {len(kinds)}: {ratio(samples, OURS):.4f}")
    return _section(bench, version, samples, stats, missing if isinstance(missing, str) else "")


def ratio(samples: Samples, kind: str) -> float:
    """The median over pairs of pods that started one after the other."""
    return median(with_it / without for with_it, without in zip(samples[kind], samples[NONE], strict=True))


@contextmanager
def _plugins(bench: Bench, places: dict[str, LabRuntime], mount: Emulator) -> Iterator[AgentProcess]:
    """The plugins of one round, each at its runtime."""
    with ExitStack() as ending:
        lab = places[OURS]
        flags = {
            **FLAGS,
            "--nri-socket-path": str(lab.place.nri),
            "--kernel-cgroup-root": str(lab.cgroup_root),
            "--resctrl-mount": str(mount.mount),
        }
        agent = ending.enter_context(AgentProcess(bench.new_folder("a"), flags=flags, quick=False))
        if RIVAL in places:
            ending.enter_context(rival(bench, places[RIVAL].place.nri))
        for _number in range(WARM_PODS):
            for runtime in places.values():
                _start_pod(runtime)
        wait_until(lambda: _nri_stats(agent).get("starts"), "events reach the agent")
        yield agent


def _round(bench: Bench, places: dict[str, LabRuntime], samples: Samples, count: int) -> None:
    rng = random.Random(bench.options.seed)
    for _number in range(count):
        for kind in rng.sample(list(places), len(places)):
            samples[kind].append(_start_pod(places[kind]))
            time.sleep(bench.options.pause_ms / 1000)


def _start_pod(runtime: LabRuntime) -> float:
    """Milliseconds from the first call of the kubelet to the answer to its last one; the pod is gone afterwards."""
    spec = runtime.spec()
    cri = runtime.cri
    began = time.perf_counter()
    pod = runtime.run(spec, ContainerSpec("main", ("/bin/load", "threads", "1")), cri=cri)
    took = time.perf_counter() - began
    runtime.remove(pod)
    return took * 1000


def _nri_stats(agent: AgentProcess) -> Counts:
    """What the agent's own plugin counts."""
    stats = agent.call("status")["stats"].get("control-plane") or {}
    found: Counts = stats.get("runtime", {}).get("wires", {}).get("nri", {})
    return found


def _section(bench: Bench, version: str, samples: Samples, stats: list[Counts], missing: str) -> Section:
    figures = []
    for kind, found in samples.items():
        figures.append(Figure(f"start of a pod, {kind}, p50", spread(found)["p50"], "ms"))
        figures.append(Figure(f"start of a pod, {kind}, p99", spread(found)["p99"], "ms"))
    figures.append(Figure("evergauge against no plugin, median of pairs", ratio(samples, OURS), "", RATIO_MUST, RATIO_GOAL))
    figures.append(Figure("evergauge against no plugin, ratio of medians", median(samples[OURS]) / median(samples[NONE])))
    if RIVAL in samples:
        figures.append(Figure("example plugin against no plugin, median of pairs", ratio(samples, RIVAL)))
    figures.append(
        Figure("reply to StartContainer by the agent's own clock, most", max(each["start_ns_max"] for each in stats) / 1e6, "ms")
    )
    figures.append(Figure("replies that waited until the deadline", sum(each["deadline_misses"] for each in stats)))
    title = f"{len(samples[OURS])} pods of each kind, through {version}"
    return Section("starts", title, figures, samples, [missing] if missing else [], {"agent": stats})
