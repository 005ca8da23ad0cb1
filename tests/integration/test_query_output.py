"""Answers of any length and where they go: streams, files that are finished or not there, terminals."""

import io
import json
import os
import pty
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from fakes.terminal import TerminalOutput
from harness.waiting import wait_until
from pyarrow import feather, parquet

from agent.cli.program import run

Query = Callable[..., tuple[int, str, str]]
ROWS = 25_000
MANY = f"SELECT range AS number, 'row ' || range AS text, utc(range) AS at, sum(range) OVER () AS total FROM range({ROWS})"
ENDLESS = "SELECT range AS number, repeat('x', 100) AS text FROM range(100000000000)"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def query(tmp_path: Path) -> Query:
    """Run a statement over an empty state folder."""
    (tmp_path / "state/spool").mkdir(parents=True)

    def ask(statement: str, *words: str, output: io.StringIO | None = None) -> tuple[int, str, str]:
        printed, warnings = output or io.StringIO(), io.StringIO()
        line = ["query", statement, "--state-dir", str(tmp_path / "state"), *words]
        return run(line, {}, printed, warnings), printed.getvalue(), warnings.getvalue()

    return ask


def program(tmp_path: Path, statement: str, *words: str) -> list[str]:
    (tmp_path / "state/spool").mkdir(parents=True, exist_ok=True)
    return [sys.executable, "-m", "agent.cli.main", "query", statement, "--state-dir", str(tmp_path / "state"), *words]


def test_each_format_holds_the_same_rows_in_a_file(tmp_path: Path, query: Query) -> None:
    """The ending says the format; nothing is printed, and no other file is left."""
    folder = tmp_path / "out"
    folder.mkdir()
    for ending in ("parquet", "arrow", "csv", "json", "jsonl"):
        assert query(MANY, "--output", str(folder / f"rows.{ending}")) == (0, "", "")
    tables = [parquet.read_table(folder / "rows.parquet"), feather.read_table(folder / "rows.arrow")]
    assert [table.num_rows for table in tables] == [ROWS, ROWS]
    assert tables[0].schema.field("at").type == pyarrow.timestamp("ns")
    last = json.loads((folder / "rows.jsonl").read_text().splitlines()[-1])
    assert (last["number"], last["text"], last["at"]) == (ROWS - 1, f"row {ROWS - 1}", "1970-01-01 00:00:00.000024999")
    assert json.loads((folder / "rows.json").read_text())[-1] == last
    assert [table.column("number").to_pylist() for table in tables] == [list(range(ROWS))] * 2
    assert len((folder / "rows.csv").read_text().splitlines()) == ROWS + 1
    assert len(list(folder.iterdir())) == 5


def test_an_empty_answer_is_a_file_with_columns(tmp_path: Path, query: Query) -> None:
    """Equal names are numbered there: a column is found by its name."""
    path = tmp_path / "rows.parquet"
    assert query("SELECT 1 AS n, 2 AS n, interval 1 day AS i WHERE false", "--output", str(path))[0] == 0
    assert parquet.read_schema(path).names == ["n", "n_2", "i"]


@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_that_is_there_is_replaced_at_the_end_alone(
    nameless: bool, tmp_path: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed query leaves what was there, a good one replaces it and keeps its mode; links stay links."""
    if not nameless:
        # As on a file system that has no files without a name: the folder is opened for writing.
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)
    path = tmp_path / "rows.csv"
    path.write_text("before")
    path.chmod(0o640)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    late = "SELECT CASE WHEN range = 30000 THEN CAST('x' || range AS BIGINT) ELSE range END AS n FROM range(40000)"
    assert query(late, "--output", str(path))[0] == 64
    assert (path.read_text(), sorted(os.listdir(tmp_path))) == ("before", ["link.csv", "rows.csv", "state"])
    assert query("SELECT 7 AS n", "--output", str(link)) == (0, "", "")
    assert (path.read_text(), link.is_symlink(), stat.S_IMODE(path.stat().st_mode)) == ("n\n7\n", True, 0o640)
    assert sorted(os.listdir(tmp_path)) == ["link.csv", "rows.csv", "state"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--output", "/dev/null", "--format", "csv"], 64, "no regular file"),
        (["--output", "/nowhere/rows.csv"], 74, "No such file or directory"),
        (["--output", "rows"], 64, "give --format too"),
        (["--output", "rows.csv", "--format", "table"], 64, "a table is for eyes"),
        (["--output", "/proc/rows.csv"], 74, "cannot be written"),
    ],
)
def test_a_place_that_takes_no_file_is_one_sentence(words: list[str], code: int, told: str, query: Query) -> None:
    """A device is not replaced by a file."""
    answered = query("SELECT 1 AS one", *words)
    assert (answered[:2], answered[2].count("\n")) == ((code, ""), 1)
    assert told in answered[2]
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    """Here a limit on the size of files stands for it."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    for ending in ("parquet", "jsonl"):
        path = tmp_path / f"rows.{ending}"
        line = program(tmp_path, "SELECT uuid()::VARCHAR AS u FROM range(200000)", "--output", str(path))
        done = subprocess.run(line, env=ENVIRONMENT, preexec_fn=limit, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (74, 1), done.stderr
        assert f"{path}: it cannot be written (File too large)" in done.stderr
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_query_leaves_no_file(number: int, tmp_path: Path) -> None:
    """Not even under a hidden name, where the file system has files without one."""
    path = tmp_path / "rows.jsonl"
    with subprocess.Popen(program(tmp_path, ENDLESS, "--output", str(path)), env=ENVIRONMENT, stderr=subprocess.PIPE) as running:
        try:
            written = Path(f"/proc/{running.pid}/io")
            wait_until(lambda: int(written.read_text().split("wchar:")[1].split()[0]) >= 4 << 20, "it writes", seconds=20)
            running.send_signal(number)
            assert running.communicate(timeout=20)[1] == b""
        finally:
            running.kill()
    assert running.returncode == (-9 if number == signal.SIGKILL else 130)
    assert os.listdir(tmp_path) == ["state"]


class LateReader(io.StringIO):
    """A reader that takes longer than the deadline before it takes the second portion."""

    ready_at: float | None = None

    def write(self, text: str) -> int:
        while self.ready_at is not None and time.monotonic() < self.ready_at:
            time.sleep(0.01)
        self.ready_at = self.ready_at or time.monotonic() + 2.2
        return super().write(text)


def test_there_is_no_deadline_while_rows_flow(query: Query) -> None:
    """The time runs from one portion to the next, and not while somebody reads."""
    # The imports of the first query in this process are counted until its first row.
    query("SELECT 1")
    began = time.monotonic()
    code, text, told = query("FROM range(10000)", "--format", "jsonl", "--timeout", "2", output=LateReader())
    assert (code, text.count("\n"), told) == (0, 10_000, "")
    assert time.monotonic() - began > 2


def test_rows_that_stop_coming_end_a_query(tmp_path: Path, query: Query) -> None:
    """The deadline is for the time without a row; the unfinished file is not there."""
    stuck = "SELECT range FROM range(100000000000) WHERE range < 3000 OR range % 99999999999 = 77"
    code, _, told = query(stuck, "--timeout", "0.5", "--output", str(tmp_path / "rows.csv"))
    assert (code, "longer than 0.5 s until a row came" in told) == (75, True)
    assert os.listdir(tmp_path) == ["state"]


@pytest.mark.parametrize("form", ["csv", "json", "arrow", "parquet"])
def test_a_reader_that_leaves_ends_it_quietly(form: str, tmp_path: Path) -> None:
    """As `| head` does: no sentence, the code of SIGPIPE."""
    line = program(tmp_path, ENDLESS, "--format", form)
    with subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            assert running.stderr is not None
            assert running.stdout.read(4)
            running.stdout.close()
            assert running.stderr.read() == b""
            assert running.wait(20) == 141
        finally:
            running.kill()


def test_a_pipe_takes_arrow_and_parquet(tmp_path: Path) -> None:
    """Arrow as a stream, Parquet as a file."""
    for form in ("arrow", "parquet"):
        line = program(tmp_path, "SELECT 1 AS one, 'a' AS two", "--format", form)
        data = subprocess.run(line, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True).stdout
        source = pyarrow.BufferReader(data)
        table = pyarrow.ipc.open_stream(source).read_all() if form == "arrow" else parquet.read_table(source)
        assert table.to_pylist() == [{"one": 1, "two": "a"}]


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_a_terminal_takes_no_bytes(form: str, query: Query) -> None:
    """They would steer it."""
    code, text, told = query("SELECT 1", "--format", form, output=TerminalOutput())
    assert (code, text, "--output FILE" in told) == (64, "", True)


def test_progress_is_drawn_on_a_terminal_and_taken_away(tmp_path: Path) -> None:
    """On standard error alone, while the rows go into a file."""
    leader, follower = pty.openpty()
    line = program(tmp_path, ENDLESS, "--output", str(tmp_path / "rows.parquet"))
    try:
        with subprocess.Popen(
            line, env={**ENVIRONMENT, "TERM": "xterm"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=follower
        ) as running:
            try:
                seen = b""
                while b" rows, " not in seen:
                    seen += os.read(leader, 4096)
                running.send_signal(signal.SIGINT)
                assert running.communicate(timeout=20)[0] == b""
                while not seen.endswith(b"\r\x1b[K"):
                    seen += os.read(leader, 4096)
            finally:
                running.kill()
    finally:
        os.close(leader)
        os.close(follower)
    assert running.returncode == 130
    assert b"\n" not in seen


EVIL = "a\x1b]0;title\x07b\x9b2J\x7f\n\u202e"
STEERING = f"SELECT '{EVIL}' AS \"n\x1b[2J\", ['{EVIL}'] AS l, {{'k': '{EVIL}'}} AS s, 'über' AS u, '{EVIL}'::BLOB AS b, 1 AS one"


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_nothing_steers_a_terminal(form: str, query: Query) -> None:
    """Names of columns and values of every type are escaped, on one line each; plain letters stay."""
    code, text, told = query(STEERING.replace("\x9b", "").replace("::BLOB", ""), "--format", form, output=TerminalOutput())
    assert (code, told) == (0, "")
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert "title" in text
    assert text.count("\n") == (1 if form in ("json", "jsonl") else 2)
    if form in ("table", "csv"):
        assert "über" in text


def test_a_pipe_has_the_data_as_it_is(query: Query) -> None:
    """Escapes are for eyes."""
    assert "a\x1b]0;title\x07b\x9b2J\x7f\n\u202e" in query(STEERING.replace("::BLOB", ""), "--format", "csv")[1]
    value = json.loads(query(STEERING.replace("::BLOB", ""), "--format", "jsonl")[1])["n\x1b[2J"]
    assert value == EVIL


def test_a_failure_that_quotes_data_steers_no_terminal(query: Query) -> None:
    """DuckDB puts the value into its sentence."""
    code, _, told = query("SELECT CAST('\x1b[2Jx\x7f' AS BIGINT)")
    assert (code, told.count("\n")) == (64, 1)
    assert told.rstrip("\n").isprintable()
    assert "\\x1b[2Jx" in told


def test_a_statement_that_is_no_text_is_one_sentence(query: Query) -> None:
    """Bytes of the command line that are no UTF-8."""
    code, _, told = query(os.fsdecode(b"SELECT '\xff'"))
    assert (code, told.count("\n")) == (64, 1)
    assert "no text in UTF-8" in told
