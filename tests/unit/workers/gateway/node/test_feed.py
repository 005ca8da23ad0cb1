"""Reading the spool into the board, in turns."""

from collections.abc import Sequence

import pytest
from fakes.page_story import story_table
from fakes.stored_batch import stored
from msgspec.structs import replace

from agent.model.errors import StorageError
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.store.place import BEGINNING, Place
from workers.export.assigned_names import AssignedNames
from workers.gateway.node import feed as feed_module
from workers.gateway.node.board import SECONDS_MAX, NodeBoard
from workers.gateway.node.feed import NodeFeed

NOW = 1_700_000_000


def batch(table: str, second: int, number: int) -> StoredBatch:
    """One row of a table, stored at that second."""
    row = {"timestamp": second * S, "elapsed_ns": S, "cpu_ns": S}
    if table == "process":
        row = {"timestamp": second * S, "pid": 1, "start_ticks": 1, "chosen_for": "cpu", "state": "S", "comm": "b"}  # type: ignore[dict-item]  # texts too
    return stored(story_table(table), [row], seq=number, stamp_ns=second * S)


class FakeSource:
    """A spool in memory. `problem`: it cannot be read."""

    def __init__(self, batches: Sequence[StoredBatch]) -> None:
        self.batches = list(batches)
        self.problem = False
        self.is_closed = False
        self.since_ns = 0

    def begin(self, since_wall_ns: int) -> Place:
        """See BatchSource."""
        self.since_ns = since_wall_ns
        if self.problem:
            raise StorageError("/s", "it cannot be read", "look")
        return BEGINNING

    def is_whole(self, after: Place) -> bool:
        """See BatchSource."""
        return True

    def read(self, after: Place, bytes_max: int) -> Sequence[StoredBatch]:
        """See BatchSource."""
        if self.problem:
            raise StorageError("/s", "it cannot be read", "look")
        return [each for each in self.batches if after == BEGINNING or after.is_before(each.behind)][:3]

    def close(self) -> None:
        """See BatchSource."""
        self.is_closed = True


def read_all(feed: NodeFeed) -> int:
    """How many turns it took."""
    turns = 1
    while not feed.turn():
        turns += 1
    return turns


def test_the_past_is_read_once_and_what_follows_is_told() -> None:
    """In portions; what is older than the page shows is passed over, and processes of the past too."""
    old, past = NOW - SECONDS_MAX - 5, NOW - 100
    batches = [batch("host", old, 1), batch("host", past, 2), batch("process", past, 3), batch("host", past + 1, 4)]
    source = FakeSource([*batches, batch("process", NOW, 5)])
    board = NodeBoard(AssignedNames())
    feed = NodeFeed(source, board, NOW * S)
    assert not feed.is_current
    assert read_all(feed) == 3
    assert source.since_ns == (NOW - SECONDS_MAX) * S
    assert (feed.is_current, board.ticks(), board.host.first, board.processes().t) == (True, [], past, NOW)
    source.batches.append(batch("host", NOW + 1, 6))
    assert read_all(feed) == 2
    assert [tick.t for tick in board.ticks()] == [NOW + 1]
    feed.close()
    assert source.is_closed


def test_a_portion_is_bounded_by_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken costs time; the rest follows at the next turn."""
    source = FakeSource([batch("host", NOW - 9, 1), batch("host", NOW - 8, 2)])
    feed = NodeFeed(source, NodeBoard(AssignedNames()), NOW * S)
    monkeypatch.setattr(feed_module, "TURN_BYTES", 1)
    assert read_all(feed) == 3


def test_a_spool_that_cannot_be_read_is_a_problem_until_it_can() -> None:
    """It is begun again; nobody waits for it."""
    source = FakeSource([replace(batch("host", NOW - 9, 1))])
    source.problem = True
    feed = NodeFeed(source, NodeBoard(AssignedNames()), NOW * S)
    assert feed.turn()
    assert "it cannot be read" in feed.problem
    source.problem = False
    assert read_all(feed) == 2
    assert feed.problem == ""
