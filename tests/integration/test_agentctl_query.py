"""agentctl query over sealed files and open spool, written here as writer and sealer leave them."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fakes.agentctl_here import agentctl_here
from fakes.stored_data import (
    batch_of,
    head_of,
    process_row,
    tail_row,
    write_parquet,
    write_segment,
)
from harness.proc import stat_of
from harness.waiting import wait_until

from agent.cli import query_database
from agent.cli.program import find_command, run
from agent.store.record import TableForm

# The first second of unix time, as this machine's zone has it.
EPOCH = str(duckdb.execute("SELECT CAST(make_timestamptz(0) AS VARCHAR)").fetchall()[0][0])
Query = Callable[..., tuple[int, str, str]]
SLOW = "SELECT count(*) FROM range(100000000000) a, range(100) b WHERE a.range % 7 = b.range"


@pytest.fixture
def query(tmp_path: Path) -> Query:
    """Run a statement over the state folder of the test, in which an agent once ran."""
    (tmp_path / "spool").mkdir()

    def ask(statement: str, *words: str) -> tuple[int, str, str]:
        return agentctl_here(tmp_path, "query", statement, *words)

    return ask


def rows_of(answer: tuple[int, str, str]) -> Any:
    code, text, told = answer
    assert (code, told) == (0, "")
    return json.loads(text)


def pids(query: Query) -> list[int]:
    return [row["pid"] for row in rows_of(query("SELECT pid FROM process ORDER BY pid", "--json"))]


def test_sealed_files_and_spool_are_one_table(tmp_path: Path, query: Query) -> None:
    """Rows of Parquet files, of waiting segments and of the open one stand in one view."""
    write_parquet(tmp_path, "process", "a", [process_row(1, 1)])
    write_segment(tmp_path, "b", head_of("b") + batch_of("process", [process_row(2, 2)]))
    write_segment(tmp_path, "c", head_of("c") + batch_of("process", [process_row(3, 3)]) + batch_of("process", [process_row(4, 4)]))
    assert pids(query) == [1, 2, 3, 4]


def test_a_segment_that_is_being_sealed_counts_once(tmp_path: Path, query: Query) -> None:
    """With some tables of a segment sealed and the segment still there, no row is missing and none is double."""
    rows = [process_row(1, 1), process_row(1, 2)]
    write_segment(tmp_path, "a", head_of("a") + batch_of("process", rows) + batch_of("process_tail", [tail_row(1, 5)]))
    write_parquet(tmp_path, "process", "a", rows[:1])
    write_parquet(tmp_path, "process", "z-a2", [process_row(0, 9)])
    assert pids(query) == [1, 2, 9]
    assert rows_of(query("SELECT sum(processes) AS n FROM process_tail", "--json")) == [{"n": 5}]


def test_a_declared_table_without_data_is_empty(tmp_path: Path, query: Query) -> None:
    """Its columns are there, in their declared order, also where nothing was ever stored."""
    assert rows_of(query("SELECT * FROM gap", "--json")) == []
    assert query("SELECT * FROM gap", "--format", "csv")[1].startswith("at,timestamp,worker,run,epoch,table,")


def test_tables_of_another_version_are_there_too(tmp_path: Path, query: Query) -> None:
    """A table that only a spool head or a folder names can be queried; columns of old files are null where they lack."""
    form = TableForm(1, ("timestamp", "watts"), ("int64", "float64"), "power-")
    write_segment(tmp_path, "b", head_of("b", {"power": form}) + batch_of("power", [(5, 1.5)]))
    older = TableForm(1, ("timestamp",), ("int64",), "power-")
    write_parquet(tmp_path, "power", "a", [(4,)], form=older)
    write_parquet(tmp_path, "heat", "a", [(3,)], form=older)
    assert rows_of(query("SELECT * FROM power ORDER BY timestamp", "--json")) == [
        {"at": EPOCH, "timestamp": 4, "watts": None, "host": "node-1"},
        {"at": EPOCH, "timestamp": 5, "watts": 1.5, "host": "node-1"},
    ]
    names = {row["name"] for row in rows_of(query("SHOW TABLES", "--json"))}
    assert {"power", "heat", "gap", "pod_group", "process"} <= names


def test_damaged_records_are_left_out_and_counted(tmp_path: Path, query: Query) -> None:
    """A flipped byte costs its batch; the others are read, and one line tells it."""
    first, second = batch_of("process", [process_row(1, 1)]), batch_of("process", [process_row(2, 2)])
    damaged = first[:-1] + bytes([first[-1] ^ 1])
    write_segment(tmp_path, "a", head_of("a") + damaged + second)
    write_segment(
        tmp_path,
        "b",
        head_of("b")
        + batch_of("process", [(1, 2, 3)])
        + batch_of("process", [(*process_row(3, 0)[:1], "x", *process_row(3, 0)[2:])]),
    )
    code, text, told = query("SELECT pid FROM process", "--json")
    assert (code, json.loads(text)) == (0, [{"pid": 2}])
    assert told.startswith("agentctl: query: 3 damaged records")
    assert told.count("\n") == 1


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_record_that_is_being_written_is_no_damage(cut: int, tmp_path: Path, query: Query) -> None:
    """The end of the open segment may be half a record, or half a head."""
    write_segment(tmp_path, "a", head_of("a") + batch_of("process", [process_row(1, 1)]))
    path = write_segment(tmp_path, "b", head_of("b") + batch_of("process", [process_row(2, 2)])[:cut])
    assert pids(query) == [1]
    path.write_bytes(head_of("b")[:cut])
    assert pids(query) == [1]


def test_formats_hold_the_same_rows(tmp_path: Path, query: Query) -> None:
    """Table, CSV and JSON show what is there; absent is `-`, empty and null."""
    write_segment(tmp_path, "a", head_of("a") + batch_of("process", [process_row(1, 7, cpu=None)]))
    statement = "SELECT pid, comm, cpu_ns, rss_bytes / 3 AS third FROM process"
    assert query(statement)[1].split() == ["pid", "comm", "cpu_ns", "third", "7", "task-7", "-", "349525.333333"]
    assert list(csv.reader(io.StringIO(query(statement, "--format", "csv")[1])))[1][:3] == ["7", "task-7", ""]
    assert rows_of(query(statement, "--format", "json"))[0]["cpu_ns"] is None


def test_every_type_of_value_can_be_printed(query: Query) -> None:
    """Times with and without zone, sums, decimals, lists and what JSON has no word for."""
    statement = (
        "SELECT utc(1700000000123456789) AS at, now() AS now, sum(1::BIGINT) AS n, 1.5::DECIMAL(4, 2) AS d, [1, 2] AS l, "
        "'nan'::FLOAT AS f, interval 3 day AS i, uuid() AS u, 'a'::BLOB AS b, 1 AS n -- the end"
    )
    row = rows_of(query(statement, "--json"))[0]
    assert row["at"] == "2023-11-14 22:13:20.123456789"
    assert (row["n"], row["d"], row["l"], row["f"], row["n_2"]) == (1, 1.5, [1, 2], None, 1)
    assert query(statement)[0] == query(statement, "--format", "csv")[0] == 0


def test_a_long_table_is_cut_and_says_so(query: Query) -> None:
    """--max-rows bounds the table alone."""
    lines = query("FROM range(10)", "--max-rows", "3")[1].splitlines()
    assert lines[1:4] == ["    0", "    1", "    2"]
    assert lines[4].startswith("… more than 3 rows")
    assert len(rows_of(query("FROM range(10)", "--json", "--max-rows", "3"))) == 10
    assert "…" not in query("FROM range(3)", "--max-rows", "3")[1]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT * FROM proces", "there is no table proces; did you mean process"),
        ("SELECT * FROM nothing_alike", "the tables are container_name, diag, export_gap, gap"),
        ("SELECT nope FROM gap", '"nope" not found'),
        ("SELEC 1", "syntax error"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("", "empty"),
        (" -- nothing", "empty"),
        ("SELECT CAST('a' AS INT)", "Could not convert"),
        ("CREATE TABLE x (a INT)", "one SELECT"),
        ("SET threads = 1", "one SELECT"),
        ("INSTALL httpfs", "one SELECT"),
        ("SELECT * FROM read_text('/etc/hostname')", "only the agent's own tables"),
        ("SELECT * FROM read_csv('/etc/passwd')", "only the agent's own tables"),
        ("SELECT * FROM 'http://127.0.0.1:9/x.parquet'", "only the agent's own tables"),
        ("SELECT * FROM glob('/*')", "only the agent's own tables"),
        ("SELECT * FROM statement", "there is no table statement"),
    ],
)
def test_a_statement_that_cannot_be_run_is_one_sentence(statement: str, told: str, query: Query) -> None:
    """Faults of a statement end with 64 and say what to do."""
    code, text, said = query(statement)
    assert (code, text, said.count("\n")) == (64, "", 1)
    assert told in said


@pytest.mark.parametrize(("view", "table"), [("pod", "pod_group"), ("container", "container_name")])
def test_schema_says_how_to_see_the_columns_of_a_view(view: str, table: str, query: Query) -> None:
    """Queries name it like a table."""
    output, warnings = io.StringIO(), io.StringIO()
    assert run(["schema", view], {}, output, warnings) == 64
    assert warnings.getvalue().endswith(f"it is a view of table {table}: `agentctl query 'DESCRIBE {view}'` shows its columns\n")
    assert query(f"DESCRIBE {view}")[0] == 0


def test_a_statement_cannot_write_into_the_data_folder(tmp_path: Path, query: Query) -> None:
    """The folder that may be read stays as it is."""
    file = write_parquet(tmp_path, "process", "a", [process_row(1, 1)])
    before = file.read_bytes()
    assert query(f"COPY (SELECT 1) TO '{file}' (FORMAT parquet)")[0] == 64
    assert query(f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (FORMAT parquet)")[0] == 64
    assert (file.read_bytes(), len(list(file.parent.iterdir()))) == (before, 1)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "too short": lambda whole: b"PAR1PAR1",
    "cut": lambda whole: whole[:-10],
    "without its beginning": lambda whole: b"PAR2" + whole[4:],
    "of another end": lambda whole: whole[:-1] + b"2",
    "of a footer without end": lambda whole: whole[:-8] + b"\xff\xff\xff\x7fPAR1",
    "of a footer damaged within": lambda whole: whole[:-60] + b"\xff" * 52 + whole[-8:],
    "without a footer": lambda whole: whole[:-8] + b"\0\0\0\0PAR1",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_parquet_file_costs_its_own_rows_alone(damage: str, tmp_path: Path, query: Query) -> None:
    """The whole files answer, and one line names the damaged one."""
    write_parquet(tmp_path, "process", "a", [process_row(1, 1)])
    file = write_parquet(tmp_path, "process", "b", [process_row(2, 2)])
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    code, text, told = query("SELECT pid FROM process", "--json")
    assert (code, json.loads(text), told.count("\n")) == (0, [{"pid": 1}], 1)
    assert told.startswith(f"agentctl: query: 1 damaged Parquet file left out, it is {file};")


def test_many_damaged_files_are_one_line(tmp_path: Path, query: Query) -> None:
    """The first is named, the others are counted."""
    files = [write_parquet(tmp_path, "process", segment, [process_row(1, 1)]) for segment in "abc"]
    for file in files:
        file.write_bytes(b"")
    code, text, told = query("SELECT pid FROM process", "--json")
    assert (code, json.loads(text), told.count("\n")) == (0, [], 1)
    assert f"3 damaged Parquet files left out, the first is {min(files)};" in told


def test_a_file_that_is_damaged_within_is_told(tmp_path: Path, query: Query) -> None:
    """Rows that cannot be read for a reason that no footer shows end with 65 and name the file."""
    file = write_parquet(tmp_path, "process", "a", [process_row(number, number) for number in range(1_000)])
    whole = file.read_bytes()
    file.write_bytes(whole[:1_500] + b"\xaa" * 400 + whole[1_900:])
    code, _, told = query("SELECT * FROM process")
    assert (code, str(file) in told, told.count("\n")) == (65, True, 1)


def test_a_file_that_goes_before_its_rows_are_due_is_read(tmp_path: Path, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage quota removes a file that the query has open: its rows are there."""
    oldest = write_parquet(tmp_path, "process", "a", [process_row(1, 1)])
    write_parquet(tmp_path, "process", "b", [process_row(2, 2)])
    opened = query_database.open_query_database

    def open_and_remove(*arguments: Any, **named: Any) -> Any:
        made = opened(*arguments, **named)
        oldest.unlink(missing_ok=True)
        return made

    monkeypatch.setattr(query_database, "open_query_database", open_and_remove)
    assert pids(query) == [1, 2]
    assert pids(query) == [2]


@pytest.mark.parametrize(("name", "told"), [("nowhere", "no such folder"), ("empty", "no data of an agent")])
def test_a_folder_that_no_agent_had_is_told(name: str, told: str, tmp_path: Path, query: Query) -> None:
    """Where neither sealed files nor spool are, there is no empty table: the folder and the remedy are named."""
    (tmp_path / "empty").mkdir()
    folder = tmp_path / name
    code, text, said = query("FROM process", "--state-dir", str(folder))
    assert (code, text, said.count("\n")) == (69, "", 1)
    assert all(word in said for word in (str(folder), told, "scripts/run", "--state-dir"))
    (tmp_path / "empty/data").mkdir()
    assert rows_of(query("FROM process", "--json", "--state-dir", str(tmp_path / "empty"))) == []


@pytest.mark.parametrize("before", [[], ["--"]])
def test_a_statement_may_begin_with_a_comment(before: list[str], tmp_path: Path) -> None:
    """Two dashes in front of SQL are no option, with and without the mark that ends the options."""
    (tmp_path / "data").mkdir()
    line = ["query", "--json", "--state-dir", str(tmp_path), *before, "-- what is one\nSELECT 1 AS one"]
    output, warnings = io.StringIO(), io.StringIO()
    assert (run(line, {}, output, warnings), warnings.getvalue()) == (0, "")
    assert json.loads(output.getvalue()) == [{"one": 1}]


def test_a_value_is_cut_on_a_terminal_alone(query: Query) -> None:
    """What goes into a pipe or a file is whole, however long."""
    assert "x" * 500 in query("SELECT repeat('x', 500) AS a, repeat('y', 500) AS b")[1]


def test_a_folder_that_is_none_is_told(tmp_path: Path, query: Query) -> None:
    """A file where the spool should be a folder does not end in a traceback."""
    (tmp_path / "spool").rmdir()
    (tmp_path / "spool").write_text("")
    (tmp_path / "data").write_text("")
    code, _, told = query("SELECT * FROM gap")
    assert (code, told.count("\n")) == (74, 1)


def test_the_deadline_ends_a_query(query: Query) -> None:
    """A statement that takes too long ends with 75."""
    began = time.monotonic()
    code, _, told = query(SLOW, "--timeout", "0.5")
    assert (code, "longer than 0.5 s" in told) == (75, True)
    assert time.monotonic() - began < 10


def test_control_c_ends_a_query_quietly(tmp_path: Path) -> None:
    """No traceback in the middle of a statement."""
    (tmp_path / "spool").mkdir()
    line = [sys.executable, "-m", "agent.cli.main", "query", SLOW, "--state-dir", str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        try:
            maps = Path(f"/proc/{program.pid}/maps")
            wait_until(lambda: b"duckdb" in maps.read_bytes(), "the last large import")
            began = stat_of(program.pid)
            assert began is not None
            # So much CPU time is beyond all that comes before the statement.
            wait_until(lambda: (now := stat_of(program.pid)) and now.cpu_ticks - began.cpu_ticks >= 150, "the statement runs")
            program.send_signal(signal.SIGINT)
            assert program.communicate(timeout=20) == (b"", b"")
            assert program.returncode == 130
        finally:
            program.kill()


def test_the_examples_of_the_help_run(tmp_path: Path, query: Query) -> None:
    """What --help shows works as it stands, on data and on none."""
    text = "\n".join(find_command("query").examples)
    statements = [part.split('"')[0] for part in text.split('agentctl query "')[1:]]
    assert len(statements) == 4
    assert [query(statement)[0] for statement in statements] == [0, 0, 0, 0]
    named = batch_of("process", [process_row(1, 1, pod="p"), process_row(1, 2)])
    write_segment(tmp_path, "a", head_of("a") + named + batch_of("process_tail", [tail_row(1, 5, pod="p")]))
    assert rows_of(query(statements[1], "--json")) == [{"pod": "p", "rss_mib": 2.0}, {"pod": "no pod", "rss_mib": 1.0}]
    assert [row["cpu_seconds"] for row in rows_of(query(statements[0], "--json"))] == [0.1, 0.1]


def test_only_the_named_tables_are_read(tmp_path: Path, query: Query) -> None:
    """A damaged file of a table costs the queries of other tables nothing."""
    file = write_parquet(tmp_path, "process", "a", [process_row(1, 1)])
    file.write_bytes(b"")
    assert rows_of(query("SELECT count(*) AS n FROM gap", "--json")) == [{"n": 0}]


def test_the_spool_is_left_as_it_is(tmp_path: Path, query: Query) -> None:
    """Reading makes no file and changes none."""
    write_segment(tmp_path, "a", head_of("a") + batch_of("process", [process_row(1, 1)]))
    before = sorted((path, os.stat(path).st_mtime_ns) for path in tmp_path.rglob("*"))
    query("SELECT * FROM process")
    assert sorted((path, os.stat(path).st_mtime_ns) for path in tmp_path.rglob("*")) == before
