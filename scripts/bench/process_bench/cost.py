"""What one program costs over one window: CPU of its control group, memory of every process in it.

Never wall time. *Source:* linux/Documentation/admin-guide/cgroup-v1/cpuacct.rst, proc_pid_schedstat(5), proc_pid_smaps(5).
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from closing_bench.truth import cpu_hierarchy, cpu_ns
from harness import proc

from process_bench.checkout import Checkout, sampler_pid, wait_for_ticks
from process_bench.programs import Program, rival
from process_bench.toolchain import Toolchain

# The first looks of every program are dearer: it meets all processes, and reads once what it keeps.
WARM_SECONDS = 4.0
# Every sleeping process is read completely once in 16 ticks: the first of these rounds is no part of the cost of a tick.
WARM_TICKS = 4
END_SECONDS = 10.0
MIB = 1 << 20


@dataclass(slots=True)
class Cost:
    """Percent of one core, and MiB; of ours also of its sampler alone."""

    cpu_percent: float
    rss_mib: float
    pss_mib: float
    sampler_cpu_percent: float | None = None
    sampler_rss_mib: float | None = None
    sampler_pss_mib: float | None = None
    by_process: dict[str, list[float]] = field(default_factory=dict)


@contextmanager
def group() -> Iterator[Path]:
    """A control group in which this process is while the context begins; `leave` brings it back."""
    path = cpu_hierarchy() / f"eg-process-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        _enter(cpu_hierarchy())
        end_at = time.monotonic() + END_SECONDS
        while True:
            try:
                path.rmdir()
                break
            except OSError:
                if time.monotonic() > end_at:
                    raise
                time.sleep(0.05)


def _enter(path: Path) -> None:
    (path / "cgroup.procs").write_text("0")


def of_rival(program: Program, toolchain: Toolchain, folder: Path, seconds: float) -> Cost:
    """Start it, let it settle, measure, end it. *Raises:* RuntimeError when it ends by itself."""
    folder.mkdir(parents=True)
    with group() as inside:
        _enter(inside)
        with rival(program, toolchain, folder) as process:
            _enter(cpu_hierarchy())
            time.sleep(WARM_SECONDS)
            if process.poll() is not None:
                raise RuntimeError(f"it ended with {process.returncode}")
            begun_ns, before = time.monotonic_ns(), cpu_ns(inside)
            time.sleep(seconds)
            percent = 100 * (cpu_ns(inside) - before) / (time.monotonic_ns() - begun_ns)
            if process.poll() is not None:
                raise RuntimeError(f"it ended with {process.returncode}")
            rss, pss = _memory(inside)
            return Cost(percent, rss, pss)


def of_ours(checkout: Checkout, folder: Path, seconds: float) -> Cost:
    """The whole agent as delivered, and its sampler of processes alone."""
    with group() as inside:
        _enter(inside)
        with checkout.agent(folder) as agent:
            _enter(cpu_hierarchy())
            wait_for_ticks(agent, WARM_TICKS)
            sampler = sampler_pid(agent)
            begun_ns, before, sampler_before = time.monotonic_ns(), cpu_ns(inside), proc.cpu_ns(sampler)
            each_before = _by_process(inside)
            time.sleep(seconds)
            elapsed_ns = time.monotonic_ns() - begun_ns
            cost = Cost(100 * (cpu_ns(inside) - before) / elapsed_ns, *_memory(inside))
            cost.sampler_cpu_percent = 100 * (proc.cpu_ns(sampler) - sampler_before) / elapsed_ns
            memory = proc.memory(sampler)
            cost.sampler_rss_mib, cost.sampler_pss_mib = memory.rss_bytes / MIB, memory.pss_bytes / MIB
            for pid, used_ns in _by_process(inside).items():
                with suppress(OSError):
                    percent = 100 * (used_ns - each_before.get(pid, 0)) / elapsed_ns
                    cost.by_process[f"{proc.name(pid)} {pid}"] = [round(percent, 3), round(proc.memory(pid).pss_bytes / MIB, 1)]
            return cost


def _pids(inside: Path) -> list[int]:
    return [int(word) for word in (inside / "cgroup.procs").read_text().split()]


def _by_process(inside: Path) -> dict[int, int]:
    found = {}
    for pid in _pids(inside):
        with suppress(OSError):
            found[pid] = proc.cpu_ns(pid)
    return found


def _memory(inside: Path) -> tuple[float, float]:
    rss = pss = 0
    for pid in _pids(inside):
        with suppress(OSError, KeyError):
            memory = proc.memory(pid)
            rss, pss = rss + memory.rss_bytes, pss + memory.pss_bytes
    return rss / MIB, pss / MIB
