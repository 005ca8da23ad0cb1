"""The marks and encodings of the Parquet file that a compaction writes, and its name."""

from collections.abc import Sequence

from agent.model.timebase import DAY, S
from agent.store.layout import SealedName, file_name
from agent.store.parquet_writer import FileMarks
from workers.writer.compaction_plan import LISTED_MAX
from workers.writer.compaction_source import SourceFile, SourceReader, UnfitError, runs_of, segments_of, version_of
from workers.writer.compactor_order import Order

# Year 9999: later times have no name.
STAMP_END_NS = 2_932_897 * DAY


def name_of(order: Order, host: str, sources: SourceReader) -> str:
    """The new file's name. *Raises:* UnfitError where its rows are of no time that a name can say."""
    first_ns = min(group.first_ns for group in sources.groups)
    last_ns = max(group.last_ns for group in sources.groups)
    if not 0 <= first_ns <= last_ns < STAMP_END_NS:
        raise UnfitError(order.folder, f"its rows have times from {first_ns} to {last_ns}", is_damaged=True)
    return file_name(SealedName(order.prefix, host, first_ns // S * S, last_ns // S * S, True, order.segment))


def marks_of(files: Sequence[SourceFile], order: Order, now_wall_ns: int) -> FileMarks:
    """The metadata of the new file: what its newest source says, and of all of them a bounded number of segments and runs."""
    newest = files[-1].marks
    segments = [each for file in files for each in segments_of(file)]
    runs = list(dict.fromkeys(each for file in files for each in runs_of(file)))
    foreign = dict.fromkeys(each for file in files for each in file.marks.get("foreign_columns", "").split())
    return FileMarks(
        table=order.table,
        segment=order.segment,
        host=newest.get("host", ""),
        install=order.install,
        schema_version=max(version_of(file) for file in files),
        agent_version=newest.get("agent_version", ""),
        created_wall_ns=now_wall_ns,
        run=newest.get("run", ""),
        sources=len(files),
        segments=tuple(segments[-LISTED_MAX:]),
        runs=tuple(runs[-LISTED_MAX:]),
        foreign_columns=tuple(foreign),
    )
