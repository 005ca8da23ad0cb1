"""The log: who is first, who comes late, what is a cache, and who slept too long."""

import pytest
from fakes.lake_ports import LakeHost
from fakes.memory_bucket import MemoryBucket

from agent.lake.bucket import BucketFailure, Content, PutOutcome
from agent.lake.commit import AddedFile, LakeCommit, OffsetSpan, encode_commit
from agent.lake.lake_state import LakeState
from agent.lake.log import CHECKPOINT_EVERY, STALE_NS, TRIES_MAX, CommitRefused, LakeLog
from agent.lake.path import HINT, checkpoint_name, entry_name, merged_path
from agent.model.errors import BusyError, FormatError
from agent.model.timebase import DAY

DATE = "2024-01-31"


def added(name: str) -> LakeCommit:
    """An entry that adds one file."""
    return LakeCommit(adds=(AddedFile(merged_path("process", DATE, name), "process", DATE, 1, 1),))


def log_of(bucket: MemoryBucket, by: str = "me", host: LakeHost | None = None) -> LakeLog:
    """A log as one process has it."""
    return LakeLog(bucket, by, (host or LakeHost()).ports)


def fill(bucket: MemoryBucket, count: int, begin: int = 0) -> LakeLog:
    """Append so many entries."""
    log = log_of(bucket, "filler")
    for number in range(begin, begin + count):
        log.append(lambda _state, number=number: added(f"f{number}"))  # type: ignore[misc]  # bound now
    return log


def test_an_empty_log_has_an_empty_state() -> None:
    """Nothing is made by looking."""
    bucket = MemoryBucket()
    assert log_of(bucket).state().number == 0
    assert bucket.objects == {}


def test_what_one_commits_all_others_read() -> None:
    """With the time, the name of who it was, and a token."""
    bucket = MemoryBucket()
    assert log_of(bucket, "a").append(lambda _state: added("x")) == 1
    log = log_of(bucket, "b")
    assert list(log.state().files) == [merged_path("process", DATE, "x")]
    assert log.append(lambda _state: added("y")) == 2
    assert b'"by":"b"' in bucket.objects[entry_name(2)].content


def test_who_is_late_is_asked_again_with_the_newer_state() -> None:
    """As often as others are faster."""
    bucket = MemoryBucket()
    host = LakeHost()
    log = LakeLog(bucket, "late", host.ports)
    log.state()
    seen: list[int] = []

    def make(state: LakeState) -> LakeCommit | None:
        seen.append(state.number)
        if len(seen) < 3:
            # Another is faster between the look and the put.
            bucket.put_new(entry_name(state.number + 1), encode_commit(added(f"o{len(seen)}")))
        return added("mine")

    assert log.append(make) == 3
    assert seen == [0, 1, 2]
    assert len(host.waited_ns) == 2
    assert log.append(lambda _state: None) is None


def test_an_entry_that_does_not_fit_is_refused() -> None:
    """Nothing is put."""
    bucket = MemoryBucket()
    log = fill(bucket, 1)
    with pytest.raises(CommitRefused, match="added before"):
        log.append(lambda _state: added("f0"))
    assert entry_name(2) not in bucket.objects


def test_who_loses_again_and_again_gives_up() -> None:
    """With a sentence."""

    class Contended(MemoryBucket):
        """Somebody else is always faster."""

        def put_new(self, name: str, content: Content) -> PutOutcome:
            if name.startswith("_log/"):
                super().put_new(name, encode_commit(LakeCommit(token="theirs")))
            return super().put_new(name, content)

    with pytest.raises(BusyError, match=f"{TRIES_MAX} times"):
        log_of(Contended()).append(lambda _state: LakeCommit())


def test_a_lost_answer_is_no_second_commit() -> None:
    """The same bytes under the same number are ours."""
    bucket = MemoryBucket()
    log = log_of(bucket)

    class Forgetful(MemoryBucket):
        """Shares the objects, and forgets to say that it stored."""

        def put_new(self, name: str, content: Content) -> PutOutcome:
            bucket.put_new(name, content)
            return bucket.put_new(name, content)

    forgetful = Forgetful()
    forgetful.objects = bucket.objects
    assert LakeLog(forgetful, "me", LakeHost().ports).append(lambda _state: added("x")) == 1
    assert log.state().number == 1


# ---- checkpoints ----


def test_a_checkpoint_comes_with_each_so_many_entries_and_is_found_by_the_hint() -> None:
    """A new reader reads it and what follows."""
    bucket = MemoryBucket()
    fill(bucket, CHECKPOINT_EVERY + 2)
    assert checkpoint_name(CHECKPOINT_EVERY) in bucket.objects
    # Only what the checkpoint does not hold is needed.
    for number in range(1, CHECKPOINT_EVERY):
        bucket.delete(entry_name(number))
    state = log_of(bucket).state()
    assert (state.number, len(state.files)) == (CHECKPOINT_EVERY + 2, CHECKPOINT_EVERY + 2)


@pytest.mark.parametrize("hint", [None, b"", b"{", b'{"number":999}', b'{"number":-3}', b'{"number":64}'])
def test_a_hint_may_be_wrong(hint: bytes | None) -> None:
    """It only says where to begin to look."""
    bucket = MemoryBucket()
    fill(bucket, 2 * CHECKPOINT_EVERY + 1)
    bucket.delete(HINT)
    if hint is not None:
        bucket.replace(HINT, hint)
    assert log_of(bucket).state().number == 2 * CHECKPOINT_EVERY + 1


def test_a_hint_at_a_place_that_was_pruned_leads_to_the_newest_checkpoint() -> None:
    """Somebody who slept wrote it."""
    bucket = MemoryBucket()
    fill(bucket, 3 * CHECKPOINT_EVERY + 1)
    bucket.replace(HINT, b'{"number":64}')
    bucket.delete(checkpoint_name(CHECKPOINT_EVERY))
    for number in range(1, 3 * CHECKPOINT_EVERY):
        bucket.delete(entry_name(number))
    assert log_of(bucket).state().number == 3 * CHECKPOINT_EVERY + 1


def test_a_checkpoint_that_cannot_be_read_is_passed_over() -> None:
    """The one before and the entries say the same; and why is told."""
    bucket = MemoryBucket()
    fill(bucket, 2 * CHECKPOINT_EVERY + 1)
    bucket.replace(checkpoint_name(2 * CHECKPOINT_EVERY), b"{")
    log = log_of(bucket)
    assert log.state().number == 2 * CHECKPOINT_EVERY + 1
    assert "no checkpoint" in log.checkpoint_problem


def test_a_checkpoint_that_cannot_be_put_ends_no_commit() -> None:
    """It is a cache."""

    class Refusing(MemoryBucket):
        """Takes no checkpoints."""

        def put_new(self, name: str, content: Content) -> PutOutcome:
            if "checkpoint" in name:
                raise BucketFailure("", "no room", is_passing=True)
            return super().put_new(name, content)

    bucket = Refusing()
    log = fill(bucket, CHECKPOINT_EVERY)
    assert log.state().number == CHECKPOINT_EVERY
    assert "no room" in log.checkpoint_problem
    assert log_of(bucket).state().number == CHECKPOINT_EVERY


def test_a_missing_entry_is_a_failure() -> None:
    """Nobody reads half a log."""
    bucket = MemoryBucket()
    fill(bucket, 5)
    bucket.delete(entry_name(3))
    with pytest.raises(FormatError, match="missing"):
        log_of(bucket).state()


def test_what_is_no_entry_is_a_failure_with_its_name() -> None:
    """Nobody passes it over."""
    bucket = MemoryBucket()
    bucket.put_new(entry_name(1), b"{")
    with pytest.raises(FormatError, match=r"_log/0+1\.json"):
        log_of(bucket).state()


# ---- who slept ----


def pruned(bucket: MemoryBucket, count: int) -> None:
    """Append, and remove what a checkpoint holds, as the compactor does a day later."""
    fill(bucket, count, begin=1000)
    newest = max(number for number in range(1, 2000) if checkpoint_name(number) in bucket.objects)
    for number in range(1, newest):
        bucket.delete(checkpoint_name(number))
        bucket.delete(entry_name(number))


def test_a_reader_that_slept_reads_from_the_beginning() -> None:
    """What followed its state is gone, and it must not think that nothing came."""
    bucket = MemoryBucket()
    fill(bucket, 3)
    host = LakeHost()
    log = LakeLog(bucket, "sleeper", host.ports)
    assert log.state().number == 3
    pruned(bucket, 3 * CHECKPOINT_EVERY)
    host.now_ns += STALE_NS + 1
    assert log.state().number == 3 + 3 * CHECKPOINT_EVERY


def test_a_writer_that_slept_before_its_put_does_not_think_that_it_has_committed() -> None:
    """Its number is free again, since it was pruned; nobody will ever read what it puts there."""
    bucket = MemoryBucket()
    fill(bucket, 3)
    made: list[int] = []

    def make(state: LakeState) -> LakeCommit:
        made.append(state.number)
        if len(made) == 1:
            pruned(bucket, 3 * CHECKPOINT_EVERY)
        return LakeCommit(offsets={"t/0": OffsetSpan(0, 1)})

    log = log_of(bucket, "sleeper")
    assert log.append(make) == 4 + 3 * CHECKPOINT_EVERY
    assert made == [3, 3 + 3 * CHECKPOINT_EVERY]
    assert log_of(bucket).state().offsets == {"t/0": 1}


def test_a_look_that_takes_an_hour_each_time_ends() -> None:
    """It would never be sure."""
    bucket = MemoryBucket()
    host = LakeHost()

    class Slow(MemoryBucket):
        """A day for each answer."""

        def get(self, name: str, bytes_max: int) -> bytes | None:
            host.now_ns += DAY
            return bucket.get(name, bytes_max)

    with pytest.raises(BusyError, match="within an hour"):
        LakeLog(Slow(), "x", host.ports).state()
