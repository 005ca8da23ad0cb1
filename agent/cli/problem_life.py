"""Rules about processes that begin and end: fork storms, crash loops, and children that nobody waits for. PURE."""

from collections import Counter
from collections.abc import Iterator, Mapping

from agent.cli.problem import Culprit, HostProblem, Severity
from agent.cli.problem_blame import culprit_of, known_command, name_of
from agent.cli.problem_cpu import cores_of
from agent.cli.problem_evidence import Evidence
from agent.cli.render import text_of
from agent.cli.top_sample import Ended, NamedProcess

# Timers, probes and shells start a few processes a second, a parallel build on two cores some tens.
STARTS_PER_SECOND_MANY = 100.0
# So many leave a core little else to do: a fork, exec and exit cost about half a millisecond of CPU.
STARTS_PER_SECOND_STORM = 1_000.0
# The part of all that ended from which on it is said that one process starts them.
NEARLY_ALL = 0.8
# One death by a signal may be anything; the third of one command within a minute is a loop.
CRASHES_LEAST = 3
# Non-zero exits are usual for short commands (grep, test); what has run for so long was a service or a job.
LIFETIME_NS_OF_A_JOB = 500_000_000
# Signals that a program gets for its own errors, by their numbers on x86 and ARM (signal(7)).
CRASH_SIGNALS: Mapping[int, str] = {
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    11: "SIGSEGV",
    31: "SIGSYS",
}
# A parent collects its children within a tick or two; some daemons leave a few behind.
ZOMBIES_MANY = 10


def fork_storm(evidence: Evidence) -> Iterator[HostProblem]:
    """Very many processes begin and end; who starts them, and what they are."""
    rate = starts_per_second(evidence)
    if rate is None or rate < STARTS_PER_SECOND_MANY:
        return
    severity = Severity.WARNING if rate >= STARTS_PER_SECOND_STORM else Severity.NOTICE
    parent = _parent(evidence)
    command = _command(evidence, parent)
    text = f"{_storm(rate, parent, command)}{_cost(evidence)}"
    yield HostProblem(severity, "fork_storm", text, tuple(culprit for culprit in (parent, command) if culprit is not None))


def _storm(rate: float, parent: Culprit | None, command: Culprit | None) -> str:
    if parent is None:
        what = f"mostly {command.name}" if command is not None else "which ones is not known"
        return f"{rate:.0f} processes a second start: {what}"
    what = f", mostly {command.name}" if command is not None and command.name != parent.name else ""
    if (parent.share or 0.0) >= NEARLY_ALL:
        return f"{name_of(parent)} starts {rate:.0f} processes a second{what}"
    return f"{rate:.0f} processes a second start, most by {name_of(parent)}{what}"


def starts_per_second(evidence: Evidence) -> float | None:
    """Processes that began, per second. *Absent:* where neither deaths nor starts are counted.

    Deaths count those that the sampler never saw alive. The kernel's own count of starts has threads in it: it comes last.
    """
    scan = evidence.sample.scan
    if scan is not None and scan.elapsed_ns:
        counted_ones = [number for number in (scan.deaths, scan.started) if number is not None]
        if counted_ones:
            return max(counted_ones) * 1e9 / scan.elapsed_ns
    return evidence.host.per_second(evidence.host.processes_started)


def _parent(evidence: Evidence) -> Culprit | None:
    """The process that started the most of what ended, None where that is not known: sums have no parent."""
    parents: Counter[int] = Counter()
    for ended in evidence.sample.ended:
        if ended.ppid is not None and ended.ppid > 1:
            parents[ended.ppid] += ended.deaths
    for pid, deaths in parents.most_common(1):
        known = _process(evidence, pid)
        return culprit_of(known, deaths / parents.total()) if known is not None else None
    return None


def _command(evidence: Evidence, parent: Culprit | None) -> Culprit | None:
    """The command of which the most ended: of the parent's children where it is known."""
    commands: Counter[str] = Counter()
    for ended in evidence.sample.ended:
        command = known_command(ended)
        if command is not None and (parent is None or ended.ppid == parent.pid):
            commands[command] += ended.deaths
    for command, deaths in commands.most_common(1):
        return Culprit("command", text_of(command), share=deaths / commands.total())
    return None


def _cost(evidence: Evidence) -> str:
    dead = evidence.sample.scan.cpu_dead_share if evidence.sample.scan is not None else None
    return f"; they use {cores_of(dead)}" if dead is not None and dead >= 0.05 else ""


def crash_loop(evidence: Evidence) -> Iterator[HostProblem]:
    """A command dies by a signal, or ends with the same error, again and again."""
    by_signal: Counter[tuple[str, int]] = Counter()
    by_code: Counter[tuple[str, int]] = Counter()
    for _, ended in evidence.ended():
        if ended.signal in CRASH_SIGNALS:
            by_signal[ended.command, ended.signal or 0] += ended.deaths
        elif _has_failed(ended):
            by_code[ended.command, ended.exit_code or 0] += ended.deaths
    for (command, number), times in by_signal.most_common(1):
        if times >= CRASHES_LEAST:
            text = f"{text_of(command)} crashed {times} times in the last minute: signal {number} ({CRASH_SIGNALS[number]})"
            yield HostProblem(Severity.WARNING, "crash_loop", text, (Culprit("command", text_of(command)),))
    for (command, code), times in by_code.most_common(1):
        if times >= CRASHES_LEAST:
            text = f"{text_of(command)} ended {times} times in the last minute with exit status {code}"
            yield HostProblem(Severity.NOTICE, "failure_loop", text, (Culprit("command", text_of(command)),))


def _has_failed(ended: Ended) -> bool:
    return bool(ended.exit_code) and (ended.lifetime_ns or 0) >= LIFETIME_NS_OF_A_JOB


def zombies(evidence: Evidence) -> Iterator[HostProblem]:
    """Children that have ended and that their parent does not collect."""
    found = [process for process in evidence.sample.processes if process.state == "Z"]
    parents = Counter(process.ppid for process in found if process.ppid is not None)
    for pid, count in parents.most_common(1):
        if count >= ZOMBIES_MANY:
            parent = _process(evidence, pid)
            culprit = Culprit("process", "a process", pid) if parent is None else culprit_of(parent)
            text = f"{name_of(culprit)} does not collect its ended children: {count} zombies"
            yield HostProblem(Severity.NOTICE, "zombies", text, (culprit,))


def _process(evidence: Evidence, pid: int) -> NamedProcess | None:
    return next((process for process in evidence.sample.processes if process.pid == pid), None)
