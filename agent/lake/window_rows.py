"""Reads the rows of a lake that a check of windows needs, some minutes at a time. It imports pyarrow, and that late."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agent.lake.bucket import Bucket
from agent.lake.log import LakeLog
from agent.lake.snapshot import LakeFile, LakeSnapshot, Wanted, read_lake
from agent.lake.window_check import CheckedTail, CheckedWindow
from agent.model.absence import Absence
from agent.model.errors import FormatError
from agent.model.sketch import Sketch, SketchColumns
from agent.model.timebase import MINUTE

WINDOW_NS = MINUTE
# Sketches of a window are written over some ticks after it, and a tick may be a minute.
WRITTEN_WITHIN_NS = 15 * MINUTE
# Of so many windows all rows are looked at together: those of 1,000 hosts take some GiB.
WINDOWS_TOGETHER = 5
_KTHREADD = 2

CommandOf = Callable[[str, bool], str]

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "process_scan": (),
    "process": ("pod_uid", "comm", "ppid", "cpu_ns", "rss_bytes", "absent"),
    "process_tail": (*("pod_uid", "command", "processes", "cpu_ns", "cpu_largest_ns", "rss_bytes", "rss_largest_bytes", "absent"),),
    "process_exit": ("pod_uid", "command", "deaths", "cpu_ns", "absent"),
    "process_raw": ("window_start", "pod_uid", "command", "metric", "value", "times", "relative_error"),
    "process_sketch": ("window_start", "pod_uid", "command", "metric", "ticks", *SketchColumns.__struct_fields__),
}
_OF_WINDOWS = ("process_raw", "process_sketch")


class WindowReader:
    """Windows of all hosts of a lake. `command_of` gives the command by which a named process is summed elsewhere."""

    def __init__(self, bucket: Bucket, log: LakeLog, command_of: CommandOf) -> None:
        self._bucket = bucket
        self._log = log
        self._command_of = command_of

    def windows(self, since_ns: int, until_ns: int) -> Iterator[list[CheckedWindow]]:
        """The windows that lie in this time, those of some minutes together. *Raises:* EvergaugeError."""
        start_ns = since_ns // WINDOW_NS * WINDOW_NS
        while start_ns < until_ns:
            behind_ns = min(until_ns, start_ns + WINDOWS_TOGETHER * WINDOW_NS)
            wanted = Wanted(tuple(_COLUMNS), start_ns, behind_ns + WRITTEN_WITHIN_NS)
            first_ns = start_ns
            yield read_lake(self._bucket, self._log, wanted, lambda snapshot: self._read(snapshot, first_ns, behind_ns))  # noqa: B023  it is called at once
            start_ns = behind_ns

    def _read(self, snapshot: LakeSnapshot, first_ns: int, behind_ns: int) -> list[CheckedWindow]:
        found: dict[tuple[str, int], CheckedWindow] = {}

        def window_of(host: str, at_ns: int) -> CheckedWindow:
            start_ns = at_ns // WINDOW_NS * WINDOW_NS
            window = found.get((host, start_ns))
            if window is None:
                window = found[host, start_ns] = CheckedWindow(host, start_ns)
            return window

        for file in snapshot.files:
            most_ns = behind_ns + (WRITTEN_WITHIN_NS if file.table in _OF_WINDOWS else 0)
            for row in self._rows(file, first_ns, most_ns):
                at_ns = row["window_start"] if file.table in _OF_WINDOWS else row["timestamp"]
                if isinstance(at_ns, int) and first_ns <= at_ns < behind_ns:
                    self._take(file.table, window_of(row["host"], at_ns), row)
        return [found[key] for key in sorted(found)]

    def _rows(self, file: LakeFile, first_ns: int, behind_ns: int) -> Iterator[dict[str, Any]]:
        """The rows of a file with a time in this span. *Raises:* FileGone, FormatError."""
        import pyarrow as pa
        from pyarrow.parquet import read_table

        columns = ["timestamp", "host", *_COLUMNS[file.table]]
        with self._bucket.open(file.path) as opened:
            try:
                table = read_table(opened, columns=columns, filters=[("timestamp", ">=", first_ns), ("timestamp", "<", behind_ns)])
            except (pa.ArrowException, OSError) as cause:
                raise FormatError(file.path, f"it cannot be read: {cause}", "look at the store") from cause
        for batch in table.to_batches(max_chunksize=16_384):
            yield from batch.to_pylist()

    def _take(self, table: str, window: CheckedWindow, row: Mapping[str, Any]) -> None:
        match table:
            case "process_scan":
                window.take_tick(row["timestamp"])
            case "process":
                command = self._command_of(row["comm"] or "", _is_kernel_thread(row))
                window.take_process(row["pod_uid"], command, row["cpu_ns"], row["rss_bytes"])
            case "process_tail":
                window.take_tail(tail_values(row))
            case "process_exit":
                window.take_exit(
                    row["pod_uid"], row["command"], row["deaths"] or 0, row["cpu_ns"], is_incomplete=_is_incomplete(row["absent"])
                )
            case "process_raw":
                window.take_raw(
                    row["pod_uid"], row["command"], row["metric"], row["value"], row["times"], row["relative_error"] or 0.0
                )
            case "process_sketch":
                window.take_sketch(row["pod_uid"], row["command"], row["metric"], row["ticks"] or 0, sketch_of(row))


def sketch_of(row: Mapping[str, Any]) -> Sketch | None:
    """The sketch of a row. *Absent:* None: its columns hold none."""
    try:
        return Sketch.from_columns(SketchColumns(**{name: row[name] for name in SketchColumns.__struct_fields__}))
    except (FormatError, TypeError):
        return None


def tail_values(row: Mapping[str, Any]) -> CheckedTail:
    """What is needed of a row of `process_tail`."""
    names = ("pod_uid", "command", "processes", "cpu_ns", "cpu_largest_ns", "rss_bytes", "rss_largest_bytes")
    return CheckedTail(**{name: row[name] for name in names}, is_incomplete=_is_incomplete(row["absent"]))


def _is_incomplete(absent: str | None) -> bool:
    return absent is not None and Absence.INCOMPLETE.value in absent.split(",")


def _is_kernel_thread(row: Mapping[str, Any]) -> bool:
    """It says so itself; where neither command lines nor memory are read, it is a child of kthreadd without memory."""
    absent = row["absent"] or ""
    return Absence.KERNEL_THREAD.value in absent or (row["ppid"] == _KTHREADD and row["rss_bytes"] == 0)
