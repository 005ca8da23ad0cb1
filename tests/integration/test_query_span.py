"""Which files a query opens, and which rows it gives: by --since and --until, and by the statement's own bounds."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fakes.agentctl_here import agentctl_here
from fakes.sealed_files import seal
from fakes.stored_data import batch_of, head_of, process_row, tail_row, write_segment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli import held_files, query_database
from agent.cli.query_database import QueryRequest, open_query_database
from agent.cli.sealed_listing import list_sealed
from agent.cli.sql_text import with_quoted_at
from agent.cli.statement_bounds import tokens_of
from agent.cli.time_bounds import EVERYTHING, TimeBounds
from agent.model.table import Value
from agent.store.footer import Footer, checked_footer, read_footer
from agent.store.foreign_file import open_regular
from agent.store.left_out import LeftOut
from agent.store.record import form_of
from agent.store.spool_reader import read_spool
from workers.registry import tables

S = 10**9
HOUR = 3_600 * S
# Midnight of 2024-01-02, UTC.
MIDNIGHT = 1_704_153_600 * S

Query = Callable[..., tuple[int, str, str]]


@pytest.fixture
def query(tmp_path: Path) -> Query:
    """Run a statement over the state folder of the test."""
    (tmp_path / "spool").mkdir(exist_ok=True)

    def ask(statement: str, *words: str) -> tuple[int, str, str]:
        return agentctl_here(tmp_path, "query", statement, *words)

    return ask


@pytest.fixture
def day(tmp_path: Path) -> list[Path]:
    """Four sealed files of an hour each, and one hour in the spool; each hour has rows at its first and last second."""
    files = []
    for hour in range(4):
        begin = MIDNIGHT + hour * HOUR
        files.append(seal(tmp_path, "process", hour + 1, [process_row(begin, hour), process_row(begin + HOUR - 1, hour)]))
    begin = MIDNIGHT + 4 * HOUR
    rows = [process_row(begin, 4), process_row(begin + HOUR - 1, 4)]
    write_segment(tmp_path, "0000000500000000", head_of("0000000500000000") + batch_of("process", rows, stamp_wall_ns=begin))
    return files


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the sealed files that were opened."""
    names: list[str] = []
    really = open_regular

    def open_and_tell(path: str, owners: frozenset[int] | None = None) -> Any:
        names.append(os.path.basename(path))
        return really(path, owners)

    monkeypatch.setattr(held_files, "open_regular", open_and_tell)
    return names


def pids(answer: tuple[int, str, str]) -> list[int]:
    code, text, told = answer
    assert (code, told) == (0, "")
    return sorted(row["pid"] for row in json.loads(text))


@pytest.mark.parametrize(
    ("words", "expected", "files"),
    [
        ([], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4], 4),
        (["--since", "2024-01-02T01:00Z", "--until", "2024-01-02T03:00Z"], [1, 1, 2, 2], 2),
        (["--since", "2024-01-02T01:00:00.000000001Z", "--until", "2024-01-02T01:59:59.999999999Z"], [], 1),
        (["--since", "2024-01-02T03:30Z"], [3, 4, 4], 1),
        (["--since", "2024-01-02T04:30Z"], [4], 0),
        (["--until", "2024-01-02T00:00:00.000000001Z"], [0], 1),
        (["--until", "2024-01-01Z"], [], 0),
    ],
)
def test_options_restrict_rows_exactly_and_files_by_name(
    words: list[str], expected: list[int], files: int, day: list[Path], query: Query, opened: list[str]
) -> None:
    """From --since on, before --until; no other file is opened, and rows of the spool obey too."""
    words = ["2024-01-01T00:00Z" if word == "2024-01-01Z" else word for word in words]
    assert pids(query("SELECT pid FROM process", "--json", *words)) == expected
    assert len(opened) == files


@pytest.mark.parametrize(
    ("condition", "expected", "files"),
    [
        ("at >= '2024-01-02 03:00+00'", [3, 3, 4, 4], 1),
        ("at < '2024-01-02 01:00+00'", [0, 0], 1),
        (f"timestamp BETWEEN {MIDNIGHT + HOUR} AND {MIDNIGHT + 2 * HOUR}", [1, 1, 2], 2),
        (f"timestamp > {MIDNIGHT} + 2 * 3600e9 + 1e9", [2, 3, 3, 4, 4], 2),
        ("at > now() - INTERVAL 1 HOUR", [], 0),
        ("at > now() - INTERVAL 1 HOUR OR pid = 0", [0, 0], 4),
        ("at AT TIME ZONE 'UTC' >= TIMESTAMP '2024-01-02 04:00'", [4, 4], None),
        ("timestamp > (SELECT max(timestamp) FROM process) - 60e9", [4], 4),
    ],
)
def test_a_statements_own_bounds_choose_the_files(
    condition: str, expected: list[int], files: int | None, day: list[Path], query: Query, opened: list[str]
) -> None:
    """What DuckDB would filter by time is not opened; what it does not know beforehand is."""
    assert pids(query(f"SELECT pid FROM process WHERE {condition}", "--json")) == expected
    assert files is None or len(opened) == files


def test_each_table_of_a_join_has_its_own_bounds(tmp_path: Path, day: list[Path], query: Query, opened: list[str]) -> None:
    """A table that is named twice is read over both ranges."""
    seal(tmp_path, "process_tail", 1, [tail_row(MIDNIGHT, 1)])
    seal(tmp_path, "process_tail", 2, [tail_row(MIDNIGHT + 2 * HOUR, 1)])
    statement = (
        "WITH early AS (SELECT * FROM process WHERE at < '2024-01-02 01:00+00'), "
        "late AS (SELECT * FROM process WHERE at >= '2024-01-02 03:00+00' AND at < '2024-01-02 04:00+00') "
        "SELECT early.pid FROM early, late, process_tail t WHERE t.at < '2024-01-02 01:00+00'"
    )
    assert pids(query(statement, "--json")) == [0] * 4
    # The hull of both ranges, and one of the two tails.
    assert [sum(name.startswith(prefix) for name in opened) for prefix in ("process-", "process_tail-")] == [4, 1]


def test_a_range_that_ends_before_it_begins_is_misuse(day: list[Path], query: Query) -> None:
    """Both options are named in the sentence, or the one that is no moment."""
    assert query("FROM process", "--since", "1h", "--until", "2h")[0] == 64
    code, _, told = query("FROM process", "--since", "yesterday")
    assert (code, "--since: 'yesterday' is no moment" in told) == (64, True)


def test_a_pod_keeps_its_name_in_a_short_range(tmp_path: Path, query: Query) -> None:
    """The view `pod` knows intervals that began before --since; the table pod_group has the rows of the range alone."""
    pod_group = next(table for table in tables() if table.name == "pod_group")
    form = form_of(pod_group)
    known: dict[str, Value] = {
        "timestamp": MIDNIGHT,
        "pod_uid": "u-1",
        "pod_namespace": "shop",
        "pod_name": "web",
        "valid_from": MIDNIGHT,
    }
    # What may not be null is the same everywhere: 0 or an empty text.
    least: dict[str, Value] = {
        column.name: 0 if column.dtype == "int64" else "" for column in pod_group.columns if not column.nullable
    }
    row = tuple((least | known).get(name) for name in form.names)
    head = head_of("0000000500000000", {"pod_group": form})
    write_segment(tmp_path, "0000000500000000", head + batch_of("pod_group", [row], stamp_wall_ns=MIDNIGHT))
    since = ("--since", "2024-01-02T10:00Z", "--json")
    assert json.loads(query("SELECT name FROM pod", *since)[1]) == [{"name": "shop/web"}]
    assert json.loads(query("SELECT pod_uid FROM pod_group", *since)[1]) == []


# ---- files that go ------------------------------------------------------------------------------


def exchange(day: list[Path], tmp_path: Path) -> None:
    """A finished day is compacted: one file takes the place of all that lay there."""
    for path in day:
        path.unlink()
    rows = [process_row(MIDNIGHT + hour * HOUR + offset, hour) for hour in range(4) for offset in (0, HOUR - 1)]
    seal(tmp_path, "process", 4, rows, is_compacted=True)


def test_a_day_that_is_compacted_under_a_query_is_read_once(
    tmp_path: Path, day: list[Path], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old files go between the look at the folder and the look at them: the query starts over, each row is there once."""
    really = list_sealed
    done: list[bool] = []

    def list_and_exchange(*arguments: Any) -> Any:
        listing = really(*arguments)
        if not done:
            done.append(True)
            exchange(day, tmp_path)
        return listing

    monkeypatch.setattr(query_database, "list_sealed", list_and_exchange)
    assert pids(query("SELECT pid FROM process", "--json")) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_day_that_is_compacted_while_its_rows_come_is_read_once(
    tmp_path: Path, day: list[Path], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a query has open is its own until the last row."""
    really = query_database.open_query_database

    def open_and_exchange(*arguments: Any) -> Any:
        made = really(*arguments)
        exchange(day, tmp_path)
        return made

    monkeypatch.setattr(query_database, "open_query_database", open_and_exchange)
    assert pids(query("SELECT pid FROM process", "--json")) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_day_that_was_exchanged_and_is_not_yet_removed_is_read_on(
    tmp_path: Path, day: list[Path], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The open files lie in the folder of compaction for a moment, or for long where the compactor was killed."""
    really = query_database.open_query_database
    working = tmp_path / "compacting/process@date=2024-01-02/day"
    working.mkdir(parents=True)

    def open_and_move(*arguments: Any) -> Any:
        made = really(*arguments)
        for path in day:
            path.rename(working / path.name)
        return made

    monkeypatch.setattr(query_database, "open_query_database", open_and_move)
    assert pids(query("SELECT pid FROM process", "--json")) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_day_that_is_exchanged_while_it_is_listed_is_listed_again(
    tmp_path: Path, day: list[Path], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opens a date's folder before the exchange and lists it after the sources were removed finds nothing in it."""
    really = os.listdir
    done: list[bool] = []

    def list_after_exchange(place: Any) -> list[str]:
        folder = day[0].parent
        if isinstance(place, int) and not done and os.path.samestat(os.fstat(place), folder.stat()):
            done.append(True)
            folder.rename(tmp_path / "old")
            seal(tmp_path, "process", 4, [process_row(MIDNIGHT, 3)], is_compacted=True)
            for path in (tmp_path / "old").iterdir():
                path.unlink()
        return really(place)

    monkeypatch.setattr(os, "listdir", list_after_exchange)
    assert pids(query("SELECT pid FROM process", "--json")) == [3, 4, 4]
    assert done


def test_a_compacted_file_that_may_hold_rows_of_the_spool_starts_over(
    tmp_path: Path, day: list[Path], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment was sealed and compacted after it was read: its rows would be there twice."""
    really = read_spool
    done: list[bool] = []

    def read_and_compact(*arguments: Any) -> Any:
        spool = really(*arguments)
        if not done:
            done.append(True)
            for path in [*day, *(tmp_path / "spool").iterdir()]:
                path.unlink()
            rows = [process_row(MIDNIGHT + hour * HOUR + offset, hour) for hour in range(5) for offset in (0, HOUR - 1)]
            seal(tmp_path, "process", 5, rows, is_compacted=True)
        return spool

    monkeypatch.setattr(query_database, "read_spool", read_and_compact)
    assert pids(query("SELECT pid FROM process", "--json")) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len(done) == 1


def test_a_late_compacted_file_does_not_starve_a_segment_that_cannot_be_sealed(
    tmp_path: Path, day: list[Path], query: Query
) -> None:
    """A younger compacted file that was there before the spool was read holds nothing of it: the second attempt knows."""
    seal(tmp_path, "process", 9, [process_row(MIDNIGHT + 9 * HOUR, 9)], is_compacted=True)
    assert pids(query("SELECT pid FROM process", "--json")) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 9]


def test_a_source_that_was_put_back_beside_its_compacted_file_is_left_out(tmp_path: Path, day: list[Path], query: Query) -> None:
    """Its rows would be there twice; a late file, whose rows are in no other, is read."""
    rows = [process_row(MIDNIGHT + hour * HOUR + offset, hour) for hour in range(3) for offset in (0, HOUR - 1)]
    sources = tuple(f"{generation:08x}00000000" for generation in (1, 2, 3))
    for path in day[1:3]:
        path.unlink()
    compacted = seal(tmp_path, "process", 3, rows, is_compacted=True, sources=sources)
    code, text, told = query("SELECT pid FROM process", "--json")
    assert (code, sorted(row["pid"] for row in json.loads(text))) == (0, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    assert f"{day[0]} (its rows are in {compacted.name} too)" in told


def test_any_number_of_tables_is_asked_while_a_segment_cannot_be_sealed(tmp_path: Path, day: list[Path], query: Query) -> None:
    """The second attempt knows the younger compacted files of all tables, not of one more each time."""
    plain: dict[str, Value] = {"int64": 0, "float64": 0.0, "utf8": "", "bool": False, "binary": b""}
    for table in tables():
        values = [plain.get(column.dtype, []) for column in table.columns]
        form = form_of(table)
        seal(tmp_path, table.name, 9, [(MIDNIGHT, *values[1:])], form=form, is_compacted=True)
    assert query("SHOW TABLES")[0] == 0
    names = ", ".join(table.name for table in tables())
    code, text, _ = query(f"SELECT count(*) AS count FROM {names}", "--json")
    # Eleven rows of process, and one of each other table.
    assert (code, json.loads(text)) == (0, [{"count": 11}])


def test_files_that_keep_going_end_in_a_sentence(
    tmp_path: Path, day: list[Path], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some attempts the exit code says: try again."""
    really = list_sealed

    def list_what_is_not_there(*arguments: Any) -> Any:
        listing = really(*arguments)
        listing.paths.append(str(tmp_path / "data/process/date=2024-01-02/gone.parquet"))
        return listing

    monkeypatch.setattr(query_database, "list_sealed", list_what_is_not_there)
    code, text, told = query("SELECT pid FROM process")
    assert (code, text, told.count("\n")) == (75, "", 1)
    assert "ask again" in told


# ---- never less than the whole answer -----------------------------------------------------------

MOMENTS = st.integers(-2 * HOUR, 8 * HOUR).map(lambda offset: MIDNIGHT + offset)


def stamp(at: int) -> str:
    found = duckdb.execute(f"SELECT strftime(make_timestamp({at // 1000}), '%Y-%m-%d %H:%M:%S.%f')").fetchall()
    return f"'{found[0][0]}+00'"


COMPARISONS = st.one_of(
    st.tuples(st.sampled_from(("<", "<=", ">", ">=", "=", "<>")), MOMENTS).map(lambda c: f"{{t}}timestamp {c[0]} {c[1]}"),
    st.tuples(st.sampled_from(("<", "<=", ">", ">=")), MOMENTS).map(lambda c: f"{{t}}at {c[0]} {stamp(c[1])}"),
    st.tuples(st.sampled_from(("<", ">=")), MOMENTS).map(lambda c: f"{c[1]} {c[0]} {{t}}timestamp"),
    st.tuples(MOMENTS, MOMENTS).map(lambda c: f"{{t}}timestamp BETWEEN {c[0]} AND {c[1]}"),
    st.lists(MOMENTS, min_size=1, max_size=4).map(lambda c: f"{{t}}timestamp IN ({', '.join(map(str, c))})"),
    MOMENTS.map(lambda at: f"{{t}}timestamp > {at / 1e9} * 1e9"),
    st.sampled_from(
        (
            "{t}timestamp // 1000000000 % 3600 < 60",
            "{t}at::DATE = DATE '2024-01-02'",
            "date_trunc('hour', {t}at) = '2024-01-02 01:00+00'",
            "{t}timestamp > -epoch_ns(now()) * 2 + 5000000000000000000",
            "{t}timestamp < epoch_ns(now()) - 3600e9",
            "{t}pid > 1",
            "{t}comm = 'x'') AND (timestamp > 5'",
            "{t}timestamp IS NOT NULL",
            "{t}timestamp >= (SELECT max(timestamp) FROM process) - 7200e9",
            "random() >= 0",
        )
    ),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(("AND", "OR")), inner).map(lambda c: f"({c[0]} {c[1]} {c[2]})"),
        inner.map(lambda c: f"NOT ({c})"),
        inner.map(lambda c: f"CASE WHEN {c} THEN true ELSE {{t}}pid = 2 END"),
        inner.map(lambda c: f"coalesce({c}, false)"),
    ),
    max_leaves=5,
)
SHAPES = st.sampled_from(
    (
        "SELECT pid, timestamp FROM process WHERE {0}",
        "WITH a AS (SELECT * FROM process WHERE {0}) "
        "SELECT a.pid, a.timestamp FROM a JOIN process p ON p.timestamp = a.timestamp WHERE {p:1}",
        "SELECT p.pid, t.timestamp FROM process p LEFT JOIN process_tail t ON p.timestamp = t.timestamp AND {t:1} WHERE {p:0}",
        "SELECT p.pid, t.timestamp FROM process p LEFT JOIN process_tail t ON {t:1} AND {p:0}",
        "SELECT pid, timestamp FROM process WHERE {0} UNION ALL SELECT pid, timestamp FROM process WHERE {1}",
        "SELECT pid, timestamp FROM process WHERE {0} EXCEPT SELECT pid, timestamp FROM process WHERE {1}",
        "SELECT count(*), max(timestamp) FROM process WHERE {0} HAVING count(*) > 2",
        "SELECT pid, lag(timestamp) OVER w FROM process WHERE {0} "
        "WINDOW w AS (ORDER BY timestamp, pid) QUALIFY row_number() OVER w < 9",
        "SELECT pid, lag(timestamp) OVER (ORDER BY timestamp, pid) AS l FROM process QUALIFY {0}",
        "SELECT pid, timestamp FROM (FROM process ORDER BY timestamp DESC, pid LIMIT 5) WHERE {0}",
        "SELECT p.pid, t.timestamp FROM process p ASOF LEFT JOIN process_tail t ON p.timestamp >= t.timestamp WHERE {p:0}",
        "SELECT pid, timestamp FROM process p "
        "WHERE EXISTS (SELECT 1 FROM process_tail t WHERE t.timestamp >= p.timestamp AND {t:1}) AND {p:0}",
        "SELECT pid, (SELECT count(*) FROM process_tail t WHERE {t:1}) FROM process p WHERE {p:0}",
        "SELECT p.pid, q.pid FROM process p FULL JOIN process q ON p.timestamp = q.timestamp AND {p:0} WHERE {q:1}",
        "SELECT max(timestamp) FILTER (WHERE {0}), min(timestamp) FROM process",
        "FROM (SELECT pid, comm, timestamp, at FROM process UNION ALL BY NAME SELECT timestamp, at FROM process_tail) x "
        "WHERE x.timestamp > 0 AND {x:0}",
        "SELECT DISTINCT pid, timestamp FROM process WHERE {0} ORDER BY ALL LIMIT 3",
    )
)


def filled(shape: str, conditions: list[str]) -> str:
    for index, condition in enumerate(conditions):
        shape = shape.replace(f"{{{index}}}", condition.replace("{t}", ""))
        for alias in "ptqx":
            shape = shape.replace(f"{{{alias}:{index}}}", condition.replace("{t}", f"{alias}."))
    return shape


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tables over six hours, in files of an hour and in the spool."""
    state = tmp_path_factory.mktemp("stored")
    for hour in range(5):
        begin = MIDNIGHT + hour * HOUR
        seal(state, "process", hour + 1, [process_row(begin + k * 599 * S + k, pid=k % 3) for k in range(7)])
        seal(state, "process_tail", hour + 1, [tail_row(begin + k * 1198 * S + 2 * k, k) for k in range(3)])
    rows = [process_row(MIDNIGHT + 5 * HOUR + k * 599 * S, pid=k % 3) for k in range(7)]
    data = head_of("0000000900000000") + batch_of("process", rows) + batch_of("process_tail", [tail_row(MIDNIGHT + 5 * HOUR, 1)])
    write_segment(state, "0000000900000000", data)
    return state


def answer_of(state: Path, statement: str, span: TimeBounds) -> list[str] | type[Exception]:
    database = open_query_database(QueryRequest(str(state), statement, span), tables())
    try:
        return sorted(map(str, database.connection.execute(statement).fetchall()))
    except duckdb.Error as failure:
        return type(failure)
    finally:
        database.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPES, conditions=st.tuples(CONDITIONS, CONDITIONS), zone=st.sampled_from(("UTC", "Asia/Kolkata")))
def test_files_that_are_not_opened_change_no_answer(
    stored: Path, shape: str, conditions: tuple[str, str], zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any statement answers the same whether files are chosen by its bounds or all are read."""
    statement = filled(shape, list(conditions))
    statement = with_quoted_at(statement, tokens_of(statement))
    chosen = answer_of(stored, statement, EVERYTHING)
    with monkeypatch.context() as patched:
        patched.setattr(query_database, "bounds_of_statement", lambda *_: None)
        assert chosen == answer_of(stored, statement, EVERYTHING)


# ---- files that only one library reads ----------------------------------------------------------


def test_a_file_that_duckdb_cannot_open_is_left_out(
    tmp_path: Path, day: list[Path], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its footer passed the first look: the query starts over without it, and says so."""
    bad = day[1]
    footer = read_footer(str(bad))
    really = checked_footer

    def believe(descriptor: int, path: str, *, verify: bool) -> Footer | LeftOut:
        return footer if path == str(bad) else really(descriptor, path, verify=verify)

    bad.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    monkeypatch.setattr(held_files, "checked_footer", believe)
    code, text, told = query("SELECT pid FROM process", "--json")
    assert code == 0, told
    assert sorted(row["pid"] for row in json.loads(text)) == [0, 0, 2, 2, 3, 3, 4, 4]
    assert "1 damaged Parquet file left out" in told
    assert str(bad) in told


def test_a_failure_names_the_file_and_no_descriptor(day: list[Path], query: Query) -> None:
    """DuckDB knows a file by its descriptor; the sentence has its path."""
    whole = day[2].read_bytes()
    day[2].write_bytes(whole[:60] + bytes(200) + whole[260:])
    code, _, told = query("SELECT * FROM process")
    assert (code, str(day[2]) in told, "/proc/self/fd" in told) == (65, True, False)
