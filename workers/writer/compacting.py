"""Compacts finished days one after another, as far as room and time allow: looks for them, starts the process, tells.

What is due is decided by `workers.writer.compaction_plan`, whose turn it is by `workers.writer.turn`. Nothing of it outlives the
process: the folders themselves say what was done.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import Struct

from agent.model.errors import EvergaugeError, StorageError
from agent.model.foreign import readable
from agent.model.message import Note
from agent.model.timebase import HOUR, MINUTE, S
from agent.ports import Bus, Clock
from agent.store.layout import COMPACTING_FOLDER, DATA_FOLDER
from workers.framework.child_process import ChildTask, RunningChild, start_child
from workers.framework.condition import Conditions
from workers.writer.compaction_plan import LeftAlone, compacted_id
from workers.writer.compaction_report import CompactReport, Outcome, decode_compact_report
from workers.writer.compaction_room import RoomKeeper
from workers.writer.compaction_search import Candidate, DaySearch
from workers.writer.compactor_order import Order
from workers.writer.report import SealReport
from workers.writer.spool import Spool

RETRY_FIRST_NS = 1 * MINUTE
RETRY_MOST_NS = 1 * HOUR
# 39 million rows take half a minute of a free processor; a host that gives it so little has no room for this now.
COMPACTING_NS_MAX = 2 * HOUR
# Its descriptors tell the end; this look costs nothing and holds should they be missed.
_POLL_NS = 1 * S
# A day that fails this often in a row waits for the next date, so that others have their turn.
TRIES_MAX = 4
# Days that are left as they are, each told once.
_TOLD_MAX = 256
_KIND = "compaction"

Compaction = RunningChild[CompactReport]
Launch = Callable[[Order | str], Compaction]


class CompactionSetup(Struct, frozen=True):
    """What the writer knows once: where, how the names of each table's files begin, whose files these are, for which group.

    `install` gives the id of the installation, which the first look at the disk finds.
    """

    state_directory: str
    prefixes: dict[str, str]
    install: Callable[[], str]
    reader_gid: int | None = None
    is_enabled: bool = True


class Compacting:
    """The search for days that are due, the compactor at work, and what is reported about both."""

    def __init__(
        self,
        setup: CompactionSetup,
        spool: Spool,
        room: RoomKeeper,
        clock: Clock,
        bus: Bus,
        chance: Callable[[], str],
        launch: Launch | None,
    ) -> None:
        self._setup = setup
        self._spool = spool
        self._room = room
        self._clock = clock
        self._bus = bus
        self._chance = chance
        self._launch = launch or start_compactor
        self._conditions = Conditions(bus)
        data = os.path.join(setup.state_directory, DATA_FOLDER)
        self._search = DaySearch(data, setup.prefixes, spool, clock, self._tell_left_alone)
        self._candidate: Candidate | None = None
        # Also where it is off: what lies there may be rows that came at the last moment before an exchange.
        self._needs_cleaning = bool(_names(os.path.join(setup.state_directory, COMPACTING_FOLDER)))
        self._running: Compaction | None = None
        self._active: Candidate | None = None
        self._is_given_up = self._is_stopped = False
        self._started_at_ns = self._not_before_ns = self._failures = 0
        self._damaged: dict[tuple[str, str], str] = {}
        # Days that failed for whatever reason until the next date.
        self._failed: set[tuple[str, str]] = set()
        self._told: set[tuple[str, str]] = set()
        self._days = self._rows = self._files = self._given_up = 0

    # ---- what the archive asks ----

    @property
    def is_busy(self) -> bool:
        """A compactor is at work, or has been ended and is not gone yet."""
        return self._running is not None

    @property
    def is_ending(self) -> bool:
        """It has been ended and is not gone yet."""
        return self._running is not None and self._is_given_up

    def wants_turn(self, now_ns: int) -> bool:
        """A day is due and there is room for it, or something is to be cleaned up."""
        is_wanted = self._needs_cleaning or (self._candidate is not None and self._room.has_room)
        return is_wanted and self._running is None and not self._is_stopped and now_ns >= self._not_before_ns

    def stats(self) -> dict[str, Any]:
        """Numbers for `status` and /metrics."""
        counts = {"days": self._days, "rows": self._rows, "files": self._files, "given_up": self._given_up}
        return {"compaction": {**counts, "enabled": self._setup.is_enabled, "last_problem": self._conditions.last_error}}

    def descriptors(self) -> tuple[int, ...]:
        """What to wait on while a compactor works."""
        return () if self._running is None else self._running.descriptors()

    def next_deadline_ns(self, now_ns: int) -> int | None:
        """When `advance` wants to be called, or a turn is wanted."""
        if self._is_stopped:
            return None
        if self._running is not None:
            return now_ns + _POLL_NS
        if self._needs_cleaning or self._candidate is not None:
            is_ready = self._needs_cleaning or self._room.has_room
            return max(self._not_before_ns, 0 if is_ready else self._room.look_at_ns)
        return max(self._search.next_at_ns, self._not_before_ns) if self._setup.is_enabled else None

    def on_sealed(self, report: SealReport) -> None:
        """Files came into these days."""
        for file in report.files:
            folder, _ = os.path.split(file.path)
            self._search.add(file.table, os.path.basename(folder))

    def stop(self) -> None:
        """No more days; the next writer goes on."""
        self._is_stopped = True
        if self._running is not None:
            self._running.kill()

    def close(self) -> None:
        """End the compactor under way."""
        self._is_stopped = True
        if self._running is not None:
            self._running.close()
            self._running = None

    # ---- a turn of the loop ----

    def advance(self, now_ns: int) -> bool:
        """Look after the compactor, or for the next day; True when a compactor ended by itself."""
        if self._running is not None:
            return self._look(self._running, now_ns)
        if not self._setup.is_enabled:
            return False
        if self._candidate is None and not self._is_stopped and now_ns >= self._not_before_ns:
            self._find(now_ns)
        if self._candidate is not None:
            self._tell_room(self._room.check(now_ns, self._names_of(self._candidate)))
        return False

    def start(self, now_ns: int) -> None:
        """Begin with the day that is due; each compactor cleans up first."""
        assert self._running is None
        # What a killed one left may be what takes the room away.
        candidate = self._candidate if self._room.has_room else None
        if candidate is not None and not self._search.is_still_due(candidate):
            self._drop_candidate()
            return
        order = self._setup.state_directory if candidate is None else self._order(candidate)
        try:
            self._running = self._launch(order)
        except StorageError as failure:
            self._fail(failure, now_ns)
            return
        self._active, self._started_at_ns, self._is_given_up = candidate, now_ns, False

    def give_up(self) -> None:
        """End the compactor, so that something else can begin; the day is taken up again later."""
        assert self._running is not None
        if not self._is_given_up:
            self._is_given_up = True
            self._given_up += 1
            self._running.kill()

    def _find(self, now_ns: int) -> None:
        if self._search.is_new_day:
            self._damaged.clear()
            self._failed.clear()
        self._candidate = self._search.find(now_ns)
        if not self._search.is_walking:
            # A damaged day that was cleared up, or removed as old, is no longer reported.
            self._tell_damaged()

    def _drop_candidate(self) -> None:
        self._candidate = None
        self._room.forget()

    def _names_of(self, candidate: Candidate) -> list[str]:
        folder = os.path.join(self._setup.state_directory, DATA_FOLDER, candidate.table, candidate.folder)
        return [os.path.join(folder, source.name) for source in candidate.due.sources]

    def _order(self, candidate: Candidate) -> Order:
        return Order(
            self._setup.state_directory,
            candidate.table,
            candidate.folder,
            self._search.prefix(candidate.table),
            compacted_id(candidate.due.generation, self._chance()),
            self._setup.install(),
            self._setup.reader_gid,
        )

    # ---- the end of a compactor ----

    def _look(self, running: Compaction, now_ns: int) -> bool:
        end = running.poll()
        if end is None:
            if now_ns - self._started_at_ns > COMPACTING_NS_MAX:
                running.kill()
            return False
        self._running = None
        self._needs_cleaning = isinstance(end, EvergaugeError)
        if self._is_stopped or (self._is_given_up and isinstance(end, EvergaugeError)):
            return False
        if isinstance(end, EvergaugeError):
            self._fail(end, now_ns)
            self._pass_over(self._active)
        else:
            self._conclude(end, now_ns)
        return True

    def _pass_over(self, active: Candidate | None) -> None:
        """Let a day that fails again and again not be in the way of others."""
        if active is not None and self._failures >= TRIES_MAX:
            self._failed.add((active.table, active.folder))
            self._failures = 0
            self._search.on_ended(active, is_settled=True)
            self._drop_candidate()

    def _conclude(self, report: CompactReport, now_ns: int) -> None:
        active, self._active = self._active, None
        if active is None:
            self._room.forget()
        else:
            self._drop_candidate()
        is_left = report.outcome in (Outcome.COMPACTED, Outcome.CLEANED) and bool(report.problem)
        if is_left:
            self._needs_cleaning = True
            self._postpone(f"what was compacted cannot be removed: {report.problem}", now_ns)
        else:
            self._failures = self._not_before_ns = 0
            if active is not None:
                self._failed.discard((active.table, active.folder))
            if not self._failed:
                self._conditions.end(_KIND)
        if active is not None:
            self._search.on_ended(active, is_settled=report.outcome is not Outcome.CHANGED)
            self._tell_outcome(active, report)

    def _tell_outcome(self, active: Candidate, report: CompactReport) -> None:
        match report.outcome:
            case Outcome.COMPACTED:
                self._succeed(report)
            case Outcome.LEFT_ALONE:
                self._tell_left_alone(active.table, active.folder, LeftAlone(report.name, report.problem))
            case Outcome.DAMAGED:
                self._damaged[active.table, active.folder] = f"{readable(report.name)}: {report.problem}"
                self._tell_damaged()
            case Outcome.IMPOSSIBLE:
                self._search.give_up()
                self._conditions.begin(_KIND, f"days are not compacted: {report.problem}")
            case Outcome.CHANGED | Outcome.CLEANED:
                pass

    def _succeed(self, report: CompactReport) -> None:
        self._days += 1
        self._rows += report.rows
        self._files += report.files
        self._spool.readers.note_sealed(os.path.join(self._setup.state_directory, COMPACTING_FOLDER), report.unshared)
        fields: dict[str, str | int | float | bool | None] = {
            "path": readable(report.path),
            "files": report.files,
            "rows": report.rows,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
        }
        self._bus.note(Note(kind="compacted", severity="info", fields=fields))

    def _fail(self, failure: EvergaugeError, now_ns: int) -> None:
        self._postpone(f"days wait to be compacted: {failure.sentence}", now_ns)

    def _postpone(self, detail: str, now_ns: int) -> None:
        self._not_before_ns = now_ns + min(RETRY_FIRST_NS << min(self._failures, 16), RETRY_MOST_NS)
        self._failures += 1
        self._conditions.begin(_KIND, detail)

    # ---- what is told ----

    def _tell_left_alone(self, table: str, folder: str, verdict: LeftAlone) -> None:
        if (table, folder) in self._told or len(self._told) >= _TOLD_MAX:
            return
        self._told.add((table, folder))
        path = readable(os.path.join(self._setup.state_directory, DATA_FOLDER, table, folder, verdict.name))
        fields: dict[str, str | int | float | bool | None] = {"path": path, "problem": verdict.reason}
        self._bus.note(Note(kind="day_not_compacted", severity="warning", fields=fields))

    def _tell_damaged(self) -> None:
        if not self._damaged:
            self._conditions.end("compaction_damage")
            return
        (table, folder), problem = next(iter(self._damaged.items()))
        more = f" (and {len(self._damaged) - 1} more days)" if len(self._damaged) > 1 else ""
        where = readable(os.path.join(self._setup.state_directory, DATA_FOLDER, table, folder))
        remedy = "`agentctl verify-data` lists all damaged files; move them out of the data folder"
        self._conditions.begin("compaction_damage", f"{where}{more} is not compacted: {problem}; {remedy}")

    def _tell_room(self, problem: str) -> None:
        if problem:
            self._conditions.begin("compaction_room", problem)
        else:
            self._conditions.end("compaction_room")


def start_compactor(order: Order | str) -> Compaction:
    """Start the process for one day, or with the state folder alone to clean up. *Raises:* StorageError."""
    remedy = "nothing is lost; it is tried again later"
    if isinstance(order, str):
        return start_child("workers.writer.compactor", [order], ChildTask("cleaning up", order, remedy), decode_compact_report)
    task = ChildTask("compacting", os.path.join(order.state_directory, DATA_FOLDER, order.table, order.folder), remedy)
    return start_child("workers.writer.compactor", order.arguments(), task, decode_compact_report)


def _names(path: str) -> list[str]:
    """What lies in a folder; nothing in one that is not there or cannot be listed: the quota's round tells that."""
    with suppress(OSError):
        return os.listdir(path)
    return []
