"""The compactor over files of every kind: what it takes, in which order it writes, what it leaves alone."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pyarrow
import pyarrow.parquet
import pytest

from agent.model.errors import ExitCode, StorageError
from agent.model.timebase import HOUR, S
from agent.store.layout import SealedName, file_name
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.segment import segment_id
from workers.writer.compaction_job import Job, SourceList
from workers.writer.compaction_report import CompactReport, Outcome
from workers.writer.compaction_window import ROWS_MAX
from workers.writer.compactor import compact, main
from workers.writer.compactor_order import Order
from workers.writer.readers import ReaderGroup

MIDNIGHT_NS = 1_704_067_200 * S
FOLDER = "date=2024-01-01"
ID = segment_id(99, "0000abcd")
INSTALL = "0123456789abcdef"


class Day:
    """One day of table `t`, to which files are added."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / "data" / "t" / FOLDER
        self.folder.mkdir(parents=True)
        self.generation = 0

    def seal(
        self,
        columns: dict[str, Sequence[object]],
        *,
        version: int = 1,
        install: str = INSTALL,
        run: str = "run-1",
        group_rows: int = 1000,
    ) -> Path:
        """One more file, in row groups of a given size."""
        self.generation += 1
        segment = segment_id(self.generation, "0000abcd")
        rows = pyarrow.table(columns)
        times = rows.column("timestamp").to_pylist()
        first, last = (value // S * S for value in (min(times), max(times)))
        path = self.folder / file_name(SealedName("t-", "node-1", first, last, False, segment))
        file = ParquetFile(str(path), rows.schema, FileMarks("t", segment, "node-1", install, version, "0", last, run))
        for offset in range(0, len(rows), group_rows):
            file.write_group([rows.slice(offset, group_rows)])
        file.close()
        return path

    def compact(self) -> CompactReport:
        """By a call in this process."""
        return compact(Order(str(self.state), "t", FOLDER, "t-", ID, INSTALL))

    def rows(self) -> pyarrow.Table:
        """Of the one file that there is."""
        (path,) = self.folder.iterdir()
        return pyarrow.parquet.ParquetFile(path).read()


@pytest.fixture
def day(tmp_path: Path) -> Day:
    """An empty one."""
    return Day(tmp_path)


def test_the_sources_stay_for_those_who_opened_the_day_before(tmp_path: Path) -> None:
    """A whole second after the exchange, in pauses of which a machine that stands still takes one: none is missing."""
    pauses: list[float] = []
    listed: list[list[str]] = []
    opened = -1

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        listed.append(os.listdir(opened))

    job = Job(str(tmp_path), "t", FOLDER, pause)
    live = Path(job.live)
    live.mkdir(parents=True)
    (live / "old.parquet").write_bytes(b"old")
    opened = os.open(live, os.O_RDONLY)
    try:
        job.prepare(ReaderGroup(None))
        Path(job.day, "new.parquet").write_bytes(b"new")
        job.take_place(SourceList("new.parquet", ("old.parquet",)))
        assert job.finish() == []
        assert os.listdir(opened) == []
    finally:
        os.close(opened)
    assert os.listdir(live) == ["new.parquet"]
    assert listed == [["old.parquet"]] * len(pauses)
    assert max(pauses) <= 0.05
    assert sum(pauses) == pytest.approx(1.0)


def test_rows_come_out_in_order_whatever_the_order_of_the_sources(day: Day) -> None:
    """Overlapping, shuffled, and far beyond the day: each row once; rows of one instant in the order of their files."""
    random = Random(7)
    expected: list[tuple[int, int]] = []
    for source in range(4):
        times = [MIDNIGHT_NS + random.randrange(24 * HOUR) // S * S for _ in range(30_000)]
        times += [MIDNIGHT_NS - 40 * 24 * HOUR, MIDNIGHT_NS + 400 * 24 * HOUR]
        day.seal({"timestamp": times, "source": [source] * len(times)})
        expected += [(time, source) for time in times]
    report = day.compact()
    assert (report.outcome, report.files, report.rows) == (Outcome.COMPACTED, 4, 120_008)
    rows = day.rows()
    assert list(zip(rows.column("timestamp").to_pylist(), rows.column("source").to_pylist(), strict=True)) == sorted(expected)


def test_many_rows_are_in_bounded_row_groups_in_order(day: Day) -> None:
    """None has more than the limit, and their times do not overlap."""
    for source in range(3):
        times = [MIDNIGHT_NS + source * S + second * 3 * S // 10 for second in range(100_000)]
        day.seal({"timestamp": times, "text": [f"text {n % 7}" for n in range(100_000)]}, group_rows=20_000)
    assert day.compact().rows == 300_000
    (path,) = day.folder.iterdir()
    metadata = pyarrow.parquet.ParquetFile(path).metadata
    statistics = [metadata.row_group(n).column(0).statistics for n in range(metadata.num_row_groups)]
    assert all(metadata.row_group(n).num_rows <= ROWS_MAX for n in range(metadata.num_row_groups))
    assert all(former.max < later.min for former, later in itertools.pairwise(statistics))


def test_columns_that_were_added_are_null_in_older_rows(day: Day) -> None:
    """The columns of the newest version in its order, then what only others have; the version is the highest."""
    day.seal({"timestamp": [MIDNIGHT_NS], "a": [1], "gone": ["x"]}, version=1, run="run-1")
    day.seal({"timestamp": [MIDNIGHT_NS + S], "b": [2.5], "a": [2]}, version=2, run="run-2")
    day.compact()
    rows = day.rows()
    assert rows.column_names == ["timestamp", "b", "a", "gone"]
    assert rows.to_pylist() == [
        {"timestamp": MIDNIGHT_NS, "b": None, "a": 1, "gone": "x"},
        {"timestamp": MIDNIGHT_NS + S, "b": 2.5, "a": 2, "gone": None},
    ]
    marks = rows.schema.metadata
    assert (marks[b"schema_version"], marks[b"runs"], marks[b"install"]) == (b"2", b"run-1 run-2", INSTALL.encode())


def two_files(day: Day) -> Path:
    """A day that is fit; its first file."""
    first = day.seal({"timestamp": [MIDNIGHT_NS], "a": [1]})
    day.seal({"timestamp": [MIDNIGHT_NS + S], "a": [2]})
    return first


def left_alone(day: Day) -> CompactReport:
    """The report of a day that must stay as it is."""
    before = {path.name: path.read_bytes() for path in day.folder.iterdir()}
    report = day.compact()
    assert {path.name: path.read_bytes() for path in day.folder.iterdir()} == before
    assert not list((day.state / "compacting").glob("*"))
    return report


def test_what_an_earlier_one_could_not_remove_never_comes_back_into_the_day(day: Day) -> None:
    """A source whose removal failed lies in the working folder: its rows are in the day already, and no second exchange is made."""
    left = day.state / "compacting" / f"t@{FOLDER}" / "day" / two_files(day).name
    left.parent.mkdir(parents=True)
    left.write_bytes(b"left")
    sources = left.parent.parent / "sources.json"
    sources.write_text(f'{{"compacted": "t-of-before.parquet", "names": ["{left.name}"]}}')
    before = sorted(day.folder.iterdir())
    with pytest.raises(StorageError, match="what an earlier compaction left cannot be removed"):
        day.compact()
    assert sorted(day.folder.iterdir()) == before
    assert left.read_bytes() == b"left"
    assert sources.exists()


def test_no_link_is_followed_to_a_folder(day: Day) -> None:
    """Neither in the day's place, where the link alone would be exchanged, nor in the place of the folder that is made for it."""
    two_files(day)
    elsewhere = day.state / "elsewhere"
    working = day.state / "compacting" / f"t@{FOLDER}" / "day"
    elsewhere.mkdir()
    (elsewhere / "mine").write_bytes(b"mine")
    working.parent.mkdir(parents=True)
    working.symlink_to(elsewhere)
    with pytest.raises(StorageError, match="what an earlier compaction left cannot be removed"):
        day.compact()
    assert [path.name for path in elsewhere.iterdir()] == ["mine"]
    working.unlink()
    day.folder.rename(day.state / "moved")
    day.folder.symlink_to(day.state / "moved")
    report = day.compact()
    assert (report.outcome, report.problem) == (Outcome.LEFT_ALONE, "it is a symbolic link, and what it leads to is another's")
    assert day.folder.is_symlink()
    assert len(list(day.folder.iterdir())) == 2


def test_another_installations_file_leaves_the_day_alone(day: Day) -> None:
    """Its rows are not of this host."""
    two_files(day)
    path = day.seal({"timestamp": [MIDNIGHT_NS], "a": [1]}, install="f" * 16)
    report = left_alone(day)
    assert (report.outcome, report.name) == (Outcome.LEFT_ALONE, path.name)
    assert "another installation" in report.problem


def test_a_column_of_two_types_leaves_the_day_alone(day: Day) -> None:
    """Neither is bent into the other."""
    two_files(day)
    day.seal({"timestamp": [MIDNIGHT_NS], "a": ["text"]})
    report = left_alone(day)
    assert (report.outcome, "its column a is" in report.problem) == (Outcome.LEFT_ALONE, True)


def test_another_users_file_leaves_the_day_alone(day: Day) -> None:
    """Whatever it says of itself."""
    if os.geteuid() != 0:
        pytest.skip("giving a file away needs root")
    os.chown(two_files(day), 12345, -1)
    assert left_alone(day).problem == "it belongs to user 12345"


def test_a_link_leaves_the_day_alone(day: Day, tmp_path: Path) -> None:
    """Nothing is followed."""
    path = two_files(day)
    path.rename(tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    report = day.compact()
    assert report.outcome is Outcome.DAMAGED
    assert path.is_symlink()


def test_a_copy_under_another_name_leaves_the_day_alone(day: Day) -> None:
    """Its rows would be there twice."""
    path = two_files(day)
    (day.folder / path.name.replace("00000001", "00000009")).write_bytes(path.read_bytes())
    assert left_alone(day).problem == "its name is not that of its table and segment"


def test_a_source_that_is_put_back_beside_its_compacted_file_leaves_the_day_alone(day: Day) -> None:
    """The compacted file says which segments it holds."""
    path = two_files(day)
    data = path.read_bytes()
    day.compact()
    path.write_bytes(data)
    report = left_alone(day)
    assert report.outcome is Outcome.LEFT_ALONE
    assert "its rows are in" in report.problem


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_file_that_was_cut_short_leaves_the_day_alone(day: Day, cut: int) -> None:
    """It is the agent's own and damaged."""
    path = two_files(day)
    path.write_bytes(path.read_bytes()[:-cut])
    assert left_alone(day).outcome is Outcome.DAMAGED


def test_a_day_that_has_gone_or_changed_is_no_failure(day: Day) -> None:
    """The quota was faster, or a stranger's file came."""
    two_files(day)
    (day.folder / "mine.parquet").touch()
    assert left_alone(day).outcome is Outcome.CHANGED
    for path in day.folder.iterdir():
        path.unlink()
    day.folder.rmdir()
    assert day.compact().outcome is Outcome.CHANGED


def test_a_working_folder_that_can_not_be_made_is_a_failure_with_a_name(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """Something else stands in its place."""
    two_files(day)
    (day.state / "compacting").touch()
    with pytest.raises(StorageError, match="compacting"):
        day.compact()
    order = Order(str(day.state), "t", FOLDER, "t-", ID, INSTALL)
    assert main(order.arguments()) not in (ExitCode.DONE, ExitCode.BUG)
    assert "compacting" in capsys.readouterr().err
