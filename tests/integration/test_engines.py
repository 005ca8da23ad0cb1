"""docs/engines: every statement runs in DuckDB, ClickHouse and Spark over the same files, with the answers that the page shows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes.fleet_files import landing_files, write_landing
from fakes.fleet_story import BEGIN_NS, COARSE_SCALE, HOSTS, TABLES, WINDOW_NS, FleetHost, fleet_of
from harness.engines.child_engine import ChildEngine
from harness.engines.duck_engine import DuckEngine
from harness.engines.fleet_tables import (
    FILE,
    LAKE,
    insert_files,
    of_table,
    prepare_clickhouse,
    prepare_duckdb,
    prepare_spark,
    write_lists,
)
from harness.engines.page import blocks_of, statements_of
from harness.engines.page_outputs import OUTPUT, PAGE, questions, table_text
from harness.engines.query_engine import QueryEngine, run_all

from agent.lake.sql_table import SqlEngine, create_table
from agent.model.sketch import SCALE, Sketch, bucket_of, relative_error
from workers.registry import tables

# Spark's start alone takes five seconds of two cores, and a machine with other tests on it twice as long.
pytestmark = pytest.mark.timeout(180)
BLOCKS = blocks_of(PAGE)
BUCKETS = """
SELECT host, window_start, metric, scale, bucket, sum(times) AS n FROM sketch_bucket
GROUP BY host, window_start, metric, scale, bucket ORDER BY host, window_start, metric, scale, bucket"""
ROLLED_UP = BUCKETS.replace("sketch_bucket", "sketch_rollup")
EACH = " UNION ALL ".join(f"SELECT '{table.name}' AS name, count(*) AS n FROM {table.name}" for table in TABLES)
COUNTS = f"SELECT name, n FROM ({EACH}) AS each_table ORDER BY name"


class Engines:
    """The story of one fleet in all engines."""

    def __init__(
        self, folder: Path, hosts: Sequence[FleetHost], duckdb: DuckEngine, clickhouse: ChildEngine, spark: ChildEngine
    ) -> None:
        self.lake, self.hosts = folder / "lake", hosts
        self.duckdb, self.clickhouse, self.spark = duckdb, clickhouse, spark
        self.files = landing_files(self.lake)
        write_lists(folder / "lists", self.files)
        prepare_duckdb(duckdb, TABLES, folder / "lists")
        prepare_clickhouse(clickhouse, TABLES, self.files)
        prepare_spark(spark, TABLES, folder / "lists")

    @property
    def all(self) -> tuple[QueryEngine, ...]:
        """All of them."""
        return (self.duckdb, self.clickhouse, self.spark)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Spark first: it starts while the files are written."""
    folder = tmp_path_factory.mktemp("engines")
    with ExitStack() as stack:
        spark = stack.enter_context(ChildEngine.start("spark", folder / "spark", SPARK_SMALL="1"))
        clickhouse = stack.enter_context(ChildEngine.start("chdb", folder / "clickhouse"))
        hosts = fleet_of()
        write_landing(folder / "lake", hosts)
        yield Engines(folder, hosts, stack.enter_context(DuckEngine()), clickhouse, spark)


def answers(engines: Engines, statement: str) -> dict[str, list[list[Any]]]:
    """What each engine says."""
    return {engine.name: engine.run(statement) for engine in engines.all}


def test_the_page_has_its_questions() -> None:
    """Percentiles twice, and ten more, each with an output."""
    assert [name.removesuffix(".sql") for name in questions()] == [
        *("percentiles", "rolled-up", "holders", "cpu-p99", "rss", "gaps"),
        *("bandwidth", "busiest", "incomplete", "killed", "minute", "io"),
    ]
    assert set(BLOCKS) == {*questions(), *(f"{OUTPUT}{name}" for name in questions())}


@pytest.mark.parametrize("name", questions())
def test_all_engines_give_the_answer_that_the_page_shows(name: str, engines: Engines) -> None:
    """To the last digit."""
    rows = engines.duckdb.run(BLOCKS[name])
    assert BLOCKS[f"{OUTPUT}{name}"] == table_text(engines.duckdb.columns(BLOCKS[name]), rows)
    assert {engine.name: engine.run(BLOCKS[name]) for engine in (engines.clickhouse, engines.spark)} == {
        "chdb": rows,
        "spark": rows,
    }


def test_all_engines_have_each_row_once(engines: Engines) -> None:
    """As many as the hosts have stored."""
    stored = [
        [table.name, sum(len(host.rows[table.name]) for host in engines.hosts)] for table in sorted(TABLES, key=lambda t: t.name)
    ]
    assert {engine.name: engine.run(COUNTS) for engine in engines.all} == dict.fromkeys(("duckdb", "chdb", "spark"), stored)


def test_buckets_are_those_of_the_values(engines: Engines) -> None:
    """The same function bins them here, by host, window, metric and scale; the roll-up has the same."""
    counted: Counter[tuple[str, int, str, int, int]] = Counter()
    for host in engines.hosts:
        for (window, _, metric, (_, command)), values in host.values.items():
            if host.is_uncounted(window):
                continue
            scale = COARSE_SCALE if (host.name, command) == ("node-2", "java") else SCALE
            for value in values:
                place = -32768 if value == 0 else bucket_of(value) >> (SCALE - scale)
                counted[host.name, BEGIN_NS + window * WINDOW_NS, metric, scale, place] += 1
    wanted = [[*key, many] for key, many in sorted(counted.items())]
    for engine in engines.all:
        assert engine.run(BUCKETS) == wanted, engine.name
        assert engine.run(ROLLED_UP) == wanted, engine.name


def test_percentiles_are_those_of_the_agent_and_near_the_truth(engines: Engines) -> None:
    """`agentctl ask percentile` merges the same sketches to the same estimate; the true value is within the stated error."""
    for metric, p, readings, scale, _, estimate in engines.duckdb.run(BLOCKS["percentiles.sql"]):
        values = sorted(
            value
            for host in engines.hosts
            for (window, _, of_metric, _), found in host.values.items()
            if of_metric == metric and not host.is_uncounted(window)
            for value in found
        )
        sketch = Sketch(scale=scale)
        for value in values:
            sketch.add(value)
        told = sketch.quantile(p / 100)
        assert told is not None
        assert (readings, scale) == (len(values), COARSE_SCALE)
        assert estimate == round(told)
        assert estimate == pytest.approx(values[int(p / 100 * (len(values) - 1))], rel=relative_error(scale))


def test_a_repeated_insert_adds_nothing(engines: Engines) -> None:
    """ClickHouse knows the file by its token, and the roll-up is fed by what was inserted alone."""
    before = engines.clickhouse.run(COUNTS), engines.clickhouse.run(ROLLED_UP)
    insert_files(engines.clickhouse, "process_sketch", engines.files["process_sketch"])
    assert (engines.clickhouse.run(COUNTS), engines.clickhouse.run(ROLLED_UP)) == before


def test_a_landing_prefix_is_read_as_a_whole(engines: Engines) -> None:
    """Without lists of files."""
    wanted = [[sum(len(host.rows["gap"]) for host in engines.hosts)]]
    duckdb = of_table(blocks_of("duckdb.md")["landing.sql"], "gap").replace(LAKE, str(engines.lake))
    run_all(engines.duckdb, statements_of(duckdb))
    assert engines.duckdb.run("SELECT count(*) FROM gap WHERE host LIKE 'node-%'") == wanted
    engines.spark.run_python(of_table(blocks_of("spark.md")["landing.py"], "gap").replace(LAKE, str(engines.lake)))
    assert engines.spark.run("SELECT count(*) FROM gap WHERE host LIKE 'node-%'") == wanted


def test_every_declared_table_can_be_made(engines: Engines) -> None:
    """In each engine, from `agentctl schema --ddl`; DuckDB fills them by name."""
    with DuckEngine() as duckdb:
        for table in tables():
            duckdb.run(create_table(SqlEngine.DUCKDB, table))
            engines.clickhouse.run(create_table(SqlEngine.CLICKHOUSE, table))
            engines.spark.run(create_table(SqlEngine.SPARK, table))
        for table in TABLES:
            source = f"read_parquet({engines.files[table.name]}, union_by_name = true, hive_partitioning = false)"
            duckdb.run(f"INSERT INTO {table.name} BY NAME SELECT * FROM {source}")
        assert duckdb.run(COUNTS) == engines.clickhouse.run(COUNTS)


def test_clickhouse_has_a_quantile_of_its_own(engines: Engines) -> None:
    """Of the value number ceil(p * n), counted from 1."""
    (statement,) = statements_of(blocks_of("clickhouse.md")["own.sql"])
    found = dict(map(tuple, engines.clickhouse.run(statement)))
    for metric in ("cpu", "rss"):
        buckets = f"SELECT sketch_coarser(bucket, scale - 4) AS b, times FROM sketch_bucket WHERE metric = '{metric}'"
        pairs = engines.duckdb.run(f"SELECT b, sum(times) FROM ({buckets}) GROUP BY b ORDER BY b")
        every = [bucket for bucket, times in pairs for _ in range(times)]
        place = every[-(-99 * len(every) // 100) - 1]
        assert engines.duckdb.run(f"SELECT sketch_value({place}, 4)")[0][0] == pytest.approx(found[metric], rel=1e-12)


def test_hosts_and_file_are_named_as_the_pages_do() -> None:
    """What the tests put in the place of examples stands on the pages."""
    assert FILE in blocks_of("clickhouse.md")["insert.sql"]
    assert len(HOSTS) == 3
