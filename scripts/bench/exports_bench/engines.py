"""Sketches merged in DuckDB, ClickHouse and Spark: error against the exact values, equal buckets, time and CPU of each engine."""

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import psutil
from harness.engines.child_engine import ChildEngine
from harness.engines.duck_engine import DuckEngine
from harness.engines.fleet_tables import prepare_clickhouse, prepare_duckdb, prepare_spark, write_lists
from harness.engines.page import blocks_of
from harness.engines.query_engine import QueryEngine
from machine import circumstances

from agent.model.sketch import Sketch, merged
from agent.model.table import Row
from agent.model.tables import POD_GROUP
from agent.model.timebase import MINUTE, S
from agent.store.arrow import Conversion
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.record import form_of
from workers.process.schema import PROCESS_SKETCH
from workers.resctrl.row import OCCUPANCY

BEGIN_NS = 1_700_000_040 * S
FILES = 10
PERCENTILES = (50, 90, 95, 99, 99.9)
ERROR_MUST_PERCENT, ERROR_GOAL_PERCENT = 1.0, 0.55
BUCKETS = "SELECT bucket, sum(times) AS n FROM sketch_bucket GROUP BY bucket ORDER BY bucket"
QUESTIONS = blocks_of("questions.md")
# The views of the pages name these tables too; they are empty here.
TABLES = (PROCESS_SKETCH, OCCUPANCY, POD_GROUP)


def main(words: Sequence[str]) -> int:
    """Measure, print a table, and write JSON where it is asked for. The exit code is 0 if all limits hold."""
    options = _options(words)
    found: dict[str, Any] = circumstances()
    with tempfile.TemporaryDirectory(prefix="evergauge-engines-") as name:
        folder = Path(name)
        values, sketches = _distinct(options.distinct, options.values, options.seed)
        repeats = -(-options.sketches // len(sketches))
        files = _write(folder / "lake", sketches, repeats)
        found |= _about(files, sketches, repeats)
        print(f"{found['sketches']:,} sketches of {options.values:,} values in {found['buckets']:.0f} buckets, "
              f"{found['bytes_per_sketch']:.0f} B each in Parquet, load {os.getloadavg()[0]:.2f}")  # fmt: skip
        write_lists(folder / "lists", files)
        with _engines(options.engines, folder, files) as engines:
            found["engines"] = {engine.name: _measure(engine, loaded, options.repeats) for engine, loaded in engines}
            buckets = {engine.name: engine.run(BUCKETS) for engine, _ in engines}
            found["errors_percent"] = _errors(engines[0][0], values, repeats)
    wanted = [list(each) for each in sorted(_all_buckets(sketches, repeats).items())]
    found["buckets_equal"] = all(each == wanted for each in buckets.values())
    _show(found)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return 0 if found["buckets_equal"] and max(found["errors_percent"].values()) <= ERROR_MUST_PERCENT else 1


def _options(words: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(prog="scripts/bench/exports engines", description=__doc__)
    parser.add_argument("--sketches", type=int, default=20_000, help="rows of process_sketch")
    parser.add_argument("--values", type=int, default=4_500, help="values in each: 75 processes and 60 ticks")
    parser.add_argument("--distinct", type=int, default=200, help="different ones; each is stored so often that all are SKETCHES")
    parser.add_argument("--engines", default="duckdb,chdb,spark", help="which, by commas")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many is told")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", default="", help="file for the figures")
    options = parser.parse_args(words)
    options.engines = options.engines.split(",")
    return options


def _distinct(many: int, length: int, seed: int) -> tuple[list[int], list[Sketch]]:
    """All values in order, and their sketches: many octaves, as the CPU of busy processes has."""
    pick, values, sketches = random.Random(seed), [], []
    for _ in range(many):
        of_one = [int(pick.lognormvariate(17, 1.9)) for _ in range(length)]
        sketch = Sketch()
        for value in of_one:
            sketch.add(value)
        values += of_one
        sketches.append(sketch)
    return sorted(values), sketches


def _rows(sketches: Sequence[Sketch], repeats: int) -> Iterator[Row]:
    """Each sketch again and again, of other hosts and windows."""
    names = PROCESS_SKETCH.column_names
    for turn in range(repeats):
        window = BEGIN_NS + turn * MINUTE
        for number, sketch in enumerate(sketches):
            values = {
                "timestamp": window + MINUTE + S, "window_start": window, "window_ns": MINUTE, "pod_uid": f"u-{number % 50}",
                "command": f"command-{number % 20}", "metric": "cpu", "ticks": 60, "keys": 1,
                **msgspec.structs.asdict(sketch.to_columns()),
            }  # fmt: skip
            yield tuple(values[name] for name in names)


def _write(folder: Path, sketches: Sequence[Sketch], repeats: int) -> dict[str, list[str]]:
    """Files as a sealer writes them, each of one host; empty ones of the other tables."""
    files: dict[str, list[str]] = {table.name: [] for table in TABLES}
    rows, at_once = _rows(sketches, repeats), -(-len(sketches) * repeats // FILES)
    for number in range(FILES):
        files[PROCESS_SKETCH.name].append(_write_file(folder, PROCESS_SKETCH, f"node-{number}", list(islice(rows, at_once))))
    for table in TABLES[1:]:
        files[table.name].append(_write_file(folder, table, "node-0", []))
    return files


def _write_file(folder: Path, table: Any, host: str, rows: Sequence[Row]) -> str:
    form = form_of(table)
    conversion = Conversion(form, host)
    path = folder / f"{table.name}-{host}.parquet"
    path.parent.mkdir(exist_ok=True)
    file = ParquetFile(str(path), conversion.schema, FileMarks(table.name, "0" * 16, host, "", form.version, "0", 1))
    file.write_group([conversion.convert(msgspec.msgpack.encode(rows)).batch])
    file.close()
    return str(path)


def _about(files: dict[str, list[str]], sketches: Sequence[Sketch], repeats: int) -> dict[str, Any]:
    rows = len(sketches) * repeats
    size = sum(Path(path).stat().st_size for path in files[PROCESS_SKETCH.name])
    # What a file has of one sketch: equal ones compress to nothing, so the first turn is written alone.
    with tempfile.TemporaryDirectory() as folder:
        once = Path(_write_file(Path(folder), PROCESS_SKETCH, "node-0", list(_rows(sketches, 1)))).stat().st_size
    return {
        "sketches": rows,
        "buckets": sum(len(sketch.to_columns().counts) for sketch in sketches) / len(sketches),
        "bytes_per_sketch": once / len(sketches),
        "bytes_of_files": size,
    }


@contextmanager
def _engines(
    names: Sequence[str], folder: Path, files: dict[str, list[str]]
) -> Iterator[list[tuple[QueryEngine, dict[str, float]]]]:
    """Each with its tables, and what making them took."""
    with ExitStack() as stack:
        engines: list[tuple[QueryEngine, dict[str, float]]] = []
        for name in names:
            engine, prepare = _engine(name, stack, folder, files)
            engines.append((engine, _timed(engine, prepare)))
        yield engines


def _engine(name: str, stack: ExitStack, folder: Path, files: dict[str, list[str]]) -> tuple[Any, Callable[[], None]]:
    match name:
        case "duckdb":
            duckdb = stack.enter_context(DuckEngine())
            return duckdb, lambda: prepare_duckdb(duckdb, TABLES, folder / "lists")
        case "chdb":
            chdb = stack.enter_context(ChildEngine.start("chdb", folder / name))
            return chdb, lambda: prepare_clickhouse(chdb, TABLES, files)
        case _:
            assert name == "spark", f"knows duckdb, chdb and spark, not {name}"
            spark = stack.enter_context(ChildEngine.start("spark", folder / name, SPARK_MEMORY="2g"))
            return spark, lambda: prepare_spark(spark, TABLES, folder / "lists")


def _measure(engine: QueryEngine, loaded: dict[str, float], repeats: int) -> dict[str, Any]:
    """Seconds and CPU seconds: of making the tables, of the first answer, of the best one, and from the roll-up."""

    def ask(name: str) -> dict[str, float]:
        return _timed(engine, lambda: engine.run(QUESTIONS[name]))

    first = ask("percentiles.sql")
    best = min((ask("percentiles.sql") for _ in range(repeats)), key=lambda each: each["seconds"])
    rolled_up = min((ask("rolled-up.sql") for _ in range(repeats)), key=lambda each: each["seconds"])
    return {"load": loaded, "first": first, "best": best, "rolled_up": rolled_up, "rss_mib": _rss_mib(engine)}


def _timed(engine: QueryEngine, work: Callable[[], object]) -> dict[str, float]:
    began, cpu = time.perf_counter(), _cpu_seconds(engine)
    work()
    return {"seconds": time.perf_counter() - began, "cpu_seconds": _cpu_seconds(engine) - cpu}


def _processes(engine: QueryEngine) -> list[psutil.Process]:
    own = psutil.Process(getattr(engine, "pid", os.getpid()))
    return [own, *own.children(recursive=True)] if hasattr(engine, "pid") else [own]


def _cpu_seconds(engine: QueryEngine) -> float:
    times = [process.cpu_times() for process in _processes(engine)]
    return float(sum(each.user + each.system for each in times))


def _rss_mib(engine: QueryEngine) -> float:
    return float(sum(process.memory_info().rss for process in _processes(engine))) / 2**20


def _errors(engine: QueryEngine, values: Sequence[int], repeats: int) -> dict[str, float]:
    """Percent by which each percentile of all rows together is from the exact one."""
    statement = QUESTIONS["percentiles.sql"].replace("95e0", "95e0 UNION ALL SELECT 90e0")
    errors = {}
    for _, p, readings, _, _, estimate in engine.run(statement):
        exact = values[int(p / 100 * (readings - 1)) // repeats]
        errors[f"p{p:g}"] = 100 * abs(estimate - exact) / exact
    assert set(errors) == {f"p{p:g}" for p in PERCENTILES}, errors
    return errors


def _all_buckets(sketches: Sequence[Sketch], repeats: int) -> Counter[int]:
    whole = merged(sketches)
    buckets = Counter({index: many * repeats for index, many in whole.buckets.items()})
    if whole.zero_count:
        buckets[-32768] = whole.zero_count * repeats
    return buckets


def _show(found: dict[str, Any]) -> None:
    print(
        f"{'engine':8} {'load s':>8} {'first s':>8} {'best s':>8} {'CPU s':>8} {'us/sketch':>10} {'rolled up s':>12} {'RSS MiB':>8}"
    )
    for name, each in found["engines"].items():
        best = each["best"]
        numbers = (each["load"]["seconds"], each["first"]["seconds"], best["seconds"], best["cpu_seconds"])
        micro = 1e6 * best["seconds"] / found["sketches"]
        shown = " ".join(f"{number:8.2f}" for number in numbers)
        print(f"{name:8} {shown} {micro:10.1f} {each['rolled_up']['seconds']:12.3f} {each['rss_mib']:8.0f}")
    print("buckets equal everywhere:", "yes" if found["buckets_equal"] else "NO")
    shown = ", ".join(f"{name} {error:.3f} %" for name, error in found["errors_percent"].items())
    verdict = "reached" if max(found["errors_percent"].values()) <= ERROR_GOAL_PERCENT else "missed"
    print(f"error: {shown}; must {ERROR_MUST_PERCENT} %, goal {ERROR_GOAL_PERCENT} %: {verdict}")
