"""What reading the CRI socket costs: importing h2 beside grpcio, and the thread `cri` against a runtime in a process of its own.

Imports are measured in processes that are forked as workers are. Lists are those of pods with two containers and six labels, in a
process that has imported h2 before. Times are CPU times of the thread, medians; memory is PSS.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import circumstances

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fakes.cri_peer import PeerState
from fakes.cri_runtime import CriRuntime
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.model.timebase import MINUTE, MS, S
from agent.multiprocess_bootstrap import prologue
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import ContainerState, RuntimeContainer, RuntimePod
from workers.control_plane.container_runtime.link import RuntimeLink
from workers.control_plane.cri.reader import CriReader

ROOT = Path(__file__).resolve().parents[2]
# The default of `cri.interval`.
INTERVAL_NS = 10 * S
# Between two lists of a measurement.
PAUSE_NS = 500 * MS
# As a worker lives: forked from a process that holds what every worker needs. An import of its own makes pages private.
IMPORT = """
import gc, os, sys, time
def kib(key):
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))
import workers.runtime.preload, workers.control_plane.cri.reader
gc.collect(), gc.freeze()
if {more}:
    # grpcio needs what the agent hides from the others.
    sys.path += {more}
    del sys.modules["typing_extensions"]
pid = os.fork()
if pid == 0:
    kib("Pss:")
    pss, private, cpu = kib("Pss:"), kib("Private_Dirty:"), time.process_time_ns()
    import {module}
    print(time.process_time_ns() - cpu, kib("Pss:") - pss, kib("Private_Dirty:") - private, flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def import_cost(module: str, repeats: int, more: Sequence[str] = ()) -> dict[str, float]:
    """CPU time and memory of one import in a forked process; the median of several."""
    runs = []
    for _ in range(repeats):
        code = prologue([str(ROOT), *sys.path]) + IMPORT.format(module=module, more=list(more))
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
        runs.append([int(word) for word in done.stdout.split()])
    cpu_ns, pss_kib, private_kib = (statistics.median(column) for column in zip(*runs, strict=True))
    return {"cpu_ms": round(cpu_ns / MS, 1), "pss_kib": pss_kib, "private_dirty_kib": private_kib}


def node(pods: int) -> PeerState:
    """A runtime with so many pods of two containers each."""
    labels = {f"app.kubernetes.io/part-{number}": f"value-{number}" for number in range(3)}
    state = PeerState()
    for number in range(pods):
        kubernetes = {
            "io.kubernetes.pod.name": f"web-{number}-7c5ddbdf54-x2x5k",
            "io.kubernetes.pod.namespace": f"team-{number % 7}",
            "io.kubernetes.pod.uid": f"{number:08x}-1f2e-4d3c-8b5a-697887960a5b",
        }
        name, namespace, uid = kubernetes.values()
        sandbox_id = f"{number:064x}"
        state.pods.append(RuntimePod(sandbox_id, uid, namespace=namespace, name=name, labels=labels | kubernetes))
        state.containers += [
            RuntimeContainer(f"{number:032x}{which:032x}", sandbox_id, name=f"main-{which}", state=ContainerState.RUNNING)
            for which in range(2)
        ]
    return state


def serve(path: str, pods: int) -> None:
    """The runtime's process: it lives until its standard input ends."""
    with CriRuntime(path, node(pods)):
        sys.stdin.read()


def pss_kib() -> int:
    """The memory of this process."""
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def reading_cost(pods: int, lists: int) -> dict[str, float]:
    """The thread against a runtime with so many pods: CPU and memory from its start, and CPU a list after the first."""
    with TemporaryDirectory(prefix="cri-") as folder:
        path = f"{folder}/s"
        command = [sys.executable, __file__, "--serve", path, "--pods", str(pods)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as runtime:
            wait_until(lambda: os.path.exists(path), "the runtime's socket", seconds=60)
            try:
                return _read(path, pods, lists)
            finally:
                assert runtime.stdin is not None
                runtime.stdin.close()


def _read(path: str, pods: int, lists: int) -> dict[str, float]:
    link = RuntimeLink(Binder([]))
    reader = CriReader(link, SystemClock(), socket_path=path, interval_ns=PAUSE_NS)
    before_kib = pss_kib()
    reader.start()
    clock = time.pthread_getcpuclockid(next(thread.ident or 0 for thread in threading.enumerate() if thread.name == "cri"))
    wait_until(lambda: reader.stats()["lists"] >= 1, "the first list", seconds=60)
    first_ns, cpu_ns = time.clock_gettime_ns(clock), []
    for number in range(lists):
        began_ns = time.clock_gettime_ns(clock)
        wait_until(lambda number=number: reader.stats()["lists"] >= number + 2, "a list", seconds=60, pause_seconds=0.05)  # type: ignore[misc]  # bound
        cpu_ns.append(time.clock_gettime_ns(clock) - began_ns)
    after_kib = pss_kib()
    assert len(link.pods()) == pods
    reader.stop()
    per_list_ns = statistics.median(cpu_ns)
    return {
        "pods": pods,
        "start_cpu_ms": round(first_ns / MS, 1),
        "list_cpu_ms": round(per_list_ns / MS, 2),
        "cpu_ms_per_minute": round(per_list_ns * (MINUTE // INTERVAL_NS) / MS, 1),
        "pss_kib": after_kib - before_kib,
    }


def measured_in_a_process(pods: int, lists: int) -> dict[str, float]:
    """`reading_cost` in an interpreter that has not read anything before."""
    command = [sys.executable, __file__, "--read", "--pods", str(pods), "--lists", str(lists)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", default="110,1000")
    parser.add_argument("--lists", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--grpc-path", default="", help="a folder that has grpcio (pip install --target)")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, int(options.pods))
        return
    if options.read:
        print(json.dumps(reading_cost(int(options.pods), options.lists)))
        return
    report: dict[str, Any] = circumstances()
    report["imports"] = {"h2 and the client": import_cost("workers.control_plane.cri.client", options.repeats)}
    if options.grpc_path:
        report["imports"]["grpcio"] = import_cost("grpc", options.repeats, [options.grpc_path])
    report["reading"] = [measured_in_a_process(int(pods), options.lists) for pods in options.pods.split(",")]
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
