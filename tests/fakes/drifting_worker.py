"""Scripted workers with one more kind, `drifts`: its rules change behind its back when it is ordered so.

`drift added`, `altered`, `removed` or `emptied` corrupts the very state that the worker's loop holds and answers for. The ledger
tells when (`drifted`), and when whole rules have arrived after that (`mended`).
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from fakes import scripted_worker
from fakes.scripted_worker import ORDER_BYTES_MAX, ScriptedWork, note

from agent.config import Config
from agent.daemon.foreground import run
from agent.launch import Launch
from agent.model.rule import RULE_PREFIX, GroupRule, canonical, rule_key
from agent.model.rule_state import RuleState
from agent.worker_set import WorkerSet
from workers.runtime import worker_main

KIND = "drifts"
WAYS = ("added", "altered", "removed", "emptied")
# No rule of a test has this priority.
GHOST = GroupRule("ghost", 666)


class DriftingWork(ScriptedWork):
    """Idle, except for the drift."""

    def __init__(self, name: str, bus: Any) -> None:
        super().__init__("idle", name, bus)
        self._rules = RuleState()
        self._has_drifted = False

    def on_rules(self, rules: RuleState) -> None:
        """Keep what was handed over: it is what the loop itself holds."""
        self._rules = rules
        if self._has_drifted:
            self._has_drifted = False
            note(self._name, "mended")

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Orders to drift, one per line."""
        for line in os.read(descriptor, ORDER_BYTES_MAX).decode().splitlines():
            self._drift(line.removeprefix("drift "))

    def _drift(self, how: str) -> None:
        before = self._rules.digest
        entries = list(self._rules.items(RULE_PREFIX))
        match how:
            case "added":
                self._rules.put(rule_key(GHOST.name), canonical(GHOST))
            case "altered" if entries:
                name = entries[0][0].removeprefix(RULE_PREFIX)
                self._rules.put(entries[0][0], canonical(GroupRule(name, GHOST.priority)))
            case "removed" if entries:
                self._rules.put(entries[-1][0], None)
            case "emptied":
                for key, _content in list(self._rules.items()):
                    self._rules.put(key, None)
        if self._rules.digest != before:
            self._has_drifted = True
            note(self._name, "drifted")


def be_worker(take_order: Callable[[], bytes], page: int, stderr: int) -> None:
    """The entry of these workers."""
    worker_main.run_worker(take_order, page, stderr, _maker)


def _maker(launch: Launch) -> worker_main.MakeWork:
    if launch.kind != KIND:
        return scripted_worker.maker_of(launch)
    return lambda context: DriftingWork(context.launch.identity.worker, context.bus)


def drifting_worker_set(_config: Config) -> WorkerSet:
    """The workers that the environment names."""
    preload = ("fakes.drifting_worker", "workers.runtime.preload")
    return WorkerSet(scripted_worker.described_kinds(), entry="fakes.drifting_worker:be_worker", preload=preload)


if __name__ == "__main__":
    os._exit(int(run(sys.argv[1:], os.environ, worker_set=drifting_worker_set)))
