"""A short-lived process that makes one Parquet file of all that a table has of one finished day.

    python -m workers.writer.compactor STATE_DIR TABLE DATE --prefix P --id ID --install I [--reader-gid GID] [--parent PID]
    python -m workers.writer.compactor STATE_DIR [--parent PID]

At first it finishes or undoes what an earlier one left; the second form does nothing else. It writes one line of JSON
(`workers.writer.compaction_report`). It may be killed at any moment: until the exchange the day's folder is as it was, after
it the new file is in its place (`workers.writer.compaction_job`). It works at the lowest priority and dies with its parent.
"""

import gc
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from agent.failpoint import failpoint
from agent.model.errors import EvergaugeError, ExitCode
from agent.prctl import die_with_parent
from agent.store.parquet_writer import ParquetFile, encodings_of
from workers.writer.compaction_file import marks_of, name_of
from workers.writer.compaction_job import ImpossibleError, Job, SourceList, clean_left_jobs
from workers.writer.compaction_merge import merge, union_schema
from workers.writer.compaction_plan import DayFolder, Source, foreign_name, in_order_of_age, parse_source
from workers.writer.compaction_report import CompactReport, Outcome, encode_compact_report
from workers.writer.compaction_source import SourceReader, UnfitError
from workers.writer.compactor_order import Order, parse_arguments
from workers.writer.folder import storage_error
from workers.writer.readers import ReaderGroup

NICE = 19
# A usual day makes fewer objects than this, nearly all by imports: to look for garbage among them again and again takes a
# twentieth of its CPU time.
GARBAGE_OBJECTS = 100_000


def compact(order: Order) -> CompactReport:
    """Compact one day. *Raises:* StorageError, and then the day's folder is as it was."""
    job = Job(order.state_directory, order.table, order.folder)
    readers = ReaderGroup(order.reader_gid)
    try:
        if os.path.islink(job.live):
            raise UnfitError(order.folder, "it is a symbolic link, and what it leads to is another's")
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
        outcome = Outcome.DAMAGED if found_unfit.is_damaged else Outcome.LEFT_ALONE
        return CompactReport(outcome, name=found_unfit.name, problem=found_unfit.reason)
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
    # What cannot be removed now is tried again, and told, by the next compactor.
    if not job.is_exchanged:
        job.undo()


def _sources(order: Order, names: Sequence[str]) -> list[Source] | None:
    """The files of the day's folder; None: they are not what they were when the day was chosen."""
    day = DayFolder(order.table, order.folder, order.prefix, tuple(names))
    if foreign_name(day) is not None:
        return None
    sources = [source for name in names if (source := parse_source(name, order.prefix)) is not None]
    return list(in_order_of_age(sources)) or None


def _compact(order: Order, job: Job, found: Sequence[Source], readers: ReaderGroup) -> CompactReport:
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    failpoint("compactor.begun")
    sources = SourceReader(job.live, order.table, order.install, found)
    if not sources.groups:
        raise UnfitError(found[0].name, "neither it nor any other file of the day has a row")
    schema = union_schema(sources.files)
    name = name_of(order, found[-1].host, sources)
    path = os.path.join(job.day, name)
    file = ParquetFile(path, schema, marks_of(sources.files, order, time.time_ns()), encodings_of(schema))
    try:
        rows = merge(sources, schema, lambda piece: file.write_group([piece]), lambda: failpoint("compactor.window_written"))
        if rows != sources.rows:
            problem = f"its files hold {rows} rows, and their footers say {sources.rows}"
            raise UnfitError(order.folder, problem, is_damaged=True)
        file.close()
        file.force(lambda descriptor: readers.share_file(descriptor, os.path.join(job.live, name)))
    except BaseException:
        file.forget()
        raise
    failpoint("compactor.written")
    bytes_after = _verify(path, name, rows, order)
    job.take_place(SourceList(name, tuple(source.name for source in found)))
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


def _verify(path: str, name: str, rows: int, order: Order) -> int:
    """Read the new file back as a later compaction would; its bytes. *Raises:* UnfitError."""
    written = SourceReader(os.path.dirname(path), order.table, order.install, [Source(name, "", order.segment, is_compacted=True)])
    if written.rows != rows or sum(group.rows for group in written.groups) != rows:
        raise UnfitError(name, f"{rows} rows were written into it, and it says {written.rows}", is_damaged=True)
    return written.files[0].bytes


def yield_to_others() -> None:
    """Run only when nobody else wants to."""
    with suppress(OSError):
        # Where even that is refused (a filter of system calls) it works at the usual priority.
        os.nice(NICE)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def clean(state_directory: str) -> CompactReport:
    """Finish or undo what compactors that were killed have left."""
    left = clean_left_jobs(state_directory)
    return CompactReport(Outcome.CLEANED, problem=left[0].sentence if left else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compact and tell; the exit code is an ExitCode, the sentence of a failure goes to standard error."""
    gc.set_threshold(GARBAGE_OBJECTS)
    try:
        state_directory, order, parent = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        if parent is not None:
            die_with_parent(parent, "compactor", "writer")
        report = clean(state_directory)
        if order is not None:
            report = compact(order)
    except EvergaugeError as failure:
        print(failure.sentence, file=sys.stderr)
        return failure.code
    failpoint("compactor.before_report")
    sys.stdout.buffer.write(encode_compact_report(report) + b"\n")
    sys.stdout.buffer.flush()
    return ExitCode.DONE


if __name__ == "__main__":
    # Here and not in `main`: the priority belongs to this process, and a caller of `main` keeps its own.
    yield_to_others()
    sys.exit(main())
