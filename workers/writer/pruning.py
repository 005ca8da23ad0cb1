"""Removes the oldest sealed files while there is more than `writer.storage_quota`, a little in each turn of the loop.

What goes is decided by `workers.writer.quota`. A round walks the data folder and removes what is too much; nothing of it
outlives the process, so a writer that is killed in the middle is followed by one that begins a round of its own.
No symbolic link is followed below the state folder.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, ENOTEMPTY
from typing import Any

from agent.config import STORAGE_QUOTA
from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.model.message import Note
from agent.model.timebase import MINUTE, MS
from agent.ports import Bus, Clock
from agent.store.segment import id_in
from workers.framework.condition import Conditions
from workers.writer.folder import opened_folder, storage_error
from workers.writer.quota import CANDIDATES_MAX, Inventory, Quota, StoredFile, choose, complaint, horizon, is_date, surplus_bytes
from workers.writer.spool import Spool

# Longest work of one turn, exceeded by one step at most: the senders' batches and the heartbeat come first.
SLICE_NS = 5 * MS
TELL_INTERVAL_NS = 1 * MINUTE
_KIND = "storage_quota"


class Pruning:
    """The rounds, what they removed, and what is reported. Does nothing without a limit."""

    def __init__(self, quota: Quota, state_directory: str, spool: Spool, clock: Clock, bus: Bus) -> None:
        self._quota = quota
        self._data = os.path.join(state_directory, "data")
        self._spool = spool
        self._clock = clock
        self._bus = bus
        self._round: Generator[None] | None = None
        # When the round last stopped working.
        self._paused_at_ns = 0
        self._is_stopped = False
        self._failure: StorageError | None = None
        self._conditions = Conditions(bus)
        self._held_bytes: int | None = None
        # The highest generation of all sealed files; 0 before the first round has ended, and without a limit.
        self.generation = 0
        self._aside_bytes = self._foreign_files = 0
        # Kept free under the quota: for the second copy of a day that is compacted.
        self.reserved_bytes = 0
        # What is kept for sinks; it counts too.
        self.kept_bytes = 0
        self._ahead_files = self._told_ahead_files = 0
        self._horizon = horizon(clock.wall_ns())
        self._removed_files = self._removed_bytes = 0
        self._told_files = self._told_bytes = 0
        self._told_at_ns: int | None = None

    @property
    def limit_bytes(self) -> int:
        """The quota; 0: none."""
        return self._quota.limit_bytes

    @property
    def held_bytes(self) -> int | None:
        """What sealed files, spool and set-aside files take; None: no round has ended yet."""
        return self._held_bytes

    @property
    def is_busy(self) -> bool:
        """A round is under way; meanwhile no sealer may be."""
        return self._round is not None

    def stats(self) -> dict[str, Any]:
        """*Absent:* all of it without a limit, `held_bytes` before the first round has ended."""
        if not self._quota.limit_bytes:
            return {}
        removed = {"removed_files": self._removed_files, "removed_bytes": self._removed_bytes}
        counts = {"held_bytes": self._held_bytes, "foreign_files": self._foreign_files, **removed}
        return {"quota": {"limit_bytes": self._quota.limit_bytes, **counts}}

    def begin(self) -> None:
        """Something was sealed, or the writer starts: from the next `advance` on, look how much there is."""
        if self._quota.limit_bytes and self._round is None and not self._is_stopped:
            self._round = self._go_round()
            self._paused_at_ns = self._clock.now_ns()

    def stop(self) -> None:
        """No more rounds; the next writer begins with one."""
        self._is_stopped = True
        if self._round is not None:
            self._round.close()
            self._round = None
        self._tell(self._clock.now_ns())

    def next_deadline_ns(self) -> int | None:
        """When `advance` wants to be called."""
        if self._round is not None:
            return self._paused_at_ns
        if self._told_files == self._removed_files or self._told_at_ns is None:
            return None
        return self._told_at_ns + TELL_INTERVAL_NS

    def advance(self, now_ns: int) -> None:
        """Go on with the round for a moment, and tell what was removed."""
        if self._round is not None and not self._take_steps(self._round):
            self._round = None
        is_due = self._told_at_ns is None or now_ns >= self._told_at_ns + TELL_INTERVAL_NS
        if self._round is None and is_due:
            self._tell(now_ns)

    def _take_steps(self, steps: Iterator[None]) -> bool:
        """Go on for one slice of time. False when no step is left."""
        until_ns = self._clock.now_ns() + SLICE_NS
        for _ in steps:
            self._paused_at_ns = self._clock.now_ns()
            if self._paused_at_ns >= until_ns:
                return True
        return False

    # ---- one round, in steps of one file or folder each ----

    def _go_round(self) -> Generator[None]:
        self._failure = None
        self._horizon = horizon(self._clock.wall_ns())
        surplus = 1
        while surplus:
            found = Inventory(CANDIDATES_MAX, self._horizon)
            yield from self._survey(found)
            spool = self._spool_sizes()
            yield from self._remove_surplus(found, spool)
            # A further walk needs more files than one can hold, and something removed by the one before: so there is an end.
            surplus = self._surplus(found, spool) if found.is_cut and found.removed_files else 0
        self._conclude(found, sum(spool.values()) + self._aside_bytes + self.kept_bytes)

    def _surplus(self, found: Inventory, spool: dict[str, int]) -> int:
        # Without knowing what is in the spool nothing is removed; `_failure` says why.
        held_bytes = sum(spool.values()) + self._aside_bytes + self.kept_bytes
        return surplus_bytes(self._quota.limit_bytes, found.bytes, held_bytes + self.reserved_bytes) if spool else 0

    def _remove_surplus(self, found: Inventory, spool: dict[str, int]) -> Iterator[None]:
        spooled = {id_in(name) for name in spool}
        while chosen := choose(found.oldest, self._surplus(found, spool), spooled, self._horizon):
            for file in chosen:
                self._remove(found, file)
                yield
            # What cannot be removed is passed over, and the next older files go instead.
            found.pass_over(chosen)

    def _spool_sizes(self) -> dict[str, int]:
        """The bytes of each segment, the open one included; nothing when they cannot be told."""
        try:
            sizes = {name: self._spool.size_of(name) for name in self._spool.names()}
            self._aside_bytes = sum(file.size_bytes for file in self._spool.aside.files())
        except StorageError as failure:
            self._failure = failure
            return {}
        return {**sizes, self._spool.name: self._spool.size_bytes}

    def _conclude(self, found: Inventory, spool_bytes: int) -> None:
        self._held_bytes = found.bytes + spool_bytes
        self._foreign_files = found.foreign
        self.generation = max(self.generation, found.generation)
        self._conditions.tell(_KIND, complaint(self._quota, found, spool_bytes, self._failure))

    def _tell(self, now_ns: int) -> None:
        files, removed_bytes = self._removed_files - self._told_files, self._removed_bytes - self._told_bytes
        if files:
            if not self._told_files:
                limit = STORAGE_QUOTA.show(self._quota.limit_bytes)
                fields: dict[str, str | int | float | bool | None] = {"limit": limit, "setting": STORAGE_QUOTA.key}
                self._bus.note(Note(kind="quota_reached", severity="warning", fields=fields))
            if (ahead := self._ahead_files - self._told_ahead_files) > 0:
                self._bus.note(Note(kind="quota_removed_future", severity="warning", fields={"files": ahead}))
                self._told_ahead_files = self._ahead_files
            self._bus.note(Note(kind="quota_removed", severity="info", fields={"files": files, "bytes": removed_bytes}))
            self._told_files, self._told_bytes, self._told_at_ns = self._removed_files, self._removed_bytes, now_ns

    # ---- the data folder ----

    def _survey(self, found: Inventory) -> Iterator[None]:
        """Walk all dates of all tables. A folder that cannot be read is a failure, and the rest is still counted."""
        with self._recording_failures(self._data), opened_folder(self._data) as data, os.scandir(data) as tables:
            for table in tables:
                if table.is_dir(follow_symlinks=False) and not table.name.startswith("."):
                    yield from self._survey_table(found, data, table.name)
                elif self._quota.is_table(table.name):
                    self._failure = _no_folder(os.path.join(self._data, table.name))
                yield

    def _survey_table(self, found: Inventory, data: int, table: str) -> Iterator[None]:
        path = os.path.join(self._data, table)
        with self._recording_failures(path), opened_folder(table, data) as folder, os.scandir(folder) as dates:
            for date in dates:
                if date.is_dir(follow_symlinks=False) and is_date(date.name):
                    yield from self._survey_date(found, folder, table, date.name)

    def _survey_date(self, found: Inventory, parent: int, table: str, date: str) -> Iterator[None]:
        path = os.path.join(self._data, table, date)
        is_empty = True
        with self._recording_failures(path), opened_folder(date, parent) as folder, os.scandir(folder) as files:
            for file in files:
                is_empty = False
                with suppress(FileNotFoundError):
                    if file.is_file(follow_symlinks=False):
                        size_bytes = file.stat(follow_symlinks=False).st_size
                        stored = self._quota.parse_file(table, date, file.name, size_bytes)
                        if stored is not None:
                            found.add(stored)
                        else:
                            found.foreign += 1
                    else:
                        found.foreign += 1
                yield
        if is_empty:
            # A writer that was killed between the last file of a date and its folder has left it.
            self._remove_folder(date, parent, path)

    def _remove(self, found: Inventory, file: StoredFile) -> None:
        table, date, name = file.path.split("/")
        path = os.path.join(self._data, file.path)
        with self._recording_failures(path), opened_folder(self._data) as data, opened_folder(table, data) as dates:
            try:
                with opened_folder(date, dates) as folder:
                    os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                # A person was faster.
                found.on_gone(file, by_us=False)
                return
            found.on_gone(file, by_us=True)
            self._removed_files += 1
            self._ahead_files += self._horizon.is_ahead(file)
            self._removed_bytes += file.size_bytes
            self._remove_folder(date, dates, os.path.dirname(path))

    def _remove_folder(self, date: str, parent: int, path: str) -> None:
        """Take a date's folder away unless something is in it."""
        with self._recording_failures(path):
            try:
                os.rmdir(date, dir_fd=parent)
            except OSError as cause:
                if cause.errno not in (ENOTEMPTY, EEXIST):
                    raise

    @contextmanager
    def _recording_failures(self, path: str) -> Iterator[None]:
        """Record an error of the system as the failure of this round; a file that has gone meanwhile is none."""
        try:
            yield
        except FileNotFoundError:
            return
        except NotADirectoryError:
            self._failure = _no_folder(path)
        except OSError as cause:
            self._failure = storage_error(path, cause)


def _no_folder(path: str) -> StorageError:
    return StorageError(readable(path), "no folder; what a symbolic link leads to is not counted", "mount the other place there")
