"""The sealer as a real process: what it writes, what it survives, what it refuses."""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.failpoints import arm
from fakes.segment import WALL_NS, WHO, batch_frame, head_of, segment_of
from fakes.sender import SAMPLE, sample_rows
from fakes.small_disk import mounted
from harness.waiting import wait_until

from agent.failpoint import VARIABLE
from agent.model.errors import EvergaugeError, ExitCode
from agent.model.message import encode
from agent.model.table import Row
from agent.model.timebase import DAY, S
from agent.store.record import Entry, encode_entry, encode_head
from workers.writer.report import SealReport
from workers.writer.sealing import Sealing, start_sealer

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30


def command(segment: Path, state: Path, *options: str) -> list[str]:
    """The command line of a sealer."""
    return [sys.executable, "-P", "-m", "workers.writer.sealer", str(segment), str(state), *options]


def seal(segment: Path, state: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a sealer to its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = command(segment, state, *options)
    return subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE_SECONDS, env=environment, check=False)


def sealed(segment: Path, state: Path, *options: str) -> dict[str, object]:
    """The report of a sealer that must succeed."""
    done = seal(segment, state, *options)
    assert (done.returncode, done.stderr) == (0, "")
    report: dict[str, object] = json.loads(done.stdout)
    return report


def segment_in(folder: Path, data: bytes) -> Path:
    """A spool folder with one segment."""
    (folder / "spool").mkdir(exist_ok=True)
    path = folder / "spool" / "20231114T221320Z-00000000456789ab.spool"
    path.write_bytes(data)
    return path


def parquet_files(folder: Path) -> list[str]:
    """What lies below `data`, hidden files included."""
    return sorted(str(path.relative_to(folder)) for path in (folder / "data").rglob("*") if path.is_file())


def rows_of(folder: Path) -> list[Row]:
    """All rows of table `sample`, read back by another reader than the one that wrote them."""
    import duckdb

    pattern = f"{folder}/data/sample/*/*.parquet"
    columns = ", ".join(SAMPLE.column_names)
    return duckdb.connect().execute(f"select {columns} from '{pattern}' order by number, timestamp").fetchall()


def expected_rows(numbers: range | list[int], rows: int = 40) -> list[Row]:
    """The rows of these batches, in the order of `rows_of`; within a batch any order is the same."""
    return [row for seq in numbers for row in sample_rows(WHO, seq, WALL_NS + seq * S, rows)]


def same(left: list[Row], right: list[Row]) -> bool:
    """The same rows, whatever the order."""
    return sorted(map(repr, left)) == sorted(map(repr, right))


DATE = "data/sample/date=2023-11-14"


def test_every_row_is_in_parquet(tmp_path: Path) -> None:
    """A segment becomes one file per table under its final name, described by its metadata, and the segment stays."""
    import pyarrow.parquet

    segment = segment_in(tmp_path, segment_of(30))
    report = sealed(segment, tmp_path)
    path = tmp_path / DATE / "sample-node-1-20231114T221321Z-20231114T221350Z-00000000456789ab.parquet"
    assert report["files"] == [{"table": "sample", "path": str(path), "rows": 1200}]
    assert (report["segment"], report["rows"], report["damaged_records"], report["torn"]) == ("00000000456789ab", 1200, 0, False)
    assert same(rows_of(tmp_path), expected_rows(range(1, 31)))
    found = pyarrow.parquet.read_schema(path)
    assert {key: found.metadata[key] for key in (b"host", b"run", b"schema_version", b"table", b"segment", b"created")} == {
        b"host": b"node-1",
        b"run": b"run-1",
        b"schema_version": b"3",
        b"table": b"sample",
        b"segment": b"00000000456789ab",
        b"created": b"2023-11-14T22:13:20.000Z",
    }
    assert [str(kind) for kind in found.types[:-1]] == ["int64", "string", "int64", "int64", "double", "bool"]
    assert (found.names[-1], str(found.types[-1].value_type)) == ("host", "string")
    assert segment.exists()


def test_each_date_has_its_file(tmp_path: Path) -> None:
    """Batches go to the date of their stamp, in UTC."""
    midnight = WALL_NS // DAY * DAY + DAY
    frames = [batch_frame(seq, stamp_wall_ns=midnight + offset) for seq, offset in ((1, -1), (2, 0))]
    report = sealed(segment_in(tmp_path, encode_head(head_of()) + b"".join(frames)), tmp_path)
    assert re.findall(r"date=([\d-]+)", json.dumps(report["files"])) == ["2023-11-14", "2023-11-15"]


def test_segment_without_rows_makes_no_file(tmp_path: Path) -> None:
    """A head alone gives nothing, and so does a file of no bytes."""
    assert sealed(segment_in(tmp_path, encode_head(head_of())), tmp_path)["files"] == []
    assert sealed(segment_in(tmp_path, b""), tmp_path)["files"] == []
    assert parquet_files(tmp_path) == []


def test_torn_tail_costs_nothing_else(tmp_path: Path) -> None:
    """The record that a killed writer cut short is reported and is no damage."""
    data = segment_of(5)
    report = sealed(segment_in(tmp_path, data[:-7]), tmp_path)
    assert (report["torn"], report["damaged_records"], report["rows"]) == (True, 0, 160)
    assert same(rows_of(tmp_path), expected_rows(range(1, 5)))


def test_corrupt_record_costs_nothing_else(tmp_path: Path) -> None:
    """One flipped byte loses one batch; the report tells between which stamps."""
    good = segment_of(5)
    head_length = len(encode_head(head_of()))
    middle = bytearray(good)
    middle[head_length + len(batch_frame(1)) + len(batch_frame(2)) + 200] ^= 0x40
    report = sealed(segment_in(tmp_path, bytes(middle)), tmp_path)
    assert (report["torn"], report["damaged_records"], report["rows"]) == (False, 1, 160)
    assert (report["from_wall_ns"], report["until_wall_ns"]) == (WALL_NS + 2 * S, WALL_NS + 4 * S)
    assert same(rows_of(tmp_path), expected_rows([1, 2, 4, 5]))


UNFIT: dict[str, tuple[Row, str, str]] = {
    "too few": ((1, 2, 3), "", "3 values for the 6 columns"),
    "int for bool": ((1, "w", 1, 1, 0.5, 1), "is_odd", "int, not bool"),
    "fraction for int": ((1.5, "w", 1, 1, 0.5, True), "timestamp", "float, not int64"),
    "too large": ((2**63, "w", 1, 1, 0.5, True), "timestamp", "before 1970 or beyond int64"),
    "bool for float": ((1, "w", 1, 1, True, True), "share", "bool, not float64"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_row_that_does_not_fit_is_refused_alone(tmp_path: Path, name: str) -> None:
    """The others of its batch are stored, the report names it, and a row of table `gap` counts it."""
    import duckdb

    row, column, problem = UNFIT[name]
    good = sample_rows(WHO, 2, WALL_NS + 2 * S, 3)
    unfit = encode_entry(Entry(WHO.run, WHO.worker, WHO.epoch, 2, "sample", WALL_NS + 2 * S, 5), encode([row, *good, row]))
    report = sealed(segment_in(tmp_path, segment_of(1) + unfit + batch_frame(3)), tmp_path)
    assert (report["damaged_records"], report["rows"]) == (0, 83)
    assert report["refused"] == [{"table": "sample", "column": column, "problem": problem, "rows": 2}]
    assert same(rows_of(tmp_path), sorted([*expected_rows([1, 3]), *good], key=lambda each: (each[2], each[0])))
    columns = 'worker, epoch, "table", first_seq, last_seq, "rows", reason, from_timestamp, host'
    gaps = duckdb.connect().execute(f"SELECT {columns} FROM '{tmp_path}/data/gap/*/*.parquet'").fetchall()
    assert gaps == [("process", 1, "sample", 2, 2, 2, "bad_row", WALL_NS + 2 * S, "node-1")]


def test_rows_that_are_no_rows_are_damage(tmp_path: Path) -> None:
    """A batch whose bytes cannot be decoded is left out whole."""
    unfit = encode_entry(Entry("run-1", "process", 1, 2, "sample", WALL_NS, 1), b"\x91\xc1")
    report = sealed(segment_in(tmp_path, segment_of(1) + unfit + batch_frame(3)), tmp_path)
    assert (report["damaged_records"], report["rows"]) == (1, 80)
    assert same(rows_of(tmp_path), expected_rows([1, 3]))


def test_a_file_of_a_former_sealing_goes(tmp_path: Path) -> None:
    """A sealer that read less of a segment named its file for other times: its rows are not there twice."""
    former = tmp_path / DATE / "sample-node-1-20231114T221321Z-20231114T221321Z-00000000456789ab.parquet"
    other = tmp_path / DATE / "sample-node-1-20231114T221321Z-20231114T221321Z-00000000456789ac.parquet"
    former.parent.mkdir(parents=True)
    former.touch()
    other.touch()
    sealed(segment_in(tmp_path, segment_of(2)), tmp_path)
    assert (former.exists(), other.exists(), len(list(former.parent.iterdir()))) == (False, True, 2)


def test_whole_numbers_fit_a_column_of_fractions(tmp_path: Path) -> None:
    """A share of exactly 1 may come as an integer, however large."""
    rows = [(1, "w", 1, 9, 1, True), (1, "w", 1, 9, 2**60, True), (1, "w", 1, 9, 0.5, True)]
    frame = encode_entry(Entry("run-1", "process", 1, 9, "sample", WALL_NS, 3), encode(rows))
    sealed(segment_in(tmp_path, encode_head(head_of()) + frame), tmp_path)
    assert sorted(row[4] for row in rows_of(tmp_path) if isinstance(row[4], float)) == [0.5, 1.0, float(2**60)]


def test_unknown_table_and_foreign_stamp_are_damage(tmp_path: Path) -> None:
    """What has no columns or no date is left out and counted."""
    nowhere = encode_entry(Entry("run-1", "process", 1, 2, "nowhere", WALL_NS, 1), b"\x91\x90")
    report = sealed(segment_in(tmp_path, segment_of(1) + nowhere + batch_frame(3, stamp_wall_ns=-5)), tmp_path)
    assert (report["damaged_records"], report["rows"]) == (2, 40)


def test_damaged_head_costs_no_row(tmp_path: Path) -> None:
    """The columns come from a neighbour, name and time from the file's name; the damage is told."""
    data = bytearray(segment_of(5))
    data[30] ^= 0x40
    neighbour = tmp_path / "neighbour"
    neighbour.write_bytes(encode_head(head_of("f" * 16)))
    report = sealed(segment_in(tmp_path, bytes(data)), tmp_path, "--forms-from", str(neighbour))
    assert (report["segment"], report["damaged_records"], report["rows"]) == ("00000000456789ab", 1, 200)
    assert same(rows_of(tmp_path), expected_rows(range(1, 6)))


def test_sealing_again_gives_the_same(tmp_path: Path) -> None:
    """The second time writes the same rows over the same names."""
    segment = segment_in(tmp_path, segment_of(30))
    assert sealed(segment, tmp_path) == sealed(segment, tmp_path)
    assert len(parquet_files(tmp_path)) == 1
    assert same(rows_of(tmp_path), expected_rows(range(1, 31)))


def hanging_while_it_writes(folder: Path) -> tuple[Path, dict[str, str]]:
    """The environment of a sealer that works on before its files have their names, until it is killed, however late that is; and
    the file that goes when it is there."""
    points = folder / "points"
    points.mkdir()
    return arm(points, "sealer.file_written", "hang"), {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(points)}


def test_killed_sealer_leaves_no_half_file_and_is_repeated(tmp_path: Path) -> None:
    """A sealer killed while it writes has given no final name; the next one gives every row."""
    segment = segment_in(tmp_path, segment_of(3000))
    armed, environment = hanging_while_it_writes(tmp_path)
    with subprocess.Popen(command(segment, tmp_path), env=environment, stdout=subprocess.PIPE) as process:
        wait_until(lambda: not armed.exists(), "it has written a hidden file")
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert parquet_files(tmp_path)
    assert all(path.startswith("data/.tmp/") for path in parquet_files(tmp_path))
    assert sealed(segment, tmp_path)["rows"] == 120_000
    assert parquet_files(tmp_path) == [f"{DATE}/sample-node-1-20231114T221321Z-20231114T230320Z-00000000456789ab.parquet"]
    assert len(rows_of(tmp_path)) == 120_000


def test_two_sealers_never_work_on_one_segment(tmp_path: Path) -> None:
    """While a segment is held the sealer asks to be tried again."""
    segment = segment_in(tmp_path, segment_of(1))
    with open(segment, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = seal(segment, tmp_path)
    assert done.returncode == ExitCode.TRY_AGAIN
    assert "another sealer" in done.stderr
    assert not (tmp_path / "data").exists()


def test_sealer_dies_with_its_parent(tmp_path: Path) -> None:
    """The kernel kills the sealer of a killed writer; one started too late ends by itself."""
    segment = segment_in(tmp_path, segment_of(4000))
    script = (
        "import os, sys\n"
        "from workers.writer.sealing import start_sealer\n"
        "s = start_sealer(sys.argv[1], sys.argv[2], '')\n"
        "print(s._process.pid, flush=True)\n"
        "os.read(0, 1)\n"
    )
    armed, environment = hanging_while_it_writes(tmp_path)
    line = [sys.executable, "-c", script, str(segment), str(tmp_path)]
    with subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        child = os.pidfd_open(int(writer.stdout.readline()))
        wait_until(lambda: not armed.exists(), "it has written a hidden file")
        writer.kill()
    wait_until(lambda: _has_ended(child), "the sealer has ended")
    os.close(child)
    assert parquet_files(tmp_path)
    assert all(path.startswith("data/.tmp/") for path in parquet_files(tmp_path))
    done = seal(segment, tmp_path, "--parent", "999999999")
    assert (done.returncode, "writer has ended" in done.stderr) == (ExitCode.TRY_AGAIN, True)


def _has_ended(pidfd: int) -> bool:
    import select

    return bool(select.select([pidfd], [], [], 0)[0])


def test_misuse_and_missing_files_have_their_codes(tmp_path: Path) -> None:
    """The exit code says what kind of failure it was, the last line which."""
    wrong = seal(tmp_path, tmp_path, "more")
    assert (wrong.returncode, "SEGMENT_PATH STATE_DIR" in wrong.stderr) == (ExitCode.MISUSE, True)
    missing = seal(tmp_path / "missing.spool", tmp_path)
    assert (missing.returncode, "missing.spool" in missing.stderr) == (ExitCode.IO, True)


def end_of(sealing: Sealing) -> SealReport | EvergaugeError:
    """The end of a sealing, waited for as the writer does."""
    import select

    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        select.select(sealing.descriptors(), [], [], DEADLINE_SECONDS)
        end = sealing.poll()
        if end is not None:
            return end
    raise AssertionError("the sealer never ended")


def test_writer_hears_of_the_end_through_descriptors(tmp_path: Path) -> None:
    """The report of a good end, a failure for a killed one and for a refused one, and no descriptor stays open."""
    segment = segment_in(tmp_path, segment_of(10))
    before = len(os.listdir("/proc/self/fd"))
    report = end_of(start_sealer(str(segment), str(tmp_path), ""))
    assert isinstance(report, SealReport)
    assert report.rows == 400
    killed = start_sealer(str(segment), str(tmp_path), "")
    killed.kill()
    failure = end_of(killed)
    assert isinstance(failure, EvergaugeError)
    assert "was killed by SIGKILL" in failure.sentence
    missing = end_of(start_sealer(str(tmp_path / "missing"), str(tmp_path), ""))
    assert isinstance(missing, EvergaugeError)
    assert "missing" in missing.sentence
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_sealing_that_finds_no_room_takes_none(tmp_path: Path) -> None:
    """What it had written under hidden names goes, so that the disk is as full as before and a smaller segment can be sealed."""
    with mounted(tmp_path / "disk", "1m") as disk:
        segment = segment_in(disk, segment_of(200))
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(ballast, ballast.stat().st_size - 4096)
        assert seal(segment, disk).returncode == ExitCode.IO
        assert list((disk / "data" / ".tmp").iterdir()) == []
        ballast.unlink()
        assert sealed(segment, disk)["rows"] == 200 * 40
