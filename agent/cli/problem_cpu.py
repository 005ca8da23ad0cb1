"""Rules about CPU: who keeps the cores busy, and what takes them away. PURE."""

from collections.abc import Iterator

from agent.cli.problem import HostProblem, Severity
from agent.cli.problem_blame import CPU, blamed, culprit_of, culprits, who
from agent.cli.problem_evidence import Evidence
from agent.cli.top_sample import NamedProcess

# Below this there is room for one more thread most of the time; the last tenth is what a tick of one second cannot tell from all.
BUSY_PART = 0.9
# Full cores hurt when something waits for them: a tenth of the time, which a batch job alone on its cores does not reach.
WAITING_PART = 0.1
# A single thread that never sleeps reads 0.97 to 1.0 of a core; one that is interrupted by others somewhat less.
CORE_PART = 0.9
# A tenth of all CPU time that was wanted and not given is seen by users as slowness; 1 to 2 % are usual on shared machines.
STEAL_PART = 0.1
# Above the usual sizes of thread pools (Tomcat: 200, Apache: 400 in all, a connection of MySQL each: 151).
THREADS_MANY = 400
NAMED_MAX = 3
# The second is told too if it uses at least so much of what the first does: either may be the one that should not run.
SECOND_PART = 0.5
# In a container the host's cores may be kept busy from outside. Of so small a part the largest user is no culprit.
SEEN_PART = 0.5


def cpu_saturated(evidence: Evidence) -> Iterator[HostProblem]:
    """All cores are busy and something waits for one."""
    host = evidence.host
    busy, cores = host.busy_cores, host.cores
    if busy is None or not cores or busy < BUSY_PART * cores or not _something_waits(evidence):
        return
    blames = blamed(evidence.sample, CPU, evidence.pod_names)
    queue = "" if host.running is None else f", {host.running} threads want to run"
    shown = [blame for blame in blames[:2] if blame.amount >= SECOND_PART * blames[0].amount]
    told = " and ".join(
        f"{who(blame)} {'uses ' if place == 0 else ''}{cores_of(blame.amount)}" for place, blame in enumerate(shown)
    )
    if blames and blames[0].total < SEEN_PART * min(busy, cores):
        told, blames = f"not by processes that are visible here, which use {cores_of(blames[0].total)}", []
    text = f"CPU full{f': {told}' if told else ''}; {min(busy, cores):.1f} of {cores} cores busy{queue}"
    yield HostProblem(Severity.WARNING, "cpu_saturated", text, culprits(blames))


def _something_waits(evidence: Evidence) -> bool:
    host = evidence.host
    waiting = host.share_of_time(host.pressure_cpu_some_ns)
    if waiting is not None:
        return waiting >= WAITING_PART
    return host.running is not None and host.cores is not None and host.running > host.cores


def cpu_hog(evidence: Evidence) -> Iterator[HostProblem]:
    """A process uses a whole core or more."""
    hogs = sorted((each for each in evidence.sample.processes if (each.cpu_share or 0.0) >= CORE_PART), key=_by_cpu)[:NAMED_MAX]
    if not hogs:
        return
    named = [culprit_of(hog, _part_of_cores(hog, evidence.host.cores)) for hog in hogs]
    told = [
        f"{culprit.name} (pid {culprit.pid}) uses {cores_of(hog.cpu_share or 0.0)}"
        for culprit, hog in zip(named, hogs, strict=True)
    ]
    yield HostProblem(Severity.NOTICE, "cpu_hog", "; ".join(told), tuple(named))


def _by_cpu(process: NamedProcess) -> float:
    return -(process.cpu_share or 0.0)


def _part_of_cores(process: NamedProcess, cores: int | None) -> float | None:
    return None if process.cpu_share is None or not cores else min(1.0, process.cpu_share / cores)


def cores_of(share: float) -> str:
    """CPU in cores: `1.0 core`, `2.3 cores`."""
    text = f"{share:.1f}"
    return f"{text} core" if text == "1.0" else f"{text} cores"


def steal(evidence: Evidence) -> Iterator[HostProblem]:
    """The hypervisor runs other guests while this one wants to."""
    host = evidence.host
    part = host.share_of_cpu(host.cpu_steal_ns)
    if part is not None and part >= STEAL_PART:
        text = f"The hypervisor takes {part:.0%} of the CPU (steal): other guests or a quota, no process here"
        yield HostProblem(Severity.WARNING, "steal", text)


def many_threads(evidence: Evidence) -> Iterator[HostProblem]:
    """A process has very many threads."""
    most = max(evidence.sample.processes, key=lambda process: process.threads or 0, default=None)
    if most is None or most.threads is None or most.threads < THREADS_MANY:
        return
    every = evidence.sample.scan.threads if evidence.sample.scan is not None else None
    culprit = culprit_of(most, min(1.0, most.threads / every) if every else None)
    of_all = f" of {every}" if every else ""
    yield HostProblem(
        Severity.NOTICE, "many_threads", f"{culprit.name} (pid {most.pid}) has {most.threads}{of_all} threads", (culprit,)
    )
