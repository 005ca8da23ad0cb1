"""What is deleted, and when: never before the log says so, never without a trace."""

from fakes.lake_ports import LakeHost
from fakes.memory_bucket import MemoryBucket

from agent.lake.commit import AddedFile, LakeCommit, LedgerStep
from agent.lake.log import CHECKPOINT_EVERY, LakeLog
from agent.lake.path import LandingPath, checkpoint_name, entry_name, ledger_path, merged_path, parse_landing_path
from agent.lake.snapshot import LedgerCache
from agent.model.timebase import DAY, MINUTE
from workers.compactor.cleaning import LOG_KEPT_NS, ORPHAN_NS, CleaningPlace, clean
from workers.compactor.report import LakeReport

DATE = "2024-01-31"
DAY_KEY = f"process/{DATE}"
GRACE_NS = 10 * MINUTE


def landed(name: str) -> str:
    """Of a landing file."""
    return f"process/date={DATE}/host=a/{name}.parquet"


class CleanedLake:
    """A lake whose clocks a test sets."""

    def __init__(self) -> None:
        self.bucket = MemoryBucket()
        self.host = LakeHost(1_000 * DAY)
        self.bucket.now_ns = self.host.now_ns
        self.log = LakeLog(self.bucket, "me", self.host.ports)

    def commit(self, commit: LakeCommit) -> None:
        """Append it."""
        assert self.log.append(lambda _state: commit) is not None

    def pass_time(self, duration_ns: int) -> None:
        """For host and store."""
        self.host.now_ns += duration_ns
        self.bucket.now_ns = self.host.now_ns

    def clean(self, *, steps: int = 1_000) -> LakeReport:
        """One round of so many steps at most."""
        left = [steps]

        def goes_on() -> bool:
            left[0] -= 1
            return left[0] > 0

        report = LakeReport()
        place = CleaningPlace(
            self.bucket, self.log, LedgerCache(self.bucket), GRACE_NS, self.host.now_ns, self.bucket.now_ns, 1, goes_on
        )
        clean(place, self.landing(), report)
        return report

    def landing(self) -> list[tuple[str, LandingPath]]:
        """What a listing finds."""
        return [(name, where) for name in self.bucket.objects if (where := parse_landing_path(name)) is not None]


def consumed_lake(*names: str) -> CleanedLake:
    """A lake of which these landing files were compacted."""
    lake = CleanedLake()
    for name in names:
        lake.bucket.put_new(landed(name), b"x")
    path = merged_path("process", DATE, "c-1")
    lake.bucket.put_new(path, b"x")
    consumed = tuple(map(landed, names))
    lake.commit(LakeCommit(adds=(AddedFile(path, "process", DATE, 1, 1),), consumed=consumed, ledgers={DAY_KEY: LedgerStep()}))
    return lake


def test_what_was_consumed_is_deleted_after_its_grace_and_remembered() -> None:
    """By a ledger of its day."""
    lake = consumed_lake("a", "b")
    lake.pass_time(GRACE_NS - 1)
    assert (lake.clean().waiting, len(lake.landing())) == (2, 2)
    lake.pass_time(1)
    report = lake.clean()
    assert (report.deleted, report.waiting, lake.landing()) == (2, 0, [])
    state = lake.log.state()
    assert state.consumed == {}
    ledger = LedgerCache(lake.bucket).of_day(state, DAY_KEY)
    assert (landed("a") in ledger, landed("b") in ledger, len(ledger)) == (True, True, 2)


def test_a_file_that_lands_once_more_is_deleted() -> None:
    """At once: no reader counts it."""
    lake = consumed_lake("a")
    lake.pass_time(GRACE_NS)
    lake.clean()
    lake.bucket.put_new(landed("a"), b"x")
    lake.bucket.put_new(landed("new"), b"x")
    assert lake.clean().returned == 1
    assert [path for path, _ in lake.landing()] == [landed("new")]


def test_the_ledger_before_goes_too() -> None:
    """After its own grace."""
    lake = consumed_lake("a")
    lake.pass_time(GRACE_NS)
    lake.clean()
    (first,) = lake.log.state().ledgers.values()
    lake.commit(LakeCommit(consumed=(landed("b"),), ledgers={DAY_KEY: LedgerStep(first)}))
    lake.pass_time(GRACE_NS)
    lake.clean()
    (second,) = lake.log.state().ledgers.values()
    assert second != first
    assert first in lake.bucket.objects
    lake.pass_time(GRACE_NS)
    lake.clean()
    assert first not in lake.bucket.objects
    assert second in lake.bucket.objects


def test_files_that_nobody_named_are_given_up_a_day_later_and_then_deleted() -> None:
    """Merged ones and ledgers; one that was named meanwhile stays."""
    lake = CleanedLake()
    orphans = [merged_path("process", DATE, "k-1"), ledger_path("process", DATE, "aa")]
    kept = merged_path("process", DATE, "k-2")
    for path in (*orphans, kept, "_merged/notes.txt"):
        lake.bucket.put_new(path, b"x")
    lake.pass_time(ORPHAN_NS - 1)
    assert lake.clean().condemned == 0
    lake.commit(LakeCommit(adds=(AddedFile(kept, "process", DATE, 1, 1),)))
    lake.pass_time(1)
    assert lake.clean().condemned == 2
    assert set(lake.log.state().condemned) == set(orphans)
    assert set(orphans) <= lake.bucket.objects.keys()
    lake.pass_time(GRACE_NS)
    lake.clean()
    assert not set(orphans) & lake.bucket.objects.keys()
    assert {kept, "_merged/notes.txt"} <= lake.bucket.objects.keys()


def test_entries_that_an_old_checkpoint_holds_are_pruned() -> None:
    """The entry of the checkpoint stays, and so does everything behind it."""
    lake = CleanedLake()
    for number in range(2 * CHECKPOINT_EVERY + 1):
        lake.commit(LakeCommit(adds=(AddedFile(merged_path("process", DATE, f"k-{number}"), "process", DATE, 1, 1),)))
    assert lake.clean().pruned == 0
    lake.pass_time(LOG_KEPT_NS)
    assert lake.clean().pruned == 2 * CHECKPOINT_EVERY
    assert entry_name(2 * CHECKPOINT_EVERY - 1) not in lake.bucket.objects
    assert {entry_name(2 * CHECKPOINT_EVERY), checkpoint_name(2 * CHECKPOINT_EVERY)} <= lake.bucket.objects.keys()
    fresh = LakeLog(lake.bucket, "x", lake.host.ports).state()
    assert fresh.number == 2 * CHECKPOINT_EVERY + 1
    assert len(fresh.files) == 2 * CHECKPOINT_EVERY + 1


def test_a_round_that_is_stopped_anywhere_is_done_again() -> None:
    """Nothing is forgotten that was not deleted."""
    lake = consumed_lake("a")
    lake.pass_time(GRACE_NS)
    lake.clean()
    lake.bucket.put_new(landed("a"), b"x")
    lake.bucket.put_new(merged_path("process", DATE, "k-9"), b"x")
    (ledger,) = lake.log.state().ledgers.values()
    lake.commit(LakeCommit(consumed=(landed("b"),), ledgers={DAY_KEY: LedgerStep(ledger)}))
    for number in range(CHECKPOINT_EVERY):
        lake.commit(LakeCommit(adds=(AddedFile(merged_path("process", DATE, f"j-{number}"), "process", DATE, 1, 1),)))
    lake.pass_time(ORPHAN_NS)
    total = LakeReport()
    for steps in range(1, 12):
        report = lake.clean(steps=steps)
        total.deleted += report.deleted
        total.returned += report.returned
        total.condemned += report.condemned
    lake.clean()
    assert (total.returned, total.condemned) == (1, 1)
    state = LakeLog(lake.bucket, "x", lake.host.ports).state()
    assert (state.consumed, state.void) == ({}, 0)
    assert lake.landing() == []
