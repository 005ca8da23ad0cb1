"""The steps of a commit: an intent first, offsets last, and nothing where another stores the partition."""

from collections.abc import Iterable

import pytest

from agent.lake.clickhouse_commit import (
    CommitStep,
    InsertRows,
    PartitionPlace,
    PutIntents,
    PutMarks,
    PutOffsets,
    ReadStored,
    RowRange,
    StoredPlaces,
    commit_steps,
    token_of,
)

FIRST, SECOND = RowRange("t/0", 0, 5), RowRange("t/1", 7, 9)


def tables_of(stored: RowRange) -> Iterable[str]:
    """Two tables in the first partition, none in the second."""
    return {"b", "a"} if stored == FIRST else ()


def carried_out(found: StoredPlaces) -> tuple[list[CommitStep], object]:
    """The steps where the store has this after the intents, and what the commit gives."""
    steps = commit_steps([FIRST, SECOND], tables_of)
    taken: list[CommitStep] = []
    answer = None
    while True:
        try:
            taken.append(steps.send(answer))
        except StopIteration as end:
            return taken, end.value
        answer = found if isinstance(taken[-1], ReadStored) else None


def test_rows_come_between_intents_and_offsets() -> None:
    """Each table of each range with a token of its own; then marks; then offsets."""
    steps, refused = carried_out(StoredPlaces({"t/1": 7}, {"t/0": (0, 5), "t/1": (7, 9)}))
    assert refused is None
    assert steps == [
        PutIntents([FIRST, SECOND]),
        ReadStored(),
        InsertRows(FIRST, "a", "a:t/0:0:5"),
        InsertRows(FIRST, "b", "b:t/0:0:5"),
        PutMarks([FIRST, SECOND]),
        PutOffsets([FIRST, SECOND]),
    ]


@pytest.mark.parametrize(
    "found",
    [
        StoredPlaces({"t/1": 7}, {"t/0": (0, 4), "t/1": (7, 9)}),
        StoredPlaces({"t/0": 5, "t/1": 7}, {"t/0": (0, 5), "t/1": (7, 9)}),
        StoredPlaces({"t/1": 7}, {"t/0": (0, 5), "t/1": (6, 9)}),
        StoredPlaces({"t/1": 7}, {"t/0": (0, 5)}),
        StoredPlaces({}, {}),
    ],
    ids=["another end", "stored already", "another base", "no intent", "nothing"],
)
def test_nothing_is_stored_where_one_range_is_not_the_next(found: StoredPlaces) -> None:
    """The places say where to go on."""
    steps, refused = carried_out(found)
    assert steps == [PutIntents([FIRST, SECOND]), ReadStored()]
    assert refused == found.places()


def test_an_intent_counts_only_where_its_partition_is_at_its_base() -> None:
    """Older ones are done."""
    found = StoredPlaces({"done": 5, "open": 5, "plain": 3}, {"done": (0, 5), "open": (5, 8), "new": (0, 2)})
    assert found.places() == {
        "done": PartitionPlace(5, None),
        "open": PartitionPlace(5, 8),
        "plain": PartitionPlace(3, None),
        "new": PartitionPlace(0, 2),
    }


def test_tokens_of_equal_inserts_are_equal() -> None:
    """And of no others."""
    ranges = [FIRST, SECOND, RowRange("t/0", 0, 6), RowRange("t/0", 1, 5)]
    assert len({token_of(each, table) for each in ranges for table in ("a", "b")}) == 8
