"""A short-lived process that makes one Parquet file of all that a table has of one finished day.

    python -m workers.writer.compactor STATE_DIR TABLE DATE --prefix P --id ID --install I [--reader-gid GID] [--parent PID]

It writes one line of JSON (`workers.writer.compaction_report`). It may be killed at any moment: until the exchange the
day's folder is as it was, after it the new file is in place (`workers.writer.compaction_job`). It works at the lowest
priority and dies with its parent.
"""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.errors import EvergaugeError, ExitCode, MisuseError
from agent.model.timebase import compact_utc
from agent.prctl import die_with_parent
from workers.writer.compaction_file import CompactedFile, marks_of
from workers.writer.compaction_job import ImpossibleError, Job
from workers.writer.compaction_job import Sources as JobSources
from workers.writer.compaction_merge import merge, union_schema
from workers.writer.compaction_plan import DayFolder, Source, foreign_name, parse_source
from workers.writer.compaction_report import CompactReport, Outcome, encode_compact_report
from workers.writer.compaction_source import Sources, UnfitError
from workers.writer.folder import storage_error
from workers.writer.readers import ReaderGroup

NICE = 19
_OPTIONS = ("--prefix", "--id", "--install", "--reader-gid", "--parent")


class Order(Struct, frozen=True):
    """What to compact: the folder `date=…` of a table, whose files' names begin with `prefix`; `segment` is the new file's id,
    `install` whose files are taken, `reader_gid` the group that may read the result."""

    state_directory: str
    table: str
    folder: str
    prefix: str
    segment: str
    install: str = ""
    reader_gid: int | None = None


def compact(order: Order) -> CompactReport:
    """Compact one day. *Raises:* StorageError, and then the day's folder is as it was."""
    job = Job(order.state_directory, order.table, order.folder)
    readers = ReaderGroup(order.reader_gid)
    try:
        # One of a compactor that was killed with its writer.
        job.clean()
        names = sorted(os.listdir(job.live))
        found = _sources(order, names)
        if found is None:
            return CompactReport(Outcome.CHANGED)
        job.prepare(readers)
        return _compact(order, job, found, readers)
    except ImpossibleError as failure:
        _undo(job)
        return CompactReport(Outcome.IMPOSSIBLE, problem=failure.sentence)
    except UnfitError as found_unfit:
        _undo(job)
        return CompactReport(Outcome.LEFT_ALONE, name=found_unfit.name, problem=found_unfit.reason)
    except FileNotFoundError:
        # The quota or a person was faster.
        _undo(job)
        return CompactReport(Outcome.CHANGED)
    except OSError as cause:
        _undo(job)
        raise storage_error(cause.filename or job.path, cause) from cause
    except EvergaugeError:
        _undo(job)
        raise


def _undo(job: Job) -> None:
    # What cannot be removed now is told by the writer, who cleans up after each compactor.
    if not job.is_exchanged:
        job.undo()


def _sources(order: Order, names: Sequence[str]) -> list[Source] | None:
    """The files of the day's folder; None: they are not what they were when the day was chosen."""
    day = DayFolder(order.table, order.folder, order.prefix, tuple(names))
    if foreign_name(day) is not None:
        return None
    sources = [source for name in names if (source := parse_source(name, order.prefix)) is not None]
    return sorted(sources, key=lambda source: (source.segment[:8], source.name)) or None


def _compact(order: Order, job: Job, found: Sequence[Source], readers: ReaderGroup) -> CompactReport:
    failpoint("compactor.begun")
    sources = Sources(job.live, order.table, order.install, found)
    if not sources.groups:
        raise UnfitError(found[0].name, "neither it nor any other file of the day has a row")
    schema = union_schema(sources.files)
    name = _file_name(order, sources)
    marks = marks_of(sources.files, order.segment, time.time_ns())
    file = CompactedFile(os.path.join(job.day, name), schema, marks)
    try:
        rows = merge(sources, schema, file.write, lambda: failpoint("compactor.window_written"))
        if rows != sources.rows:
            raise UnfitError(order.folder, f"its files hold {rows} rows, and their footers say {sources.rows}")
        bytes_after = file.finish(readers, os.path.join(job.live, name))
    except BaseException:
        file.forget()
        raise
    failpoint("compactor.written")
    _verify(file.path, name, rows, order)
    job.take_place(JobSources(name, tuple(source.name for source in found)))
    left = job.finish()
    return CompactReport(
        Outcome.COMPACTED,
        files=len(found),
        rows=rows,
        bytes_before=sum(each.bytes for each in sources.files),
        bytes_after=bytes_after,
        path=os.path.join(job.live, name),
        problem=left[0].sentence if left else "",
        unshared=readers.problem,
    )


def _verify(path: str, name: str, rows: int, order: Order) -> None:
    """Read the new file back as any later compaction would. *Raises:* UnfitError."""
    written = Sources(os.path.dirname(path), order.table, order.install, [Source(name, order.segment, is_compacted=True)])
    if written.rows != rows or sum(group.rows for group in written.groups) != rows:
        raise UnfitError(name, f"{rows} rows were written into it, and it says {written.rows}")


def _file_name(order: Order, sources: Sources) -> str:
    first_ns = min(group.first_ns for group in sources.groups)
    last_ns = max(group.last_ns for group in sources.groups)
    host = sources.files[-1].name.removeprefix(order.prefix).rpartition("-2")[0] or "_"
    return f"{order.prefix}{host}-{compact_utc(first_ns)}-{compact_utc(last_ns)}-day-{order.segment}.parquet"


def yield_to_others() -> None:
    """Run only when nobody else wants to, and with one thread of Arrow's."""
    with suppress(OSError):
        # Where even that is refused (a filter of system calls) it works at the usual priority.
        os.nice(NICE)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)


def _parse_arguments(arguments: Sequence[str]) -> tuple[Order, int | None]:
    words = list(arguments)
    options: dict[str, str] = {}
    while len(words) > 3 and words[-2] in _OPTIONS:
        options[words[-2]] = words[-1]
        del words[-2:]
    numbers = [options.get(name) for name in ("--reader-gid", "--parent")]
    is_whole = len(words) == 3 and "--prefix" in options and "--id" in options
    if not is_whole or not all(number is None or number.isdecimal() for number in numbers):
        raise MisuseError("compactor", f"needs STATE_DIR TABLE DATE, and of {' '.join(_OPTIONS)} at least the first two")
    reader_gid, parent = (None if number is None else int(number) for number in numbers)
    state_directory, table, folder = words
    order = Order(state_directory, table, folder, options["--prefix"], options["--id"], options.get("--install", ""), reader_gid)
    return order, parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Compact and tell; the exit code is an ExitCode, the sentence of a failure goes to standard error."""
    try:
        order, parent = _parse_arguments(sys.argv[1:] if arguments is None else arguments)
        if parent is not None:
            die_with_parent(parent, "compactor", "writer")
        yield_to_others()
        report = compact(order)
    except EvergaugeError as failure:
        print(failure.sentence, file=sys.stderr)
        return failure.code
    failpoint("compactor.before_report")
    sys.stdout.buffer.write(encode_compact_report(report) + b"\n")
    sys.stdout.buffer.flush()
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
