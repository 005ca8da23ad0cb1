"""Do named rows, tail and dead add up to what the kernel counts (G-5)? PURE."""

from collections.abc import Iterator

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence, NotRecorded, value_at
from scenarios.judgement import Judgement, below, missing

# Less CPU of the load than this is lost between two readings.
UNIT_CPU_NS_LEAST = 100_000_000


def judge_closing(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """CPU of the host and of the load's unit, memory of the host, CPU of each command of short processes."""
    name, goal = choice.name, choice.goal
    before, window = evidence.window
    if before is None or not window:
        yield missing(name, goal, "CPU of the host", "no tick lies in the window")
        return
    try:
        kernel = value_at(evidence.host_cpu, window[-1].at_ns) - value_at(evidence.host_cpu, before.at_ns)
        memory = [100 * (tick.rss_bytes / value_at(evidence.host_rss, tick.at_ns) - 1) for tick in window]
    except NotRecorded as problem:
        yield missing(name, goal, "CPU of the host", str(problem))
        return
    parts = [sum(getattr(tick, part) for tick in window) for part in ("named_cpu_ns", "tail_cpu_ns", "dead_cpu_ns")]
    shown = "named {:.3f}, tail {:.3f}, dead {:.3f} s".format(*(part / 1e9 for part in parts))
    yield _off(choice, "CPU of the host", sum(parts), kernel, shown)
    unit = value_at(evidence.unit_cpu, window[-1].at_ns) - value_at(evidence.unit_cpu, before.at_ns)
    if unit >= UNIT_CPU_NS_LEAST:
        yield _off(choice, "CPU of the load's unit", sum(tick.unit_cpu_ns for tick in window), unit, "its rows of all three kinds")
    mean = sum(memory) / len(memory)
    seen = f"mean {mean:+.3f} %, worst tick {max(memory, key=abs):+.3f} %{_goal(choice, abs(mean))}"
    yield below(name, goal, "memory of the host, off", abs(mean), float(choice.limits["percent"]), seen)
    for each in evidence.commands:
        error = 100 * (each.stored_ns / each.kernel_ns - 1) if each.kernel_ns else 0.0
        seen = f"rows {each.stored_ns / 1e9:.3f} s, kernel {each.kernel_ns / 1e9:.3f} s, {error:+.2f} %"
        yield below(name, goal, f"CPU of {each.command}, off", abs(error), float(choice.limits["command_percent"]), seen)


def _off(choice: ValidatorChoice, what: str, ours: float, kernel: float, shown: str) -> Judgement:
    if kernel <= 0:
        return missing(choice.name, choice.goal, what, "the kernel counted nothing")
    error = 100 * (ours / kernel - 1)
    seen = f"rows {ours / 1e9:.3f} s ({shown}), kernel {kernel / 1e9:.3f} s, {error:+.3f} %{_goal(choice, abs(error))}"
    return below(choice.name, choice.goal, f"{what}, off", abs(error), float(choice.limits["percent"]), seen)


def _goal(choice: ValidatorChoice, error: float) -> str:
    goal = float(choice.limits["goal_percent"])
    return f"; {'within' if error <= goal else 'NOT within'} our own {goal:g} %"
