"""Messages of a commit as rows and marks; what cannot be read costs nothing else."""

import pytest
from fakes.topic_rows import START_NS, message_of, numbered_rows

from agent.lake.commit import LakeMark
from agent.lake.known_columns import KnownColumns
from agent.model.timebase import S
from workers.merger.decoding import DecodedCommit, decode
from workers.merger.effect import CommitRows, OffsetRange, TakenMessage, TopicPartition
from workers.registry import tables

PLACE = TopicPartition("proc.raw.v1", 0)


def taken(offset: int, host: str = "h", seq: int = 1, **head: object) -> TakenMessage:
    """A message of one batch."""
    headers, value = message_of(host, seq, numbered_rows(seq), **head)  # type: ignore[arg-type]  # as the head has them
    return TakenMessage(PLACE, offset, tuple(headers), host.encode(), value)


def decoded(*messages: TakenMessage) -> DecodedCommit:
    """A commit of these."""
    return decode(CommitRows((OffsetRange(PLACE, 0, 100),), messages), KnownColumns(tables()))


def test_a_message_that_cannot_be_read_is_told_and_passed() -> None:
    """With the host that it names, where it names one."""
    bad = taken(2)
    found = decoded(
        taken(1), TakenMessage(PLACE, 2, bad.headers, b"", b"x"), TakenMessage(PLACE, 3, (), b"", b""), taken(4, host="other\x1b")
    )
    assert [message.offset for message in found.messages] == [1, 4]
    assert found.counts.unreadable_count == 2
    assert [(each.offset, each.host) for each in found.counts.unreadable] == [(2, "h"), (3, "")]
    assert (found.counts.rows, found.counts.messages, found.counts.raw_writes) == (6, 2, 0)


def test_many_unreadable_messages_are_counted() -> None:
    """The first are told."""
    found = decoded(*(TakenMessage(PLACE, offset, (), b"", b"") for offset in range(50)))
    assert found.counts.unreadable_count == 50
    assert len(found.counts.unreadable) == 8


def test_a_mark_is_of_the_last_message_and_not_of_the_latest_time() -> None:
    """A clock may be set back."""
    found = decoded(taken(1, seq=5), taken(2, seq=3), taken(3, host="other", seq=9))
    marks = found.marks["process_tail"]
    assert marks["h"].mark == LakeMark(START_NS + 3 * S, 3, "sampler/process", 1)
    assert marks["h"].offset == 2
    assert marks["other"].mark.low_ns == START_NS + 9 * S


@pytest.mark.parametrize("head", [{"is_complete": False}, {"part": 1, "parts": 2}])
def test_what_is_behind_something_older_gives_no_mark(head: dict[str, object]) -> None:
    """A backlog that follows later, and a batch of which more follows; the mark of before stays."""
    found = decoded(taken(1, seq=5), taken(2, "h", 6, **head))
    assert found.marks["process_tail"]["h"].mark.seq == 5
    assert decoded(taken(1, seq=6, part=2, parts=2)).marks["process_tail"]["h"].mark.seq == 6
