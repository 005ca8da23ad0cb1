"""The questions of docs/engines in the engines named, over the files of a made-up fleet: are the answers equal, and how soon."""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fakes.fleet_files import landing_files, write_landing
from fakes.fleet_story import TABLES, fleet_of
from harness.engines.child_engine import ChildEngine
from harness.engines.duck_engine import DuckEngine
from harness.engines.fleet_tables import prepare_clickhouse, prepare_duckdb, prepare_spark, prepare_trino, write_lists
from harness.engines.page import blocks_of
from harness.engines.page_outputs import PAGE, questions
from harness.engines.query_engine import QueryEngine
from harness.engines.trino_engine import TrinoEngine
from machine import circumstances

ENGINES = ("duckdb", "chdb", "spark", "trino")


def main(words: Sequence[str]) -> int:
    """Ask each engine each question. The exit code is 0 if all answers are DuckDB's, which a test holds against the page."""
    options = _options(words)
    found: dict[str, Any] = circumstances()
    blocks = blocks_of(PAGE)
    with tempfile.TemporaryDirectory(prefix="evergauge-questions-") as name, ExitStack() as stack:
        folder = Path(name)
        write_landing(folder / "lake", fleet_of())
        files = landing_files(folder / "lake")
        wanted = _answers(_engine("duckdb", stack, folder, files), blocks)
        for engine in options.engines:
            given = _answers(_engine(engine, stack, folder, files), blocks)
            found[engine] = {
                question: {"seconds": round(seconds, 3), "is_equal": rows == wanted[question][0]}
                for question, (rows, seconds) in given.items()
            }
            _show(engine, found[engine])
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return 0 if all(each["is_equal"] for engine in options.engines for each in found[engine].values()) else 1


def _options(words: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(prog="scripts/bench/exports questions", description=__doc__)
    parser.add_argument(
        "--engines", default="duckdb,chdb,spark", help=f"of {', '.join(ENGINES)}, by commas; trino: scripts/lab/trino"
    )
    parser.add_argument("--json", default="", help="file for the figures")
    options = parser.parse_args(words)
    options.engines = options.engines.split(",")
    if unknown := set(options.engines) - set(ENGINES):
        parser.error(f"knows {', '.join(ENGINES)}, not {', '.join(sorted(unknown))}")
    return options


def _engine(name: str, stack: ExitStack, folder: Path, files: dict[str, list[str]]) -> QueryEngine:
    """An engine with all tables of the fleet."""
    lists = folder / f"lists-{name}"
    if not lists.exists():
        write_lists(lists, files)
    match name:
        case "duckdb":
            duckdb = stack.enter_context(DuckEngine())
            prepare_duckdb(duckdb, TABLES, lists)
            return duckdb
        case "chdb":
            chdb = stack.enter_context(ChildEngine.start("chdb", folder / name))
            prepare_clickhouse(chdb, TABLES, files)
            return chdb
        case "spark":
            spark = stack.enter_context(ChildEngine.start("spark", folder / name, SPARK_SMALL="1"))
            prepare_spark(spark, TABLES, lists)
            return spark
        case _:
            return _trino(stack, folder, files)


def _trino(stack: ExitStack, folder: Path, files: dict[str, list[str]]) -> QueryEngine:
    """Its root has the lake, and the lists with the paths as it writes them."""
    own = {table: [f"local:///{Path(path).relative_to(folder)}" for path in paths] for table, paths in files.items()}
    write_lists(folder / "lists", own)
    for table in TABLES:
        (folder / "lake" / "_merged" / table.name).mkdir(parents=True)
    (folder / "meta").mkdir()
    (folder / "trino").mkdir()
    trino = stack.enter_context(TrinoEngine(folder / "trino", folder))
    prepare_trino(trino, TABLES)
    return trino


def _answers(engine: QueryEngine, blocks: dict[str, str]) -> dict[str, tuple[list[list[Any]], float]]:
    """The rows of each question, and the seconds until they were there."""
    answers = {}
    for question in questions():
        began = time.perf_counter()
        rows = engine.run(blocks[question])
        answers[question] = (rows, time.perf_counter() - began)
    return answers


def _show(engine: str, found: dict[str, dict[str, Any]]) -> None:
    for question, each in found.items():
        print(f"{engine:8} {question:18} {each['seconds']:8.3f} s  {'equal' if each['is_equal'] else 'ANOTHER ANSWER'}")
