"""Spool segments and Parquet files as the writer and the sealer leave them."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow
from pyarrow import parquet

from agent.model.table import Row
from agent.store.record import FORMAT_VERSION, Entry, SegmentHead, TableForm, encode_entry, encode_head

HOST = "node-1"
STAMP = "20240101T000000Z"

PROCESS = TableForm(
    version=1,
    names=(
        "timestamp",
        "pid",
        "start_ticks",
        "ppid",
        "comm",
        "command_line",
        "uid",
        "cgroup",
        "pod_uid",
        "state",
        "threads",
        "cpu_total_ns",
        "cpu_ns",
        "cpu_share",
        "rss_bytes",
        "absent",
    ),
    dtypes=("int64",) * 4 + ("utf8", "utf8", "int64") + ("utf8",) * 3 + ("int64",) * 3 + ("float64", "int64", "utf8"),
    prefix="process-",
)
PROCESS_TAIL = TableForm(
    version=1,
    names=("timestamp", "pod_uid", "processes", "cpu_ns", "cpu_share", "rss_bytes", "absent"),
    dtypes=("int64", "utf8", "int64", "int64", "float64", "int64", "utf8"),
    prefix="process_tail-",
)
FORMS = {"process": PROCESS, "process_tail": PROCESS_TAIL}


def process_row(at: int, pid: int, *, cpu: float | None = 0.1, rss: int = 1 << 20, pod: str | None = None) -> Row:
    """A row of table `process`."""
    cpu_ns = None if cpu is None else int(cpu * 1e9)
    return (at, pid, 7, 1, f"task-{pid}", None, 0, "/", pod, "S", 1, 10**9, cpu_ns, cpu, rss, None)


def tail_row(at: int, processes: int, *, cpu: float | None = 0.5, rss: int = 1 << 20, pod: str | None = None) -> Row:
    """A row of table `process_tail`."""
    return (at, pod, processes, None, cpu, rss, None)


def head_of(segment: str, forms: dict[str, TableForm] | None = None) -> bytes:
    """The frame that opens a segment."""
    tables = FORMS if forms is None else forms
    return encode_head(SegmentHead(FORMAT_VERSION, segment, HOST, "run-1", "0", 1, tables, ()))


def batch_of(table: str, rows: Sequence[Row], *, stamp_wall_ns: int = 1) -> bytes:
    """The frame of one batch."""
    entry = Entry("run-1", "sampler/process", 1, 1, table, stamp_wall_ns, len(rows))
    return encode_entry(entry, msgspec.msgpack.encode(rows))


def write_segment(state: Path, segment: str, data: bytes) -> Path:
    """A segment of the spool with these bytes."""
    path = state / "spool" / f"{STAMP}-{segment}.spool"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def marks_of(table: str, segment: str, form: TableForm) -> dict[str, str]:
    """What the sealer writes into the footer."""
    return {"host": HOST, "run": "run-1", "schema_version": str(form.version), "table": table, "segment": segment}


def write_parquet(state: Path, table: str, segment: str, rows: Sequence[Row], *, form: TableForm | None = None) -> Path:
    """A sealed file of rows, as made of this segment."""
    form = form or FORMS[table]
    known = {"int64": pyarrow.int64(), "float64": pyarrow.float64(), "bool": pyarrow.bool_()}
    types = [known.get(word, pyarrow.utf8()) for word in form.dtypes]
    columns = list(zip(*rows, strict=True)) or [()] * len(types)
    arrays = [pyarrow.array(column, dtype) for column, dtype in zip(columns, types, strict=True)]
    path = state / "data" / table / "date=2024-01-01" / f"{form.prefix}{HOST}-{STAMP}-{segment}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows_of_file = pyarrow.table(arrays, names=list(form.names)).replace_schema_metadata(marks_of(table, segment, form))
    parquet.write_table(rows_of_file, path, write_page_checksum=True)
    return path
