"""A short-lived process that turns one segment of the spool into Parquet.

    python -m workers.writer.sealer SEGMENT_PATH STATE_DIR [--parent PID] [--forms-from SEGMENT_PATH] [--reader-gid GID]

It writes one line of JSON (`workers.writer.report`) and removes nothing: what becomes of the segment is the writer's
matter. It dies with its parent, so that of a restarted writer's sealers there is never more than one.
"""

import fcntl
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import cast

from msgspec.structs import replace

from agent.failpoint import failpoint
from agent.model.errors import BusyError, EvergaugeError, ExitCode, FormatError, MisuseError
from agent.model.tables import GAP
from agent.prctl import die_with_parent
from agent.store.install import read_install
from agent.store.layout import DATA_FOLDER
from agent.store.record import (
    FORMAT_VERSION,
    Damage,
    Record,
    SegmentHead,
    form_of,
    is_cut_short,
    parse_head,
    parse_records,
    table_word,
)
from agent.store.word_filter import AllBut
from workers.writer.folder import read_file, storage_error
from workers.writer.readers import ReaderGroup
from workers.writer.recover import open_segment
from workers.writer.report import SealReport, encode_report
from workers.writer.segment_files import SegmentFiles
from workers.writer.shared_tables import SharedTables

# The head of a segment: forms of some tens of tables, marks of up to a thousand workers, and of all hosts (`ForeignMarks`).
HEAD_BYTES_MAX = 32 << 20


class _Tally:
    """What was found while the records went by."""

    def __init__(self) -> None:
        self.rows = self.damaged = 0
        self.torn = False
        self.from_wall_ns: int | None = None
        self.until_wall_ns: int | None = None
        self._last_wall_ns: int | None = None

    def on_good(self, rows: int, stamp_wall_ns: int) -> None:
        self.rows += rows
        self._last_wall_ns = stamp_wall_ns
        if self.damaged and self.until_wall_ns is None:
            self.until_wall_ns = stamp_wall_ns

    def on_damage(self) -> None:
        if not self.damaged:
            self.from_wall_ns = self._last_wall_ns
        self.damaged += 1
        self.until_wall_ns = None


def seal(segment_path: str, state_directory: str, forms_from: str | None = None, reader_gid: int | None = None) -> SealReport:
    """Write the Parquet files of a segment. `forms_from`: another segment, whose tables stand in for a damaged head;
    `reader_gid`: the group that may read them.

    *Raises:* StorageError, and then the segment is as good as before; BusyError when another sealer has it.
    """
    try:
        with _mapped(segment_path) as data:
            return _seal_records(
                data, segment_path, os.path.join(state_directory, DATA_FOLDER), forms_from, ReaderGroup(reader_gid)
            )
    except OSError as cause:
        raise storage_error(cause.filename or state_directory, cause) from cause


def _seal_records(data: bytes, segment_path: str, data_directory: str, forms_from: str | None, readers: ReaderGroup) -> SealReport:
    head, items = open_segment(data)
    tally = _Tally()
    if head is None:
        own = read_install(os.path.dirname(data_directory)) or ""
        head = replace(_stand_in_head(segment_path, forms_from), install=own)
    files = SegmentFiles(head, data_directory, readers, _shared_tables(head, data))
    try:
        for item in items:
            _take(item, data, files, tally)
        sealed = files.finish()
    except OSError:
        files.discard()
        raise
    return SealReport(
        segment=head.segment,
        files=sealed,
        rows=tally.rows,
        damaged_records=tally.damaged,
        torn=tally.torn,
        from_wall_ns=tally.from_wall_ns,
        until_wall_ns=tally.until_wall_ns,
        unshared=readers.problem,
        refused=files.refused,
    )


def _shared_tables(head: SegmentHead, data: bytes) -> SharedTables:
    """What other hosts' rows bring into the files. This host's own records are passed over, a microsecond each."""
    shared = SharedTables(head)
    try:
        _, offset = parse_head(data)
    except FormatError:
        offset = 0
    for item in parse_records(data, offset, AllBut(map(table_word, head.tables))):
        if isinstance(item, Record) and item.entry.origin is not None:
            shared.learn(item.entry)
    return shared


def _take(item: Record | Damage, data: bytes, files: SegmentFiles, tally: _Tally) -> None:
    if not isinstance(item, Record):
        if is_cut_short(data, item):
            tally.torn = True
        else:
            tally.on_damage()
    elif item.entry.rows > 0:
        try:
            tally.on_good(files.add(item), item.entry.stamp_wall_ns)
        except FormatError:
            tally.on_damage()


def _stand_in_head(segment_path: str, forms_from: str | None) -> SegmentHead:
    """A head for a segment whose own is damaged: its name tells which and when, a neighbour which columns."""
    segment, created_wall_ns = _parse_name(os.path.basename(segment_path))
    if forms_from is not None:
        try:
            neighbour, _ = parse_head(read_file(forms_from, HEAD_BYTES_MAX))
            return replace(neighbour, segment=segment, created_wall_ns=created_wall_ns)
        except FormatError:
            pass  # Two damaged heads: what follows needs none of them, and the file is kept.
    return SegmentHead(FORMAT_VERSION, segment, "unknown", "", "", created_wall_ns, {GAP.name: form_of(GAP)}, ())


def _parse_name(name: str) -> tuple[str, int]:
    from calendar import timegm
    from time import strptime

    utc, _, segment = name.partition(".")[0].partition("-")
    try:
        return segment or utc, timegm(strptime(utc, "%Y%m%dT%H%M%SZ")) * 1_000_000_000
    except ValueError:
        return segment or utc, 0


@contextmanager
def _mapped(path: str) -> Iterator[bytes]:
    """The bytes of a segment, held alone, without a copy in memory. *Raises:* BusyError, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise BusyError(path, "another sealer works on it", "it is tried again later") from cause
        if os.fstat(descriptor).st_size == 0:
            yield b""
            return
        # A mapping finds, slices and gives views as bytes do. It is not closed: records may still point into it,
        # and the process ends soon.
        yield cast("bytes", mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)


def _parse_arguments(arguments: Sequence[str]) -> tuple[str, str, int | None, str | None, int | None]:
    usage = MisuseError("sealer", "needs SEGMENT_PATH STATE_DIR [--parent PID] [--forms-from SEGMENT_PATH] [--reader-gid GID]")
    options: dict[str, str] = {}
    words = list(arguments)
    while len(words) > 2 and words[-2] in ("--parent", "--forms-from", "--reader-gid"):
        options[words[-2]] = words[-1]
        del words[-2:]
    numbers = [options.get(name) for name in ("--parent", "--reader-gid")]
    if len(words) != 2 or not all(number is None or number.isdecimal() for number in numbers):
        raise usage
    parent, reader_gid = (None if number is None else int(number) for number in numbers)
    return words[0], words[1], parent, options.get("--forms-from"), reader_gid


def main(arguments: Sequence[str] | None = None) -> int:
    """Seal and tell; the exit code is an ExitCode, the sentence of a failure goes to standard error."""
    try:
        path, state_directory, parent, forms_from, reader_gid = _parse_arguments(sys.argv[1:] if arguments is None else arguments)
        if parent is not None:
            die_with_parent(parent, "sealer", "writer")
        report = seal(path, state_directory, forms_from, reader_gid)
    except EvergaugeError as failure:
        print(failure.sentence, file=sys.stderr)
        return failure.code
    failpoint("sealer.before_report")
    sys.stdout.buffer.write(encode_report(report) + b"\n")
    sys.stdout.buffer.flush()
    return ExitCode.DONE


if __name__ == "__main__":
    # Here and not in `main`: the priority belongs to this process, and a caller of `main` keeps its own.
    with suppress(OSError):
        # Where even that is refused (a filter of system calls) it seals at the usual priority.
        os.nice(5)
    sys.exit(main())
