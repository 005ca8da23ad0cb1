"""agentd with the workers of the benchmark. The supervisor, the bus and the fork server are the agent's own.

As a program it takes agentd's arguments and, in BENCH_WORKERS, `LABEL COUNT tiny` (the tiny child) or `LABEL COUNT own`
(workers with the agent's own loop, that hold the rules, beat, and have nothing to do).
"""

import itertools
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from agent.config import Config
from agent.daemon.foreground import run
from agent.launch import Launch
from agent.model.rule_state import RuleState
from agent.worker_set import WorkerSet
from workers.runtime import worker_main


class IdleWork:
    """`agent.ports.Work` that does nothing; SIGUSR1 makes it a loop that holds the interpreter and never ends."""

    def __init__(self, bus: Any, *, tells_host: bool) -> None:
        self._bus = bus
        self._tells_host = tells_host
        self._is_done = False

    def on_start(self, now_ns: int) -> None:
        """One worker tells that the host was seen, so that the agent becomes ready."""
        signal.signal(signal.SIGUSR1, _spin)
        if self._tells_host:
            self._bus.publish([], complete=True)

    def on_rules(self, rules: RuleState) -> None:
        """The loop holds them."""

    def next_deadline_ns(self) -> int | None:
        """Never."""
        return None

    def on_timer(self, now_ns: int) -> None:
        """Never called."""

    def descriptors(self) -> Sequence[int]:
        """None."""
        return ()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Never called."""

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        """Nothing to tell."""
        return {}

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """None."""
        return ()

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """Never called."""

    def on_taken_over(self, now_ns: int) -> None:
        """The next supervisor must be told too."""
        if self._tells_host:
            self._bus.publish([], complete=True)

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Nothing to end."""
        self._is_done = True

    def is_done(self) -> bool:
        """At once after the stop."""
        return self._is_done


def _spin(_number: int, _frame: object) -> None:
    # In C, without a bytecode between two turns: no signal handler and no other thread runs any more.
    sum(itertools.repeat(0))


def be_worker(*start: Any) -> None:
    """The entry of workers of the agent's own making."""
    worker_main.MAKERS["idle"] = lambda _launch, _context, _clock, bus: (IdleWork(bus, tells_host=False), None, None)
    worker_main.MAKERS["control-plane"] = _make_host_teller
    worker_main.run_worker(*start)


def _make_host_teller(_launch: Launch, _context: object, _clock: object, bus: Any) -> worker_main.Made:
    return IdleWork(bus, tells_host=True), None, None


def bench_worker_set(_config: Config) -> WorkerSet:
    """What BENCH_WORKERS says."""
    label, count, what = os.environ["BENCH_WORKERS"].split()
    names = [f"{label}-{number}" for number in range(int(count))]
    # The host is told by the kind `control-plane` alone.
    kinds = {name: "control-plane" if name == names[-1] else "idle" for name in names}
    if what == "tiny":
        return WorkerSet(kinds, "supervisors.tiny_child:become_child", ("supervisors.tiny_child", "workers.runtime.preload"))
    return WorkerSet(kinds, "supervisors.own_workers:be_worker", ("supervisors.own_workers", "workers.runtime.preload"))


if __name__ == "__main__":
    os._exit(int(run(sys.argv[1:], os.environ, worker_set=bench_worker_set)))
