"""The figures of a host that stand above the processes in `agentctl top`, with those marked that are not as usual. PURE."""

from collections.abc import Mapping

from agent.cli.problem import HeadLine, HeadPart, HostProblem, Severity, worst
from agent.cli.problem_device import busiest_disk, busiest_network
from agent.cli.problem_evidence import Evidence
from agent.cli.problem_life import starts_per_second
from agent.cli.problem_memory import kills_of
from agent.cli.problem_sampler import EXIT_SOURCE_BEST
from agent.cli.render import ABSENT, bytes_of, text_of


class Marks:
    """How bad each problem is, by its name."""

    def __init__(self, problems: list[HostProblem]) -> None:
        self._severities: Mapping[str, Severity] = {problem.name: problem.severity for problem in reversed(problems)}

    def part(self, text: str, *problems: str) -> HeadPart:
        """A part that is marked where one of these problems is there."""
        return HeadPart(text, worst(self._severities[name] for name in problems if name in self._severities))


def head_of(evidence: Evidence, problems: list[HostProblem]) -> list[HeadLine]:
    """The lines, whole; one of which nothing is known is left out."""
    marks = Marks(problems)
    lines = [
        _cpu(evidence, marks),
        _memory(evidence, marks),
        _disk(evidence, marks),
        _network(evidence, marks),
        _processes(evidence, marks),
    ]
    return [line for line in lines if line is not None]


def _cpu(evidence: Evidence, marks: Marks) -> HeadLine | None:
    host = evidence.host
    if host.cores is None:
        return None
    busy = ABSENT if host.busy_cores is None else f"{host.busy_cores:.1f}"
    user = host.share_of_cpu(host.cpu_user_ns, host.cpu_nice_ns)
    system = host.share_of_cpu(host.cpu_system_ns, host.cpu_irq_ns, host.cpu_softirq_ns)
    return HeadLine(
        "CPU",
        (
            marks.part(f"{busy} of {host.cores} cores busy", "cpu_saturated"),
            HeadPart(f"user {_percent(user)}"),
            HeadPart(f"system {_percent(system)}"),
            marks.part(f"iowait {_percent(host.share_of_cpu(host.cpu_iowait_ns))}", "io_wait", "disk_saturated"),
            marks.part(f"steal {_percent(host.share_of_cpu(host.cpu_steal_ns))}", "steal"),
            HeadPart(f"load {_load(host.load_1)} {_load(host.load_5)} {_load(host.load_15)}"),
            marks.part(f"wait {_percent(host.share_of_time(host.pressure_cpu_some_ns))}", "cpu_saturated"),
        ),
    )


def _memory(evidence: Evidence, marks: Marks) -> HeadLine | None:
    host = evidence.host
    total, available = host.memory_total_bytes, host.memory_available_bytes
    if total is None:
        return None
    used = None if available is None else total - available
    parts = [
        marks.part(f"{bytes_of(used)} of {bytes_of(total)} used", "memory_short", "memory_growth", "memory_held"),
        marks.part(f"{bytes_of(available)} available", "memory_short", "memory_growth", "memory_held"),
        marks.part(f"OOM kills {_kills(evidence)}", "oom_kill"),
        marks.part(_pressure(evidence, host.pressure_memory_some_ns, host.pressure_memory_full_ns), "memory_wait"),
    ]
    if host.swap_total_bytes:
        swapped = None if host.swap_free_bytes is None else host.swap_total_bytes - host.swap_free_bytes
        moved = f"{_rate(evidence, host.swapped_out_bytes)} out {_rate(evidence, host.swapped_in_bytes)} in"
        parts.append(marks.part(f"swap {bytes_of(swapped)} of {bytes_of(host.swap_total_bytes)}, {moved}", "swap_thrash"))
    else:
        parts.append(HeadPart("no swap" if host.swap_total_bytes == 0 else f"swap {ABSENT}"))
    return HeadLine("MEM", tuple(parts))


def _kills(evidence: Evidence) -> str:
    """How many there were in the last minute: one tick of it is soon gone."""
    kills = sum(kills_of(evidence).values())
    return str(kills) if kills else text_of(evidence.host.oom_kills)


def _disk(evidence: Evidence, marks: Marks) -> HeadLine | None:
    host = evidence.host
    disk = busiest_disk(evidence)
    if disk is None:
        return None
    busy = ABSENT if disk.utilisation is None else f"{disk.utilisation:.0%}"
    return HeadLine(
        "DISK",
        (
            marks.part(f"{text_of(disk.device)} {busy} busy", "disk_saturated"),
            HeadPart(f"read {_rate(evidence, disk.read_bytes)} {_latency(disk.read_latency_ns)}".rstrip()),
            HeadPart(f"write {_rate(evidence, disk.write_bytes)} {_latency(disk.write_latency_ns)}".rstrip()),
            marks.part(
                _pressure(evidence, host.pressure_io_some_ns, host.pressure_io_full_ns), "disk_saturated", "io_wait", "blocked"
            ),
            HeadPart(f"queue {ABSENT if disk.queue is None else f'{disk.queue:.1f}'}"),
        ),
    )


def _network(evidence: Evidence, marks: Marks) -> HeadLine | None:
    each = busiest_network(evidence)
    if each is None:
        return None
    errors = sum(one.received_errors or 0 for one in evidence.networks) + sum(one.sent_errors or 0 for one in evidence.networks)
    drops = sum(one.received_drops or 0 for one in evidence.networks) + sum(one.sent_drops or 0 for one in evidence.networks)
    speed = "" if each.utilisation is None else f" {each.utilisation:.0%}"
    again = evidence.host.tcp_retransmits
    return HeadLine(
        "NET",
        (
            marks.part(f"{text_of(each.interface)}{speed}", "network_full", "network_heavy"),
            HeadPart(f"in {_rate(evidence, each.received_bytes)}"),
            HeadPart(f"out {_rate(evidence, each.sent_bytes)}"),
            marks.part(f"errors {errors}", "network_errors"),
            marks.part(f"drops {drops}", "network_errors"),
            marks.part(f"TCP sent again {text_of(again)}", "retransmits"),
        ),
    )


def _processes(evidence: Evidence, marks: Marks) -> HeadLine | None:
    host, scan = evidence.host, evidence.sample.scan
    if scan is None:
        return None
    started = starts_per_second(evidence)
    dead = ABSENT if scan.cpu_dead_share is None else f"{scan.cpu_dead_share * 100:.0f} %"
    parts = [
        marks.part(f"{scan.processes}, {text_of(scan.threads)} threads", "many_threads", "zombies"),
        marks.part(f"{ABSENT if started is None else f'{started:.0f}'}/s start", "fork_storm"),
        marks.part(f"CPU of ended ones {dead}", "fork_storm", "crash_loop"),
        marks.part(f"D {text_of(host.blocked)}", "blocked"),
    ]
    if scan.exit_source is not None and scan.exit_source != EXIT_SOURCE_BEST:
        parts.append(marks.part(f"by {text_of(scan.exit_source)}", "exits_fallback"))
    captured = " ".join(_percent(part) for part in (scan.cpu_capture, scan.rss_capture, scan.io_capture))
    parts.append(marks.part(f"named {captured}", "capture_low"))
    return HeadLine("PROC", tuple(parts))


def _percent(part: float | None) -> str:
    return ABSENT if part is None else f"{part:.0%}"


def _load(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}"


def _rate(evidence: Evidence, amount: int | None) -> str:
    rate = evidence.host.per_second(amount)
    return ABSENT if rate is None else f"{bytes_of(rate)}/s"


def _latency(time_ns: int | None) -> str:
    return "" if time_ns is None else f"{time_ns / 1e6:.1f} ms"


def _pressure(evidence: Evidence, some_ns: int | None, full_ns: int | None) -> str:
    """The parts of the time in which something waited, and in which everything did."""
    some, full = evidence.host.share_of_time(some_ns), evidence.host.share_of_time(full_ns)
    return f"wait {_percent(some)} all {_percent(full)}"
