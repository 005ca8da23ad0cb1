"""One compaction: copies the sources here, merges them, puts the result, and commits it. Imports pyarrow, late.

It may end at any moment: before the commit nothing has changed but a file that nobody names, after it the sources count no more.
Names and bytes of the result follow from the sources alone, so that who begins again after a kill finds what was put already.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from agent import __version__
from agent.failpoint import failpoint
from agent.lake.bucket import Bucket, FileGone, PutOutcome
from agent.lake.commit import AddedFile
from agent.lake.log import LakeLog
from agent.lake.path import merged_path
from agent.model.checksum import blake2b
from agent.model.errors import BusyError
from agent.model.foreign import readable
from agent.store.parquet_writer import FileMarks
from workers.compactor.job_commit import commit_of
from workers.compactor.plan import LakeJob
from workers.compactor.report import PassedFile
from workers.compactor.round_terms import JobResult
from workers.compactor.source import LakeSource, UnfitSource, body_schema, fitting, open_source

if TYPE_CHECKING:
    import pyarrow

    from workers.compactor.output import MergedFile

# Another file may have the name: of another version of the agent, or one that was given up.
VARIANTS_MAX = 16
_HASH_BYTES = 8


class JobPlace(Struct, frozen=True):
    """Where and with how much a job works. `folder`: on this host, empty, for this job alone. `requests`: how many files are copied
    at once. `on_progress` is called now and then with the rows merged so far."""

    bucket: Bucket
    log: LakeLog
    folder: str
    memory_bytes: int
    requests: int = 1
    on_progress: Callable[[int], None] = lambda _rows: None


def run_job(job: LakeJob, ledger: str, place: JobPlace) -> JobResult:
    """Compact. `ledger`: that of the day when the sources were chosen. *Raises:* BucketFailure, OSError, CommitRefused."""
    passed: list[PassedFile] = []
    try:
        sources = _checked(job, place, passed)
        while len(sources) > (0 if any(source.is_landing for source in sources) else 1):
            try:
                return _merge(job, sources, ledger, place, passed)
            except UnfitSource as unfit:
                # Its rows could not be read after all: the others go on without it.
                passed.append(_passed(job, unfit))
                sources = [source for source in sources if source.path != unfit.path]
        return JobResult(None, passed=tuple(passed))
    except FileGone:
        return JobResult(None, passed=tuple(passed))
    finally:
        shutil.rmtree(place.folder, ignore_errors=True)


def _checked(job: LakeJob, place: JobPlace, passed: list[PassedFile]) -> list[LakeSource]:
    """The sources that can be merged."""
    os.makedirs(place.folder, mode=0o700, exist_ok=True)
    locals_ = [os.path.join(place.folder, f"source-{number}") for number in range(len(job.sources))]
    with ThreadPoolExecutor(place.requests) as pool:
        list(pool.map(place.bucket.fetch, [source.path for source in job.sources], locals_))
    failpoint("compact.fetched")
    found: list[LakeSource] = []
    for number, (candidate, local) in enumerate(zip(job.sources, locals_, strict=True)):
        try:
            found.append(open_source(number, candidate, local, job.table))
        except UnfitSource as unfit:
            passed.append(_passed(job, unfit))
    fit: list[LakeSource] = []
    for each in fitting(found):
        if isinstance(each, UnfitSource):
            passed.append(_passed(job, each))
        else:
            fit.append(each)
    place_of = {local: place for place, local in enumerate(locals_)}
    return sorted(fit, key=lambda source: place_of[source.local])


def _merge(job: LakeJob, sources: Sequence[LakeSource], ledger: str, place: JobPlace, passed: list[PassedFile]) -> JobResult:
    """*Raises:* UnfitSource, and what `run_job` raises."""
    from workers.compactor.merge import Merge
    from workers.compactor.output import CompactedOutput
    from workers.compactor.working_rows import WorkingRows

    working = WorkingRows(sources, body_schema(sources))
    digest = _digest_of(sources)
    output = CompactedOutput(place.folder, working, lambda part: _marks(job, sources, f"{digest[:-2]}{part:02x}"))
    merged_rows = 0

    def emit(rows: "pyarrow.Table") -> None:
        nonlocal merged_rows
        output.add(rows)
        merged_rows += rows.num_rows
        place.on_progress(merged_rows)

    try:
        Merge(sources, working, place.folder, place.memory_bytes, emit).run()
        output.finish()
    finally:
        output.forget()
    wanted = sum(source.rows for source in sources)
    assert output.row_count == wanted, f"{output.row_count} rows were written of {wanted}"
    failpoint("compact.written")
    adds = [_put(job, digest, part, file, place) for part, file in enumerate(output.files)]
    failpoint("compact.put")
    paths = [source.path for source in sources]
    number = place.log.append(lambda state: commit_of(job, paths, adds, ledger, state))
    failpoint("compact.committed")
    after = sum(file.bytes for file in output.files)
    before = sum(source.bytes for source in sources)
    return JobResult(number, len(sources), len(adds), wanted, before, after, tuple(passed))


def _put(job: LakeJob, digest: str, part: int, file: "MergedFile", place: JobPlace) -> AddedFile:
    """Put one file under a name that stands for its sources."""
    state = place.log.state()
    for variant in range(VARIANTS_MAX):
        name = f"c-{digest}-{part}" + (f"-{variant}" if variant else "")
        path = merged_path(job.table, job.date, name)
        if path in state.condemned or path in state.removed:
            continue
        if place.bucket.put_file(path, file.local) is not PutOutcome.OTHER:
            return AddedFile(
                path, job.table, job.date, file.rows, file.bytes, file.first_ns, file.last_ns, file.hosts_min, file.hosts_max
            )
    raise BusyError(place.bucket.shown, f"{VARIANTS_MAX} names for one compacted file are taken", "it is tried again later")


def _digest_of(sources: Sequence[LakeSource]) -> str:
    state = blake2b(digest_size=_HASH_BYTES)
    for path in sorted(source.path for source in sources):
        state.update(path.encode() + b"\n")
    return state.hexdigest()


def _marks(job: LakeJob, sources: Sequence[LakeSource], segment: str) -> FileMarks:
    """The metadata of a merged file: nothing of it depends on who writes it, or when."""
    newest = max(sources, key=lambda source: (source.version, source.path))
    return FileMarks(
        table=job.table,
        segment=segment,
        host="",
        install="",
        schema_version=newest.version,
        agent_version=__version__,
        created_wall_ns=max(map(_created_ns, sources)),
        sources=len(sources),
        foreign_columns=tuple(dict.fromkeys(_foreign_columns(sources))),
    )


def _foreign_columns(sources: Sequence[LakeSource]) -> Iterator[str]:
    for source in sources:
        yield from source.marks.get("foreign_columns", "").split()


def _created_ns(source: LakeSource) -> int:
    """When a source says that it was made; 0 where it says nothing that can be read."""
    try:
        moment = datetime.fromisoformat(source.marks.get("created", ""))
        return max(0, int(moment.timestamp()) * 1_000_000_000)
    except (ValueError, OverflowError):
        return 0


def _passed(job: LakeJob, unfit: UnfitSource) -> PassedFile:
    size = next(source.bytes for source in job.sources if source.path == unfit.path)
    return PassedFile(unfit.path, size, readable(unfit.reason, 400), unfit.is_damaged)
