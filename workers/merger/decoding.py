"""The messages of a commit as Arrow, with the marks that they bring. What cannot be read is counted and told, and costs no other.

A mark says that the store has every row of a host and table up to a time. It follows from a message whose sender had nothing older
left to send (`is_complete`), and from the last part of a batch that was divided. Of several messages the last one counts, not the
latest time: a host's clock may be set back.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from agent.lake.arrow_columns import ArrowRows, to_arrow
from agent.lake.commit import LakeMark
from agent.lake.known_columns import KnownColumns
from agent.model.errors import FormatError
from agent.model.foreign import readable
from agent.topic.head import MessageHead, parse_headers
from workers.merger.effect import CommitRows, OffsetRange, TopicPartition
from workers.merger.outcome import CommitCounts, UnreadableMessage

# Rows of this table are values of windows of which no sketch could be built.
RAW_TABLE = "process_raw"
# So many unreadable messages of a commit are told one by one.
TOLD_MAX = 8


class DecodedMessage(Struct, frozen=True):
    """One message that was read."""

    partition: TopicPartition
    offset: int
    head: MessageHead
    rows: ArrowRows


class OffsetMark(Struct, frozen=True):
    """A mark, and the offset of the message that brought it: of one host and table the higher one is the later one."""

    mark: LakeMark
    offset: int
    partition: TopicPartition


class DecodedCommit(Struct, frozen=True):
    """What is stored together. `marks`: by table and host."""

    ranges: tuple[OffsetRange, ...]
    messages: Sequence[DecodedMessage]
    marks: dict[str, dict[str, OffsetMark]]
    counts: CommitCounts


def decode(commit: CommitRows, known: KnownColumns) -> DecodedCommit:
    """Everything that can be read of these messages, in their order."""
    messages: list[DecodedMessage] = []
    unreadable: list[UnreadableMessage] = []
    failed = 0
    for message in commit.messages:
        host = ""
        try:
            head = parse_headers(message.headers)
            host = head.host
            messages.append(DecodedMessage(message.partition, message.offset, head, to_arrow(head, message.value, known)))
        except FormatError as failure:
            failed += 1
            if len(unreadable) < TOLD_MAX:
                unreadable.append(UnreadableMessage(message.partition, message.offset, readable(host), failure.problem))
    rows = [(message.rows.table, len(message.rows.batch)) for message in messages]
    counts = CommitCounts(
        rows=sum(count for _, count in rows),
        raw_writes=sum(count for table, count in rows if table == RAW_TABLE),
        messages=len(messages),
        value_bytes=sum(len(message.value) for message in commit.messages),
        unreadable_count=failed,
        unreadable=unreadable,
    )
    return DecodedCommit(commit.ranges, messages, marks_of(messages), counts)


def marks_of(messages: Iterable[DecodedMessage]) -> dict[str, dict[str, OffsetMark]]:
    """The last mark of each table and host."""
    found: dict[str, dict[str, OffsetMark]] = {}
    for message in messages:
        head = message.head
        if head.is_complete and head.part == head.parts:
            mark = LakeMark(head.last_stamp_ns, head.last_seq, head.worker, head.epoch)
            of_table = found.setdefault(head.table, {})
            before = of_table.get(head.host)
            # All rows of a host are in one partition of a topic, whose messages are in their order.
            if before is None or before.partition != message.partition or before.offset < message.offset:
                of_table[head.host] = OffsetMark(mark, message.offset, message.partition)
    return found
