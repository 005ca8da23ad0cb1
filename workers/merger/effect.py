"""What the merger's core is told and what it orders: partitions, messages, places in them, and effects. PURE."""

from collections.abc import Mapping, Sequence

from msgspec import Struct


class TopicPartition(Struct, frozen=True, order=True):
    """One partition of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


class TakenMessage(Struct, frozen=True):
    """One message as the broker gave it; nothing of it has been looked at."""

    partition: TopicPartition
    offset: int
    headers: Sequence[tuple[str, bytes | None]]
    key: bytes
    value: bytes

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        # An object of Python's own and its two tuples.
        return len(self.value) + len(self.key) + sum(len(name) + len(text or b"") + 128 for name, text in self.headers) + 512


class OffsetRange(Struct, frozen=True):
    """The offsets of one partition from `base` up to the one before `next`. Not each has a message: a transaction's end has one."""

    partition: TopicPartition
    base: int
    next: int


class StorePlace(Struct, frozen=True):
    """How far the store has a partition: everything before `next`.

    `until`: somebody has begun to store the range up to here, which the next commit of this partition must be, no more and no less.
    *Absent:* None: nobody has.
    """

    next: int
    until: int | None = None


class ReadPlaces(Struct, frozen=True):
    """Ask the store how far it has which partition: `on_places`, or `on_job_failed`."""


class CommitRows(Struct, frozen=True):
    """Store the messages of these ranges, offsets and marks together: `on_committed`, `on_refused` or `on_job_failed`."""

    ranges: tuple[OffsetRange, ...]
    messages: tuple[TakenMessage, ...]


class ConsumeFrom(Struct, frozen=True):
    """Take messages of these partitions, and of no others, from these offsets on."""

    offsets: Mapping[TopicPartition, int]


class PauseConsuming(Struct, frozen=True):
    """Take no messages for now, but keep the group's protocol going."""


class ResumeConsuming(Struct, frozen=True):
    """Take messages again where they were left."""


class TellGroup(Struct, frozen=True):
    """Say to the broker how far the store has these partitions: what others see as lag."""

    offsets: Mapping[TopicPartition, int]


class OffsetsLost(Struct, frozen=True):
    """The broker has removed messages that the store has not got: those from `first` up to the one before `next`."""

    partition: TopicPartition
    first: int
    next: int


MergerEffect = ReadPlaces | CommitRows | ConsumeFrom | PauseConsuming | ResumeConsuming | TellGroup | OffsetsLost
