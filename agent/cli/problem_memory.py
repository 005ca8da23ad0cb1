"""Rules about memory: what was killed for it, who holds it, and who takes it. PURE."""

from collections.abc import Iterator

from msgspec import Struct

from agent.cli.problem import Culprit, HostProblem, Severity
from agent.cli.problem_blame import MAJOR_FAULTS, MEMORY, blamed, culprit_of, culprits, who
from agent.cli.problem_evidence import Evidence
from agent.cli.render import bytes_of, seconds_of, text_of
from agent.cli.top_sample import Ended, NamedProcess, Sample
from agent.model.timebase import S

MIB = 1 << 20
# The kernel's own reserve and the file pages that programs run from are within it: below, every allocation may wait.
AVAILABLE_SHORT = 0.05
AVAILABLE_CRITICAL = 0.02
# With so little left for files they are read again and again, and one process that holds so much is worth a look.
AVAILABLE_LITTLE = 0.15
HELD_PART = 0.3
# The time in which something waited for memory; a healthy host shows none at all.
WAITING_PART = 0.1
# A program that starts reads some tens of pages once.
FAULTS_PER_SECOND = 100.0
# In so much of the time nothing at all went on for lack of memory.
STANDSTILL_PART = 0.2
# Pages that go both ways are not cold ones put aside: they are needed again at once.
SWAP_BYTES_PER_SECOND = 1 * MIB
# Growth is a problem if it fills the memory before a person has looked into it.
FULL_WITHIN_SECONDS = 120.0
# Then there is no time to look into it.
FULL_SOON_SECONDS = 60.0
# A program that starts reads and allocates this much in a moment and then no more.
GROWTH_BYTES_LEAST = 128 * MIB
# Growth is measured over at most so long: what it was a minute ago tells nothing of now.
GROWTH_REACH_NS = 10 * S
# A victim ends within this time of the tick that counts its kill; large ones take a second to give their memory back.
VICTIM_NS = 3 * S
SIGKILL = 9


class Growth(Struct, frozen=True):
    """A process that holds more than it did, and the rate."""

    process: NamedProcess
    bytes_per_second: float


def oom_kill(evidence: Evidence) -> Iterator[HostProblem]:
    """The kernel killed a process for lack of memory, in the whole host or in one cgroup, within the last minute."""
    kills = kills_of(evidence)
    if not kills:
        return
    count, last_ns = sum(kills.values()), max(kills)
    victim = _victim(evidence, last_ns)
    age = (evidence.sample.at_wall_ns - last_ns) / S
    when = "just now" if age < 1.5 else f"{seconds_of(round(age))} ago"
    more = f" ({count} in the last minute)" if count > 1 else ""
    if victim is None:
        yield HostProblem(
            Severity.CRITICAL, "oom_kill", f"A process was killed for lack of memory {when}{more}: it is not known which"
        )
        return
    culprit = Culprit("process", text_of(victim.command), victim.pid)
    held = "" if victim.rss_max_bytes is None else f", it held {bytes_of(victim.rss_max_bytes)}"
    pod = evidence.pod_names.get(victim.pod_uid or "")
    unit = f" in {text_of(pod)}" if pod else ""
    text = f"{culprit.name} (pid {victim.pid}) was killed for lack of memory{unit} {when}{held}{more}"
    yield HostProblem(Severity.CRITICAL, "oom_kill", text, (culprit,))


def kills_of(evidence: Evidence) -> dict[int, int]:
    """How many kills each tick of the host counted that counted any, by its time; a row that two samples show counts once."""
    kills: dict[int, int] = {}
    for sample in evidence.recent:
        row = sample.machine.host or {}
        count, at_ns = row.get("oom_kills"), row.get("timestamp")
        if isinstance(count, int) and count > 0:
            kills[at_ns if isinstance(at_ns, int) else sample.at_wall_ns] = count
    return kills


def _victim(evidence: Evidence, killed_ns: int) -> Ended | None:
    """Of the processes that SIGKILL ended about then, the one that held the most."""
    near = [
        ended
        for at_ns, ended in evidence.ended()
        if ended.signal == SIGKILL and ended.pid is not None and abs(at_ns - killed_ns) <= VICTIM_NS
    ]
    return max(near, key=lambda ended: ended.rss_max_bytes or 0, default=None)


def memory_short(evidence: Evidence) -> Iterator[HostProblem]:
    """Little memory is available in the host."""
    host = evidence.host
    available, total = host.memory_available_bytes, host.memory_total_bytes
    if available is None or not total or available >= AVAILABLE_SHORT * total:
        return
    full = host.share_of_time(host.pressure_memory_full_ns) or 0.0
    is_critical = available < AVAILABLE_CRITICAL * total or full >= STANDSTILL_PART
    blames = blamed(evidence.sample, MEMORY, evidence.pod_names)
    blame = f": {who(blames[0])} holds {bytes_of(blames[0].amount)}" if blames else ""
    growth = fastest_growth(evidence)
    growing = "" if growth is None else f"; {text_of(growth.process.name)} (pid {growth.process.pid}) grew most, {_rate(growth)}"
    text = f"Memory short, {bytes_of(available)} of {bytes_of(total)} available{blame}{growing}"
    named = culprits(blames) if growth is None else (*culprits(blames), culprit_of(growth.process))
    yield HostProblem(Severity.CRITICAL if is_critical else Severity.WARNING, "memory_short", text, named)


def memory_held(evidence: Evidence) -> Iterator[HostProblem]:
    """One process, or the processes of one command, hold much of a memory of which little is left for files."""
    available, total = evidence.host.memory_available_bytes, evidence.host.memory_total_bytes
    if available is None or not total or available >= AVAILABLE_LITTLE * total:
        return
    for blame in blamed(evidence.sample, MEMORY, evidence.pod_names)[:1]:
        if blame.amount >= HELD_PART * total:
            text = f"{who(blame)} holds {bytes_of(blame.amount)} of {bytes_of(total)}; {bytes_of(available)} are available"
            yield HostProblem(Severity.NOTICE, "memory_held", text, (blame.culprit,))


def memory_growth(evidence: Evidence) -> Iterator[HostProblem]:
    """A process grows so fast that the memory is full within FULL_WITHIN_SECONDS."""
    available = evidence.host.memory_available_bytes
    growth = fastest_growth(evidence)
    if available is None or growth is None:
        return
    seconds = available / growth.bytes_per_second
    if seconds > FULL_WITHIN_SECONDS:
        return
    culprit = culprit_of(growth.process, _part(growth.process.rss_bytes, evidence.host.memory_total_bytes))
    held = bytes_of(growth.process.rss_bytes)
    text = f"{culprit.name} (pid {culprit.pid}) grows by {_rate(growth)} to {held}: memory is full in {seconds_of(round(seconds))}"
    severity = Severity.WARNING if seconds <= FULL_SOON_SECONDS else Severity.NOTICE
    yield HostProblem(severity, "memory_growth", text, (culprit,))


def fastest_growth(evidence: Evidence) -> Growth | None:
    """The process whose resident memory grew the most, None where none did by GROWTH_BYTES_LEAST or no earlier sample is known."""
    at_ns = evidence.sample.at_wall_ns
    known = [one for one in evidence.before if one.processes and at_ns - one.at_wall_ns <= GROWTH_REACH_NS]
    if not known:
        return None
    earlier = known[0]
    held = {(process.pid, process.start_ticks): process.rss_bytes for process in earlier.processes}
    grown = [
        (process.rss_bytes - (held.get((process.pid, process.start_ticks)) or 0), process)
        for process in evidence.sample.processes
        # Of one that had no row then it is not known what it held, unless it is younger.
        if process.rss_bytes is not None
        and ((process.pid, process.start_ticks) in held or (process.started_wall_ns or 0) >= earlier.at_wall_ns)
    ]
    size, process = max(grown, key=lambda pair: pair[0], default=(0, None))
    if process is None or size < GROWTH_BYTES_LEAST or not _still_grows(process, known[-1]):
        return None
    return Growth(process, size * S / (at_ns - earlier.at_wall_ns))


def _still_grows(process: NamedProcess, last: Sample) -> bool:
    """Whether it holds more than in the tick before: a program that has started holds what it needs."""
    held = next((one.rss_bytes for one in last.processes if (one.pid, one.start_ticks) == (process.pid, process.start_ticks)), 0)
    return (process.rss_bytes or 0) > (held or 0)


def _rate(growth: Growth) -> str:
    return f"{bytes_of(growth.bytes_per_second)}/s"


def _part(amount: int | None, whole: int | None) -> float | None:
    return None if amount is None or not whole else amount / whole


def memory_wait(evidence: Evidence) -> Iterator[HostProblem]:
    """Something waits for memory though the host has some: a cgroup is at its limit."""
    host = evidence.host
    waiting = host.share_of_time(host.pressure_memory_some_ns)
    if waiting is None or waiting < WAITING_PART:
        return
    available, total = host.memory_available_bytes, host.memory_total_bytes
    has_little = available is not None and total is not None and available < AVAILABLE_LITTLE * total
    blames = [blame for blame in blamed(evidence.sample, MAJOR_FAULTS, evidence.pod_names) if blame.amount >= FAULTS_PER_SECOND]
    blame = f"; {who(blames[0])} reads the most pages back" if blames else ""
    why = "" if has_little or available is None else f" though {bytes_of(available)} are available: the limit of a unit"
    yield HostProblem(
        Severity.WARNING, "memory_wait", f"Processes wait for memory {waiting:.0%} of the time{why}{blame}", culprits(blames)
    )


def swap_thrash(evidence: Evidence) -> Iterator[HostProblem]:
    """Pages go out to swap and come back at once."""
    host = evidence.host
    came, went = host.per_second(host.swapped_in_bytes), host.per_second(host.swapped_out_bytes)
    if came is None or went is None or min(came, went) < SWAP_BYTES_PER_SECOND:
        return
    blames = blamed(evidence.sample, MAJOR_FAULTS, evidence.pod_names)
    blame = f": {who(blames[0])} reads the most back" if blames else ""
    text = f"Swap goes both ways, {bytes_of(went)}/s out and {bytes_of(came)}/s in{blame}"
    yield HostProblem(Severity.WARNING, "swap_thrash", text, culprits(blames))
