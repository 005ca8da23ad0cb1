"""What later points build on: beginnings of intervals and processes, the series of the host, names. PURE."""

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from workers.export.names import Names

FORMAT = 1
TABLES_MAX = 256
# Rows that are farther apart have others between them that were not seen here.
_INTERVAL_NS_MAX = 300 * S
# Each tick tells the time of boot again, a little different each time. A start_time that moves looks like a new process.
_BOOT_MOVES_NS_MAX = S


class _Saved(Struct, frozen=True, array_like=True):
    format: int
    boot_ns: int
    ticks_per_second: int
    stamps: dict[str, int]
    ticks: dict[str, tuple[int, int]]
    seen: dict[str, list[str]]
    workers: dict[str, str]
    names: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Saved)


class MappingState:
    """Changed only by rows, in their order: the same rows after the same `restore` leave the same state.

    Rows that were missed come beside the newest ones, so no two batches that follow each other need to be neighbours in time.
    """

    def __init__(self) -> None:
        self.names = Names()
        self._boot_ns = self._ticks_per_second = 0
        # The newest time of the rows of a table.
        self._stamps: dict[str, int] = {}
        # Of each worker's newest tick: its time, and how long after the one before it.
        self.ticks: dict[str, tuple[int, int]] = {}
        # Of tables whose series are known without rows: which columns had a value, and whose rows they are.
        self.seen: dict[str, dict[str, None]] = {}
        self.workers: dict[str, str] = {}

    def start_of_interval(self, table: str, time_ns: int) -> int:
        """The time of the rows before those of this time; 0: none was seen, or not the ones before these."""
        before_ns = self._stamps.get(table, 0)
        return before_ns if 0 < time_ns - before_ns <= _INTERVAL_NS_MAX else 0

    def learn_time(self, table: str, time_ns: int) -> None:
        """After the rows of one batch. Older rows, which come from a backlog, change nothing."""
        if time_ns > self._stamps.get(table, 0) and (table in self._stamps or len(self._stamps) < TABLES_MAX):
            self._stamps[table] = time_ns

    def start_of_process(self, start_ticks: int) -> int:
        """When a process began, unix time; 0: the host's boot is not known."""
        if not self._ticks_per_second or start_ticks < 0:
            return 0
        return max(0, self._boot_ns + start_ticks * S // self._ticks_per_second)

    def learn_boot(self, boot_ns: int | None, ticks_per_second: int | None) -> None:
        """From a row of table `host`."""
        if boot_ns is None or not ticks_per_second or ticks_per_second < 0:
            return
        self._ticks_per_second = ticks_per_second
        if abs(boot_ns - self._boot_ns) > _BOOT_MOVES_NS_MAX:
            self._boot_ns = boot_ns

    def learn_worker(self, batch: StoredBatch) -> None:
        """Whose rows a table of the host has."""
        self.workers[batch.table] = batch.entry.worker

    def learn_seen(self, table: str, form: TableForm, row: tuple[object, ...]) -> None:
        """Which of its columns had a value."""
        seen = self.seen.setdefault(table, {})
        for name, value in zip(form.names, row, strict=True):
            if value is not None and name not in seen:
                seen[name] = None

    def snapshot(self) -> bytes:
        """All of it, for `restore`."""
        return _ENCODER.encode(
            _Saved(
                FORMAT,
                self._boot_ns,
                self._ticks_per_second,
                self._stamps,
                self.ticks,
                {table: list(seen) for table, seen in self.seen.items()},
                self.workers,
                self.names.snapshot(),
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Begin from there. For an empty one. *Raises:* FormatError; then it is of no use."""
        try:
            saved = _DECODER.decode(snapshot)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise FormatError("state of the OTLP mapping", f"it cannot be read: {cause}") from cause
        if saved.format != FORMAT:
            raise FormatError("state of the OTLP mapping", f"format {saved.format} is not known to this version")
        self.names.restore(saved.names)
        self._boot_ns, self._ticks_per_second = saved.boot_ns, saved.ticks_per_second
        self._stamps, self.ticks, self.workers = saved.stamps, saved.ticks, saved.workers
        self.seen = {table: dict.fromkeys(columns) for table, columns in saved.seen.items()}
