"""agentctl query and questions that ask for all memory: a bound, a sentence, and nothing on the disk."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.stored_data import batch_of, head_of, process_row, write_segment

from agent.cli.program import run

LIMIT_MIB = 160
# Tells on standard error, last, the most memory that was resident: what wait4 reports for it begins with its parent's.
PROGRAM = """
import sys
from agent.cli.main import main
code = main()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), end="", file=sys.stderr)
sys.exit(code)
"""
# A process of agentctl before its first question, and what the kernel's count leaves out: pages of libraries.
MARGIN_KIB = 160 << 10
# One of each way to memory: a value of a function, a list, an aggregate, what DuckDB does not count, sorting, a recursion.
HOSTILE = (
    "SELECT length(repeat('x', 1::BIGINT << 30)) + length(repeat('y', 1::BIGINT << 30))",
    "SELECT list_aggregate(range(300000000), 'sum')",
    "SELECT string_agg(range::VARCHAR, ',') FROM range(300000000)",
    "SELECT len(regexp_extract_all(repeat('ab', 100000000), 'a'))",
    "SELECT length(regexp_replace(repeat('ab', 30000000), 'a', 'xxxxxxxxxxxxxxxx', 'g'))",
    "SELECT * FROM range(300000000) ORDER BY range DESC",
    "WITH RECURSIVE t(n) AS (SELECT repeat('x', 1000) UNION ALL SELECT n || n FROM t) SELECT max(length(n)) FROM t",
    # Python's share: each row is small to DuckDB, two thousand of them are not.
    "SELECT repeat('x', 1000000) || range FROM range(5000)",
)


def ask(state_dir: Path, limit_mib: int, statement: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`agentctl query` in a process of its own."""
    program = [sys.executable, "-c", "from agent.cli.main import main; raise SystemExit(main())"]
    line = ["query", statement, "--state-dir", str(state_dir), "--memory-limit", f"{limit_mib}MiB", *words]
    return subprocess.run([*program, *line], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("statement", HOSTILE)
@pytest.mark.runbook("Queries")
def test_a_hostile_statement_ends_in_a_sentence(statement: str, tmp_path: Path) -> None:
    """The process stays below its limit, says what to do, and writes no file where the user stands."""
    (tmp_path / "state/spool").mkdir(parents=True)
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-c", PROGRAM, "query", statement, "--state-dir", str(tmp_path / "state")]
    command += ["--format", "csv", "--memory-limit", f"{LIMIT_MIB}MiB"]
    environment = {**os.environ, "TMPDIR": str(work), "PYTHONPATH": str(Path(__file__).parents[2])}
    with (tmp_path / "out").open("wb") as output:
        program = subprocess.run(command, cwd=work, env=environment, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    said, _, peak = program.stderr.rpartition("VmHWM:")
    assert (program.returncode, said.count("\n")) == (64, 1), program.stderr
    assert re.search(r"more memory than its limit of 160MiB; ask for less .* --memory-limit", said)
    assert int(peak.split()[0]) < (LIMIT_MIB << 10) + MARGIN_KIB
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("form", ["arrow", "parquet"])
@pytest.mark.parametrize("limit_mib", [128, 140, 150])
def test_an_answer_that_does_not_fit_ends_in_a_sentence_in_arrow_too(form: str, limit_mib: int, tmp_path: Path) -> None:
    """Arrow ends the process where a small allocation fails: there is room before it is called, or it is not called."""
    (tmp_path / "state/spool").mkdir(parents=True)
    statement = "SELECT repeat('x', 40000) || range AS long FROM range(5000)"
    done = ask(tmp_path / "state", limit_mib, statement, "--output", str(tmp_path / f"out.{form}"))
    assert (done.returncode, done.stderr.count("\n")) == (64, 1), done.stderr
    assert f"more memory than its limit of {limit_mib}MiB; ask for less" in done.stderr
    assert not (tmp_path / f"out.{form}").exists()


def test_the_import_of_pyarrow_is_not_counted() -> None:
    """It needs more than there is; the limit grows by it, and what was left of it is left."""
    code = """
from agent.cli.memory_limit import MIB, held_to
from agent.store.memory_room import import_uncounted, need_room
with held_to(16 * MIB):
    import_uncounted("pyarrow.parquet")
    need_room(12 * MIB)
    try:
        need_room(24 * MIB)
    except MemoryError as refusal:
        print(refusal)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "there is no room for 25165824 bytes more\n"), done.stderr


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet"])
def test_a_small_answer_fits_into_the_least_limit(form: str, tmp_path: Path) -> None:
    """From the spool, in each form; what the import of pyarrow takes is not the question's."""
    write_segment(tmp_path, "a", head_of("a") + batch_of("process", [process_row(0, pid) for pid in range(100)]))
    done = ask(tmp_path, 128, "FROM process", "--output", str(tmp_path / f"out.{form}"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a million rows in the spool; those of fifty ticks come again and again, or making it takes long."""
    state = tmp_path_factory.mktemp("large")
    batches = [batch_of("process", [process_row(tick, pid) for pid in range(500)]) for tick in range(50)]
    write_segment(state, "a", head_of("a") + b"".join(batches) * 40)
    return state


@pytest.mark.parametrize("limit_mib", [128, 144, 160, 176, 192, 208])
def test_a_spool_that_does_not_fit_ends_in_a_sentence_under_every_limit(limit_mib: int, large: Path) -> None:
    """Wherever the room ends: before Arrow is imported, while it makes columns, or in the database."""
    done = ask(large, limit_mib, "SELECT count(*) AS n FROM process", "--json")
    assert (done.returncode, done.stderr.count("\n")) == (64, 1), done.stderr
    assert f"needs more memory than its limit of {limit_mib}MiB; `agentctl rotate`" in done.stderr


@pytest.mark.parametrize("words", [["--memory-limit", "1"], ["--memory-limit", "much"]])
def test_a_limit_that_is_none_is_refused(words: list[str], tmp_path: Path) -> None:
    """With the range that is accepted."""
    output, warnings = io.StringIO(), io.StringIO()
    assert run(["query", "SELECT 1", "--state-dir", str(tmp_path), *words], {}, output, warnings) == 64
    assert "a size from 128MiB" in warnings.getvalue()


def test_a_spool_that_does_not_fit_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed it needs no memory. Nothing of it is put where the user stands."""
    monkeypatch.chdir(tmp_path)
    many = batch_of("process", [process_row(number, number) for number in range(5_000)])
    write_segment(tmp_path, "a", head_of("a") + many * 150)
    statement = "SELECT count(*) AS n FROM process"
    refused = ask(tmp_path, 128, statement, "--json")
    assert refused.returncode == 64, refused.stderr
    assert "needs more memory than its limit of 128MiB; `agentctl rotate`" in refused.stderr
    write_segment(tmp_path, "a", head_of("a") + many)
    answered = ask(tmp_path, 128, statement, "--json")
    assert (answered.returncode, answered.stdout) == (0, '[{"n": 5000}]\n'), answered.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["spool"]


@pytest.mark.parametrize("limit_mib", [240, 256, 300, 400])
def test_a_spool_of_many_small_batches_fits_into_every_limit_above_one_that_it_fits_into(limit_mib: int, tmp_path: Path) -> None:
    """A batch of twenty rows a second, as a quiet host makes them. An allocator that takes all it may would spoil some limits."""
    batches = [batch_of("process", [process_row(tick, pid) for pid in range(20)]) for tick in range(1_500)]
    write_segment(tmp_path, "a", head_of("a") + b"".join(batches))
    done = ask(tmp_path, limit_mib, "SELECT count(*) AS n FROM process", "--json")
    assert (done.returncode, done.stdout) == (0, '[{"n": 30000}]\n'), done.stderr
