"""The command lake: which files of a fleet's store count now, and how the store is."""

from agent.cli.call import Call
from agent.cli.lake_config import LAKE_OPTIONS, lake_config, open_bucket
from agent.cli.option import Argument, Command, Option
from agent.cli.render import ABSENT, TextColumn, bytes_of, counted
from agent.model.errors import MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.lake.bucket import Bucket
    from agent.lake.lake_state import LakeState
    from agent.lake.snapshot import LakeFile, LakeSnapshot

ACTIONS = ("files", "status")
COLUMNS = (
    TextColumn("TABLE"),
    TextColumn("FILES", right=True),
    TextColumn("BYTES", right=True),
    TextColumn("LANDED", right=True),
    TextColumn("BYTES", right=True),
    TextColumn("FROM"),
    TextColumn("TO"),
)


def lake(call: Call) -> int:
    """`agentctl lake files|status`. *Raises:* EvergaugeError."""
    action = call.words[0]
    if action not in ACTIONS:
        raise MisuseError(f"lake {action}", "there is no such action", f"one of {', '.join(ACTIONS)}")
    bucket = open_bucket(call, lake_config(call))
    found = _snapshot(call, bucket)
    return _show_files(call, bucket, found) if action == "files" else _show_status(call, bucket, found)


def _snapshot(call: Call, bucket: "Bucket") -> "LakeSnapshot":
    """*Raises:* BucketFailure, FormatError, MisuseError."""
    from agent.lake.log import LakeLog
    from agent.lake.path import is_table
    from agent.lake.snapshot import Wanted, read_lake

    log = LakeLog(bucket, "agentctl lake")
    tables = call.texts("--table")
    if bad := [table for table in tables if not is_table(table)]:
        raise MisuseError("--table", f"{bad[0]!a} is no name of a table", "write it as `agentctl lake status` does")
    if not tables:
        merged = {file.table for file in log.state().files.values()}
        tables = sorted({*merged, *filter(is_table, bucket.folders(""))})
    return read_lake(bucket, log, Wanted(tuple(tables)), lambda found: found)


def _show_files(call: Call, bucket: "Bucket", found: "LakeSnapshot") -> int:
    files = sorted(found.files, key=lambda file: (file.table, file.date, file.path))
    if call.wants_json:
        call.show_json({"number": found.number, "files": [_document(bucket, file) for file in files]})
    else:
        call.show(place_of(bucket, file.path) for file in files)
    return 0


def place_of(bucket: "Bucket", path: str) -> str:
    """A file as engines name it: its path where the store is a folder, else its URL."""
    return f"{bucket.shown}/{path}".removeprefix("file://")


def _document(bucket: "Bucket", file: "LakeFile") -> "dict[str, object]":
    import msgspec

    return {"place": place_of(bucket, file.path), **msgspec.structs.asdict(file)}


def _show_status(call: Call, bucket: "Bucket", found: "LakeSnapshot") -> int:
    tables = sorted({file.table for file in found.files})
    if call.wants_json:
        call.show_json(_status(bucket, found, tables))
        return 0
    if tables:
        call.show_table(COLUMNS, (_cells(table, found.of(table)) for table in tables))
    call.show(sentences_of(bucket.shown, found.state, len(found.files)))
    return 0


def sentences_of(shown: str, state: "LakeState", files: int) -> "list[str]":
    """The store in words."""
    from agent.model.timebase import iso_utc

    lines = [f"{shown}: {counted(files, 'file')} count, as of commit {state.number}"]
    if state.number:
        lines.append(f"last commit: {iso_utc(state.at_ns)}")
    if waiting := len(state.removed) + len(state.consumed):
        lines.append(f"{counted(waiting, 'file')} count no more and wait to be deleted")
    hosts = {host for marks in state.marks.values() for host in marks}
    if state.offsets:
        lines.append(f"from topics: {counted(len(state.offsets), 'partition')}, marks of {counted(len(hosts), 'host')}")
    if state.void:
        lines.append(f"{counted(state.void, 'commit')} did not fit those before, and changed nothing")
    return lines


def _cells(table: str, files: "Sequence[LakeFile]") -> "tuple[str, ...]":
    from agent.model.timebase import iso_utc

    merged = [file for file in files if not file.is_landing]
    landed = [file for file in files if file.is_landing]
    first, last = _least(file.first_ns for file in files), _most(file.last_ns for file in files)
    return (
        table,
        str(len(merged)),
        bytes_of(sum(file.bytes for file in merged)),
        str(len(landed)),
        bytes_of(sum(file.bytes for file in landed)),
        ABSENT if first is None else iso_utc(first),
        ABSENT if last is None else iso_utc(last),
    )


def _status(bucket: "Bucket", found: "LakeSnapshot", tables: "Sequence[str]") -> "dict[str, object]":
    state = found.state
    return {
        "lake": bucket.shown,
        "number": state.number,
        "at_ns": state.at_ns,
        "waiting": len(state.removed) + len(state.consumed),
        "condemned": len(state.condemned),
        "void": state.void,
        "offsets": state.offsets,
        "tables": {table: _table_status(found.of(table)) for table in tables},
    }


def _table_status(files: "Sequence[LakeFile]") -> "dict[str, object]":
    merged = [file for file in files if not file.is_landing]
    landed = [file for file in files if file.is_landing]
    return {
        "files": len(merged),
        "bytes": sum(file.bytes for file in merged),
        "rows": sum(file.rows or 0 for file in merged),
        "landed_files": len(landed),
        "landed_bytes": sum(file.bytes for file in landed),
        "first_ns": _least(file.first_ns for file in files),
        "last_ns": _most(file.last_ns for file in files),
    }


def _least(moments: "Iterable[int | None]") -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _most(moments: "Iterable[int | None]") -> int | None:
    return max((moment for moment in moments if moment is not None), default=None)


COMMANDS = (
    Command(
        "lake",
        lake,
        about="the files of a fleet's store that count now, or how the store is",
        details="""\
files prints each file that counts, one a line, as other engines take them: together they hold each row once. They stay readable for
lake.grace, also when a compactor replaces them meanwhile.
status prints how many files each table has, how many of them have landed and are not compacted yet, and what the log says.""",
        arguments=(Argument("ACTION", "files or status"),),
        options=(*LAKE_OPTIONS, Option("--table", "TABLE", "only this table; may be given again", many=True)),
        examples=(
            "agentctl lake status --lake file:///srv/lake",
            "agentctl lake files --table process --lake s3://fleet/lake",
        ),
    ),
)
