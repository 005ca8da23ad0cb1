"""Spool segments and Parquet files as the writer and the sealer leave them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent.model.table import Row, Table, Value
from agent.store.arrow import Conversion
from agent.store.layout import SealedName, file_name
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.record import FORMAT_VERSION, Entry, SegmentHead, TableForm, encode_entry, encode_head, form_of
from workers.process import schema

HOST = "node-1"
STAMP = "20240101T000000Z"

PROCESS, PROCESS_TAIL = form_of(schema.PROCESS), form_of(schema.PROCESS_TAIL)
FORMS = {"process": PROCESS, "process_tail": PROCESS_TAIL}


def row_of(table: Table, values: Mapping[str, Value]) -> Row:
    """A row with these values by column; null elsewhere."""
    assert set(values) <= set(table.column_names)
    return tuple(values.get(name) for name in table.column_names)


def process_row(
    at: int, pid: int, *, cpu: float | None = 0.1, rss: int = 1 << 20, pod: str | None = None, container: str | None = None
) -> Row:
    """A row of table `process`."""
    values: dict[str, Value] = {
        "timestamp": at, "pid": pid, "start_ticks": 7, "ppid": 1, "comm": f"task-{pid}", "uid": 0, "cgroup": "/", "pod_uid": pod,
        "container": container,
        "state": "S", "threads": 1, "cpu_total_ns": 10**9, "cpu_ns": None if cpu is None else int(cpu * 1e9), "cpu_share": cpu,
        "rss_bytes": rss, "chosen_for": "cpu",
    }  # fmt: skip
    return row_of(schema.PROCESS, values)


def tail_row(at: int, processes: int, *, cpu: float | None = 0.5, rss: int = 1 << 20, pod: str | None = None) -> Row:
    """A row of table `process_tail`."""
    values: dict[str, Value] = {
        "timestamp": at, "pod_uid": pod, "commands": 1, "processes": processes, "cpu_share": cpu, "rss_bytes": rss,
    }  # fmt: skip
    return row_of(schema.PROCESS_TAIL, values)


def id_of(word: str) -> str:
    """The id of the segment that a test calls so; ids are in the order of the words."""
    return word if len(word) == 16 else word.encode().hex().ljust(16, "0")[:16]


def head_of(segment: str, forms: dict[str, TableForm] | None = None, *, install: str = "") -> bytes:
    """The frame that opens a segment."""
    tables = FORMS if forms is None else forms
    return encode_head(SegmentHead(FORMAT_VERSION, id_of(segment), HOST, "run-1", "0", 1, tables, (), install=install))


def batch_of(table: str, rows: Sequence[Row], *, stamp_wall_ns: int = 1) -> bytes:
    """The frame of one batch."""
    entry = Entry("run-1", "sampler/process", 1, 1, table, stamp_wall_ns, len(rows))
    return encode_entry(entry, msgspec.msgpack.encode(rows))


def write_segment(state: Path, segment: str, data: bytes) -> Path:
    """A segment of the spool with these bytes."""
    path = state / "spool" / f"{STAMP}-{id_of(segment)}.spool"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def marks_of(table: str, segment: str, form: TableForm, sources: tuple[str, ...] = ()) -> FileMarks:
    """What the sealer writes into the footer, or with the segments of its `sources` the compactor."""
    return FileMarks(table, id_of(segment), HOST, "", form.version, "0", 1, "run-1", len(sources), sources)


def sealed_path(state: Path, table: str, segment: str, rows: Sequence[Row] = (), form: TableForm | None = None) -> Path:
    """Where the sealed file of these rows belongs, in the folder of the tests' one day."""
    form = form or FORMS[table]
    at = form.names.index("timestamp") if "timestamp" in form.names else None
    times = [] if at is None else [time for row in rows if isinstance(time := row[at], int)]
    name = SealedName(form.prefix, HOST, min(times, default=0), max(times, default=0), is_compacted=False, segment=id_of(segment))
    return state / "data" / table / "date=2024-01-01" / file_name(name)


def write_parquet(state: Path, table: str, segment: str, rows: Sequence[Row], *, form: TableForm | None = None) -> Path:
    """A sealed file of rows, as made of this segment."""
    form = form or FORMS[table]
    path = sealed_path(state, table, segment, rows, form)
    path.parent.mkdir(parents=True, exist_ok=True)
    conversion = Conversion(form, HOST)
    converted = conversion.convert(msgspec.msgpack.encode(rows))
    assert not converted.bad
    file = ParquetFile(str(path), conversion.schema, marks_of(table, segment, form))
    file.write_group([converted.batch])
    file.close()
    return path
