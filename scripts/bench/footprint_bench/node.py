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


@contextmanager
def node(found: Sequence[Hierarchy], socket: Path, *, processes: int, pods: int, busy: bool = False) -> Iterator[None]:
    """So many processes, one of them in each pod. Without pods there is no runtime either. `busy`: those of pods never sleep."""
    with ExitStack() as stack:
        pids = stack.enter_context(_processes(processes, always_busy=pods if busy else 0))
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
def _processes(count: int, *, always_busy: int) -> Iterator[list[int]]:
    """Five of six sleep, one of six wakes ten times a second and works for some 0.1 ms; the first `always_busy` only work."""
    children: list[int] = []
    try:
        for number in range(count):
            pid = os.fork()
            if pid == 0:
                _be_process(0.0 if number < always_busy else 0.1 if number % 6 == 0 else 3600)
            children.append(pid)
        yield children
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _be_process(pause_seconds: float) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        if pause_seconds:
            time.sleep(pause_seconds)
        sum(range(LOOP_STEPS))
