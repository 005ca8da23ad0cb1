"""Batches as messages: which go together, how they are divided, and what no message can have."""

from zlib import crc32

import pytest
from fakes.stored_batch import HOST, INSTALL, RUN, STAMP_NS, stored, stored_bytes
from msgspec import msgpack
from msgspec.structs import replace

from agent.model.table import Row
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from agent.topic.column_reading import rows_of
from agent.topic.message import TopicMessage, decode_message
from workers.export.kafka.message_maker import TOO_LARGE, UNFIT, UNREADABLE, MadeMessages, MessageMaker
from workers.process.schema import PROCESS_SKETCH, PROCESS_TAIL

FORM = TableForm(3, ("timestamp", "text"), ("int64", "utf8"), "x-", (False, True))


def batch(seq: int, rows: list[Row], *, table: str = "x", worker: str = "w", form: TableForm = FORM) -> StoredBatch:
    """A batch of some table."""
    return stored_bytes(table, form, msgpack.encode(rows), len(rows), seq=seq, worker=worker, stamp_ns=STAMP_NS + seq)


def made(batches: list[StoredBatch], *, message_bytes: int = 900_000, is_complete: bool = True) -> MadeMessages:
    """Their messages."""
    tables = {each.table for each in batches} - {"other"}
    return MessageMaker(tables, message_bytes).make(batches, is_complete=is_complete)


def read(found: MadeMessages) -> list[TopicMessage]:
    """As a reader gets them."""
    messages = []
    for message in found.messages:
        headers = [(key, value) for key, value in message.headers if isinstance(value, bytes)]
        assert len(headers) == len(message.headers)
        messages.append(decode_message(headers, message.value))
    return messages


def test_batches_of_one_worker_and_table_are_one_message() -> None:
    """Its head has the first and the last of them."""
    found = made([batch(1, [(1, "a")]), batch(2, [(2, None)], worker="v"), batch(4, [(3, "b"), (4, "b")])], is_complete=False)
    first, second = read(found)
    assert rows_of(first.rows) == [(1, "a"), (3, "b"), (4, "b")]
    assert rows_of(second.rows) == [(2, None)]
    head = first.head
    assert (head.table, head.version, head.host, head.install, head.run, head.worker, head.epoch) == (
        ("x", 3, HOST, INSTALL, RUN, "w", 1)
    )
    assert (head.first_seq, head.last_seq, head.rows, head.first_stamp_ns, head.last_stamp_ns) == (
        1,
        4,
        3,
        STAMP_NS + 1,
        STAMP_NS + 4,
    )
    assert (head.is_complete, head.part, head.parts) == (False, 1, 1)
    assert head.crc == crc32(found.messages[0].value)
    assert (found.rows, found.refused, found.sentence) == (4, {}, "")
    assert found.size_bytes == sum(len(message.value) for message in found.messages)
    assert found.messages[0].host == HOST


def test_other_tables_forms_and_hosts_have_messages_of_their_own() -> None:
    """A host that got another name, or an upgraded agent, in the middle of a delivery."""
    renamed = replace(batch(2, [(2, "b")]), host="other-name")
    upgraded = batch(3, [(3, "c", 5)], form=TableForm(4, (*FORM.names, "n"), (*FORM.dtypes, "int64"), "x-"))
    batches = [batch(1, [(1, "a")]), renamed, upgraded, batch(4, [(4, "d")], table="y"), batch(5, [(5, "e")], table="other")]
    heads = [message.head for message in read(made(batches))]
    assert [(head.table, head.host, head.version, head.first_seq) for head in heads] == [
        ("x", HOST, 3, 1),
        ("x", "other-name", 3, 2),
        ("x", HOST, 4, 3),
        ("y", HOST, 3, 4),
    ]


def test_of_several_workers_only_the_last_message_of_a_table_is_complete() -> None:
    """The others may have newer rows than what follows them."""
    found = made([batch(1, [(1, "a")]), batch(2, [(2, "b")], worker="v"), batch(3, [(3, "c")]), batch(4, [(4, "d")], table="y")])
    assert [(each.head.table, each.head.worker, each.head.is_complete) for each in read(found)] == [
        ("x", "w", False),
        ("x", "v", True),
        ("y", "w", True),
    ]


def test_the_same_batches_give_the_same_messages() -> None:
    """Also after others: a delivery that is repeated is the same."""
    maker = MessageMaker({"x"}, 900_000)
    batches = [batch(1, [(1, "a")]), batch(2, [(2, "b")])]
    first = maker.make(batches, is_complete=True)
    maker.make([batch(3, [(3, "c")])], is_complete=True)
    assert maker.make(batches, is_complete=True) == first


def test_a_long_message_is_divided_by_batches_then_by_rows() -> None:
    """In order, each row once; parts of one batch say which they are."""
    rows: list[list[Row]] = [
        [(at, f"{at:0100}") for at in range(seq * 100, seq * 100 + count)] for seq, count in ((1, 3), (2, 40), (3, 5))
    ]
    batches = [batch(seq, each) for seq, each in enumerate(rows, start=1)]
    found = made(batches, message_bytes=1200)
    messages = read(found)
    assert [row for message in messages for row in rows_of(message.rows)] == [row for each in rows for row in each]
    assert all(len(message.value) <= 1200 for message in found.messages)
    heads = [message.head for message in messages]
    parts = [head for head in heads if head.parts > 1]
    assert {(head.first_seq, head.last_seq) for head in parts} == {(2, 2)}
    assert [head.part for head in parts] == list(range(1, len(parts) + 1))
    assert sum(head.rows for head in heads) == found.rows == 48


def test_a_row_that_no_message_can_have_is_refused_alone() -> None:
    """Its neighbours go."""
    found = made([batch(1, [(1, "a"), (2, "x" * 2000), (3, "b")])], message_bytes=1200)
    assert [row for message in read(found) for row in rows_of(message.rows)] == [(1, "a"), (3, "b")]
    assert found.refused == {TOO_LARGE: 1}
    assert "message_bytes, 1200" in found.sentence


@pytest.mark.parametrize(
    "batches",
    [
        [
            batch(
                1, [(1, [7] * 1_100_000), (2, [7] * 1_100_000)], form=TableForm(1, ("timestamp", "l"), ("int64", "list<int64>"), "")
            )
        ],
        [batch(seq, [(0,) * 300] * 3600, form=TableForm(1, tuple(map(str, range(300))), ("int64",) * 300, "")) for seq in (1, 2)],
    ],
    ids=["items", "rows"],
)
def test_what_a_reader_would_need_much_memory_for_is_divided(batches: list[StoredBatch]) -> None:
    """However few bytes it has."""
    found = made(batches)
    assert len(found.messages) == 2
    assert found.size_bytes < 20_000
    assert sum(message.head.rows for message in read(found)) == found.rows


def test_what_cannot_be_read_is_counted_and_the_rest_goes() -> None:
    """Bytes that are no rows, rows that do not fit, a column of an unknown type."""
    unknown = batch(4, [(1,)], table="z", form=TableForm(1, ("x",), ("int128",), ""))
    found = made([stored_bytes("x", FORM, b"\xc1", 7, seq=1), batch(2, [(1, "a"), (2, 5), (1,)]), batch(3, [(9,)]), unknown])
    assert [rows_of(message.rows) for message in read(found)] == [[(1, "a")]]
    assert found.refused == {UNREADABLE: 8, UNFIT: 3}
    assert found.sentence
    assert found.rows == 1


def test_the_first_thing_that_does_not_fit_is_named() -> None:
    """By table and column, without the value."""
    assert made([batch(1, [(1, 5)])]).sentence == "table x, column text: int, not utf8"
    assert made([batch(1, [(1,)])]).sentence.startswith("table x, column -:")


def test_rows_of_samplers_are_read_back() -> None:
    """Of two topics in one delivery."""
    sketch = stored(PROCESS_SKETCH, [dict.fromkeys(("timestamp", "window_start", "window_ns", "ticks", "scale"), 1) | {
        "relative_error": 0.01, "zero_count": 0, "count": 1, "first_bucket": 3, "counts": [1, 0, 2], "keys": 1, "metric": "cpu",
    }])  # fmt: skip
    tail = stored(PROCESS_TAIL, [{"timestamp": 1, "commands": 1, "processes": 2, "cpu_ns": 5, "cpu_share": 0.5}])
    assert [message.head.table for message in read(made([sketch, tail]))] == ["process_sketch", "process_tail"]
    assert made([sketch, tail]).refused == {}
