"""Rules about the data itself: what it does not show, and how old it is. PURE."""

from collections.abc import Iterator

from agent.cli.host_sample import HostSample
from agent.cli.problem import HostProblem, Severity
from agent.cli.problem_device import IO_WAITING_PART
from agent.cli.problem_evidence import Evidence
from agent.cli.problem_memory import AVAILABLE_LITTLE
from agent.cli.render import seconds_of
from agent.cli.top_heading import LIVE_SECONDS
from agent.cli.top_sample import ScanAccount

# The target to which the sampler adapts the number of named processes.
CAPTURE_TARGET = 0.95
# Who uses the rest is a question only where there is not enough: from half of the cores on, and where something waits for storage.
BUSY_PART_LEAST = 0.5
# Of an idle host the named part means little: a tenth of a core, and a mebibyte a second.
CPU_SHARE_LEAST = 0.1
IO_BYTES_PER_SECOND_LEAST = float(1 << 20)
EXIT_SOURCE_BEST = "taskstats"


def data_old(evidence: Evidence) -> Iterator[HostProblem]:
    """Nothing new was sampled: everything else on the screen is of the past."""
    if evidence.now_wall_ns is None:
        return
    seconds = (evidence.now_wall_ns - evidence.sample.at_wall_ns) / 1e9
    if seconds > LIVE_SECONDS:
        text = f"The data is {seconds_of(round(seconds, 1))} old: the agent does not run or does not keep up"
        yield HostProblem(Severity.WARNING, "data_old", text)


def capture_low(evidence: Evidence) -> Iterator[HostProblem]:
    """The named processes hold less than they should of what is short: look at the sums by unit and command too.

    On a calm host of many small processes that is always so, and nobody looks for a culprit; the head has the figures.
    """
    scan = evidence.sample.scan
    if scan is None:
        return
    moved = (scan.read_bytes_per_second or 0.0) + (scan.write_bytes_per_second or 0.0)
    parts = (
        ("CPU", _cpu_capture(scan) if _is_busy(evidence.host) else None),
        ("memory", scan.rss_capture if _is_memory_short(evidence.host) else None),
        ("I/O", scan.io_capture if moved >= IO_BYTES_PER_SECOND_LEAST and _waits_for_storage(evidence.host) else None),
    )
    low = [f"{part:.0%} of {name}" for name, part in parts if part is not None and part < CAPTURE_TARGET]
    if low:
        text = f"The processes shown by name hold only {', '.join(low)}; the rest is in the sums"
        yield HostProblem(Severity.NOTICE, "capture_low", text)


def _is_busy(host: HostSample) -> bool:
    """*Absent:* unknown, it may be."""
    return host.busy_cores is None or not host.cores or host.busy_cores >= BUSY_PART_LEAST * host.cores


def _is_memory_short(host: HostSample) -> bool:
    available, total = host.memory_available_bytes, host.memory_total_bytes
    return available is None or not total or available < AVAILABLE_LITTLE * total


def _waits_for_storage(host: HostSample) -> bool:
    waiting = host.share_of_time(host.pressure_io_some_ns)
    return waiting is None or waiting >= IO_WAITING_PART


def _cpu_capture(scan: ScanAccount) -> float | None:
    """The part of the CPU that is on the screen: by name, or as that of what ended. *Absent:* unknown, or of an idle host."""
    used = scan.cpu_share or 0.0
    if scan.cpu_capture is None or used < CPU_SHARE_LEAST:
        return None
    return scan.cpu_capture + (scan.cpu_dead_share or 0.0) / used


def exits_fallback(evidence: Evidence) -> Iterator[HostProblem]:
    """Processes that live for a moment are known less exactly than the kernel allows."""
    scan = evidence.sample.scan
    if scan is None:
        return
    if scan.exit_records_lost:
        text = f"{scan.exit_records_lost} exit records were lost: short-lived processes are counted too low"
        yield HostProblem(Severity.NOTICE, "exits_lost", text)
    if scan.exit_source is not None and scan.exit_source != EXIT_SOURCE_BEST:
        text = f"Ended processes are known by {scan.exit_source} only, not by taskstats: see `agentctl doctor`"
        yield HostProblem(Severity.NOTICE, "exits_fallback", text)
