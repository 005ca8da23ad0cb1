"""Rules about disks and network interfaces: which one is at its limit, and who uses it. PURE."""

from collections.abc import Iterator

from agent.cli.host_sample import DiskSample, NetworkSample
from agent.cli.problem import Culprit, HostProblem, Severity
from agent.cli.problem_blame import READS, RECEIVED, SENT, WRITES, Blame, blamed, culprit_of, culprits, who
from agent.cli.problem_evidence import Evidence
from agent.cli.render import bytes_of, counted

MIB = 1 << 20
# A device that always has a request. Fast ones can do several at once, so it is a limit only where something waits for it.
DISK_BUSY_PART = 0.9
# A tenth of the time something waits for input or output.
IO_WAITING_PART = 0.1
# Cores that are idle only because of storage.
IOWAIT_PART = 0.2
# 50 MiB a second are 4 TiB a day: more than a busy host writes on average, and reached by copies, dumps and runaway logs.
PROCESS_IO_BYTES_PER_SECOND = 50 * MIB
# Less than this part of a device's bytes is not the cause of its load.
BLAME_PART = 0.1
# procs_blocked counts each thread that waits for storage: one or two are usual on any host that writes.
BLOCKED_MANY = 4
# Near its speed packets are queued and dropped.
NETWORK_FULL_PART = 0.8
# Half of a gigabit interface: more than most hosts send or receive on average.
NETWORK_BYTES_PER_SECOND = 50 * MIB
# A cable or a driver that errs does so steadily; drops of single multicast packets are usual.
ERRORS_PER_SECOND = 1.0
DROPS_PER_SECOND = 10.0
DROPPED_PART = 0.001
# A few segments are sent again on any path; one in a hundred halves the throughput of a long one.
RETRANSMITS_PER_SECOND = 20.0
RETRANSMITTED_PART = 0.01
# Its packets never leave the host: what they cost is CPU.
LOOPBACK = "lo"


def disk_saturated(evidence: Evidence) -> Iterator[HostProblem]:
    """A disk has a request all the time and something waits for it."""
    disk = busiest_disk(evidence)
    waiting = evidence.host.share_of_time(evidence.host.pressure_io_some_ns)
    if disk is None or (disk.utilisation or 0.0) < DISK_BUSY_PART or (waiting is not None and waiting < IO_WAITING_PART):
        return
    busy = f"Disk {disk.device} {disk.utilisation or 0.0:.0%} busy"
    blame, verb = _heaviest(evidence)
    queue = "" if disk.queue is None else f"; queue {disk.queue:.1f}"
    moved = evidence.host.per_second((disk.read_bytes or 0) + (disk.write_bytes or 0)) or 0.0
    device = Culprit("device", disk.device, share=disk.utilisation)
    if blame is None or blame.amount < BLAME_PART * moved:
        dirty = evidence.host.memory_dirty_bytes
        left = "" if not dirty else f" ({bytes_of(dirty)} to go)"
        text = f"{busy}: no process reads or writes much now, earlier writes reach the disk{left}{queue}"
        yield HostProblem(Severity.WARNING, "disk_saturated", text, (device,))
        return
    text = f"{busy}: {who(blame)} {verb} {bytes_of(blame.amount)}/s{queue}"
    yield HostProblem(Severity.WARNING, "disk_saturated", text, (blame.culprit, device))


def busiest_disk(evidence: Evidence) -> DiskSample | None:
    """The disk that had a request most of the time; of equals the one that moved the most."""

    def load(disk: DiskSample) -> tuple[float, int]:
        return disk.utilisation or 0.0, (disk.read_bytes or 0) + (disk.write_bytes or 0)

    return max(evidence.disks, key=load, default=None)


def _heaviest(evidence: Evidence) -> tuple[Blame | None, str]:
    """Who reads or writes the most, and which."""
    found = [
        (blames[0], verb)
        for measure, verb in ((WRITES, "writes"), (READS, "reads"))
        if (blames := blamed(evidence.sample, measure, evidence.pod_names))
    ]
    return max(found, key=lambda pair: pair[0].amount, default=(None, ""))


def disk_heavy(evidence: Evidence) -> Iterator[HostProblem]:
    """A process reads or writes a lot of storage, whether or not a disk is at its limit already."""
    blame, verb = _heaviest(evidence)
    if blame is None or blame.amount < PROCESS_IO_BYTES_PER_SECOND:
        return
    waiting = evidence.host.share_of_time(evidence.host.pressure_io_some_ns) or 0.0
    wait = f"; something waits for storage {waiting:.0%} of the time" if waiting >= IO_WAITING_PART else ""
    text = f"{who(blame)} {verb} {bytes_of(blame.amount)}/s of files{wait}"
    yield HostProblem(Severity.WARNING if wait else Severity.NOTICE, "disk_heavy", text, (blame.culprit,))


def io_wait(evidence: Evidence) -> Iterator[HostProblem]:
    """Cores are idle because of storage that is no disk of the host at its limit, such as a network file system."""
    host = evidence.host
    part = host.share_of_cpu(host.cpu_iowait_ns)
    if part is None or part < IOWAIT_PART:
        return
    blame, verb = _heaviest(evidence)
    told = "" if blame is None else f"; {who(blame)} {verb} {bytes_of(blame.amount)}/s"
    named = () if blame is None else (blame.culprit,)
    yield HostProblem(Severity.NOTICE, "io_wait", f"{part:.0%} of the CPU is idle because it waits for storage{told}", named)


def blocked(evidence: Evidence) -> Iterator[HostProblem]:
    """Many processes wait in the kernel and cannot be interrupted (state D)."""
    count = evidence.host.blocked
    if count is None or count < BLOCKED_MANY:
        return
    named = [culprit_of(process) for process in evidence.sample.processes if process.state == "D"][:3]
    told = f", among them {', '.join(f'{culprit.name} (pid {culprit.pid})' for culprit in named)}" if named else ""
    text = f"{counted(count, 'thread')} wait for storage and cannot be interrupted (state D){told}"
    yield HostProblem(Severity.WARNING, "blocked", text, tuple(named))


def network_full(evidence: Evidence) -> Iterator[HostProblem]:
    """An interface is near its speed."""
    for interface in evidence.networks:
        if (interface.utilisation or 0.0) >= NETWORK_FULL_PART:
            yield _network(
                evidence, interface, Severity.WARNING, "network_full", f" at {interface.utilisation or 0.0:.0%} of its speed"
            )


def network_heavy(evidence: Evidence) -> Iterator[HostProblem]:
    """A lot of bytes goes through an interface."""
    interface = busiest_network(evidence)
    if interface is not None and max(_rates(evidence, interface)) >= NETWORK_BYTES_PER_SECOND:
        yield _network(evidence, interface, Severity.NOTICE, "network_heavy", "")


def busiest_network(evidence: Evidence) -> NetworkSample | None:
    """The interface through which the most bytes go, the loopback left out."""
    outside = [interface for interface in evidence.networks if interface.interface != LOOPBACK]
    return max(outside, key=lambda each: (each.received_bytes or 0) + (each.sent_bytes or 0), default=None)


def _rates(evidence: Evidence, interface: NetworkSample) -> tuple[float, float]:
    """Bytes a second that an interface sends and receives."""
    host = evidence.host
    return host.per_second(interface.sent_bytes) or 0.0, host.per_second(interface.received_bytes) or 0.0


def _network(evidence: Evidence, interface: NetworkSample, severity: Severity, name: str, state: str) -> HostProblem:
    sent, received = _rates(evidence, interface)
    verb, rate, measure = ("sends", sent, SENT) if sent >= received else ("receives", received, RECEIVED)
    blames = blamed(evidence.sample, measure, evidence.pod_names)
    device = Culprit("interface", interface.interface, share=interface.utilisation)
    begin = f"Interface {interface.interface}{state} {verb} {bytes_of(rate)}/s"
    if not blames or blames[0].amount < BLAME_PART * rate:
        return HostProblem(severity, name, f"{begin}: no process with a row does so over TCP", (device,))
    return HostProblem(severity, name, f"{begin}: {who(blames[0])} {bytes_of(blames[0].amount)}/s", (*culprits(blames[:1]), device))


def network_errors(evidence: Evidence) -> Iterator[HostProblem]:
    """An interface has errors or drops packets."""
    host = evidence.host
    for each in evidence.networks:
        errors = host.per_second((each.received_errors or 0) + (each.sent_errors or 0)) or 0.0
        drops = host.per_second((each.received_drops or 0) + (each.sent_drops or 0)) or 0.0
        packets = host.per_second((each.received_packets or 0) + (each.sent_packets or 0)) or 0.0
        drops = drops if drops >= max(DROPS_PER_SECOND, DROPPED_PART * packets) else 0.0
        if errors >= ERRORS_PER_SECOND or drops:
            text = f"Interface {each.interface}: {errors:.0f} errors and {drops:.0f} dropped packets a second"
            yield HostProblem(Severity.NOTICE, "network_errors", text, (Culprit("interface", each.interface),))


def retransmits(evidence: Evidence) -> Iterator[HostProblem]:
    """TCP sends a part of its segments again: packets are lost on the way."""
    host = evidence.host
    again = host.per_second(host.tcp_retransmits)
    packets = host.per_second(sum(each.sent_packets or 0 for each in evidence.networks)) or 0.0
    if again is not None and again >= max(RETRANSMITS_PER_SECOND, RETRANSMITTED_PART * packets):
        text = f"TCP sends {again:.0f} segments a second again: packets are lost on the way"
        yield HostProblem(Severity.NOTICE, "retransmits", text)
