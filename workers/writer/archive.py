"""Sees to it that full segments become Parquet: one sealer at a time, again and again until it succeeds.

A segment is removed only after its sealer said that every row has its final name on the disk; a damaged one is set
aside instead, and its damage becomes a row of table `gap` first: killed in between, the row may come twice, never not.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct, to_builtins

from agent.failpoint import failpoint
from agent.model.errors import EvergaugeError, StorageError
from agent.model.message import Condition, Note
from agent.model.timebase import MINUTE, S
from agent.ports import Bus
from workers.writer.folder import storage_error
from workers.writer.pruning import Pruning
from workers.writer.report import SealReport
from workers.writer.seal_queue import SealQueue
from workers.writer.sealing import Sealing
from workers.writer.spool import Spool

# Sealing 16 MiB takes about a second; whoever needs so much longer waits for a disk that is gone.
SEALING_NS_MAX = 10 * MINUTE
# The sealer's descriptors tell its end; this look costs nothing and holds should they be missed.
_POLL_NS = 1 * S
_WAITS_MAX = 64

Launch = Callable[[str, str, str], Sealing]


class _Wait(Struct):
    """An ask `rotate` that is answered when these segments are sealed."""

    names: set[str]
    files: list[dict[str, Any]]
    rows: int = 0


class Archive:
    """The queue of segments, the sealer under way and those who wait for it."""

    def __init__(
        self,
        spool: Spool,
        state_directory: str,
        bus: Bus,
        launch: Launch,
        on_damage: Callable[[SealReport], None],
        pruning: Pruning,
    ) -> None:
        self._spool = spool
        self._state_directory = state_directory
        self._bus = bus
        self._launch = launch
        self._on_damage = on_damage
        self._pruning = pruning
        self._queue = SealQueue()
        self._sealing: Sealing | None = None
        self._started_at_ns = 0
        self._waits: list[_Wait] = []
        self._replies: list[tuple[str, dict[str, Any]]] = []
        self._is_failing = False
        self._is_stopping = False
        self._sealed_files = 0
        self._sealed_rows = 0
        self.last_error = ""
        self._told_damages: set[str] = set()

    @property
    def waiting(self) -> int:
        """Segments that are not sealed yet, the one under way included."""
        return len(self._queue)

    @property
    def is_done(self) -> bool:
        """After `stop`: nothing is left, or what is left cannot be sealed now and stays in the spool."""
        return self.waiting == 0 or (self._is_failing and self._sealing is None)

    def stats(self) -> dict[str, Any]:
        """What the writer tells of it."""
        counts = {"segments_waiting": self.waiting, "sealed_files": self._sealed_files, "sealed_rows": self._sealed_rows}
        return {**counts, **self._pruning.stats()}

    def prepare(self) -> None:
        """Remove what a killed sealer left under hidden names, and begin to remove what is above the quota.

        *Raises:* StorageError.
        """
        self._pruning.begin()
        hidden = os.path.join(self._state_directory, "data", ".tmp")
        try:
            for name in os.listdir(hidden):
                os.unlink(os.path.join(hidden, name))
        except FileNotFoundError:
            return  # The first start in this folder.
        except OSError as cause:
            raise storage_error(hidden, cause) from cause

    def add(self, names: Sequence[str]) -> None:
        """Segments to seal, the oldest first."""
        self._queue.add(names)

    def wait_for_all(self) -> dict[str, Any] | None:
        """The answer to `rotate` when nothing is waiting; None: it comes through `take_replies`."""
        names = self._queue.names()
        if not names:
            return {"files": [], "rows": 0}
        if len(self._waits) >= _WAITS_MAX:
            return {"files": [], "rows": 0, "problem": f"{_WAITS_MAX} others wait for a rotation; try again later"}
        self._waits.append(_Wait(names=set(names), files=[]))
        return None

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """Answers that have become ready, once."""
        replies, self._replies = self._replies, []
        return replies

    def stop(self) -> None:
        """From now on a failure is not tried again."""
        self._is_stopping = True
        self._pruning.stop()

    def close(self) -> None:
        """End the sealer under way; its segment stays in the spool."""
        self._pruning.stop()
        if self._sealing is not None:
            self._sealing.close()

    def descriptors(self) -> tuple[int, ...]:
        """What to wait on while a sealer works."""
        return () if self._sealing is None else self._sealing.descriptors()

    def next_deadline_ns(self, now_ns: int) -> int | None:
        """When `advance` wants to be called."""
        deadlines = [self._pruning.next_deadline_ns()]
        if self._sealing is not None:
            deadlines.append(now_ns + _POLL_NS)
        # Before the open segment's head is on the disk nothing is sealed; the end of the sync calls `advance` then.
        elif self._spool.is_durable and not self._gave_up:
            deadlines.append(self._queue.next_deadline_ns())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    @property
    def _gave_up(self) -> bool:
        return self._is_stopping and self._is_failing

    def advance(self, now_ns: int) -> None:
        """Look after the sealer under way, then keep the quota, then start the next sealer.

        They take turns: a folder that is empty for a moment is not taken away from a sealer that is about to use it.
        """
        if self._sealing is not None:
            self._look(self._sealing, now_ns)
        self._pruning.advance(now_ns)
        if self._sealing is None and not self._pruning.is_busy and self._spool.is_durable and not self._gave_up:
            name = self._queue.take(now_ns)
            if name is not None:
                self._start(name, now_ns)

    def _start(self, name: str, now_ns: int) -> None:
        try:
            self._sealing = self._launch(self._spool.path(name), self._state_directory, self._spool.path(self._spool.name))
            self._started_at_ns = now_ns
        except StorageError as failure:
            self._fail(failure, now_ns)

    def _look(self, sealing: Sealing, now_ns: int) -> None:
        end = sealing.poll()
        if end is None:
            if now_ns - self._started_at_ns > SEALING_NS_MAX:
                sealing.kill()
            return
        self._sealing = None
        if isinstance(end, EvergaugeError):
            self._fail(end, now_ns)
            return
        try:
            self._put_away(end)
        except StorageError as failure:
            self._fail(failure, now_ns)
        else:
            self._succeed(end)

    def _put_away(self, report: SealReport) -> None:
        name = self._queue.active
        assert name is not None
        failpoint("archive.sealed")
        if not report.damaged_records:
            self._spool.remove(name)
            return
        # Told once, also when the file cannot be set aside at once and is sealed again.
        if name not in self._told_damages:
            self._told_damages.add(name)
            self._on_damage(report)
        path = self._spool.set_aside(name)
        self._told_damages.discard(name)
        fields: dict[str, str | int | float | bool | None] = {
            "path": path,
            "damaged_records": report.damaged_records,
            "rows_kept": report.rows,
        }
        self._bus.note(Note(kind="segment_set_aside", severity="error", fields=fields))

    def _succeed(self, report: SealReport) -> None:
        name = self._queue.active
        assert name is not None
        self._queue.on_sealed()
        self._pruning.begin()
        self._sealed_files += len(report.files)
        self._sealed_rows += report.rows
        self._bus.note(Note(kind="sealed", severity="info", fields={"files": len(report.files), "rows": report.rows}))
        if self._is_failing:
            self._is_failing = False
            self._bus.condition(Condition(kind="sealing", active=False, detail=""))
        self._answer(name, report)

    def _answer(self, name: str, report: SealReport) -> None:
        for wait in self._waits:
            if name in wait.names:
                wait.names.discard(name)
                wait.files.extend(to_builtins(file) for file in report.files)
                wait.rows += report.rows
        ready = [wait for wait in self._waits if not wait.names]
        self._waits = [wait for wait in self._waits if wait.names]
        self._replies.extend(("rotate", {"files": wait.files, "rows": wait.rows}) for wait in ready)

    def _fail(self, failure: EvergaugeError, now_ns: int) -> None:
        self._queue.on_failed(now_ns)
        # What a killed sealer left would take the room that the next one needs.
        with suppress(StorageError):
            self.prepare()
        detail = f"spool files wait to become Parquet: {failure.sentence}"
        if not self._is_failing or detail != self.last_error:
            self._bus.condition(Condition(kind="sealing", active=True, detail=detail))
        self._is_failing = True
        self.last_error = detail
