"""Questions of docs/engines to a lake of many nodes, in DuckDB and in ClickHouse: how soon they answer, and whether alike."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakes.fleet_story import TABLES
from harness.engines.child_engine import ChildEngine
from harness.engines.duck_engine import DuckEngine
from harness.engines.fleet_tables import prepare_clickhouse, prepare_duckdb, write_lists
from harness.engines.page import blocks_of
from harness.engines.query_engine import QueryEngine

from agent.lake.snapshot import LakeSnapshot
from agent.model.timebase import S
from exports_bench.stage import StageCost, measured

# Answers of one engine: of each question its rows and seconds.
Answers = dict[str, dict[str, Any]]


def ask_engines(folder: Path, lake: LakeSnapshot, questions: Sequence[str]) -> tuple[StageCost, dict[str, Answers]]:
    """What loading ClickHouse costs, and the answers of each engine. The lake is a folder in `folder`."""
    files = {table.name: [str(folder / "lake" / file.path) for file in lake.of(table.name)] for table in TABLES}
    write_lists(folder / "lists", files)
    with DuckEngine() as duckdb, ChildEngine.start("chdb", folder / "clickhouse") as clickhouse:
        prepare_duckdb(duckdb, TABLES, folder / "lists")
        with measured("clickhouse", [clickhouse.pid]) as loading:
            prepare_clickhouse(clickhouse, TABLES, files)
        loading.bytes = sum(file.bytes for file in lake.files)
        return loading, {engine.name: _answers(engine, questions) for engine in (duckdb, clickhouse)}


def ask_router(lake: Path, since_ns: int, until_ns: int) -> dict[str, Any]:
    """What `agentctl ask` says of the CPU of all nodes: seconds from its start to its end, how much is covered, percentiles."""
    span = ["--since", _moment(since_ns), "--until", _moment(until_ns)]
    words = ["ask", "percentile", "--metric", "cpu", "--lake", f"file://{lake}", *span, "--json", "--timeout", "600"]
    command = [sys.executable, "-c", "from evergauge import agentctl; agentctl()", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    began = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds = time.perf_counter() - began
    found = json.loads(ended.stdout)
    return {
        "seconds": seconds,
        "covered": found["covered"],
        "total": found["total"],
        "percentiles": found["groups"][0]["percentiles"],
    }


def _moment(at_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(at_ns // S))


def _answers(engine: QueryEngine, questions: Sequence[str]) -> Answers:
    blocks, found = blocks_of("questions.md"), {}
    for name in questions:
        began = time.perf_counter()
        rows = engine.run(blocks[f"{name}.sql"])
        found[name] = {"rows": rows, "seconds": time.perf_counter() - began}
    return found


def are_equal(asked: Mapping[str, Answers]) -> bool:
    """Whether all engines say the same."""
    first, *others = asked.values()
    return all(other[name]["rows"] == first[name]["rows"] for other in others for name in first)


def show_questions(asked: Mapping[str, Answers]) -> None:
    """A line for each engine."""
    for engine, answers in asked.items():
        print(f"{engine:12} " + ", ".join(f"{name} {each['seconds']:.2f} s" for name, each in answers.items()))
    print(f"answers are equal: {'yes' if are_equal(asked) else 'NO'}; load {os.getloadavg()[0]:.2f}")
