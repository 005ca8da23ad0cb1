"""The compactor's work: starts a process for each round, and tells what it did. It reads and writes no file of the store itself."""

import os
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Struct

from agent.model.errors import EvergaugeError, StorageError
from agent.model.message import Note
from agent.model.timebase import HOUR, MINUTE, S
from agent.ports import Bus, Interest
from agent.store.state_file import replace_state_file
from workers.compactor.attempts import ATTEMPTS_FILE, CompactionAttempts
from workers.compactor.order import ORDER_FILE, LakeOrder, encode_order
from workers.compactor.report import LakeReport, PassedFile, decode_lake_report
from workers.framework.child_process import ChildTask, RunningChild, start_child
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork

FIRST_NS = 2 * S
RETRY_FIRST_NS = 10 * S
RETRY_MOST_NS = 1 * HOUR
# A round compacts all that there is: at first that may be the files of a year.
ROUND_NS_MAX = 6 * HOUR
_POLL_NS = 1 * MINUTE
PASSED_MAX = 2_000
_TOLD_MAX = 1_000

LakeRound = RunningChild[LakeReport]


class CompactorParts(Struct, frozen=True):
    """What the work is made of. `order` gives the next order, with these files left alone; `launch` starts a round in `folder`.

    *Raises:* `launch` a StorageError.
    """

    folder: str
    interval_ns: int
    order: Callable[[dict[str, int]], LakeOrder]
    launch: Callable[[str], LakeRound]
    chance: Random


class CompactorWork(BaseWork):
    """The `agent.ports.Work` of worker `compactor`."""

    def __init__(self, parts: CompactorParts, bus: Bus) -> None:
        super().__init__()
        self._parts = parts
        self._bus = bus
        self._conditions = Conditions(bus)
        self._running: LakeRound | None = None
        self._started_at_ns = 0
        self._next_ns: int | None = None
        self._failures = 0
        self._passed: dict[str, PassedFile] = {}
        self._told: set[str] = set()
        self._counts = dict.fromkeys(
            ("rounds", "rounds_failed", "rounds_elsewhere", "jobs", "sources", "files", "rows", "bytes_before", "bytes_after"), 0
        )
        self._counts |= dict.fromkeys(("deleted", "returned", "condemned", "pruned"), 0)
        self._waiting = 0

    def on_start(self, now_ns: int) -> None:
        """The first round, soon."""
        self._next_ns = now_ns + self._parts.chance.randrange(FIRST_NS)

    def next_deadline_ns(self) -> int | None:
        """The next round, or a look at the one under way."""
        return None if self.is_stopped else self._next_ns

    def on_timer(self, now_ns: int) -> None:
        """Start a round, or end one that takes too long."""
        if self._running is None:
            self._start(now_ns)
        elif now_ns - self._started_at_ns > ROUND_NS_MAX:
            self._running.kill()
            self._look(self._running, now_ns)
        else:
            self._next_ns = now_ns + _POLL_NS
            self._look(self._running, now_ns)

    def interests(self) -> tuple[Interest, ...]:
        """The round under way."""
        return () if self._running is None else tuple(map(Interest, self._running.descriptors()))

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """The round says something, or has ended."""
        if self._running is not None:
            self._look(self._running, now_ns)

    def stats(self) -> dict[str, Any]:
        """What the rounds did since this worker began."""
        passed = len(self._passed)
        return {**self._counts, "passed": passed, "waiting": self._waiting, "last_problem": self._conditions.last_error}

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """The next one goes on where this one was."""
        super().on_stop(now_ns, for_good=for_good)
        if self._running is not None:
            self._running.close()
            self._running = None

    # ---- a round ----

    def _start(self, now_ns: int) -> None:
        order = self._parts.order({path: file.bytes for path, file in self._passed.items()})
        try:
            os.makedirs(self._parts.folder, mode=0o700, exist_ok=True)
            replace_state_file(os.path.join(self._parts.folder, ORDER_FILE), encode_order(order))
            self._running = self._parts.launch(self._parts.folder)
        except OSError as cause:
            self._fail(StorageError(self._parts.folder, f"cannot be written ({cause.strerror})", "free space there"), now_ns)
            return
        except EvergaugeError as failure:
            self._fail(failure, now_ns)
            return
        self._started_at_ns = now_ns
        self._next_ns = now_ns + _POLL_NS

    def _look(self, running: LakeRound, now_ns: int) -> None:
        end = running.poll()
        if end is None:
            return
        self._running = None
        if isinstance(end, EvergaugeError):
            self._fail(end, now_ns)
            return
        self._failures = 0
        self._next_ns = now_ns + self._parts.interval_ns
        self._conditions.end("lake_compaction")
        self._take(end)

    def _fail(self, failure: EvergaugeError, now_ns: int) -> None:
        self._counts["rounds_failed"] += 1
        most_ns = min(RETRY_FIRST_NS << min(self._failures, 16), RETRY_MOST_NS)
        self._next_ns = now_ns + most_ns // 2 + self._parts.chance.randrange(most_ns // 2)
        self._failures += 1
        self._conditions.begin("lake_compaction", f"the fleet's store is not compacted: {failure.sentence}{self._ending_days()}")

    def _ending_days(self) -> str:
        """Of days that have ended their round again and again; empty where there is none."""
        try:
            days = CompactionAttempts(os.path.join(self._parts.folder, ATTEMPTS_FILE)).failed()
        except OSError:
            return ""
        more = f" (and {len(days) - 1} more)" if len(days) > 1 else ""
        return f"; it was at {days[0]}{more} each time: raise the worker's memory_limit or lower compactor.memory" if days else ""

    def _take(self, report: LakeReport) -> None:
        if report.holder:
            self._counts["rounds_elsewhere"] += 1
            return
        self._counts["rounds"] += 1
        for key in self._counts.keys() - {"rounds", "rounds_failed", "rounds_elsewhere"}:
            self._counts[key] += getattr(report, key)
        self._waiting = report.waiting
        for file in report.passed:
            self._tell_passed(file)
        self._tell(report)

    def _tell(self, report: LakeReport) -> None:
        if report.jobs:
            names = ("jobs", "sources", "files", "rows", "bytes_before", "bytes_after")
            fields: dict[str, str | int | float | bool | None] = {name: getattr(report, name) for name in names}
            self._bus.note(Note(kind="lake_compacted", severity="info", fields=fields))
        self._conditions.tell("lake_cleaning", report.problem and f"the fleet's store is not cleaned up: {report.problem}")
        self._conditions.tell("lake_files_left", self._passed_sentence())

    def _tell_passed(self, file: PassedFile) -> None:
        while len(self._passed) >= PASSED_MAX and file.path not in self._passed:
            del self._passed[next(iter(self._passed))]
        self._passed[file.path] = file
        if file.path not in self._told and len(self._told) < _TOLD_MAX:
            self._told.add(file.path)
            fields: dict[str, str | int | float | bool | None] = {"path": file.path, "problem": file.reason}
            self._bus.note(Note(kind="lake_file_left", severity="warning", fields=fields))

    def _passed_sentence(self) -> str:
        """Of damaged files a person should know; others' files are no fault."""
        damaged = [file for file in self._passed.values() if file.is_damaged]
        if not damaged:
            return ""
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        return f"{damaged[0].path}{more} is left as it is: {damaged[0].reason}; look at it, then move it out of the store"


def start_round(folder: str) -> LakeRound:
    """Start the process of a round. *Raises:* StorageError."""
    task = ChildTask("compaction", "the fleet's store", "nothing is lost; it is tried again later")
    return start_child("workers.compactor.child", [folder], task, decode_lake_report)
