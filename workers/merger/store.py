"""What a merger needs of a store: where partitions go on, and a commit that is done as a whole or not at all."""

from collections.abc import Mapping
from typing import Protocol

from agent.lake.commit import LakeMark
from workers.merger.decoding import DecodedCommit
from workers.merger.effect import TopicPartition
from workers.merger.outcome import MarkRegress, NotStored, Stored, StoreSight


class MergerStore(Protocol):
    """For one thread. *Raises:* EvergaugeError from everything: nothing is known then, and the same may be tried again."""

    @property
    def shown(self) -> str:
        """As sentences name it."""
        ...

    def read(self) -> StoreSight:
        """What the store has now."""
        ...

    def commit(self, commit: DecodedCommit) -> Stored | NotStored:
        """Store rows, offsets and marks together."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


def partition_named(name: str) -> TopicPartition | None:
    """The partition of a text `topic/number`. *Absent:* None: it is none."""
    topic, slash, number = name.rpartition("/")
    return TopicPartition(topic, int(number)) if slash and number.isascii() and number.isdecimal() else None


def regresses_of(before: Mapping[str, Mapping[str, LakeMark]], after: Mapping[str, Mapping[str, LakeMark]]) -> list[MarkRegress]:
    """The marks that went back."""
    found: list[MarkRegress] = []
    for table, marks in after.items():
        known = before.get(table, {})
        for host, mark in marks.items():
            old = known.get(host)
            if old is not None and mark.low_ns < old.low_ns:
                found.append(MarkRegress(table, host, old.low_ns, mark.low_ns))
    return found
