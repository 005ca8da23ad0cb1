"""An agent with a sink, both killed again and again, and the comparison of what is stored here with what is there.

The witness is table `process_scan`: one row a tick. What it holds up to a moment must be at the sink once that moment has arrived
there.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

from harness.agent_process import AgentProcess
from harness.sinks.prometheus import Prometheus
from harness.waiting import wait_until
from msgspec import Struct

from agent.cli.query_database import QueryRequest, open_query_database
from agent.model.timebase import MS
from workers import registry

NAME = "trial"
WORKER = f"exporter/{NAME}"
# One tick: its time in ms of unix time, and how many processes lived then.
Tick = tuple[int, int]


class SinkSide(Protocol):
    """The far end of a trial."""

    @property
    def section(self) -> str:
        """The section of the settings file, without its head."""
        ...

    def ticks(self) -> Counter[Tick]:
        """Each tick that has arrived, and how often."""
        ...


class Verdict(Struct, frozen=True):
    """What a trial found: ticks stored here, of those missing there, and those that are there more than once."""

    stored: int
    lost: int
    doubled: int


class PrometheusSide:
    """A real Prometheus behind the kind `prometheus`."""

    def __init__(self, prometheus: Prometheus) -> None:
        self.prometheus = prometheus

    @property
    def section(self) -> str:
        """See SinkSide."""
        return f'kind = "prometheus"\nendpoint = "{self.prometheus.write_url}"\nresolution = "1ms"\n'

    def ticks(self) -> Counter[Tick]:
        """See SinkSide: one sample of a series at one time is all there can be."""
        found: Counter[Tick] = Counter()
        for series in self.prometheus.samples("evergauge_processes"):
            found.update((round(at * 1000), round(value)) for at, value in series.samples)
        return found


class ExportTrial:
    """An agent in its folder that exports to one sink. Use it as a context."""

    def __init__(self, folder: Path, side: SinkSide, *, quick: bool = True, flags: dict[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.side = side
        path = folder / "agentd.toml"
        path.write_text(f'[sink."{NAME}"]\nretry_most = "500ms"\ninterval = "50ms"\n{side.section}')
        self.agent = AgentProcess(folder, quick=quick, flags={"--config": str(path), **(flags or {})})

    def __enter__(self) -> "ExportTrial":
        self.agent.__enter__()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.agent.__exit__(kind, *rest)

    @property
    def report(self) -> dict[str, Any]:
        """What the exporter says of itself; nothing while it does not answer."""
        found = self.agent.call("status")["stats"].get(WORKER)
        return found if isinstance(found, dict) else {}

    def wait_arrived(self, until_ms: int) -> None:
        """Until a tick later than this moment is there."""

        def has_arrived() -> bool:
            with suppress(OSError, AssertionError):
                return any(at > until_ms for at, _ in self.side.ticks())
            return False

        wait_until(has_arrived, "a tick after that moment", seconds=60, pause_seconds=0.1)

    def kill_exporter(self) -> None:
        """As the kernel does when memory is short: at any moment."""
        row = wait_until(lambda: row if (row := self.agent.workers().get(WORKER)) and row["pid"] else None, "an exporter")
        with suppress(ProcessLookupError):
            os.kill(row["pid"], signal.SIGKILL)

    def judge(self) -> Verdict:
        """Compare everything up to now."""
        now_ms = time.time_ns() // MS
        self.wait_arrived(now_ms)
        wait_until(lambda: self._settled_behind(now_ms), "all older rows are settled", seconds=120, pause_seconds=0.1)
        stored = Counter(tick for tick in self._stored() if tick[0] <= now_ms)
        there = self.side.ticks()
        lost = sum(1 for tick in stored if tick not in there)
        doubled = sum(times - 1 for tick, times in there.items() if times > 1 and tick[0] <= now_ms)
        return Verdict(len(stored), lost, doubled)

    def totals_of(self, column: str) -> dict[int, int]:
        """The running sum of a column of `process_scan` by the time of each tick, in ms."""
        total, found = 0, {}
        for at, count in sorted(self._stored(column)):
            total += count
            found[at] = total
        return found

    def _settled_behind(self, now_ms: int) -> bool:
        report = self.report
        lag_seconds = report.get("lag_seconds")
        has_caught_up = bool(report) and not report.get("has_backlog") and report.get("state") == "up"
        return has_caught_up and lag_seconds is not None and time.time() - lag_seconds > now_ms / 1000 + 0.2

    def _stored(self, column: str = "processes") -> list[Tick]:
        statement = f"SELECT timestamp, coalesce({column}, 0) FROM process_scan"
        request = QueryRequest(str(self.agent.state_dir), statement)
        with closing(open_query_database(request, registry.tables())) as database:
            return [(at // MS, count) for at, count in database.connection.execute(statement).fetchall()]


def every(seconds: float, times: int, act: Callable[[], None]) -> None:
    """Do something so many times, with a pause before each."""
    for _ in range(times):
        time.sleep(seconds)
        act()
