"""What the store costs per row: the column host, the head of a frame, the check of rows before they are encoded and after.

The rows are those of table `process`, made up with the variety of a host of some hundred processes. Sizes are exact; times are the
least of several, in nanoseconds of CPU a row.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory

from machine import circumstances

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from agent.model.column_type import DType
from agent.model.message import encode
from agent.model.row_check import check_of
from agent.model.table import Row, Table, Value
from agent.model.timebase import S
from agent.store.arrow import Conversion
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.record import FRAME_HEAD_BYTES, Entry, HeldBytes, Record, encode_entry, form_of, parse_records, table_word
from workers.process.schema import PROCESS

HOST = "node-17.cluster.example"
AT_NS = 1_700_000_000 * S
GROUP_ROWS = 20_000


def made_rows(table: Table, tick: int, count: int, drawn: random.Random) -> list[Row]:
    """One tick of rows: numbers that move a little, texts that repeat from tick to tick."""
    values: dict[DType, Callable[[int], Value]] = {
        DType.INT64: lambda number: number * 1_000_003 + drawn.randrange(1000),
        DType.FLOAT64: lambda number: drawn.random(),
        DType.UTF8: lambda number: f"/system.slice/service-{number}.service",
        DType.BOOL: lambda number: number % 2 == 0,
    }
    return [
        tuple(AT_NS + tick * S if column.name == "timestamp" else values[column.dtype](number) for column in table.columns)
        for number in range(count)
    ]


def parquet_bytes(ticks: Sequence[bytes], conversion: Conversion, folder: str, *, with_host: bool) -> int:
    """The size of a file of these ticks."""
    path = os.path.join(folder, "file.parquet")
    batches = [conversion.convert(tick).batch for tick in ticks]
    if not with_host:
        batches = [batch.select(batch.schema.names[:-1]) for batch in batches]
    file = ParquetFile(path, batches[0].schema, FileMarks("process", "0" * 16, HOST, "0" * 16, 1, "0", AT_NS))
    per_group = max(1, GROUP_ROWS // batches[0].num_rows)
    for at in range(0, len(batches), per_group):
        file.write_group(batches[at : at + per_group])
    file.close()
    return os.stat(path).st_size


def least_ns(work: Callable[[], object], rows: int, repeats: int) -> float:
    """The CPU time of the fastest run, a row."""
    found = []
    for _ in range(repeats):
        begin = time.process_time_ns()
        work()
        found.append(time.process_time_ns() - begin)
    return round(min(found) / rows, 1)


def measure(rows: int, batches: int, repeats: int) -> dict[str, float]:
    """All figures."""
    drawn = random.Random(1)
    ticks = [made_rows(PROCESS, tick, rows, drawn) for tick in range(batches)]
    encoded = [encode(tick) for tick in ticks]
    frames = [
        encode_entry(Entry("run-1", "sampler/process", 1, seq, "process", AT_NS, rows), tick) for seq, tick in enumerate(encoded)
    ]
    spool = b"".join(frames)
    conversion, check = Conversion(form_of(PROCESS), HOST), check_of(PROCESS)
    total = rows * batches
    with TemporaryDirectory() as folder:
        plain = parquet_bytes(encoded, conversion, folder, with_host=False)
        hosted = parquet_bytes(encoded, conversion, folder, with_host=True)
    bad = [[*tick[:-1], (1.5, *tick[-1][1:])] for tick in ticks]

    def read(wanted: frozenset[int] | None) -> int:
        return sum(isinstance(item, Record) for item in parse_records(HeldBytes(spool), 0, wanted))

    return {
        "rows": total,
        "spool_bytes_per_row": round(len(spool) / total, 2),
        "frame_head_bytes_per_batch": FRAME_HEAD_BYTES,
        "spool_host_bytes_per_row": 0,
        "parquet_bytes_per_row": round(hosted / total, 3),
        "parquet_host_bytes_per_row": round((hosted - plain) / total, 4),
        "parquet_host_bytes_per_file": hosted - plain,
        "check_ns_per_row": least_ns(lambda: [check.sift(tick) for tick in ticks], total, repeats),
        "check_ns_per_row_with_one_bad_in_each_batch": least_ns(lambda: [check.sift(tick) for tick in bad], total, repeats),
        "encode_ns_per_row": least_ns(lambda: [encode(tick) for tick in ticks], total, repeats),
        "convert_ns_per_row": least_ns(lambda: [conversion.convert(tick) for tick in encoded], total, repeats),
        "read_ns_per_record": round(least_ns(lambda: read(None), batches, repeats), 1),
        "pass_over_ns_per_record": round(least_ns(lambda: read(frozenset({table_word("other")})), batches, repeats), 1),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200, help="rows of one tick")
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = measure(options.rows, options.batches, options.repeats)
    print(json.dumps({**circumstances(), "columns": len(PROCESS.columns), "figures": found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
