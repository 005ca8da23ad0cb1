"""Turns full segments into Parquet: one sealer at a time, each segment retried until it succeeds.

A segment that can be neither removed nor set aside afterwards stays where it is, and a condition names it.
A segment is removed only after its sealer said that every row has its final name on the disk; a damaged one is set
aside instead, and its damage becomes a row of table `gap` first: killed in between, the row may come twice, never not.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from agent.failpoint import failpoint
from agent.model.errors import EvergaugeError, StorageError
from agent.model.foreign import readable
from agent.model.message import Note
from agent.model.timebase import MINUTE, S
from agent.ports import Bus
from agent.store.segment import id_in
from workers.framework.condition import Conditions
from workers.writer.compacting import Compacting
from workers.writer.folder import storage_error
from workers.writer.kept import KeptSegments
from workers.writer.pruning import Pruning
from workers.writer.report import SealReport
from workers.writer.rotation_answers import RotationAnswers
from workers.writer.seal_queue import SealQueue
from workers.writer.sealing import Sealing
from workers.writer.set_aside import AsideKeeper
from workers.writer.spool import Spool
from workers.writer.turn import Step, Turns, Wishes

# Sealing 16 MiB takes about a second; a sealer that takes this long waits for a disk that is gone.
SEALING_NS_MAX = 10 * MINUTE
# The sealer's descriptors tell its end; this look costs nothing and holds should they be missed.
_POLL_NS = 1 * S
_SEALING = "sealing"
# How soon a condition ends after a person has cleared up.
_TIDY_NS = 1 * MINUTE

Launch = Callable[[str, str, str], Sealing]


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
        on_missing: Callable[[str], None] = lambda _name: None,
        compacting: Compacting | None = None,
        kept: KeptSegments | None = None,
    ) -> None:
        self._spool = spool
        self._state_directory = state_directory
        self._bus = bus
        self._launch = launch
        self._on_damage = on_damage
        self._pruning = pruning
        self._on_missing = on_missing
        self._compacting = compacting
        self._kept = kept
        self._turns = Turns()
        self._aside = AsideKeeper(spool.aside, bus, pruning.limit_bytes)
        self._conditions = Conditions(bus)
        # What could not be removed at the last try, and segments that are done with and could not be put away.
        self._hidden_left: list[StorageError] = []
        self._segments_left: dict[str, tuple[bool, StorageError]] = {}
        self._tidy_at_ns = 0
        self._queue = SealQueue()
        self._sealing: Sealing | None = None
        self._started_at_ns = 0
        self._answers = RotationAnswers()
        self._is_stopping = False
        self._sealed_files = 0
        self._sealed_rows = 0
        self._refused_rows = 0
        self.last_error = ""

    @property
    def waiting(self) -> int:
        """Segments that are not sealed yet, the one under way included."""
        return len(self._queue)

    @property
    def _is_failing(self) -> bool:
        return _SEALING in self._conditions

    @property
    def is_done(self) -> bool:
        """After `stop`: nothing is left, or what is left cannot be sealed now and stays in the spool."""
        return self.waiting == 0 or (self._is_failing and self._sealing is None)

    @property
    def generation(self) -> int:
        """The highest generation that the last look at all sealed files has found."""
        return self._pruning.generation

    def names(self) -> frozenset[str]:
        """The segments that are not sealed yet."""
        return self._queue.names()

    def stats(self) -> dict[str, Any]:
        """Numbers for `status` and /metrics."""
        counts = {"segments_waiting": self.waiting, "sealed_files": self._sealed_files, "sealed_rows": self._sealed_rows}
        counts["bad_rows"] = self._refused_rows
        compaction = {} if self._compacting is None else self._compacting.stats()
        kept = {} if self._kept is None else self._kept.stats()
        return {**counts, **self._aside.stats(), **self._pruning.stats(), **compaction, **kept}

    def prepare(self) -> None:
        """Make the spool's folders, remove what a killed writer or sealer left under hidden names, and begin to remove what
        is above the quota. What cannot be removed is in nobody's way; a condition names it.

        *Raises:* StorageError when there can be no spool.
        """
        self._hidden_left = self._spool.prepare()
        if self._kept is not None:
            self._kept.prepare(self._spool.names())
        self._pruning.begin()
        self._hidden_left += _remove_hidden(os.path.join(self._state_directory, "data", ".tmp"))
        for name, (is_damaged, _) in tuple(self._segments_left.items()):
            self._put_file_away(name, is_damaged=is_damaged)
        self._tell_leftovers()
        self._aside.keep()

    def _tell_leftovers(self) -> None:
        left = [*self._hidden_left, *(failure for _, failure in self._segments_left.values())]
        if left:
            more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
            self._conditions.begin("leftovers", f"cannot be removed{more}, storing goes on: {left[0].sentence}")
        else:
            self._conditions.end("leftovers")

    def add(self, names: Sequence[str]) -> None:
        """Segments to seal, the oldest first."""
        self._queue.add(names)

    def wait_for_all(self) -> dict[str, Any] | None:
        """The answer to `rotate` when nothing is waiting; None: it comes through `take_replies`."""
        return self._answers.wait_for(self._queue.names())

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """Answers that have become ready, once."""
        return self._answers.take_replies()

    def stop(self) -> None:
        """From now on a failure is not tried again."""
        self._is_stopping = True
        self._pruning.stop()
        if self._compacting is not None:
            self._compacting.stop()

    def close(self) -> None:
        """End the sealer under way, whose segment stays in the spool, or the compactor."""
        self._pruning.stop()
        if self._compacting is not None:
            self._compacting.close()
        if self._sealing is not None:
            self._sealing.close()

    def descriptors(self) -> tuple[int, ...]:
        """What to wait on while a sealer or a compactor works."""
        if self._sealing is not None:
            return self._sealing.descriptors()
        return () if self._compacting is None else self._compacting.descriptors()

    def next_deadline_ns(self, now_ns: int) -> int | None:
        """When `advance` wants to be called."""
        if self._is_compacting:
            # The others wait for its end, or have ended it: its descriptors tell.
            return now_ns + _POLL_NS
        deadlines = [self._pruning.next_deadline_ns(), None if self._kept is None else self._kept.next_deadline_ns()]
        if self._needs_tidying and self._sealing is None:
            deadlines.append(self._tidy_at_ns)
        if self._compacting is not None and self._sealing is None:
            deadlines.append(self._compacting.next_deadline_ns(now_ns))
        if self._sealing is not None:
            deadlines.append(now_ns + _POLL_NS)
        # Before the open segment's head is on the disk nothing is sealed; the end of the sync calls `advance` then.
        elif self._spool.is_durable and not self._gave_up:
            deadlines.append(self._queue.next_deadline_ns())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    @property
    def _needs_tidying(self) -> bool:
        """Whether files are left over or set aside: a person may clear them up at any moment."""
        return self._aside.is_holding or "leftovers" in self._conditions

    @property
    def _gave_up(self) -> bool:
        return self._is_stopping and self._is_failing

    @property
    def _is_compacting(self) -> bool:
        return self._compacting is not None and self._compacting.is_busy

    def advance(self, now_ns: int) -> None:
        """Look after what is at work, then let the next one begin: see `workers.writer.turn`."""
        if self._sealing is not None:
            self._look(self._sealing, now_ns)
        if self._kept is not None:
            self._kept.advance(now_ns)
            self._pruning.kept_bytes = self._kept.bytes
        if self._needs_tidying and self._sealing is None and now_ns >= self._tidy_at_ns:
            self._tidy_at_ns = now_ns + _TIDY_NS
            with suppress(StorageError):
                self.prepare()
        if self._compacting is not None and self._sealing is None and self._compacting.advance(now_ns):
            self._turns.on_compaction_ended()
            self._pruning.begin()
        step = self._turns.decide(self._wishes(now_ns), now_ns)
        if step is Step.PRUNE or not self._pruning.is_busy:
            self._pruning.advance(now_ns)
            step = self._turns.decide(self._wishes(now_ns), now_ns) if step is Step.PRUNE else step
        if step is Step.SEAL:
            self._seal_next(now_ns)
        elif self._compacting is not None and step is Step.COMPACT:
            self._compacting.start(now_ns)
        elif self._compacting is not None and step is Step.GIVE_UP:
            self._compacting.give_up()

    def _wishes(self, now_ns: int) -> Wishes:
        due_ns = self._queue.next_deadline_ns()
        return Wishes(
            is_sealing=self._sealing is not None,
            is_compacting=self._is_compacting,
            is_ending=self._compacting is not None and self._compacting.is_ending,
            wants_seal=due_ns is not None and due_ns <= now_ns and self._spool.is_durable and not self._gave_up,
            wants_pruning=self._pruning.is_busy,
            wants_compaction=self._compacting is not None and self._compacting.wants_turn(now_ns),
        )

    def _seal_next(self, now_ns: int) -> None:
        name = self._queue.take(now_ns)
        assert name is not None
        if self._spool.has(name):
            self._start(name, now_ns)
        else:
            self._record_missing(name, now_ns)

    def _record_missing(self, name: str, now_ns: int) -> None:
        """Somebody removed a segment before it was sealed: its rows are lost, and the loss is recorded."""
        try:
            if self._kept is not None:
                self._kept.note_removed(name)
            self._on_missing(name)
        except StorageError as failure:
            self._fail(failure, now_ns)
            return
        fields: dict[str, str | int | float | bool | None] = {"segment": name}
        self._bus.note(Note(kind="segment_lost", severity="error", fields=fields))
        self._queue.on_sealed()
        self._answers.on_sealed(name, SealReport(id_in(name), (), 0, 0, torn=False))

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
        if report.damaged_records:
            self._on_damage(report)
        path = self._put_file_away(name, is_damaged=report.damaged_records > 0)
        self._tell_leftovers()
        if report.damaged_records:
            fields: dict[str, str | int | float | bool | None] = {
                "path": readable(path or self._spool.path(name)),
                "damaged_records": report.damaged_records,
                "rows_kept": report.rows,
            }
            self._bus.note(Note(kind="segment_set_aside", severity="error", fields=fields))

    def _put_file_away(self, name: str, *, is_damaged: bool) -> str:
        """Where the file is now ('': nowhere); one that cannot be moved or removed stays and is tried again later."""
        path = ""
        try:
            if is_damaged:
                if self._kept is not None:
                    self._kept.take_damaged(self._spool.path(name))
                path = self._spool.set_aside(name)
            elif self._kept is None or not self._kept.take(self._spool.path(name)):
                self._spool.remove(name)
        except StorageError as failure:
            self._segments_left[name] = is_damaged, failure
        else:
            self._segments_left.pop(name, None)
        return path

    def _succeed(self, report: SealReport) -> None:
        name = self._queue.active
        assert name is not None
        self._queue.on_sealed()
        self._aside.keep()
        self._pruning.begin()
        if self._compacting is not None:
            self._compacting.on_sealed(report)
        self._sealed_files += len(report.files)
        self._sealed_rows += report.rows
        self._spool.readers.note_sealed(os.path.join(self._state_directory, "data"), report.unshared)
        self._bus.note(Note(kind="sealed", severity="info", fields={"files": len(report.files), "rows": report.rows}))
        self._note_refused(report)
        self._conditions.end(_SEALING)
        self._answers.on_sealed(name, report)

    def _note_refused(self, report: SealReport) -> None:
        """Name the rows that did not fit their tables; table `gap` has them beside the good ones."""
        for refused in report.refused:
            fields: dict[str, str | int | float | bool | None] = {
                "table": refused.table, "column": refused.column, "problem": refused.problem, "rows": refused.rows
            }  # fmt: skip
            self._refused_rows += refused.rows
            self._bus.note(Note(kind="bad_rows", severity="error", fields=fields))

    def _fail(self, failure: EvergaugeError, now_ns: int) -> None:
        self._queue.on_failed(now_ns)
        # What a killed sealer left would take the room that the next one needs.
        with suppress(StorageError):
            self.prepare()
        detail = f"spool files wait to become Parquet: {failure.sentence}"
        self._conditions.begin(_SEALING, detail)
        self.last_error = detail


def _remove_hidden(folder: str) -> list[StorageError]:
    """Remove what a killed sealer has left; what could not be removed."""
    left: list[StorageError] = []
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []  # The first start in this folder.
    except OSError as cause:
        return [storage_error(folder, cause)]
    for name in names:
        path = os.path.join(folder, name)
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as cause:
            left.append(storage_error(path, cause))
    return left
