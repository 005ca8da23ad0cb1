"""Exporter and writer are killed at any moment: what is in the bucket is what is stored, every row of every table once."""

import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from time import sleep
from typing import Any

import pytest
from fakes.object_export import files_below
from harness.agent_process import AgentProcess
from harness.export_trial import WORKER
from harness.sinks.object_server import ObjectServer
from harness.waiting import wait_until

from agent.cli.query_database import QueryRequest, open_query_database
from agent.store.layout import parse_sealed_name
from workers import registry

EXPORTER_KILLS, WRITER_KILLS = 5, 2
Rows = Counter[tuple[str, ...]]


def rows_there(files: dict[str, bytes], until_ns: int) -> dict[str, tuple[list[str], Rows]]:
    """Columns and rows of each table up to a moment."""
    import io

    import pyarrow.parquet as pq

    found: dict[str, tuple[list[str], Rows]] = {}
    for name, content in files.items():
        table = pq.ParquetFile(io.BytesIO(content)).read()
        columns, rows = found.setdefault(name.split("/")[0], (table.column_names, Counter()))
        times = table.column("timestamp").to_pylist()
        cells = zip(*(table.column(column).to_pylist() for column in columns), strict=True)
        rows.update(tuple(map(repr, row)) for at, row in zip(times, cells, strict=True) if at <= until_ns)
    return found


def rows_here(state: Path, table: str, columns: list[str], until_ns: int) -> Rows:
    """What `agentctl query` gives: sealed files and the open spool."""
    names = ", ".join(f'"{column}"' for column in columns)
    statement = f'SELECT {names} FROM "{table}" WHERE timestamp <= {until_ns}'
    with closing(open_query_database(QueryRequest(str(state), statement), registry.tables())) as database:
        return Counter(tuple(map(repr, row)) for row in database.connection.execute(statement).fetchall())


def generations(files: dict[str, bytes]) -> set[str]:
    """The segments that have arrived."""
    return {named.segment for name in files if (named := parse_sealed_name(Path(name).name)) is not None}


def ledger(agent: AgentProcess) -> dict[str, Any]:
    """The account; empty while the exporter does not answer."""
    found = agent.call("status")["stats"].get(WORKER)
    return found.get("ledger", {}) if isinstance(found, dict) else {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_every_row_is_in_the_bucket_once(place: str, tmp_path: Path) -> None:
    """After five kills of the exporter and two of the writer nothing is lost and nothing is there twice."""
    if place == "folder":
        (lake := tmp_path / "lake").mkdir()
        judge_kills(tmp_path / "agent", f'url = "file://{lake}"', lake)
        return
    with ObjectServer(tmp_path / "server") as server:
        credentials = tmp_path / "credentials"
        credentials.write_text(f"AWS_ACCESS_KEY_ID={server.access_key}\nAWS_SECRET_ACCESS_KEY={server.secret_key}\n")
        section = f'url = "s3://{server.bucket}"\nendpoint = "{server.endpoint}"\nallow_http = true\n'
        judge_kills(tmp_path / "agent", f'{section}credentials_file = "{credentials}"', server.bucket_folder)


def named(lake: Path) -> dict[str, bytes]:
    """What has its name. A file that is being written has another until then, and may go at any moment."""
    return {str(path.relative_to(lake)): path.read_bytes() for path in lake.rglob("*.parquet")}


def judge_kills(folder: Path, section: str, lake: Path) -> None:
    """Run the agent, kill its parts, and compare."""
    chance = Random(3)
    folder.mkdir()
    path = folder / "agentd.toml"
    path.write_text(f'[sink."trial"]\nkind = "object"\nretry_most = "500ms"\ninterval = "100ms"\n{section}\n')
    flags = {"--config": str(path), "--writer-seal-interval": "1s"}
    with AgentProcess(folder, flags=flags) as agent:
        order = [WORKER] * EXPORTER_KILLS + ["writer"] * WRITER_KILLS
        chance.shuffle(order)
        for worker in order:
            sleep(chance.uniform(0.5, 2.5))
            agent.wait_for_replacement(agent.kill_worker(worker))
        until_ns = time.time_ns()
        before = generations(named(lake))
        # Segments that were opened after that moment.
        wait_until(lambda: len(generations(named(lake)) - before) >= 6, "later segments", seconds=120, pause_seconds=0.2)
        there = rows_there(named(lake), until_ns)
        assert {"process", "process_scan", "host"} <= set(there)
        for table in registry.tables():
            columns, rows = there.get(table.name, (["timestamp"], Counter()))
            here = rows_here(agent.state_dir, table.name, columns, until_ns)
            assert (here - rows, rows - here) == (Counter(), Counter()), table.name
        account = wait_until(lambda: ledger(agent), "the account")
        assert (account["rejected"], account["pruned"]) == (0, 0)
        assert account["produced"] == account["delivered"] + account["pending"]
    assert all(name.endswith(".parquet") for name in files_below(lake))
