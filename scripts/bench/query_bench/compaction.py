"""What compacting a day costs: CPU seconds per million rows, peak memory, bytes before and after, beside two rivals.

Days are generated as the sealer writes them, one after another and deleted again: one of 200,000 rows in 96 files, one that is
wide as `occupancy_domain` with several million rows, and on request the day of 448 groups at 1 Hz. The compactor is the agent's
own process, started as the writer starts it. Rivals read the same files and write one sorted file of the same compression.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow
from msgspec import Struct

from agent.model.table import Table
from agent.model.timebase import DAY, S
from agent.store.layout import SealedName, date_folder, file_name
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.segment import segment_id
from workers.process.schema import PROCESS
from workers.resctrl.row import OCCUPANCY_DOMAIN

ROOT = Path(__file__).parents[3]
# As the sealer writes them.
ROW_GROUP_ROWS = 20_000
MIDNIGHT_NS = 1_700_006_400 * S
DATE = "2023-11-15"
MUST = {"cpu_seconds_per_million_rows": 1.5, "peak_rss_mib": 256}
GOAL = {"cpu_seconds_per_million_rows": 0.8}

# `s` is the second of the day, `g` the number of the group or process. Counters grow, gauges waver, text repeats.
EXPRESSIONS = {
    "timestamp": "{midnight} + s * 1000000000 + (hash(s) % 10000000)::BIGINT + g * 20000",
    "start_timestamp": "{midnight} + s * 1000000000 + (hash(s) % 10000000)::BIGINT",
    "resctrl_group": "'/sys/fs/resctrl/mon_groups/pod-' || printf('%08x-%08x', g, g * 7919)",
    "resource": "'L3'",
    "domain": "g % 2",
    "llc_occupancy_bytes": "(hash(g) % 33554432 + hash(s * 448 + g) % 1048576) // 65536 * 65536",
    "mbm_total_bytes": "hash(g) % 1099511627776 + s * 50000000 + hash(g * 3 + s * 1000) % 50000000",
    "mbm_local_bytes": "hash(g) % 549755813888 + s * 30000000 + hash(g * 5 + s * 1000) % 30000000",
    "mbm_total_bytes_per_second": "(hash(s * 448 + g + 7) % 100000000)::DOUBLE * 1.0003::DOUBLE",
    "mbm_local_bytes_per_second": "(hash(s * 448 + g + 9) % 60000000)::DOUBLE * 1.0003::DOUBLE",
    "llc_size_bytes": "33554432",
    "pid": "1000 + (hash(g) % 60000)",
    "start_ticks": "hash(g) % 100000000",
    "ppid": "1 + g % 7",
    "comm": "'worker-' || (g % 30)",
    "command_line": "'/usr/bin/worker --shard ' || g || ' --config /etc/worker/' || (g % 30) || '.toml'",
    "uid": "g % 5",
    "cgroup": "'/kubepods.slice/pod' || printf('%08x', g * 7919)",
    "pod_uid": "printf('%08x-0000', g * 7919)",
    "state": "CASE WHEN hash(s, g) % 5 = 0 THEN 'R' ELSE 'S' END",
    "threads": "1 + hash(g) % 40",
    "cpu_total_ns": "hash(g) % 1000000000000 + s * 100000000 + hash(s, g) % 100000000",
    "cpu_ns": "hash(s, g) % 1000000000",
    "cpu_share": "(hash(s, g) % 1000000)::DOUBLE / 1000000",
    "rss_bytes": "(hash(g) % 1000000 + hash(s, g) % 1000) * 4096",
}
SQL_TYPES = {"int64": "BIGINT", "float64": "DOUBLE", "utf8": "VARCHAR", "bool": "BOOLEAN"}

DUCKDB = """
import duckdb, sys
duckdb.connect().execute(
    f"COPY (SELECT * FROM read_parquet('{sys.argv[1]}/*.parquet', union_by_name = true) ORDER BY timestamp) "
    f"TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")
"""
PYARROW = """
import sys
from pyarrow import parquet
parquet.write_table(parquet.read_table(sys.argv[1]).sort_by("timestamp"), sys.argv[2], compression="zstd")
"""


class Day(Struct, frozen=True):
    """What is generated: rows each second, how many seconds apart, and how many seconds a file has."""

    name: str
    table: Table
    groups: int
    step: int
    seconds: int
    file_seconds: int

    @property
    def rows(self) -> int:
        """Of the whole day."""
        return self.groups * len(range(0, self.seconds, self.step))


def days(heavy_hours: float, *, full: bool) -> Iterator[Day]:
    """Those of this run."""
    # 25 rows each ten seconds: 2,100 rows in each of 96 files.
    yield Day("a day of 200,000 rows in 96 files", PROCESS, 25, 10, 80_640, 840)
    yield Day("wide as occupancy_domain", OCCUPANCY_DOMAIN, 448, 1, int(heavy_hours * 3600), 300)
    if full:
        yield Day("448 groups at 1 Hz for a day", OCCUPANCY_DOMAIN, 448, 1, 86_400, 300)


def generate(day: Day, state: Path) -> Path:
    """The sealed files of a day; their folder."""
    folder = state / "data" / day.table.name / date_folder(DATE)
    folder.mkdir(parents=True)
    # The kernel counts the memory of the process that starts another into the peak of the other: this one stays small.
    generator = get_context("fork").Process(target=_generate, args=(day, folder))
    generator.start()
    generator.join()
    if generator.exitcode:
        sys.exit(f"the day could not be generated ({generator.exitcode})")
    return folder


def _generate(day: Day, folder: Path) -> None:
    import duckdb

    connection = duckdb.connect()
    for number, first in enumerate(range(0, day.seconds, day.file_seconds), start=1):
        last = min(first + day.file_seconds, day.seconds)
        columns = ", ".join(f'CAST({_expression(c.name)} AS {SQL_TYPES[c.dtype]}) AS "{c.name}"' for c in day.table.columns)
        rows = connection.sql(
            f"SELECT {columns} FROM range({first}, {last}, {day.step}) r(s), range({day.groups}) q(g) ORDER BY s, g"
        ).to_arrow_table()
        _seal(day, folder, number, (first, last), rows)


def _expression(name: str) -> str:
    return EXPRESSIONS.get(name, "NULL").format(midnight=MIDNIGHT_NS)


def _seal(day: Day, folder: Path, number: int, span: tuple[int, int], rows: pyarrow.Table) -> None:
    """One file, as the sealer writes it."""
    host = pyarrow.DictionaryArray.from_arrays(pyarrow.repeat(pyarrow.scalar(0, pyarrow.int32()), len(rows)), ["node-1"])
    rows = rows.append_column("host", host)
    segment = segment_id(number, f"{number:08x}")
    first_ns, last_ns = (MIDNIGHT_NS + at * S for at in span)
    name = file_name(SealedName(day.table.prefix, "node-1", first_ns, last_ns, False, segment))
    marks = FileMarks(day.table.name, segment, "node-1", "", day.table.version, "0", MIDNIGHT_NS + DAY, "run-1")
    file = ParquetFile(str(folder / name), rows.schema, marks)
    for offset in range(0, len(rows), ROW_GROUP_ROWS):
        file.write_group([rows.slice(offset, ROW_GROUP_ROWS)])
    file.close()


def run(command: Sequence[str]) -> dict[str, float]:
    """CPU seconds of all threads, wall seconds and peak memory of one process. *Raises:* SystemExit when it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[:4]} ended with {process.returncode}")
    return {
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "wall_seconds": round(time.monotonic() - began, 3),
        "peak_rss_mib": round(usage.ru_maxrss / 1024, 1),
    }


def measure(day: Day, folder: Path, state: Path, rivals: Sequence[str]) -> dict[str, Any]:
    """The rivals first, which leave the files as they are, then the compactor."""
    found: dict[str, Any] = {"rows": day.rows, "files": len(list(folder.iterdir())), "bytes_before": _bytes(folder)}
    output = state / "rival.parquet"
    for name, program in (("duckdb", DUCKDB), ("pyarrow", PYARROW)):
        if name in rivals:
            found[name] = run([sys.executable, "-c", program, str(folder), str(output)]) | {"bytes_after": output.stat().st_size}
            output.unlink()
    order = [str(state), day.table.name, folder.name, "--prefix", day.table.prefix, "--id", segment_id(9999, "0" * 8)]
    found["compactor"] = run([sys.executable, "-P", "-m", "workers.writer.compactor", *order]) | {"bytes_after": _bytes(folder)}
    assert len(list(folder.iterdir())) == 1
    for name in ("duckdb", "pyarrow", "compactor"):
        if name in found:
            found[name]["cpu_seconds_per_million_rows"] = round(found[name]["cpu_seconds"] / day.rows * 1e6, 3)
    return found


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a must is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0, help="hours of the wide day: 1.6 million rows each")
    parser.add_argument("--full", action="store_true", help="also the whole day of 448 groups at 1 Hz: 39 million rows")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the small and the wide day; the median by CPU is reported")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"must": MUST, "goal": GOAL, "load_before": os.getloadavg()[0], "days": {}}
    for day in days(options.hours, full=options.full):
        is_whole = day.seconds == 86_400 and day.groups == 448
        # Both would sort all of it in memory.
        runs = [_one(day, [] if is_whole else ["duckdb", "pyarrow"]) for _ in range(1 if is_whole else options.repeats)]
        found["days"][day.name] = sorted(runs, key=lambda each: each["compactor"]["cpu_seconds"])[len(runs) // 2]
    print(json.dumps(found, indent=2))
    compactors = [day["compactor"] for day in found["days"].values()]
    return int(any(each[key] > most for each in compactors for key, most in MUST.items()))


def _one(day: Day, rivals: Sequence[str]) -> dict[str, Any]:
    state = Path(tempfile.mkdtemp(prefix="compaction-"))
    try:
        return measure(day, generate(day, state), state, rivals)
    finally:
        shutil.rmtree(state)


if __name__ == "__main__":
    sys.exit(main())
