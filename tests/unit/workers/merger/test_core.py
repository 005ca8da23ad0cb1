"""What a merger decides, one story each; tests/sim has random worlds of several."""

from collections.abc import Mapping
from random import Random

import pytest

from agent.model.timebase import MS, S
from workers.merger.core import PAUSE_AFTER_NS, RETRY_MOST_NS, MergerCore, MergerTerms
from workers.merger.effect import (
    CommitRows,
    ConsumeFrom,
    MergerEffect,
    OffsetRange,
    OffsetsLost,
    PauseConsuming,
    ReadPlaces,
    ResumeConsuming,
    StorePlace,
    TakenMessage,
    TellGroup,
    TopicPartition,
)

A, B = TopicPartition("raw", 0), TopicPartition("raw", 1)
TERMS = MergerTerms(interval_ns=2 * S, commit_bytes=2_000, gathered_bytes=4_000)


def message(partition: TopicPartition, offset: int, size: int = 0) -> TakenMessage:
    """One of at least 512 bytes in memory."""
    return TakenMessage(partition, offset, (), b"", b"x" * size)


class MergerStory:
    """A core and its time in milliseconds."""

    def __init__(self, terms: MergerTerms = TERMS) -> None:
        self.core = MergerCore(terms, Random(1))

    def begin(self, places: Mapping[TopicPartition, StorePlace], *partitions: TopicPartition) -> None:
        """Partitions are given, and the store says where they go on."""
        self.core.on_assigned(partitions)
        assert self.at(0) == [ReadPlaces()]
        self.core.on_places(places)

    def at(self, ms: int) -> list[MergerEffect]:
        """The turn at a time."""
        return self.core.turn(ms * MS)

    def takes(self) -> bool:
        """Whether messages are to be taken now."""
        return self.core.is_consuming

    def is_paused(self) -> bool:
        """Whether the client is."""
        return self.core.is_paused

    def take(self, ms: int, *messages: TakenMessage) -> None:
        """Messages come."""
        for each in messages:
            self.core.on_message(each, ms * MS)


def test_nothing_is_taken_before_the_store_has_said_where() -> None:
    """What comes meanwhile is from anywhere."""
    story = MergerStory()
    assert story.core.next_at_ns(0) is None
    story.core.on_assigned([B, A])
    assert not story.takes()
    assert story.core.next_at_ns(5) == 5
    assert story.at(0) == [ReadPlaces()]
    assert story.core.next_at_ns(5) is None
    story.take(0, message(A, 0))
    story.core.on_places({A: StorePlace(7)})
    story.take(0, message(A, 7))
    assert not story.takes()
    assert story.core.next_at_ns(5) == 5
    assert story.at(0) == [ConsumeFrom({A: 7, B: 0})]
    assert story.takes()
    assert story.core.positions == {A: 7, B: 0}
    story.take(0, message(A, 6), message(TopicPartition("other", 0), 1))
    assert story.core.gathered_bytes == 0


def test_no_partitions_need_no_store() -> None:
    """A merger more than there are partitions waits."""
    story = MergerStory()
    story.core.on_assigned([])
    assert story.at(0) == []


def test_a_commit_comes_after_the_interval_or_with_enough_bytes() -> None:
    """It has whole ranges: from where the store is to behind the last message, over offsets without one."""
    story = MergerStory()
    story.begin({}, A, B)
    story.at(0)
    story.take(100, message(A, 2), message(B, 0))
    assert story.core.next_at_ns(0) == 2_100 * MS
    assert story.at(2_000) == []
    (commit,) = story.at(2_100)
    assert commit == CommitRows((OffsetRange(A, 0, 3), OffsetRange(B, 0, 1)), (message(B, 0), message(A, 2)))
    story.core.on_committed()
    assert story.at(2_100) == [TellGroup({A: 3, B: 1})]
    story.take(2_200, message(A, 3, size=2_000))
    assert story.at(2_200) == [CommitRows((OffsetRange(A, 3, 4),), (message(A, 3, size=2_000),))]


def test_a_commit_has_a_bound_and_partitions_take_turns() -> None:
    """What is left goes into the next one."""
    story = MergerStory(MergerTerms(2 * S, 1_000, 100_000))
    story.begin({}, A, B)
    story.at(0)
    story.take(0, *(message(A, offset) for offset in range(3)), *(message(B, offset) for offset in range(3)))
    (first,) = story.at(0)
    story.core.on_committed()
    tell, second = story.at(0)
    assert isinstance(tell, TellGroup)
    assert isinstance(first, CommitRows)
    assert isinstance(second, CommitRows)
    assert [len(commit.messages) for commit in (first, second)] == [2, 2]
    assert first.ranges[0].partition != second.ranges[0].partition


def test_a_refused_commit_is_forgotten_and_read_again() -> None:
    """From where the store is; partitions that were not in it keep what they have."""
    story = MergerStory(MergerTerms(2 * S, 1, 100_000))
    story.begin({A: StorePlace(1)}, A, B)
    story.at(0)
    story.take(0, message(A, 1))
    (commit,) = story.at(0)
    assert isinstance(commit, CommitRows)
    story.take(0, message(A, 2), message(B, 0))
    story.core.on_refused({A: StorePlace(9)})
    assert story.core.refused == 1
    consume, next_commit = story.at(0)
    assert consume == ConsumeFrom({A: 9, B: 1})
    assert next_commit == CommitRows((OffsetRange(B, 0, 1),), (message(B, 0),))
    story.core.on_refused({})
    assert story.at(0) == [ConsumeFrom({A: 9, B: 0})]


def test_a_store_that_fails_is_asked_again_after_a_while() -> None:
    """The same commit, later and later, and no later than a bound."""
    story = MergerStory()
    story.begin({}, A)
    story.at(0)
    story.take(0, message(A, 0))
    (commit,) = story.at(2_000)
    now_ns = 2_000 * MS
    waits = []
    for _ in range(20):
        story.core.on_job_failed(now_ns)
        at_ns = story.core.next_at_ns(now_ns)
        assert at_ns is not None
        waits.append(at_ns - now_ns)
        assert story.core.turn(at_ns - 1) == []
        assert story.core.turn(at_ns) == [commit]
        now_ns = at_ns
    assert 0 < waits[0] <= 500 * MS
    assert RETRY_MOST_NS // 2 <= waits[-1] <= RETRY_MOST_NS
    story.core.on_committed()
    assert story.core.turn(now_ns) == [TellGroup({A: 1})]


def test_a_rebalance_forgets_what_was_gathered() -> None:
    """And what waited for another attempt; a commit under way may end either way."""
    story = MergerStory()
    story.begin({}, A)
    story.at(0)
    story.take(0, message(A, 0))
    story.at(2_000)
    story.core.on_job_failed(0)
    story.core.on_revoked()
    assert story.at(60_000) == []
    assert story.core.gathered_bytes == 0
    for end in ("committed", "refused", "failed", "placed"):
        story.core.on_assigned([A])
        assert story.at(70_000) == [ReadPlaces()]
        if end == "placed":
            story.core.on_revoked()
            story.core.on_places({A: StorePlace(5)})
            assert story.at(70_000) == []
            continue
        story.core.on_places({})
        story.at(70_000)
        story.take(70_000, message(A, 0, size=9_000))
        (commit,) = story.at(70_000)
        assert isinstance(commit, CommitRows)
        story.core.on_assigned([A])
        if end == "committed":
            story.core.on_committed()
        elif end == "refused":
            story.core.on_refused({A: StorePlace(3)})
        else:
            story.core.on_job_failed(70_000 * MS)
        assert story.at(120_000) == [ReadPlaces()]
        story.core.on_places({})
        story.at(120_000)


def test_orders_of_before_a_rebalance_are_not_carried_out() -> None:
    """They name partitions that are somebody else's."""
    story = MergerStory()
    story.begin({}, A)
    story.core.on_revoked()
    assert story.at(0) == []


def test_a_range_that_somebody_began_is_stored_first_and_alone() -> None:
    """No more and no less than it, one partition after the other, though there is no room for it."""
    story = MergerStory(MergerTerms(2 * S, 2_000, 1_000))
    story.begin({A: StorePlace(2, 5), B: StorePlace(1, 2)}, A, B)
    assert story.at(0) == [ConsumeFrom({A: 2})]
    story.take(0, message(A, 2, size=3_000), message(A, 3))
    assert story.takes()
    assert story.at(60_000) == []
    story.take(0, message(A, 6))
    (commit,) = story.at(60_000)
    assert commit == CommitRows((OffsetRange(A, 2, 5),), (message(A, 2, size=3_000), message(A, 3)))
    story.core.on_committed()
    assert story.at(60_000) == [TellGroup({A: 5}), ConsumeFrom({B: 1})]
    story.take(60_000, message(B, 1))
    (second,) = story.at(60_000)
    assert isinstance(second, CommitRows)
    assert second.ranges == (OffsetRange(B, 1, 2),) or second.ranges == (OffsetRange(A, 5, 7), OffsetRange(B, 1, 2))
    story.core.on_committed()
    assert ConsumeFrom({A: 7, B: 2}) in story.at(60_000)


def test_a_range_that_somebody_began_may_have_lost_its_messages() -> None:
    """It is stored without them."""
    story = MergerStory()
    story.begin({A: StorePlace(2, 5)}, A)
    story.at(0)
    story.core.on_out_of_range(A, 8, 20)
    lost, consume, commit = story.at(0)
    assert (lost, consume) == (OffsetsLost(A, 2, 8), ConsumeFrom({A: 8}))
    assert commit == CommitRows((OffsetRange(A, 2, 5),), ())


def test_messages_that_the_broker_removed_are_lost_and_told() -> None:
    """The next commit's range is over them."""
    story = MergerStory()
    story.begin({A: StorePlace(5)}, A)
    story.at(0)
    story.core.on_out_of_range(A, 5, 9)
    story.core.on_out_of_range(B, 5, 9)
    assert story.at(0) == []
    story.core.on_out_of_range(A, 8, 9)
    assert story.at(0) == [OffsetsLost(A, 5, 8), ConsumeFrom({A: 8})]
    story.take(0, message(A, 8))
    (commit,) = story.at(2_000)
    assert isinstance(commit, CommitRows)
    assert commit.ranges == (OffsetRange(A, 5, 9),)


def test_a_topic_that_ends_before_what_is_stored_is_not_read() -> None:
    """The others are."""
    story = MergerStory()
    story.begin({A: StorePlace(50), B: StorePlace(2)}, A, B)
    story.at(0)
    story.core.on_out_of_range(A, 0, 10)
    assert story.at(0) == [ConsumeFrom({B: 2})]
    assert story.core.beyond_end == [A]
    begun = MergerStory()
    begun.begin({A: StorePlace(50, 60)}, A, B)
    begun.at(0)
    begun.core.on_out_of_range(A, 0, 10)
    assert begun.at(0) == [ConsumeFrom({B: 0})]


def test_without_room_nothing_is_taken_and_after_a_while_the_client_is_paused() -> None:
    """It goes on once there is room."""
    story = MergerStory()
    story.begin({}, A, B)
    story.at(0)
    story.take(0, message(A, 0, size=1_500))
    (commit,) = story.at(2_000)
    assert isinstance(commit, CommitRows)
    story.take(2_000, message(B, 0, size=4_000), message(B, 1))
    assert not story.takes()
    pause_ms = (2_000 * MS + PAUSE_AFTER_NS) // MS
    assert story.core.next_at_ns(0) == pause_ms * MS
    assert story.at(pause_ms - 1) == []
    assert story.at(pause_ms) == [PauseConsuming()]
    assert story.is_paused()
    assert story.at(pause_ms + 1) == []
    story.core.on_refused({})
    consume, pause, following, resume = story.at(pause_ms + 2)
    assert (consume, pause, resume) == (ConsumeFrom({A: 0, B: 2}), PauseConsuming(), ResumeConsuming())
    assert isinstance(following, CommitRows)
    assert not story.is_paused()


def test_at_the_end_what_is_gathered_is_stored() -> None:
    """And nothing more is taken; without anything it is done at once."""
    story = MergerStory()
    story.core.on_stop()
    assert story.core.is_done
    story = MergerStory()
    story.core.on_assigned([A])
    story.core.on_stop()
    assert story.at(0) == []
    story = MergerStory()
    story.begin({}, A)
    story.at(0)
    story.take(0, message(A, 0))
    story.core.on_stop()
    assert not story.core.is_done
    assert not story.takes()
    assert story.core.next_at_ns(3) == 3
    (commit,) = story.at(0)
    assert isinstance(commit, CommitRows)
    assert not story.core.is_done
    story.core.on_committed()
    assert story.core.is_done


@pytest.mark.parametrize("size", [0, 100])
def test_the_size_of_a_message_is_what_it_takes(size: int) -> None:
    """Headers and key too."""
    plain = TakenMessage(A, 0, (), b"", b"x" * size)
    whole = TakenMessage(A, 0, (("name", b"text"), ("none", None)), b"key", b"x" * size)
    assert plain.size_bytes == 512 + size
    assert whole.size_bytes == plain.size_bytes + 3 + 8 + 4 + 256


def test_partitions_are_named_as_in_stores() -> None:
    """Topic and number."""
    assert str(A) == "raw/0"
