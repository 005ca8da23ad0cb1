"""What a commit was and what became of it: marks, places, numbers. PURE."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from workers.merger.effect import StorePlace, TopicPartition


class UnreadableMessage(Struct, frozen=True):
    """One that was passed: where it is, whose it says to be (empty: it does not), and what is wrong with it."""

    partition: TopicPartition
    offset: int
    host: str
    problem: str


class CommitCounts(Struct, frozen=True):
    """What was in a commit. `raw_writes`: rows that were written because no sketch could be built; `value_bytes`: of messages.

    `unreadable`: the first of `unreadable_count` messages.
    """

    rows: int
    raw_writes: int
    messages: int
    value_bytes: int
    unreadable_count: int = 0
    unreadable: Sequence[UnreadableMessage] = ()


class MarkRegress(Struct, frozen=True):
    """A mark went back in time: the host's clock was set back, or another host has its name. *Units:* unix time."""

    table: str
    host: str
    from_ns: int
    to_ns: int


class NumberedMark(Struct, frozen=True):
    """A mark, and the number of a commit behind which it holds: of two the one with the higher number is newer."""

    number: int
    low_ns: int


NumberedMarks = Mapping[str, Mapping[str, NumberedMark]]


class StoreSight(Struct, frozen=True):
    """Where partitions go on, and the marks: by table and host."""

    places: Mapping[TopicPartition, StorePlace]
    marks: NumberedMarks


class Stored(Struct, frozen=True):
    """It is stored. `marks`: those that it brought; `stored_bytes`: what was put."""

    marks: NumberedMarks
    regresses: Sequence[MarkRegress]
    stored_bytes: int


class NotStored(Struct, frozen=True):
    """Nothing of it is stored by this: somebody else stores these partitions, or has. `places`: where they go on."""

    places: Mapping[TopicPartition, StorePlace]
