"""ClickHouse's own engine as the merger's store: exactly once, with others at it too, and with what a later version brings."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.topic_rows import START_NS, filled_row, message_of, numbered_rows
from harness.sinks.clickhouse import ClickHouse

from agent.lake.clickhouse_server import ClickHouseAccess, ClickHouseFailure, ClickHouseServer
from agent.lake.known_columns import KnownColumns
from agent.lake_setting import ClickHousePlace, parse_lake_url
from agent.model.column_type import DType
from agent.model.errors import StorageError
from agent.model.table import Column, Table
from agent.model.timebase import S
from workers.merger.clickhouse_store import COMMIT_NS_MAX, ClickHouseStore
from workers.merger.decoding import DecodedCommit, decode
from workers.merger.effect import CommitRows, OffsetRange, StorePlace, TakenMessage, TopicPartition
from workers.merger.outcome import MarkRegress, NotStored, NumberedMark, Stored
from workers.process.schema import PROCESS_SKETCH, PROCESS_TAIL
from workers.registry import tables

PLACE, OTHER = TopicPartition("proc.raw.v1", 0), TopicPartition("proc.raw.v1", 1)
LATER = Table(
    "process_tail", 2, "", PROCESS_TAIL.key, (*PROCESS_TAIL.columns, Column("more", DType.LIST_INT64, "1", "", "", nullable=True))
)
UNKNOWN = Table("new_table", 1, "", ("timestamp",), (PROCESS_TAIL.columns[0], Column("x", DType.BOOL, "", "", "", nullable=True)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """One for all tests; each has a database of its own."""
    with ClickHouse(tmp_path_factory.mktemp("clickhouse"), user="merger", password="geheim'\\") as started:
        yield started


class StoreClock:
    """A clock that goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 0
        self.step = 0

    def __call__(self) -> int:
        self.now += self.step
        return self.now


class StoredDatabase:
    """One database, and stores of it as two mergers have them."""

    def __init__(self, server: ClickHouse, name: str) -> None:
        self.server, self.name = server, name
        place = parse_lake_url(server.url(name))
        assert isinstance(place, ClickHousePlace)
        self.access = ClickHouseAccess(place, 30 * S, 2 * S, variables=server.variables)
        self.clock = StoreClock()
        self.stores: list[ClickHouseStore] = []
        self.known = KnownColumns(tables())

    def store(self) -> ClickHouseStore:
        """One more merger's."""
        made = ClickHouseStore(ClickHouseServer(self.access), tables(), self.known, "test", lapse_ns=self.clock)
        self.stores.append(made)
        return made

    def count(self, table: str = "process_tail") -> int:
        """Rows of a table."""
        return int(self.server.ask(f"SELECT count() FROM {self.name}.{table}")[0][0])

    def close(self) -> None:
        """Give the connections back."""
        for store in self.stores:
            store.close()


@pytest.fixture
def database(server: ClickHouse, request: pytest.FixtureRequest) -> Iterator[StoredDatabase]:
    """Named as the test."""
    made = StoredDatabase(server, request.node.name[:60].lower())
    yield made
    made.close()


def commit_of(database: StoredDatabase, base: int, *seqs: int, partition: TopicPartition = PLACE) -> DecodedCommit:
    """Batches of these numbers from an offset on."""
    taken = []
    for offset, seq in enumerate(seqs, start=base):
        headers, value = message_of(f"it's {partition.number}", seq, numbered_rows(seq))
        taken.append(TakenMessage(partition, offset, tuple(headers), b"", value))
    return decode(CommitRows((OffsetRange(partition, base, base + len(seqs)),), tuple(taken)), database.known)


def table_commit(database: StoredDatabase, base: int, table: Table, row: dict[str, object]) -> DecodedCommit:
    """One row of some table."""
    headers, value = message_of("h", 1, [filled_row(table, row)], table)  # type: ignore[arg-type]  # values of rows
    message = TakenMessage(PLACE, base, tuple(headers), b"", value)
    return decode(CommitRows((OffsetRange(PLACE, base, base + 1),), (message,)), database.known)


def test_rows_offsets_and_marks_are_stored_once(database: StoredDatabase) -> None:
    """A second time is refused, with where to go on; marks go back only with a note."""
    store = database.store()
    assert store.read().places == {}
    stored = store.commit(commit_of(database, 0, 5, 9))
    assert isinstance(stored, Stored)
    assert stored.marks == {"process_tail": {"it's 0": NumberedMark(1, START_NS + 9 * S)}}
    assert database.count() == 6
    assert store.commit(commit_of(database, 0, 5, 9)) == NotStored({PLACE: StorePlace(2)})
    sight = database.store().read()
    assert (sight.places, sight.marks) == ({PLACE: StorePlace(2)}, stored.marks)
    back = store.commit(commit_of(database, 2, 7))
    assert isinstance(back, Stored)
    assert back.regresses == (MarkRegress("process_tail", "it's 0", START_NS + 9 * S, START_NS + 7 * S),)
    assert database.count() == 9
    assert store.shown == database.access.place.shown


def test_a_range_that_was_begun_is_ended_as_it_was_begun(database: StoredDatabase) -> None:
    """Another range there is refused; the same one stores what was not stored yet, and nothing twice."""
    first, second = database.store(), database.store()
    first.read()
    database.clock.step = COMMIT_NS_MAX + 1
    with pytest.raises(StorageError, match="took longer than 60 s"):
        first.commit(commit_of(database, 0, 1, 2))
    database.clock.step = 0
    assert second.read().places == {PLACE: StorePlace(0, 2)}
    assert second.commit(commit_of(database, 0, 1, 2, 3)) == NotStored({PLACE: StorePlace(0, 2)})
    assert database.count() == 0
    assert isinstance(second.commit(commit_of(database, 0, 1, 2)), Stored)
    assert first.commit(commit_of(database, 0, 1, 2)) == NotStored({PLACE: StorePlace(2)})
    assert database.count() == 6


def test_one_range_of_a_commit_that_is_not_next_refuses_all(database: StoredDatabase) -> None:
    """What was begun of the others is then to be ended."""
    store = database.store()
    one, other = commit_of(database, 0, 1), commit_of(database, 5, 2, partition=OTHER)
    both = decode(CommitRows((*one.ranges, *other.ranges), ()), database.known)
    assert store.commit(both) == NotStored({PLACE: StorePlace(0, 1), OTHER: StorePlace(0)})
    assert isinstance(store.commit(one), Stored)
    assert database.count() == 3


def test_columns_and_tables_of_later_versions_are_made(database: StoredDatabase) -> None:
    """The database says to the next merger which types they have."""
    store = database.store()
    assert isinstance(store.commit(table_commit(database, 0, LATER, {"timestamp": 1, "more": [3, 4]})), Stored)
    assert isinstance(store.commit(table_commit(database, 1, UNKNOWN, {"timestamp": 1, "x": True})), Stored)
    assert isinstance(store.commit(commit_of(database, 2, 1)), Stored)
    assert database.server.ask(f"SELECT more FROM {database.name}.process_tail ORDER BY timestamp") == [
        ["[3,4]"],
        ["[]"],
        ["[]"],
        ["[]"],
    ]
    assert database.server.ask(f"SELECT x, host FROM {database.name}.new_table") == [["true", "h"]]
    later = StoredDatabase(database.server, database.name)
    later.store().read()
    wrong = Table("new_table", 1, "", (), (PROCESS_TAIL.columns[0], Column("x", DType.UTF8, "", "", "", nullable=True)))
    assert table_commit(later, 3, wrong, {"timestamp": 1, "x": "text"}).counts.unreadable_count == 1
    later.close()


def test_sketches_are_arrays(database: StoredDatabase) -> None:
    """As engines merge them."""
    row = {"timestamp": 1, "window_start": 0, "metric": "cpu", "counts": [1, 0, 2], "first_bucket": 7, "count": 3}
    assert isinstance(database.store().commit(table_commit(database, 0, PROCESS_SKETCH, dict(row))), Stored)
    merged = database.server.ask(
        f"SELECT first_bucket + i - 1 AS b, sum(k) FROM {database.name}.process_sketch "
        "ARRAY JOIN counts AS k, arrayEnumerate(counts) AS i WHERE k > 0 GROUP BY b ORDER BY b"
    )
    assert merged == [["7", "1"], ["9", "2"]]


def test_a_range_without_rows_is_stored(database: StoredDatabase) -> None:
    """Nobody reads it again."""
    store = database.store()
    assert isinstance(store.commit(decode(CommitRows((OffsetRange(PLACE, 0, 7),), ()), database.known)), Stored)
    assert store.read().places == {PLACE: StorePlace(7)}


def test_who_may_not_is_told_what_to_look_at(database: StoredDatabase) -> None:
    """And the password is in no sentence."""
    wrong = ClickHouseServer(
        ClickHouseAccess(database.access.place, S, S, variables={"CLICKHOUSE_USER": "x", "CLICKHOUSE_PASSWORD": "pw"})
    )
    with pytest.raises(ClickHouseFailure, match="look at CLICKHOUSE_USER") as refused:
        wrong.run("SELECT 1")
    assert refused.value.status == 403
    assert "pw" not in refused.value.sentence.replace("CLICKHOUSE_PASSWORD", "")
    wrong.close()


def test_credentials_come_from_a_file_too(database: StoredDatabase, tmp_path: Path) -> None:
    """Read again at each request."""
    path = tmp_path / "credentials"
    path.write_text("CLICKHOUSE_USER=merger\nOTHER=1\n\nCLICKHOUSE_PASSWORD=geheim'\\\n")
    server = ClickHouseServer(ClickHouseAccess(database.access.place, S, S, credentials_file=str(path)))
    assert server.ask("SELECT 1, 'a'") == [[1, "a"]]
    path.write_text("CLICKHOUSE_USER=nobody\n")
    with pytest.raises(ClickHouseFailure):
        server.run("SELECT 1")
    server.close()
