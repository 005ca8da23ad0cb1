"""Does the host pay little? CPU and memory of the whole agent (G-2). PURE."""

from collections.abc import Iterator
from statistics import median

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.judgement import Judgement, below, missing

MIB = 1 << 20


def judge_cost(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """CPU by the plain figure; on a machine that is slower than the reference by the loop's share of it.

    The goal of 2 % is stated for a machine on which a psutil loop over the same processes at 1 Hz costs 2.9 % of a core. Where that
    loop costs more, the machine is slower at system calls, and 2 % of a core is less work: then agent and loop are compared.
    """
    name, goal, limits = choice.name, choice.goal, choice.limits
    cost = evidence.cost
    if cost is None or cost.elapsed_ns <= 0:
        yield missing(name, goal, "CPU of the agent", "no window was measured")
        return
    limit, usual = float(limits["cpu_percent"]), float(limits["reference_percent"])
    percent = 100 * cost.agent_cpu_ns / cost.elapsed_ns
    baseline = 100 * cost.baseline_cpu_ns / cost.elapsed_ns
    beside = f"{cost.processes} processes, baseline itself {baseline:.2f} %"
    if cost.reference_cpu_ns is None:
        yield below(name, goal, "CPU of the agent", percent, limit, f"{percent:.2f} % of a core; no psutil loop ran; {beside}")
    else:
        yield _beside_loop(choice, percent, 100 * cost.reference_cpu_ns / cost.elapsed_ns, limit, usual, beside)
    if not cost.pss_bytes:
        yield missing(name, goal, "memory of the agent", "no process of it was read")
        return
    pss, rss = max(cost.pss_bytes) / MIB, max(cost.rss_bytes) / MIB
    several = f"most of {len(cost.pss_bytes)} readings, middle {median(cost.pss_bytes) / MIB:.1f}"
    seen = f"PSS of the tree {pss:.1f} MiB ({several}), RSS summed {rss:.1f} MiB"
    yield below(name, goal, "memory of the agent (PSS)", pss, float(limits["pss_mib"]), seen, "MiB")


def _beside_loop(choice: ValidatorChoice, percent: float, loop: float, limit: float, usual: float, beside: str) -> Judgement:
    ratio, ratio_limit = (percent / loop if loop else float("inf")), limit / usual
    seen = f"plain {percent:.2f} % of a core, psutil loop {loop:.2f} %, ratio {ratio:.3f}; {beside}"
    if percent <= limit or loop <= usual:
        return below(choice.name, choice.goal, "CPU of the agent", percent, limit, seen)
    slower = f"judged by the ratio (limit {limit:g}/{usual:g} = {ratio_limit:.3f}): this machine is {loop / usual:.1f} times slower"
    return below(choice.name, choice.goal, "CPU of the agent by the loop's", ratio, ratio_limit, f"{seen}; {slower}", "")
