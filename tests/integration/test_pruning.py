"""Keeping the quota in a real folder: what goes, what stays whatever happens, and how little is done at once."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.segment import head_of
from fakes.small_disk import mounted

from agent.model.errors import EvergaugeError
from agent.model.message import Note
from agent.model.timebase import MS, S
from agent.store.segment import segment_id
from workers.writer.archive import Archive
from workers.writer.pruning import SLICE_NS, TELL_INTERVAL_NS, Pruning
from workers.writer.quota import CANDIDATES_MAX, Quota
from workers.writer.report import SealReport
from workers.writer.spool import Spool

KIB = 1 << 10


class BusyClock(FakeClock):
    """A clock by which each look at it takes a while, as if the disk were slow."""

    look_ns = 0

    def now_ns(self) -> int:
        """The time, and it goes on."""
        return self.advance(self.look_ns)


class Folder:
    """A state folder with sealed files, and one Pruning after another; one that is dropped is a writer that was killed."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.data = state / "data"
        self.clock = BusyClock()
        # After the days of the files.
        self.clock.set_wall_ns(1_707_000_000 * S)
        self.bus = RecordingBus()
        self.spool = Spool(str(state / "spool"), str(state / "set-aside"))
        self.spool.prepare()
        self.numbers = 0
        self.pruning = self.start(0)

    def start(self, limit_bytes: int) -> Pruning:
        """The next writer's; its round has begun."""
        prefixes = {"process": "process-", "occupancy": "resctrl-occupancy-"}
        self.pruning = Pruning(Quota(limit_bytes, prefixes), str(self.state), self.spool, self.clock, self.bus)
        self.pruning.begin()
        return self.pruning

    def turn(self) -> None:
        """One turn of the loop, if the deadline has come."""
        deadline_ns = self.pruning.next_deadline_ns()
        now_ns = self.clock.now_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            self.pruning.advance(now_ns)

    def keep(self, limit_bytes: int) -> None:
        """One whole round under this limit."""
        self.start(limit_bytes)
        self.turn()
        assert not self.pruning.is_busy

    def put(self, day: int, size_bytes: int = KIB, table: str = "process", segment: str = "") -> Path:
        """A sealed file of this day."""
        self.numbers += 1
        prefix = "resctrl-occupancy-" if table == "occupancy" else f"{table}-"
        stamp = f"202401{day:02d}T{self.numbers // 60:04d}{self.numbers % 60:02d}Z"
        name = f"{prefix}node-1-{stamp}-{stamp}-{segment or f'{self.numbers:016x}'}.parquet"
        return make_file(self.data / table / f"date=2024-01-{day:02d}" / name, size_bytes)

    def removals(self) -> list[Note]:
        """What was reported about removed files, without the warning that comes before the first."""
        return [note for note in self.bus.notes if note.kind == "quota_removed"]

    def left(self) -> list[Path]:
        """The files of the data folder."""
        return sorted(path for path in self.data.rglob("*") if path.is_file())


def make_file(path: Path, size_bytes: int) -> Path:
    """A file of this size, without content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An empty state folder."""
    folder = Folder(tmp_path)
    yield folder
    folder.pruning.stop()
    folder.spool.close()


def test_the_oldest_files_of_all_tables_go_and_their_empty_dates_with_them(folder: Folder) -> None:
    """Files go until sealed data and spool fit; what was removed is counted and reported."""
    old = [folder.put(1), folder.put(1, table="occupancy"), folder.put(2)]
    kept = [folder.put(2), folder.put(3), folder.put(3, table="occupancy")]
    make_file(folder.state / "spool" / "20240104T000000Z-00000000456789ab.spool", KIB)
    folder.keep(4 * KIB)
    assert folder.left() == sorted(kept)
    assert not any(path.parent.exists() for path in old[:2])
    assert (folder.data / "process").is_dir()
    assert folder.pruning.stats() == {
        "quota": {"limit_bytes": 4 * KIB, "held_bytes": 4 * KIB, "foreign_files": 0, "removed_files": 3, "removed_bytes": 3 * KIB}
    }
    assert folder.bus.notes == [
        Note("quota_reached", "warning", {"limit": "4KiB", "setting": "writer.storage_quota"}),
        Note("quota_removed", "info", {"files": 3, "bytes": 3 * KIB}),
    ]
    assert folder.bus.conditions == []


def test_what_is_not_sealed_data_of_the_agents_stays(folder: Folder) -> None:
    """Other names, other folders and hidden files in the making neither count nor go; set-aside ones and the spool count."""
    folder.put(1)
    strangers = [
        make_file(folder.data / "process" / "date=2024-01-01" / "mine.parquet", 90 * KIB),
        make_file(
            folder.data
            / "process"
            / "date=2024-01-01"
            / "copy-of-process-n-20240101T000000Z-20240101T000000Z-00000000456789ab.parquet",
            KIB,
        ),
        make_file(folder.data / "process" / "kept" / "process-n-20240101T000000Z-20240101T000000Z-00000000456789ab.parquet", KIB),
        make_file(folder.data / "process" / "process-n-20240101T000000Z-20240101T000000Z-00000000456789ab.parquet", KIB),
        make_file(
            folder.data / ".tmp" / "date=2024-01-01" / ".tmp-n-20240101T000000Z-20240101T000000Z-00000000456789ab.parquet", KIB
        ),
        make_file(folder.data / "process-n-20240101T000000Z-20240101T000000Z-00000000456789ab.parquet", KIB),
    ]
    aside = [
        make_file(folder.state / "set-aside" / "20240101T000000Z-00000000456789ab.spool", KIB),
        make_file(folder.state / "set-aside" / "of-a-person.spool", 90 * KIB),
    ]
    spooled = make_file(folder.state / "spool" / "20240101T000000Z-0000000000000abc.spool", KIB)
    folder.keep(2 * KIB)
    assert folder.left() == sorted(strangers)
    assert all(path.exists() for path in aside)
    assert spooled.exists()
    assert folder.pruning.stats()["quota"]["held_bytes"] == 2 * KIB
    assert folder.pruning.stats()["quota"]["foreign_files"] == 2


def test_files_of_a_segment_that_is_still_in_the_spool_stay(folder: Folder) -> None:
    """Its sealer may have died after the first of them; younger ones go instead, and the condition says that it is too much."""
    kept = folder.put(1, segment="0000000000000abc")
    folder.put(2)
    make_file(folder.state / "spool" / "20240101T000000Z-0000000000000abc.spool", KIB)
    folder.keep(KIB + 1)
    assert folder.left() == [kept]
    assert "nothing more can be removed; raise it" in folder.bus.conditions[-1].detail


def test_no_symbolic_link_is_followed(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither a linked table nor a linked date nor a linked file; a table that is kept elsewhere so is told."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    name = "process-node-1-20240101T000000Z-20240101T000000Z-00000000456789ab.parquet"
    targets = [
        make_file(elsewhere / "file" / name, 90 * KIB),
        make_file(elsewhere / "date" / name, 90 * KIB),
        make_file(elsewhere / "table" / "date=2024-01-01" / name.replace("process", "resctrl-occupancy"), 90 * KIB),
    ]
    folder.put(1)
    (folder.data / "process" / "date=2024-01-01" / name).symlink_to(targets[0])
    (folder.data / "process" / "date=2024-01-02").symlink_to(elsewhere / "date")
    (folder.data / "occupancy").symlink_to(elsewhere / "table")
    folder.keep(1)
    assert all(path.exists() for path in targets)
    assert [path.is_symlink() for path in folder.left()] == [True]
    assert f"{folder.data}/occupancy: no folder; what a symbolic link leads to is not counted" in folder.bus.conditions[-1].detail


def test_links_that_a_person_put_beside_the_tables_are_nobodys_failure(folder: Folder, tmp_path: Path) -> None:
    """Old dates moved to another disk and linked back, or a link of any other name, are not told: no new data goes there."""
    folder.put(1)
    (folder.data / "process" / "date=2023-01-01").symlink_to(tmp_path)
    (folder.data / "elsewhere").symlink_to(tmp_path)
    folder.keep(KIB)
    assert folder.bus.conditions == []


def test_a_data_folder_behind_a_symbolic_link_is_told(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing in it is touched, and the condition says that the quota is not kept."""
    kept = folder.put(1)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "data"
    folder.data.rename(elsewhere)
    folder.data.symlink_to(elsewhere)
    folder.keep(1)
    assert kept.exists()
    assert f"{folder.data}: no folder" in folder.bus.conditions[-1].detail


def test_one_turn_does_little_and_the_next_comes_at_once(folder: Folder) -> None:
    """A disk that takes a millisecond for each file stops the loop for a slice at a time, and in the end all is done."""
    for _ in range(100):
        folder.put(1)
    folder.start(40 * KIB)
    folder.clock.look_ns = 1 * MS
    turns = 0
    while folder.pruning.is_busy:
        before_ns, before = folder.clock.now_ns(), len(folder.left())
        folder.turn()
        assert before - len(folder.left()) <= SLICE_NS // MS
        assert folder.clock.now_ns() - before_ns <= SLICE_NS + 5 * MS
        turns += 1
    assert turns >= 160 // (SLICE_NS // MS)
    assert len(folder.left()) == 40
    assert len(folder.removals()) == 1


def test_a_writer_that_is_killed_in_the_middle_is_followed_by_one_that_goes_on(folder: Folder) -> None:
    """The next one's round finds what is still too much, and a date that was left empty."""
    for _ in range(30):
        folder.put(1)
    kept = folder.put(2)
    (folder.data / "process" / "date=2023-12-31").mkdir()
    folder.clock.look_ns = 1 * MS
    folder.start(KIB)
    while len(folder.left()) > 20:
        folder.turn()
    assert folder.pruning.is_busy
    folder.clock.look_ns = 0
    folder.keep(KIB)
    assert folder.left() == [kept]
    assert sorted(path.name for path in (folder.data / "process").iterdir()) == ["date=2024-01-02"]


def test_a_stop_in_the_middle_ends_the_round_and_tells_what_it_removed(folder: Folder) -> None:
    """The writer's end waits for no old files."""
    for _ in range(30):
        folder.put(1)
    folder.clock.look_ns = 1 * MS
    folder.start(KIB)
    while len(folder.left()) > 20:
        folder.turn()
    folder.pruning.stop()
    folder.pruning.begin()
    assert not folder.pruning.is_busy
    assert [note.fields["files"] for note in folder.removals()] == [30 - len(folder.left())]


def test_more_files_than_one_walk_keeps_by_name_all_go(folder: Folder) -> None:
    """The next walk brings the next ones."""
    first = folder.put(1, size_bytes=1)
    for number in range(2 * CANDIDATES_MAX + 10):
        os.link(first, first.with_name(f"process-node-1-20240101T000000Z-20240101T000000Z-{number + 5:016x}.parquet"))
    kept = folder.put(2)
    folder.keep(KIB)
    assert folder.left() == [kept]


def test_notes_come_once_a_minute_with_all_since_the_last(folder: Folder) -> None:
    """The first at once; what follows within the minute is told together at its end."""
    for day in (1, 2, 3):
        folder.put(day)
        folder.put(day)
        if day == 1:
            folder.keep(1)
            continue
        folder.pruning.begin()
        folder.turn()
        folder.clock.advance(10 * S)
    assert [note.fields["files"] for note in folder.removals()] == [2]
    folder.clock.advance(TELL_INTERVAL_NS - 20 * S - 1)
    folder.turn()
    assert len(folder.removals()) == 1
    folder.clock.advance(1)
    folder.turn()
    assert [note.fields for note in folder.removals()] == [{"files": 2, "bytes": 2 * KIB}, {"files": 4, "bytes": 4 * KIB}]
    assert folder.pruning.next_deadline_ns() is None


def test_a_spool_above_the_limit_removes_nothing_and_is_told_until_it_is_over(folder: Folder) -> None:
    """The open segment counts too; once the spool fits again, so does the rest, and the condition ends."""
    kept = folder.put(1)
    folder.spool.open(head_of())
    waiting = make_file(folder.state / "spool" / "20240101T000000Z-0000000000000abc.spool", 64 * KIB)
    folder.keep(64 * KIB)
    (condition,) = folder.bus.conditions
    assert (condition.kind, condition.active, condition.blocks_ready) == ("storage_quota", True, False)
    assert "KiB, more than 64KiB; nothing is removed for it" in condition.detail
    assert folder.left() == [kept]
    waiting.unlink()
    folder.pruning.begin()
    folder.turn()
    (ended,) = folder.bus.conditions[1:]
    assert (ended.kind, ended.active) == ("storage_quota", False)
    assert folder.left() == [kept]


def test_a_file_that_cannot_be_removed_is_passed_over_and_told(folder: Folder) -> None:
    """The next older goes instead; the condition names the path and the remedy, and ends when it can be removed."""
    (folder.data / "process").mkdir(parents=True)
    with mounted(folder.data / "process" / "date=2024-01-01", "64k") as date:
        stuck = folder.put(1)
        folder.put(2)
        kept = folder.put(3)
        subprocess.run(["mount", "-o", "remount,ro", str(date)], check=True)
        folder.keep(2 * KIB)
        assert folder.left() == [stuck, kept]
        (condition,) = folder.bus.conditions
        assert f"{stuck}: cannot be written (Read-only file system); let the agent's user write there" in condition.detail
        subprocess.run(["mount", "-o", "remount,rw", str(date)], check=True)
        folder.pruning.begin()
        folder.turn()
        assert not folder.bus.conditions[-1].active


class FakeSealing:
    """A sealer that ends when it is told to."""

    def __init__(self) -> None:
        self.end: SealReport | EvergaugeError | None = None

    def descriptors(self) -> tuple[int, ...]:
        """Nothing to wait on."""
        return ()

    def poll(self) -> SealReport | EvergaugeError | None:
        """The end, once there is one."""
        return self.end

    def kill(self) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """Nothing to give back."""


def finish_round(pruning: Pruning, archive: Archive, folder: Folder, sealings: list[FakeSealing]) -> int:
    """Turn until the round is over, in which no sealer starts; gives how many turns it took."""
    before, turns = list(sealings), 0
    while pruning.is_busy:
        assert sealings == before
        archive.advance(folder.clock.now_ns())
        turns += 1
    return turns


@pytest.mark.parametrize("end", [SealReport("0000000000000abc", (), 1, 0, False), EvergaugeError("sealer", "failed")])
def test_sealer_and_removal_take_turns_and_each_end_of_a_sealer_begins_a_round(
    folder: Folder, end: SealReport | EvergaugeError
) -> None:
    """No sealer starts while a round is under way: it could make a date's folder that the round takes away as empty."""
    for _ in range(30):
        folder.put(1)
    make_file(folder.state / "spool" / "20240101T000000Z-0000000000000abc.spool", 1)
    sealings: list[FakeSealing] = []

    def launch(*_paths: str) -> FakeSealing:
        sealings.append(FakeSealing())
        return sealings[-1]

    pruning = folder.start(20 * KIB)
    archive = Archive(folder.spool, str(folder.state), folder.bus, launch, lambda report: None, pruning)
    archive.add(["20240101T000000Z-0000000000000abc.spool"])
    folder.clock.look_ns = 1 * MS
    assert finish_round(pruning, archive, folder, sealings) > 1
    assert len(folder.left()) == 19
    for _ in range(2):
        folder.put(2)
    archive.advance(folder.clock.now_ns())
    assert (len(sealings), pruning.is_busy, len(folder.left())) == (1, False, 21)
    sealings[0].end = end
    archive.advance(folder.clock.now_ns())
    assert finish_round(pruning, archive, folder, sealings) > 0
    assert len(folder.left()) in (19, 20)
    archive.stop()
    pruning.begin()
    assert not pruning.is_busy


def test_a_year_ahead_costs_nothing_that_is_measured_afterwards(folder: Folder) -> None:
    """The clock is a year ahead for a while and then right again: next year's files go first, with an event; new ones stay."""

    def seal(generation: int, stamp: str) -> Path:
        date = f"date={stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}"
        name = f"process-node-1-{stamp}-{stamp}-{segment_id(generation, '00000000')}.parquet"
        path = make_file(folder.data / "process" / date / name, KIB)
        folder.pruning.begin()
        folder.turn()
        return path

    folder.start(4 * KIB)
    before = [seal(1, "20240202T010000Z"), seal(2, "20240202T020000Z")]
    ahead = [seal(3, "20250202T030000Z"), seal(4, "20250202T040000Z")]
    after = [seal(5, "20240202T050000Z"), seal(6, "20240202T060000Z")]
    assert folder.left() == before + after
    assert [note.fields for note in folder.bus.notes if note.kind == "quota_removed_future"] == [{"files": 1}]
    after += [seal(7, "20240202T070000Z")]
    assert folder.left() == [before[1], *after]
    assert not any(path.exists() for path in ahead)


def test_a_reader_that_has_a_file_open_reads_it_to_the_end(folder: Folder) -> None:
    """The name goes, the rows stay for anyone who has begun."""
    path = folder.put(1)
    path.write_bytes(b"rows" * 100)
    with path.open("rb", buffering=0) as reader:
        assert reader.read(4) == b"rows"
        folder.keep(1)
        assert not path.exists()
        assert reader.read() == b"rows" * 99


def test_without_a_limit_nothing_is_even_looked_at(folder: Folder) -> None:
    """0 is the default: no round, no statistics, no deadline."""
    kept = folder.put(1)
    folder.keep(0)
    assert (folder.pruning.stats(), folder.pruning.next_deadline_ns(), folder.left()) == ({}, None, [kept])


def test_without_any_data_there_is_nothing_to_say(folder: Folder) -> None:
    """The first start in an empty state folder."""
    folder.keep(64 * KIB)
    assert folder.pruning.stats()["quota"]["held_bytes"] == 0
    assert (folder.bus.notes, folder.bus.conditions) == ([], [])
