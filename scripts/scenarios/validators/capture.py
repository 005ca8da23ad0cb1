"""How much do the named rows hold of everything, the dead included (G-4)? The whole is the baseline's, not the sampler's. PURE."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import mean

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence, NotRecorded, Tick, value_at
from scenarios.judgement import Judgement, above, below, missing

# Below this much I/O of the host in a window a ratio says nothing.
IO_BYTES_LEAST = 1 << 20


def judge_capture(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Sums over the window for CPU and I/O, the mean over its ticks for memory."""
    before, window = evidence.window
    name, goal, limits = choice.name, choice.goal, choice.limits
    if before is None or not window:
        yield missing(name, goal, "capture", "no tick lies in the window")
        return
    try:
        cpu = value_at(evidence.host_cpu, window[-1].at_ns) - value_at(evidence.host_cpu, before.at_ns)
        memory = [tick.named_rss_bytes / value_at(evidence.host_rss, tick.at_ns) for tick in window]
        moved = value_at(evidence.host_io, window[-1].at_ns) - value_at(evidence.host_io, before.at_ns)
    except NotRecorded as problem:
        yield missing(name, goal, "capture", str(problem))
        return
    named = sum(tick.named_cpu_ns for tick in window)
    dead = f"{sum(tick.dead_cpu_ns for tick in window) / 1e9:.3f} s of processes that ended, whom no row can name"
    seen = f"named {named / 1e9:.3f} s of {cpu / 1e9:.3f} s that the kernel counts for the host, {len(window)} ticks; {dead}"
    yield above(name, goal, "CPU held by named rows", named / cpu if cpu else 0.0, float(limits["cpu"]), seen)
    yield above(
        name, goal, "RSS held by named rows", mean(memory), float(limits["rss"]), f"least {min(memory):.3f} of {len(memory)} ticks"
    )
    if limits["io"] and moved >= IO_BYTES_LEAST:
        held = sum(tick.named_io_bytes for tick in window)
        seen = f"named {held >> 10} KiB of {round(moved) >> 10} KiB that processes read and wrote"
        yield above(name, goal, "I/O held by named rows", held / moved, float(limits["io"]), seen)
    elif limits["io"]:
        yield missing(
            name, goal, "I/O held by named rows", f"the host moved only {round(moved)} bytes; limit `io: 0` leaves it out"
        )


def _ratio(evidence: Evidence, earlier: Tick, later: Tick) -> float | None:
    cpu = value_at(evidence.host_cpu, later.at_ns) - value_at(evidence.host_cpu, earlier.at_ns)
    return (later.named_cpu_ns + later.tail_cpu_ns + later.dead_cpu_ns) / cpu if cpu > 0 else None


def judge_stability(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """From tick to tick the rows hold about the same part of what the kernel counts, whatever begins and ends.

    What is compared is everything that the rows name, sum or count as dead: in a storm of short processes hardly anything can be
    named. Two of a hundred ticks at each end are left out, where a moment of reading falls on a burst.
    """
    before, window = evidence.window
    if before is None or len(window) < 3:
        yield missing(choice.name, choice.goal, "capture from tick to tick", "less than three ticks lie in the window")
        return
    try:
        found = [_ratio(evidence, *pair) for pair in pairwise([before, *window])]
    except NotRecorded as problem:
        yield missing(choice.name, choice.goal, "capture from tick to tick", str(problem))
        return
    ratios = sorted(each for each in found if each is not None)
    off = len(ratios) // 50
    kept = ratios[off : len(ratios) - off]
    deviation = (sum((each - mean(kept)) ** 2 for each in kept) / len(kept)) ** 0.5
    seen = f"{len(kept)} ticks: mean {mean(kept):.3f}, least {kept[0]:.3f}, most {kept[-1]:.3f}"
    yield below(
        choice.name, choice.goal, "capture from tick to tick, deviation", deviation, float(choice.limits["spread"]), seen, ""
    )
