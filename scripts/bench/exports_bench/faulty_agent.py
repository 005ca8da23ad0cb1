"""A default agent that exports to several sinks, beside sleeping processes, and what a fault of the sinks does to it.

What is measured in a window: how exactly the samplers keep their seconds (from the stored timestamps), the largest PSS of each
exporter, ticks that are missing, rows that a sink never got, and how soon a sink acknowledges something new once the fault is over.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from harness.agent_process import AgentProcess
from harness.export_trial import Tick
from harness.proc import memory
from harness.waiting import wait_until
from msgspec import Struct

from agent.cli.query_database import QueryRequest, open_query_database
from agent.model.timebase import MS, S
from workers import registry

SAMPLED = ("host", "process_scan")
SETTLE_SECONDS = 5.0
# The limits of each window: beyond the calm one in milliseconds and MiB, and in seconds after the fault.
LATE_P99_MS, PSS_MIB, RECOVERY_S = 1.0, 8.0, 5.0
CALM = "calm"


class FaultySink(Struct, frozen=True):
    """A sink of the agent: its section without the head, and the ticks that are there now, in any order."""

    section: str
    ticks: Callable[[], list[Tick]]


class Fault(Struct, frozen=True):
    """What goes wrong while the context holds. `sinks`: those that it concerns. `is_refusal`: what they answer is final, so that
    the rows of that time are counted as rejected and not sent again."""

    name: str
    context: Callable[[], AbstractContextManager[object]]
    sinks: tuple[str, ...]
    is_refusal: bool = False


class FaultWindow(Struct):
    """What was found in one, up to the times in nanoseconds of unix time."""

    fault: Fault
    begin_ns: int
    end_ns: int
    pss_mib: dict[str, float]
    recovery_s: dict[str, float]


def calm() -> Fault:
    """Nothing goes wrong."""
    return Fault(CALM, nullcontext, ())


@contextmanager
def sleeping(count: int) -> Iterator[None]:
    """So many processes that do nothing."""
    held = [subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "sleep", "infinity"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in held:
            each.kill()
        for each in held:
            each.wait()


class FaultyAgent:
    """Use it as a context; then `run` windows, and `judge` all of them."""

    def __init__(self, folder: Path, sinks: Mapping[str, FaultySink]) -> None:
        folder.mkdir()
        self.sinks = dict(sinks)
        path = folder / "agentd.toml"
        path.write_text("".join(f'[sink."{name}"]\n{sink.section}\n' for name, sink in sinks.items()))
        self.agent = AgentProcess(folder, quick=False, flags={"--config": str(path)})
        self.windows: list[FaultWindow] = []

    def __enter__(self) -> "FaultyAgent":
        self.agent.__enter__()
        try:
            for name in self.sinks:
                wait_until(lambda name=name: self.report(name).get("state") == "up", f"{name} is up", seconds=60)  # type: ignore[misc]
            # What a start leaves behind is over then.
            time.sleep(SETTLE_SECONDS)
        except BaseException as failure:
            failure.add_note(self.agent.output[-5000:])
            self.agent.end()
            raise
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.agent.__exit__(kind, *rest)

    def report(self, name: str) -> dict[str, Any]:
        """What an exporter says of itself; nothing while it does not answer."""
        found = self.agent.call("status")["stats"].get(f"exporter/{name}")
        return found if isinstance(found, dict) else {}

    def run(self, fault: Fault, seconds: float) -> None:
        """One window, and the end of the fault."""
        pids = {name: self.agent.workers()[f"exporter/{name}"]["pid"] for name in self.sinks}
        largest = dict.fromkeys(pids, 0.0)
        with fault.context():
            begin_ns = time.time_ns()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(1)
                for name, pid in pids.items():
                    # One that is gone is found by the rows that are missing.
                    with suppress(OSError):
                        largest[name] = max(largest[name], memory(pid).pss_bytes / 2**20)
            end_ns = time.time_ns()
            before = {name: self.report(name).get("deliveries", 0) for name in fault.sinks}
        recovery_s = self._recover(before)
        self.windows.append(FaultWindow(fault, begin_ns, end_ns, largest, recovery_s))
        for name in self.sinks:
            self._wait_settled(name)

    def _recover(self, before: Mapping[str, int]) -> dict[str, float]:
        begun, found = time.monotonic(), dict[str, float]()

        def has_recovered() -> bool:
            for name, count in before.items():
                if name not in found and self.report(name).get("deliveries", 0) > count:
                    found[name] = time.monotonic() - begun
            return len(found) == len(before)

        wait_until(has_recovered, f"a new delivery to each of {list(before)}", seconds=60, pause_seconds=0.02)
        return found

    def _wait_settled(self, name: str) -> None:
        """Until everything up to now has arrived or is counted as refused."""
        now = time.time()

        def is_settled() -> bool:
            report = self.report(name)
            lag_seconds = report.get("lag_seconds")
            is_up = report.get("state") == "up" and not report["has_backlog"]
            return is_up and lag_seconds is not None and time.time() - lag_seconds > now

        wait_until(is_settled, f"{name} has caught up", seconds=120, pause_seconds=0.2)

    def judge(self) -> dict[str, Any]:
        """Each fault over its windows, by name: figures, and whether the limits hold. The calm windows must be among them."""
        moments = {table: self._moments(table) for table in SAMPLED}
        missing = self._missing()
        by_fault: dict[str, list[dict[str, Any]]] = {}
        for window in self.windows:
            by_fault.setdefault(window.fault.name, []).append(_figures(window, moments))
        base = _merged(by_fault[CALM])
        found = {}
        for name, windows in by_fault.items():
            one = _merged(windows)
            one["late_p99_ms_beyond_calm"] = {
                table: round(one["late_p99_ms"][table] - base["late_p99_ms"][table], 3) for table in SAMPLED
            }
            one["pss_mib_beyond_calm"] = {sink: round(one["pss_mib"][sink] - base["pss_mib"][sink], 2) for sink in self.sinks}
            one["is_kept"] = (
                max(one["late_p99_ms_beyond_calm"].values()) <= LATE_P99_MS
                and max(one["pss_mib_beyond_calm"].values()) <= PSS_MIB
                and one["ticks_missed"] == 0
                and max(one["recovery_s"].values(), default=0.0) <= RECOVERY_S
            )
            found[name] = one
        ledgers = {name: self.report(name)["ledger"] for name in self.sinks}
        adds_up = all(
            each["produced"] == each["delivered"] + each["rejected"] + each["pruned"] + each["pending"] for each in ledgers.values()
        )
        begin_ns, end_ns = self.windows[0].begin_ns, self.windows[-1].end_ns
        # Between the windows too, while the sinks catch up.
        missed = sum(_missed([at for at in each if begin_ns <= at <= end_ns]) for each in moments.values())
        is_kept = adds_up and missed == 0 and not any(each["lost"] for each in missing.values())
        found["all"] = {"ticks_missed": missed, "ticks_by_sink": missing, "ledgers": ledgers, "is_kept": is_kept}
        return found

    def _missing(self) -> dict[str, dict[str, int]]:
        """Of each sink: ticks stored here, of them refused by its answers, and lost: not there, and not refused either."""
        now_ms = min(time.time_ns() // MS - 5_000, self.windows[-1].end_ns // MS)
        stored = [tick for tick in self._stored("processes") if tick[0] <= now_ms]
        found = {}
        for name, sink in self.sinks.items():
            there = set(sink.ticks())
            missed = [at for at, count in stored if (at, count) not in there]
            refused = [at for at in missed if any(self._is_refusal(window, name, at) for window in self.windows)]
            found[name] = {"stored": len(stored), "refused": len(refused), "lost": len(missed) - len(refused)}
        return found

    def _is_refusal(self, window: FaultWindow, sink: str, at_ms: int) -> bool:
        # A row may be some two seconds on its way when its window begins.
        is_then = window.begin_ns // MS - 3_000 <= at_ms <= window.end_ns // MS + 1_000
        return window.fault.is_refusal and sink in window.fault.sinks and is_then

    def _moments(self, table: str) -> list[int]:
        return sorted(at for (at,) in self._rows(f"SELECT DISTINCT timestamp FROM {table}"))

    def _stored(self, column: str) -> list[Tick]:
        return [(at // MS, count) for at, count in self._rows(f"SELECT timestamp, {column} FROM process_scan")]

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        request = QueryRequest(str(self.agent.state_dir), statement)
        with closing(open_query_database(request, registry.tables())) as database:
            found: list[tuple[Any, ...]] = database.connection.execute(statement).fetchall()
            return found


def _seconds(before_ns: int, after_ns: int) -> int:
    return max(1, round((after_ns - before_ns) / S))


def _missed(moments: Sequence[int]) -> int:
    return sum(_seconds(before, after) - 1 for before, after in pairwise(moments))


def _figures(window: FaultWindow, moments: Mapping[str, list[int]]) -> dict[str, Any]:
    late_p50_ms, late_p99_ms, missed, ticks = {}, {}, 0, 0
    for table, all_of_it in moments.items():
        found = [at for at in all_of_it if window.begin_ns <= at <= window.end_ns]
        late = sorted(abs(after - before - _seconds(before, after) * S) / MS for before, after in pairwise(found)) or [0.0]
        late_p50_ms[table], late_p99_ms[table] = median(late), late[min(len(late) - 1, len(late) * 99 // 100)]
        # A sampler that stops has no second moment: so the length of the window counts as well.
        missed += max(_missed(found), (window.end_ns - window.begin_ns) // S - 1 - len(found))
        ticks += len(found)
    return {
        "ticks": ticks,
        "ticks_missed": missed,
        "late_p50_ms": late_p50_ms,
        "late_p99_ms": late_p99_ms,
        "pss_mib": window.pss_mib,
        "recovery_s": window.recovery_s,
    }


def _merged(windows: list[dict[str, Any]]) -> dict[str, Any]:
    """Lateness and memory as medians over windows, beside the lateness of each; misses as a sum, recovery at its slowest."""
    first = windows[0]
    merged: dict[str, Any] = {key: sum(each[key] for each in windows) for key in ("ticks", "ticks_missed")}
    for key in ("late_p50_ms", "late_p99_ms", "pss_mib"):
        merged[key] = {name: round(median(each[key][name] for each in windows), 3) for name in first[key]}
    merged["late_p99_ms_each"] = {name: [round(each["late_p99_ms"][name], 3) for each in windows] for name in SAMPLED}
    merged["recovery_s"] = {name: round(max(each["recovery_s"][name] for each in windows), 3) for name in first["recovery_s"]}
    return merged
