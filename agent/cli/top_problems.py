"""What is wrong with a host and who causes it, from one sample of `agentctl top`. PURE.

Each rule looks at the evidence alone. Their order here is that of causes before consequences.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from agent.cli.host_head import head_of
from agent.cli.problem import ORDER, HeadLine, HeadPart, HostProblem, worst
from agent.cli.problem_cpu import cpu_hog, cpu_saturated, many_threads, steal
from agent.cli.problem_device import (
    blocked,
    disk_heavy,
    disk_saturated,
    io_wait,
    network_errors,
    network_full,
    network_heavy,
    retransmits,
)
from agent.cli.problem_evidence import Evidence, Rule, evidence_of
from agent.cli.problem_life import crash_loop, fork_storm, zombies
from agent.cli.problem_memory import memory_growth, memory_held, memory_short, memory_wait, oom_kill, swap_thrash
from agent.cli.problem_sampler import capture_low, data_old, exits_fallback
from agent.cli.top_sample import Sample
from agent.cli.width import display_width

# Between the title and the parts of a head line.
GAP = "  "
TITLE_COLUMNS = 4

RULES: tuple[Rule, ...] = (
    data_old,
    oom_kill,
    memory_short,
    memory_growth,
    memory_held,
    memory_wait,
    swap_thrash,
    crash_loop,
    fork_storm,
    steal,
    network_full,
    disk_saturated,
    disk_heavy,
    cpu_saturated,
    blocked,
    io_wait,
    network_heavy,
    cpu_hog,
    network_errors,
    retransmits,
    many_threads,
    zombies,
    exits_fallback,
    capture_low,
)
# What each problem brings about. A cause is at least as severe as its consequences, so that it stands before them.
CONSEQUENCES: Mapping[str, frozenset[str]] = {
    "memory_short": frozenset(("memory_wait", "swap_thrash", "disk_saturated", "io_wait", "blocked")),
    "memory_growth": frozenset(("memory_wait", "swap_thrash")),
    "memory_held": frozenset(("memory_wait", "swap_thrash")),
    "swap_thrash": frozenset(("disk_saturated", "io_wait", "blocked")),
    "fork_storm": frozenset(("cpu_saturated",)),
    "crash_loop": frozenset(("cpu_saturated",)),
    "disk_saturated": frozenset(("blocked", "io_wait")),
    "disk_heavy": frozenset(("blocked", "io_wait")),
}
# A problem that says nothing more where the other one is there and blames the same.
SAYS_THE_SAME: Mapping[str, frozenset[str]] = {
    "cpu_hog": frozenset(("cpu_saturated",)),
    "disk_heavy": frozenset(("disk_saturated",)),
    "io_wait": frozenset(("disk_saturated", "disk_heavy")),
    "network_heavy": frozenset(("network_full",)),
    "memory_growth": frozenset(("memory_short",)),
    "memory_held": frozenset(("memory_short", "memory_growth")),
}


def problems(
    sample: Sample, before: Sequence[Sample] = (), now_wall_ns: int | None = None, pod_names: Mapping[str, str] | None = None
) -> list[HostProblem]:
    """The problems of a tick, the worst first, a cause before its consequences; none on a calm host.

    `before` are earlier samples of the same host in their order, as far as a minute back; each may lack its processes. They tell
    what grew, and what happened a moment ago and matters still (a process killed for memory). Where they are not given they are
    those that the sample has. `now_wall_ns` is given where the sample is to be live: then old data is a problem. `pod_names` are
    names of units by their uid.
    """
    return _found(evidence_of(sample, before or sample.before, now_wall_ns, pod_names))


def head_lines(
    sample: Sample,
    width: int | None,
    before: Sequence[Sample] = (),
    now_wall_ns: int | None = None,
) -> list[HeadLine]:
    """The figures that always stand above the processes: a line each for CPU, memory, disk, network and processes.

    *Range:* no line is wider than `width`: its last parts go. *Absent:* what is unknown is `-`; a line of which nothing is
    known is left out. None of a sample without figures of the host.
    """
    evidence = evidence_of(sample, before or sample.before, now_wall_ns)
    return [_fitted(line, width) for line in head_of(evidence, _found(evidence))]


def _found(evidence: Evidence) -> list[HostProblem]:
    """The problems in their order."""
    found = [problem for rule in RULES for problem in rule(evidence)]
    told = [problem for problem in found if not _is_said_by_another(problem, found)]
    severities = {problem.name: problem.severity for problem in found}
    raised = [
        replace(problem, severity=worst((problem.severity, *(severities[name] for name in _consequences(problem, severities)))))
        for problem in told
    ]
    # Sorting is stable: within a severity the order of the rules stays.
    return sorted(raised, key=lambda problem: -ORDER[problem.severity])


def _consequences(problem: HostProblem, present: Mapping[str, object]) -> set[str]:
    return {name for name in CONSEQUENCES.get(problem.name, ()) if name in present}


def _is_said_by_another(problem: HostProblem, found: Sequence[HostProblem]) -> bool:
    others = SAYS_THE_SAME.get(problem.name, frozenset())
    return any(other.name in others and (problem.culprits[:1] == () or _blames(other, problem)) for other in found)


def _blames(other: HostProblem, problem: HostProblem) -> bool:
    """Whether another problem blames the first culprit of this one; shares of different things may differ."""
    first = problem.culprits[0]
    return any((each.kind, each.name, each.pid) == (first.kind, first.name, first.pid) for each in other.culprits)


def _fitted(line: HeadLine, width: int | None) -> HeadLine:
    """The line with as many of its parts as fit."""
    if width is None:
        return line
    left = width - TITLE_COLUMNS
    kept: list[HeadPart] = []
    for part in line.parts:
        left -= len(GAP) + display_width(part.text)
        if left < 0:
            break
        kept.append(part)
    return HeadLine(line.title, tuple(kept))
