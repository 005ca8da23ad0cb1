"""The node that is measured: processes, pods with cgroups as a kubelet makes them, and a runtime that reports them over NRI."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fakes.nri_dialect import RUNNING, container_of, pod_of
from fakes.nri_runtime import NriRuntime

from footprint_bench.room import Hierarchy

# A pod as a runtime reports it has some hundred bytes of annotations and mounts, which the agent leaves out.
PADDING_BYTES = 1_200
LOOP_STEPS = 2_000
# Seconds of sleep, and how often the loop follows, of some 20 us each: 1 % of a core for one that burns.
SLEEP, WAKE, BURN = (3600.0, 1), (0.1, 1), (0.2, 100)


@contextmanager
def node(found: Sequence[Hierarchy], socket: Path, *, processes: int, pods: int, busy: bool = False) -> Iterator[None]:
    """So many processes, one of them in each pod. Without pods there is no runtime either. `busy`: those of pods burn CPU."""
    with ExitStack() as stack:
        pids = stack.enter_context(_processes(processes, busy=pods if busy else 0))
        if pods:
            runtime = stack.enter_context(NriRuntime(socket))
            for number, pid in zip(range(pods), pids, strict=False):
                _start_pod(found, runtime, number, pid)
        yield


def _start_pod(found: Sequence[Hierarchy], runtime: NriRuntime, number: int, pid: int) -> None:
    pod = pod_of(number)
    container = container_of(pod, padding=PADDING_BYTES, state=RUNNING)
    container.pid = pid
    for each in found:
        folder = each.folder / str(container.cgroups_path).lstrip("/")
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text(str(pid))
    runtime.pods[pod.id] = pod
    runtime.containers[container.id] = container


@contextmanager
def _processes(count: int, *, busy: int) -> Iterator[list[int]]:
    """Five of six sleep, one of six wakes ten times a second and works for some 0.1 ms; the first `busy` burn CPU."""
    children: list[int] = []
    try:
        for number in range(count):
            pid = os.fork()
            if pid == 0:
                _be_process(BURN if number < busy else WAKE if number % 6 == 0 else SLEEP)
            children.append(pid)
        yield children
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _be_process(habit: tuple[float, int]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # At the lowest priority: a hundred that burn must not keep the agent, nor the rest of this machine, from a processor.
    os.nice(19)
    pause_seconds, loops = habit
    while True:
        time.sleep(pause_seconds)
        for _ in range(loops):
            sum(range(LOOP_STEPS))
