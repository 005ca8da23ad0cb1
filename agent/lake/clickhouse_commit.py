"""The steps of one commit to ClickHouse, which has no transactions over tables: rows, marks and offsets exactly once. PURE.

    1. an intent for each range, put only where its partition has none that begins there: who is second is refused
    2. the intents are read back; where another's stands, or the offsets are not those of the ranges, nothing is stored
    3. the rows of each range and table, with a token made of both: a second insert with the same token stores nothing
    4. the marks, then the offsets: both tables keep the row of the highest offset

A merger that ends between two steps leaves an intent. The next owner of the partition stores exactly that range, with the same
tokens, before anything else, so that what was stored of it is not stored twice. What decides is which intent is there, so two that
both believe to own a partition do no harm.
*Source:* clickhouse.com/docs, insert_deduplication_token and non_replicated_deduplication_window.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

from msgspec import Struct


class RowRange(Struct, frozen=True, order=True):
    """The offsets of `partition` (`topic/number`) from `base` up to the one before `next`."""

    partition: str
    base: int
    next: int


class PartitionPlace(Struct, frozen=True):
    """How far a partition is stored, and the end of the range that somebody has begun there. *Absent:* None: nobody has."""

    next: int
    until: int | None = None


class PutIntents(Struct, frozen=True):
    """Store one intent for each range, unless its partition has one with the same base."""

    ranges: Sequence[RowRange]


class ReadStored(Struct, frozen=True):
    """Answered by `StoredPlaces`."""


class InsertRows(Struct, frozen=True):
    """Store the rows of a range in a table, unless a token like this one was used there."""

    range: RowRange
    table: str
    token: str


class PutMarks(Struct, frozen=True):
    """Store the marks of these ranges; of each host and table the one of the highest offset stays."""

    ranges: Sequence[RowRange]


class PutOffsets(Struct, frozen=True):
    """Store how far the partitions are; of each the highest stays."""

    ranges: Sequence[RowRange]


class StoredPlaces(Struct, frozen=True):
    """How far partitions are stored, and of each its last intent: (base, next)."""

    offsets: Mapping[str, int]
    intents: Mapping[str, tuple[int, int]]

    def places(self) -> dict[str, PartitionPlace]:
        """Where each partition goes on."""
        found: dict[str, PartitionPlace] = {}
        for partition in {*self.offsets, *self.intents}:
            stored = self.offsets.get(partition, 0)
            base, until = self.intents.get(partition, (-1, -1))
            found[partition] = PartitionPlace(stored, until if base == stored else None)
        return found


CommitStep = PutIntents | ReadStored | InsertRows | PutMarks | PutOffsets
CommitSteps = Generator[CommitStep, StoredPlaces | None, Mapping[str, PartitionPlace] | None]


def token_of(stored: RowRange, table: str) -> str:
    """What an insert is known by. Equal ranges of equal tables are equal inserts, of any merger."""
    return f"{table}:{stored.partition}:{stored.base}:{stored.next}"


def commit_steps(ranges: Sequence[RowRange], tables_of: Callable[[RowRange], Iterable[str]]) -> CommitSteps:
    """One commit, step by step; each step is done before the next one is asked for.

    Returns None where it is stored; else where the partitions go on: then another stores them, or has.
    """
    yield PutIntents(ranges)
    found = yield ReadStored()
    assert found is not None
    places = found.places()
    # By our intent, or by an equal one that another left.
    if any(places.get(stored.partition) != PartitionPlace(stored.base, stored.next) for stored in ranges):
        return places
    for stored in ranges:
        for table in sorted(tables_of(stored)):
            yield InsertRows(stored, table, token_of(stored, table))
    yield PutMarks(ranges)
    yield PutOffsets(ranges)
    return None
