"""The writer stores the supervisor's rows exactly once, over its own death and a disk that refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.writer_host import WriterHost

from agent.model.errors import StorageError
from agent.model.message import Batch, StoreEvents, encode
from agent.model.table import Row
from agent.model.tables import DIAG
from agent.store.record import Record, decode_rows, parse_head, parse_records

SENDER = 77


def row(number: int) -> Row:
    """An event of that number."""
    return (number, "run-1", number, "sealed", None, None, "writer", "info", None, None, None, 1)


def delivery(seq: int, sender: int = SENDER) -> StoreEvents:
    """One row under this number."""
    return StoreEvents(sender, encode(Batch(seq, DIAG.name, DIAG.version, 1_000 + seq, 1)), encode([row(seq)]))


def stored(host: WriterHost) -> list[object]:
    """The numbers of the rows in the spool, in order."""
    found: list[object] = []
    for name in host.spool_files():
        data = (host.state / "spool" / name).read_bytes()
        _head, offset = parse_head(data)
        records = (item for item in parse_records(data, offset) if isinstance(item, Record))
        found += [each[2] for item in records if item.entry.table == DIAG.name for each in decode_rows(item.rows)]
    return found


def give(host: WriterHost, *deliveries: StoreEvents) -> list[tuple[int, int]]:
    """Deliveries arrive; what was answered to them."""
    before = len(host.bus.deliveries)
    for each in deliveries:
        host.work.on_delivery(each, host.clock.now_ns())
    return host.bus.deliveries[before:]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[WriterHost]:
    """A writer that knows table `diag`."""
    host = WriterHost(tmp_path, catalogue=(DIAG,))
    yield host
    host.close()


def test_rows_are_stored_once_and_acknowledged(host: WriterHost) -> None:
    """What comes twice is acknowledged again."""
    assert give(host, StoreEvents(SENDER)) == [(SENDER, 0)]
    assert give(host, delivery(1), delivery(1), delivery(2)) == [(SENDER, 1), (SENDER, 1), (SENDER, 2)]
    assert stored(host) == [1, 2]


def test_the_next_writer_knows_what_is_stored(host: WriterHost) -> None:
    """Killed behind the append: the answer to the question says so, and nothing is stored twice."""
    give(host, StoreEvents(SENDER), delivery(1), delivery(2))
    host.start()
    assert give(host, delivery(2)) == []
    assert give(host, StoreEvents(SENDER), delivery(2), delivery(3)) == [(SENDER, 2), (SENDER, 2), (SENDER, 3)]
    assert stored(host) == [1, 2, 3]


def test_late_rows_of_a_dead_supervisor_are_not_stored(host: WriterHost) -> None:
    """The one that asked last is the supervisor."""
    give(host, StoreEvents(SENDER), delivery(1), StoreEvents(SENDER + 1))
    assert give(host, delivery(2)) == []
    assert give(host, delivery(2, SENDER + 1)) == [(SENDER + 1, 2)]
    assert stored(host) == [1, 2]


def test_while_nothing_can_be_stored_nothing_is_answered(host: WriterHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor sends it again."""
    give(host, StoreEvents(SENDER))

    def refuse(*_: object) -> None:
        raise StorageError("spool", "no room", "make room")

    with monkeypatch.context() as patch:
        patch.setattr(host.work._segments, "append", refuse)
        assert give(host, delivery(1), delivery(1)) == []
    host.clock.advance(2_000_000_000)
    host.turn()
    assert give(host, delivery(1)) == [(SENDER, 1)]
    assert stored(host) == [1]


def test_a_supervisors_death_is_no_gap(host: WriterHost) -> None:
    """Another run goes on from its first number; table gap has no row of the former one's end."""
    give(host, StoreEvents(SENDER), delivery(1))
    host.close()
    again = WriterHost(host.state, catalogue=(DIAG,), run="run-2")
    assert give(again, StoreEvents(SENDER), delivery(1)) == [(SENDER, 0), (SENDER, 1)]
    assert again.stats()["gap_rows"] == 0
    again.close()


def test_a_message_that_is_none_is_counted(host: WriterHost) -> None:
    """It ends nothing."""
    give(host, StoreEvents(SENDER), StoreEvents(SENDER, b"nonsense", b""))
    assert host.stats()["malformed"] == 1
