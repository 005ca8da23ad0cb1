"""Reads the memory of each exporter once a second, beside everything else, and waits until sinks are well."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from harness import proc
from harness.control_connection import Refused
from harness.waiting import SLOWNESS, NotInTime, wait_until

from scenarios.agent_under_scenario import AgentUnderScenario
from scenarios.program_failing import has_caught_up
from scenarios.programs import Programs

EVERY_SECONDS = 1.0
UP_SECONDS, SETTLE_SECONDS = 60.0 * SLOWNESS, 180.0 * SLOWNESS


class SinkWatch:
    """Use it as a context. `pss` fills: by sink, time in ns and bytes of each reading."""

    def __init__(self, agent: AgentUnderScenario, programs: Programs) -> None:
        self._agent, self._sinks, self._placed = agent, programs.sinks, programs.placed
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.pss: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def __enter__(self) -> Self:
        if self._sinks:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._sinks:
            self._thread.join()

    def wait_up(self) -> None:
        """Until each sink has acknowledged something, and what is behind them has done something."""

        def are_up() -> bool:
            behind = [each.progress for each in self._placed.values() if each.progress is not None]
            # What is sent once a minute is not waited for.
            sinks = [name for name, each in self._sinks.items() if each.newest_ms is not None]
            return all(self._is_up(name) for name in sinks) and all(progress() for progress in behind)

        wait_until(are_up, "each sink is up", seconds=UP_SECONDS, pause_seconds=0.2)

    def wait_settled(self, until_ns: int) -> None:
        """Until each sink has everything up to this moment, or has refused it. *Raises:* NotInTime, which says how far each is."""
        until_ms = until_ns // 1_000_000

        def left() -> list[str]:
            reports = self._agent.reports()
            behind = [f"exporter/{name}" for name in self._sinks if not self._has_caught_up(reports, name, until_ms)]
            # An exporter that has not looked yet knows of nothing that waits: a newer tick there shows that it has.
            newest = {name: each.newest_ms() for name, each in self._placed.items() if each.newest_ms is not None}
            return behind + [f"{name}, {(until_ms - at) / 1000:.1f} s behind" for name, at in newest.items() if at <= until_ms]

        try:
            wait_until(lambda: not left(), "each program has caught up", seconds=SETTLE_SECONDS, pause_seconds=0.2)
        except NotInTime as late:
            raise NotInTime(f"{late}; not: {', '.join(left())}") from late

    def _has_caught_up(self, reports: Mapping[str, Mapping[str, Any]], name: str, until_ms: int) -> bool:
        return has_caught_up(reports.get(f"exporter/{name}") or {}, until_ms)

    def _is_up(self, name: str) -> bool:
        report = self._agent.reports().get(f"exporter/{name}") or {}
        return report.get("state") == "up" and report.get("deliveries", 0) > 0

    def _run(self) -> None:
        while not self._is_over.wait(EVERY_SECONDS):
            # An agent that is restarted does not answer, and a worker that has just died has no memory.
            with suppress(OSError, ValueError, Refused, KeyError):
                pids = {row["name"]: row["pid"] for row in self._agent.call("list-workers")["workers"]}
                for name in self._sinks:
                    if pid := pids.get(f"exporter/{name}"):
                        self.pss[name].append((time.time_ns(), proc.memory(pid).pss_bytes))
