"""The open segment's life: when the next one follows it, when it is forced to the disk, and what is reported about both.

A segment that takes no more, or whose sync failed, is followed by a new one at once; one that cannot be followed (no room
for another file) goes on beyond its limits; one that was removed is written again.
"""

from collections.abc import Callable, Sequence

from agent.config import SEAL_BYTES, SEAL_INTERVAL, Config
from agent.model.errors import StorageError
from agent.model.foreign import readable
from agent.model.message import Note
from agent.model.timebase import S, format_duration
from agent.ports import Bus
from agent.store.record import SegmentHead
from agent.store.segment import GENERATION_MAX, SEGMENT_BYTES_MAX
from workers.framework.condition import Conditions
from workers.writer.archive import Archive
from workers.writer.durability import sync_interval_ns
from workers.writer.recover import SUPERSEDED_MAX
from workers.writer.spool import Spool

RETRY_NS = 1 * S
# A sync of some MiB takes milliseconds; one that takes longer than this and than its interval means that the disk stands still.
SLOW_SYNC_NS = 1 * S
# A disk that fails at every sync is not given a new segment each time: this many may wait.
SUSPECTS_MAX = 16
_SYNC = "sync"
_ROTATION = "rotation"
_RETURNED = "segment_back"

MakeHead = Callable[[int, int, tuple[str, ...]], SegmentHead]


class Segments:
    """Opens, appends, rotates, syncs. `make_head` gives the head of a segment from its generation, the one up to which all
    are on the disk and the names of those it supersedes; `on_loss` is told the segment whose acknowledged rows are gone.

    *Raises:* StorageError.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        archive: Archive,
        bus: Bus,
        config: Config,
        conditions: Conditions,
        make_head: MakeHead,
        on_loss: Callable[[str], None],
    ) -> None:
        self._spool = spool
        self._archive = archive
        self._bus = bus
        self._conditions = conditions
        self._make_head = make_head
        self._on_loss = on_loss
        self._seal_interval_ns = config.of(SEAL_INTERVAL)
        self._seal_bytes = config.of(SEAL_BYTES)
        self._sync_interval_ns = sync_interval_ns(config)
        self._slow_ns = max(self._sync_interval_ns, SLOW_SYNC_NS)
        self.generation = 0
        # Segments that lost their name; their rows went to later ones, so they are not stored again when they come back.
        self.superseded: tuple[str, ...] = ()
        # When the first rows of the open segment came, when a rotation that failed is tried again.
        self._first_at_ns: int | None = None
        self._rotate_again_at_ns: int | None = None
        self._sync_at_ns: int | None = None
        self._late_at_ns: int | None = None
        self._look_at_ns: int | None = None
        # Segments whose sync failed: the kernel drops what it could not write and calls the next sync a success.
        self._suspects: set[str] = set()

    # ---- times ----

    def deadlines(self, *, is_storing: bool) -> list[int | None]:
        """When `on_timer` wants to be called."""
        due_ns = None if self._first_at_ns is None else self._first_at_ns + self._seal_interval_ns
        rotation_at_ns = (self._rotate_again_at_ns or due_ns) if is_storing else None
        return [rotation_at_ns, self._sync_at_ns, self._late_at_ns, self._look_at_ns]

    def on_timer(self, now_ns: int, *, is_storing: bool) -> None:
        """Look after the open segment; unless `is_storing`, a failure is waited out. *Raises:* StorageError when nothing can
        be stored now."""
        if self._spool.syncer.has_ended:
            # Its descriptor is looked at after the timers.
            self.on_synced(now_ns)
        if self._late_at_ns is not None and now_ns >= self._late_at_ns:
            self._late_at_ns = None
            span = format_duration(self._slow_ns)
            self._conditions.begin(
                _SYNC,
                f"{self._spool.path(self._spool.name)}: forcing it to the disk has taken longer than {span} and goes on; "
                "a power failure now takes the rows since then; look at the disk and the kernel's log",
            )
        if self._look_at_ns is not None and now_ns >= self._look_at_ns:
            self._look_at_ns = now_ns + self._sync_interval_ns
            self._settle()
            if is_storing:
                self.mend(now_ns)
                self._put_returned_aside()
        if self._sync_at_ns is not None and now_ns >= self._sync_at_ns:
            self.sync(now_ns)
        if is_storing:
            self.rotate_if_due(now_ns)

    # ---- one segment after another ----

    def begin(self, now_ns: int) -> None:
        """Open the first segment of this writer. *Raises:* StorageError."""
        self._spool.open(self._next_head())
        self.generation += 1
        self._look_at_ns = now_ns + self._sync_interval_ns

    def append(self, frames: Sequence[bytes], now_ns: int) -> None:
        """Write whole records, into a new segment where the open one takes no more. *Raises:* StorageError."""
        self.mend(now_ns)
        try:
            self._spool.append(frames)
        except StorageError as failure:
            if self._spool.is_open:
                raise
            self.rotate(now_ns)
            self._spool.append(frames)
            self._bus.note(Note(kind="segment_abandoned", severity="warning", fields={"problem": failure.sentence}))
        if self._first_at_ns is None:
            self._first_at_ns = now_ns
        if self._sync_at_ns is None and not self._spool.syncer.is_busy:
            self._sync_at_ns = now_ns + self._sync_interval_ns

    def rotate(self, now_ns: int) -> None:
        """Open the next segment and queue the one before it, unless that is as good as new. *Raises:* StorageError."""
        self.mend(now_ns)
        if self._spool.is_open and self._spool.is_empty:
            return
        self._renew()
        self.sync(now_ns)

    def rotate_if_due(self, now_ns: int) -> None:
        """Rotate a segment that is old or large enough; where none can be opened, go on in this one. *Raises:* StorageError."""
        if not self._is_full(now_ns) or (self._rotate_again_at_ns is not None and now_ns < self._rotate_again_at_ns):
            return
        try:
            self.rotate(now_ns)
        except StorageError as failure:
            if not self._spool.is_open:
                raise
            self._rotate_again_at_ns = now_ns + RETRY_NS
            limit = f"the open segment goes on, up to {SEGMENT_BYTES_MAX >> 20}MiB"
            self._conditions.begin(_ROTATION, f"no new spool segment can be opened, {limit}: {failure.sentence}")

    def reopen(self, now_ns: int) -> None:
        """After a failure: see that there is a segment to append to. *Raises:* StorageError."""
        self.mend(now_ns)
        if self._spool.is_open:
            self.rotate_if_due(now_ns)
        else:
            self.rotate(now_ns)

    def mend(self, now_ns: int) -> None:
        """Write the open segment again if it or its folder was removed. *Raises:* StorageError."""
        if not self._spool.is_lost():
            return
        previous, held_bytes = self._spool.name, self._spool.size_bytes - self._spool.head_bytes
        superseded = (*self.superseded, previous)[-SUPERSEDED_MAX:]
        is_saved = self._spool.save(self._next_head(superseded))
        self.generation += 1
        if is_saved:
            self.superseded = superseded
        problem = f"{self._spool.path(previous)}: somebody removed, moved or replaced it while it was written"
        fields: dict[str, str | int | float | bool | None] = {"problem": problem, "bytes": held_bytes, "is_saved": is_saved}
        self._bus.note(Note(kind="segment_removed", severity="warning" if is_saved else "error", fields=fields))
        if not is_saved and held_bytes:
            self._on_loss(previous)
        self.sync(now_ns)

    def _put_returned_aside(self) -> None:
        """Set superseded segments aside that were brought back: their rows are stored already."""
        refused = ""
        for name in self.superseded:
            if not self._spool.has(name):
                continue
            try:
                path = self._spool.set_aside(name)
            except StorageError as failure:
                refused = failure.sentence
                continue
            problem = f"{readable(path)}: a removed segment came back; its rows are in a later one, so it is set aside"
            self._bus.note(Note(kind="segment_returned", severity="warning", fields={"problem": problem}))
        if refused:
            self._conditions.begin(_RETURNED, f"a segment that came back shows its rows twice and cannot be set aside: {refused}")
        else:
            self._conditions.end(_RETURNED)

    def _next_head(self, superseded: tuple[str, ...] | None = None) -> SegmentHead:
        # Files of another host that somebody restored here must not make everything new the oldest.
        self.generation = max(self.generation, self._archive.generation)
        names = self.superseded if superseded is None else superseded
        return self._make_head(min(self.generation + 1, GENERATION_MAX), self._spool.durable_generation, names)

    def _renew(self) -> None:
        was_empty = self._spool.is_empty
        previous = self._spool.open(self._next_head())
        self.generation += 1
        if previous and was_empty:
            self.discard(previous)
        elif previous:
            self._archive.add([previous])
        self._conditions.end(_ROTATION)
        self._first_at_ns = self._rotate_again_at_ns = None

    def discard(self, name: str) -> None:
        """Remove a segment without rows. One that cannot be removed is in nobody's way."""
        try:
            self._spool.remove(name)
        except StorageError as failure:
            self._bus.note(Note(kind="leftover", severity="warning", fields={"problem": failure.sentence}))

    def _is_full(self, now_ns: int) -> bool:
        if self._first_at_ns is None:
            return False
        # Without its head: that of a hub of many hosts may be larger than the smallest `writer.seal_bytes`.
        records_bytes = self._spool.size_bytes - self._spool.head_bytes
        return now_ns - self._first_at_ns >= self._seal_interval_ns or records_bytes >= self._seal_bytes

    # ---- disk ----

    def sync(self, now_ns: int) -> None:
        """Begin to force everything to the disk."""
        is_started = self._spool.sync()
        self._sync_at_ns = None if is_started else now_ns + self._sync_interval_ns
        if is_started:
            self._late_at_ns = now_ns + self._slow_ns

    def on_synced(self, now_ns: int) -> None:
        """A round of the syncer has ended."""
        self._late_at_ns = None
        failure = self._spool.take_synced()
        if failure is not None:
            self._on_sync_failure(failure, now_ns)
            return
        self._settle()
        if not self._spool.is_durable:
            self.sync(now_ns)
        if self._spool.has_unsynced and self._sync_at_ns is None and not self._spool.syncer.is_busy:
            self._sync_at_ns = now_ns + self._sync_interval_ns

    def _on_sync_failure(self, failure: StorageError, now_ns: int) -> None:
        """A failed sync is not believed when it is repeated: what was written goes to the sealer, who reads back what is there."""
        detail = f"{failure.sentence}; whether the rows since the sync before are on the disk is not known until they are sealed"
        self._conditions.begin(_SYNC, detail)
        self._bus.note(Note(kind="sync_failed", severity="error", fields={"problem": detail}))
        self._sync_at_ns = now_ns + min(self._sync_interval_ns, RETRY_NS)
        self._suspects |= self._archive.names()
        if not self._spool.is_empty:
            self._suspects.add(self._spool.name)
        if self._archive.waiting >= SUSPECTS_MAX:
            return
        try:
            self._renew()
        except StorageError as failure_to_open:
            # The open one goes on, and its rows stay suspect.
            self._conditions.begin(_ROTATION, f"no new spool segment can be opened: {failure_to_open.sentence}")

    def _settle(self) -> None:
        """The disk is well again once a sync succeeded and every segment of a failed one is sealed."""
        self._suspects &= self._archive.names() | {self._spool.name}
        if not self._suspects and self._spool.is_durable and not self._spool.syncer.is_busy:
            self._conditions.end(_SYNC)
