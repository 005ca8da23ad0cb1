"""What is run: the agent's commands and two rivals over the same files, each as a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Run:
    """One whole command: wall and CPU milliseconds, the most memory it held, what it printed."""

    wall_ms: float
    cpu_ms: float
    peak_mib: float
    output: str


def run(command: Sequence[str]) -> Run:
    """Run it to its end. *Raises:* RuntimeError when it fails. *Source:* wait4(2)."""
    begun = time.perf_counter()
    # Nothing is asked of an agent: there is none.
    environment = {**os.environ, "EVERGAUGE_RUNTIME_DIR": "/nonexistent", "TZ": "UTC"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Run(wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3, usage.ru_maxrss / 1024, output)


def query(folder: Path, statement: str, *words: str) -> list[str]:
    """`agentctl query` as somebody types it."""
    return [str(BIN / "agentctl"), "query", statement, "--state-dir", str(folder), "--format", "csv", *words]


def top(folder: Path, *words: str) -> list[str]:
    """`agentctl top` printed once."""
    return [str(BIN / "agentctl"), "top", "--once", "--state-dir", str(folder), *words]


def duckdb(folder: Path, select: str, condition: str = "") -> list[str]:
    """Plain DuckDB over a glob of a table's files; `condition` may say {since}, an hour ago in unix nanoseconds."""
    glob = f"{folder}/data/process/*/*.parquet"
    statement = f"SELECT {select} FROM read_parquet('{glob}', hive_partitioning = false) {condition}"
    return [sys.executable, "-c", f"import duckdb, time; since = time.time_ns() - 3600 * 10**9\n{_shown(statement)}"]


def _shown(statement: str) -> str:
    return f'print(duckdb.sql("{statement}".format(since=since)).fetchall())'


def dataset(folder: Path, *, last_hour: bool) -> list[str]:
    """pyarrow.dataset over the same folder."""
    condition = "filter=dataset.field('timestamp') > time.time_ns() - 3600 * 10**9" if last_hour else ""
    aggregate = f"table = found.to_table(columns=['cpu_share'], {condition})\nprint(len(table), compute.mean(table['cpu_share']))"
    counted = "print(found.count_rows())"
    text = (
        f"import time\nfrom pyarrow import compute, dataset\nfound = dataset.dataset('{folder}/data/process', format='parquet')\n"
    )
    return [sys.executable, "-c", text + (aggregate if last_hour else counted)]
