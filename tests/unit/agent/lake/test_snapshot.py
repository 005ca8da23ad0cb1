"""Snapshots: each row once, also while files are consumed, deleted, and put once more."""

from collections.abc import Iterator, Sequence

import pytest
from fakes.lake_ports import LakeHost
from fakes.memory_bucket import MemoryBucket

from agent.lake import snapshot as module
from agent.lake.bucket import BucketFailure, FileGone, ObjectHead
from agent.lake.commit import AddedFile, LakeCommit, LedgerStep
from agent.lake.ledger import DayLedger
from agent.lake.log import LakeLog
from agent.lake.path import ledger_path, merged_path
from agent.lake.snapshot import LakeSnapshot, LedgerCache, Wanted, read_lake, take_snapshot
from agent.model.timebase import DAY, S

BEGIN_NS = 19_753 * DAY
DATE = "2024-01-31"
DAY_KEY = f"process/{DATE}"
LANDED = f"process/date={DATE}/host=a/process-a-20240131T000000Z-20240131T001000Z-00000001aaaaaaaa.parquet"
MERGED = merged_path("process", DATE, "c-1")
LEDGER = ledger_path("process", DATE, "aa")
ALL = Wanted(("process",))


def log_of(bucket: MemoryBucket) -> LakeLog:
    """A log as a reader has it."""
    return LakeLog(bucket, "me", LakeHost().ports)


def paths(found: LakeSnapshot) -> list[str]:
    """Of the files of a snapshot."""
    return [file.path for file in found.files]


def consume(bucket: MemoryBucket) -> None:
    """Compact the landing file."""
    added = AddedFile(MERGED, "process", DATE, 3, 7, BEGIN_NS, BEGIN_NS + 600 * S)
    log_of(bucket).append(lambda _state: LakeCommit(adds=(added,), consumed=(LANDED,), ledgers={DAY_KEY: LedgerStep()}))


def forget(bucket: MemoryBucket) -> None:
    """Delete it, and write its name down."""
    bucket.delete(LANDED)
    bucket.put_new(LEDGER, DayLedger().with_paths([LANDED]).encoded())
    log_of(bucket).append(lambda _state: LakeCommit(forgotten=(LANDED,), ledgers={DAY_KEY: LedgerStep("", LEDGER)}))


def test_a_landed_file_counts_until_it_is_consumed() -> None:
    """Then the merged one counts."""
    bucket = MemoryBucket()
    bucket.put_new(LANDED, b"x")
    bucket.put_new(f"process/date={DATE}/notes.txt", b"x")
    found = take_snapshot(bucket, log_of(bucket), ALL)
    assert [(file.path, file.is_landing, file.rows, file.first_ns) for file in found.files] == [(LANDED, True, None, BEGIN_NS)]
    consume(bucket)
    found = take_snapshot(bucket, log_of(bucket), ALL)
    assert [(file.path, file.is_landing, file.rows) for file in found.files] == [(MERGED, False, 3)]
    assert found.of("process") == list(found.files)
    assert found.of("host") == []


def test_a_file_that_is_put_once_more_does_not_count() -> None:
    """However much later: its exporter did not hear that it had arrived."""
    bucket = MemoryBucket()
    bucket.put_new(LANDED, b"x")
    consume(bucket)
    forget(bucket)
    bucket.put_new(LANDED, b"x")
    assert paths(take_snapshot(bucket, log_of(bucket), ALL)) == [MERGED]


def test_landing_files_are_listed_before_the_log_is_read() -> None:
    """What is compacted and deleted between both is found in the log; the other way round its rows would be missing."""

    class Busy(MemoryBucket):
        """Compacts, deletes and forgets as soon as the listing is over, or the log was read, whichever comes first."""

        is_done = False

        def pages(self, prefix: str, after: str = "") -> Iterator[Sequence[ObjectHead]]:
            yield from list(super().pages(prefix, after))
            if prefix == "process/" and not self.is_done:
                self.is_done = True
                consume(self)
                forget(self)

        def get(self, name: str, bytes_max: int) -> bytes | None:
            found = super().get(name, bytes_max)
            if name.startswith("_log/0") and found is None and not self.is_done:
                self.is_done = True
                consume(self)
                forget(self)
            return found

    bucket = Busy()
    bucket.put_new(LANDED, b"x")
    assert paths(take_snapshot(bucket, log_of(bucket), ALL)) == [MERGED]


@pytest.mark.parametrize(
    ("since_ns", "until_ns", "is_in"),
    [
        (None, None, True),
        (BEGIN_NS + 600 * S, None, True),
        (BEGIN_NS + 602 * S, None, False),
        (None, BEGIN_NS, False),
        (None, BEGIN_NS + 1, True),
        (BEGIN_NS, BEGIN_NS + S, True),
        (BEGIN_NS + DAY, BEGIN_NS + 2 * DAY, False),
        (BEGIN_NS - 100 * DAY, BEGIN_NS + DAY, True),
        (-5 * DAY, -4 * DAY, False),
    ],
)
def test_only_files_of_the_wanted_span_are_taken(since_ns: int | None, until_ns: int | None, is_in: bool) -> None:
    """By name or by what the log says; either end may be open."""
    bucket = MemoryBucket()
    bucket.put_new(LANDED, b"x")
    wanted = Wanted(("process",), since_ns, until_ns)
    assert (paths(take_snapshot(bucket, log_of(bucket), wanted)) == [LANDED]) is is_in
    consume(bucket)
    assert (paths(take_snapshot(bucket, log_of(bucket), wanted)) == [MERGED]) is is_in


def test_files_that_do_not_say_their_times_are_always_taken() -> None:
    """A name of another form, and a table without times."""
    bucket = MemoryBucket()
    odd = f"process/date={DATE}/host=a/odd.parquet"
    bucket.put_new(odd, b"x")
    log_of(bucket).append(lambda _state: LakeCommit(adds=(AddedFile(MERGED, "process", DATE, 1, 1),)))
    found = take_snapshot(bucket, log_of(bucket), Wanted(("process",), BEGIN_NS, BEGIN_NS + 1))
    assert [(file.path, file.first_ns, file.last_ns) for file in found.files] == [(MERGED, None, None), (odd, None, None)]


def test_a_reader_that_meets_a_deleted_file_takes_a_newer_snapshot() -> None:
    """Three times at most."""
    bucket = MemoryBucket()
    bucket.put_new(LANDED, b"x")
    seen: list[list[str]] = []

    def read(found: LakeSnapshot) -> str:
        seen.append(paths(found))
        if len(seen) == 1:
            consume(bucket)
            forget(bucket)
            raise FileGone(LANDED)
        return "done"

    assert read_lake(bucket, log_of(bucket), ALL, read) == "done"
    assert seen == [[LANDED], [MERGED]]

    def never(found: LakeSnapshot) -> None:
        seen.append(paths(found))
        raise FileGone(MERGED)

    seen.clear()
    with pytest.raises(FileGone):
        read_lake(bucket, log_of(bucket), ALL, never)
    assert len(seen) == module.SNAPSHOTS_MAX


def test_too_many_landed_files_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound, and the sentence the remedy."""
    monkeypatch.setattr(module, "LANDING_MAX", 0)
    bucket = MemoryBucket()
    bucket.put_new(LANDED, b"x")
    with pytest.raises(BucketFailure, match="run a compactor"):
        take_snapshot(bucket, log_of(bucket), ALL)


def test_ledgers_are_read_once_and_a_bounded_number_is_kept() -> None:
    """The one used longest ago goes; one that is gone is told."""
    bucket = MemoryBucket()
    names = [ledger_path("process", DATE, name) for name in ("a", "b", "c")]
    for name in names:
        bucket.put_new(name, DayLedger().with_paths([name]).encoded())
    cache = LedgerCache(bucket, kept_max=2)
    cache.read(names[0])
    cache.read(names[1])
    bucket.delete(names[0])
    bucket.delete(names[1])
    assert names[0] in cache.read(names[0])
    cache.read(names[2])
    assert names[0] in cache.read(names[0])
    with pytest.raises(FileGone):
        cache.read(names[1])
