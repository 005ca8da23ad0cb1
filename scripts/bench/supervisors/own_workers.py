"""agentd with the workers of the benchmark. The supervisor, the bus and the fork server are the agent's own.

As a program it takes agentd's arguments and, in BENCH_WORKERS, `LABEL COUNT tiny` (the tiny child) or `LABEL COUNT own`
(workers with the agent's own loop, that hold the rules, beat, and have nothing to do).
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from agent.config import Config
from agent.daemon.foreground import run
from agent.launch import Launch
from agent.model.worker_kind import WorkerKind
from agent.worker_set import WorkerSet
from workers.framework.work import BaseWork
from workers.runtime import worker_main

# One worker publishes that the host was seen.
TELLER, IDLE = WorkerKind("teller", may_publish=True), WorkerKind("idle")


class IdleWork(BaseWork):
    """`agent.ports.Work` that does nothing; SIGUSR1 makes it a loop that holds the interpreter and never ends."""

    def __init__(self, bus: Any, *, tells_host: bool) -> None:
        super().__init__()
        self._bus = bus
        self._tells_host = tells_host

    def on_start(self, now_ns: int) -> None:
        """One worker tells that the host was seen, so that the agent becomes ready."""
        signal.signal(signal.SIGUSR1, _spin)
        if self._tells_host:
            self._bus.publish([], complete=True)

    def on_taken_over(self, now_ns: int) -> None:
        """The next supervisor must be told too."""
        if self._tells_host:
            self._bus.publish([], complete=True)


def _spin(_number: int, _frame: object) -> None:
    # In C, without a bytecode between two turns: no signal handler and no other thread runs any more.
    sum(itertools.repeat(0))


def be_worker(take_order: Callable[[], bytes], page: int, stderr: int) -> None:
    """The entry of workers of the agent's own making."""
    worker_main.run_worker(take_order, page, stderr, _maker)


def _maker(launch: Launch) -> worker_main.MakeWork:
    return lambda context: IdleWork(context.bus, tells_host=launch.kind == TELLER.name)


def bench_worker_set(_config: Config) -> WorkerSet:
    """What BENCH_WORKERS says."""
    label, count, what = os.environ["BENCH_WORKERS"].split()
    names = [f"{label}-{number}" for number in range(int(count))]
    kinds = {name: TELLER if name == names[-1] else IDLE for name in names}
    if what == "tiny":
        return WorkerSet(kinds, "supervisors.tiny_child:become_child", ("supervisors.tiny_child", "workers.runtime.preload"))
    return WorkerSet(kinds, "supervisors.own_workers:be_worker", ("supervisors.own_workers", "workers.runtime.preload"))


if __name__ == "__main__":
    os._exit(int(run(sys.argv[1:], os.environ, worker_set=bench_worker_set)))
