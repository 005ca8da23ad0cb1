"""A lake of files as the merger's store: rows, offsets and marks count together or not at all."""

from pathlib import Path

import pytest
from fakes.topic_rows import START_NS, message_of, numbered_rows
from pyarrow.parquet import read_table

from agent.lake.bucket import Content, PutOutcome
from agent.lake.folder_bucket import FolderBucket
from agent.lake.known_columns import KnownColumns
from agent.lake.log import LakeLog
from agent.model.timebase import S
from workers.merger.decoding import decode
from workers.merger.effect import CommitRows, OffsetRange, StorePlace, TakenMessage, TopicPartition
from workers.merger.files_store import FilesStore
from workers.merger.outcome import MarkRegress, NotStored, NumberedMark, Stored
from workers.process.schema import PROCESS_TAIL

PLACE = TopicPartition("proc.raw.v1", 0)


class StoredLake:
    """A folder, and stores of it as two mergers have them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known = KnownColumns([PROCESS_TAIL])
        self.bucket = FolderBucket(str(folder))
        self.one, self.other = (FilesStore(self.bucket, LakeLog(self.bucket, name), self.known) for name in ("one", "other"))

    def commit(self, store: FilesStore, base: int, *seqs: int) -> Stored | NotStored:
        """Batches of these numbers from an offset on."""
        messages = []
        for offset, seq in enumerate(seqs, start=base):
            headers, value = message_of("h", seq, numbered_rows(seq))
            messages.append(TakenMessage(PLACE, offset, tuple(headers), b"", value))
        ranges = (OffsetRange(PLACE, base, base + len(seqs)),)
        return store.commit(decode(CommitRows(ranges, tuple(messages)), self.known))

    def files(self) -> list[Path]:
        """All data files that lie there."""
        return sorted((self.folder / "_merged").rglob("*.parquet"))


class OvertakenBucket(FolderBucket):
    """While its first data file is put, somebody else commits."""

    def __init__(self, lake: StoredLake) -> None:
        super().__init__(str(lake.folder))
        self._lake: StoredLake | None = lake

    def put_new(self, name: str, content: Content) -> PutOutcome:
        """As the folder does it, and late."""
        outcome = super().put_new(name, content)
        lake, self._lake = self._lake, None
        if lake is not None:
            self_stored(lake.commit(lake.other, 0, 1, 2, 3))
        return outcome


@pytest.fixture
def lake(tmp_path: Path) -> StoredLake:
    """An empty one."""
    return StoredLake(tmp_path)


def test_a_commit_has_rows_offsets_and_marks(lake: StoredLake) -> None:
    """And another merger sees all of them."""
    stored = self_stored(lake.commit(lake.one, 0, 1, 2))
    assert stored.marks == {"process_tail": {"h": NumberedMark(1, START_NS + 2 * S)}}
    assert stored.regresses == ()
    assert stored.stored_bytes == sum(path.stat().st_size for path in lake.files())
    sight = lake.other.read()
    assert sight.places == {PLACE: StorePlace(2)}
    assert sight.marks == stored.marks
    (path,) = lake.files()
    assert read_table(path).column("processes").to_pylist() == [1, 1, 1, 2, 2, 2]
    assert lake.one.shown == lake.bucket.shown
    lake.one.close()


def test_a_range_that_does_not_follow_is_not_stored(lake: StoredLake) -> None:
    """Who is second learns where to go on, and leaves no file behind."""
    self_stored(lake.commit(lake.one, 0, 1, 2))
    assert lake.commit(lake.other, 0, 1) == NotStored({PLACE: StorePlace(2)})
    assert lake.commit(lake.other, 5, 7) == NotStored({PLACE: StorePlace(2)})
    assert len(lake.files()) == 1


def test_who_is_faster_at_the_last_moment_wins(lake: StoredLake) -> None:
    """The files of the other one are removed; its state was right when it began."""
    slow = OvertakenBucket(lake)
    assert lake.commit(FilesStore(slow, LakeLog(slow, "one"), lake.known), 0, 1, 2) == NotStored({PLACE: StorePlace(3)})
    assert len(lake.files()) == 1


def test_a_mark_that_goes_back_is_told_once(lake: StoredLake) -> None:
    """With both times."""
    self_stored(lake.commit(lake.one, 0, 9))
    back = self_stored(lake.commit(lake.one, 1, 4))
    assert back.regresses == (MarkRegress("process_tail", "h", START_NS + 9 * S, START_NS + 4 * S),)
    assert self_stored(lake.commit(lake.one, 2, 5)).regresses == ()


def test_a_range_without_rows_is_stored_too(lake: StoredLake) -> None:
    """Nobody reads it again."""
    outcome = lake.one.commit(decode(CommitRows((OffsetRange(PLACE, 0, 8),), ()), lake.known))
    assert self_stored(outcome).stored_bytes == 0
    assert lake.other.read().places == {PLACE: StorePlace(8)}
    assert lake.files() == []


def self_stored(outcome: Stored | NotStored) -> Stored:
    """It must be."""
    assert isinstance(outcome, Stored)
    return outcome
