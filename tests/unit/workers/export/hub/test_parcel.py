"""One delivery: batches undecoded and in their order, columns once, bounded in what goes out at once."""

from itertools import pairwise

import msgspec
import pytest
from fakes.stored_batch import RUN, STAMP_NS, stored, stored_bytes
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.message import BATCHES_MAX, RowBatch, RowsHead, decode_rows_head
from agent.model.fleet_tables import HOST_MINUTE, UNIT_MINUTE
from agent.model.tables import DIAG, GAP
from agent.store.batch import StoredBatch
from agent.store.record import TableForm, form_of
from workers.export.hub.parcel import MadeRows, ParcelMaker, RowsParcel, form_word

SMALL = TableForm(1, ("timestamp",), ("int64",), "small-")


def made_of(*batches: StoredBatch | MadeRows) -> RowsParcel:
    """The parcel of these, in this order."""
    maker = ParcelMaker()
    for each in batches:
        if isinstance(each, MadeRows):
            maker.add_made(each)
        else:
            maker.add(each)
    parcel = maker.parcel()
    assert parcel is not None
    return parcel


def small(seq: int, rows: int = 1) -> StoredBatch:
    """A batch of the smallest rows that there are."""
    return stored_bytes("small", SMALL, msgspec.msgpack.encode([[seq]] * rows), rows, seq=seq)


def minute(seq: int, *counts: int) -> MadeRows:
    """Rows of minutes that the sink made."""
    rows = [(count, *[None] * (len(HOST_MINUTE.columns) - 1)) for count in counts]
    return MadeRows("run-1", "sampler/host/minutes", 3, seq, HOST_MINUTE, 9, rows)


def head_of(parcel: RowsParcel, number: int = 1, known: frozenset[int] = frozenset()) -> tuple[RowsHead, tuple[bytes, ...]]:
    """What a hub reads of it."""
    first, *rest = parcel.frames(number, known)
    return decode_rows_head(first, len(rest)), tuple(rest)


def test_nothing_is_no_parcel() -> None:
    """There is nothing to be answered."""
    assert ParcelMaker().parcel() is None


def test_a_stored_batch_travels_as_it_is_stored() -> None:
    """Its rows are not even looked at; the head says whose it is, and of which columns."""
    batch = stored_bytes("diag", form_of(DIAG), b"\xff\x00no rows", 7, seq=5, worker="supervisor")
    head, rows = head_of(made_of(batch), 12)
    word = form_word(form_of(DIAG))
    assert head == RowsHead(12, [RowBatch(RUN, "supervisor", 1, 5, "diag", STAMP_NS, 7, word)], {word: form_of(DIAG)})
    assert rows == (b"\xff\x00no rows",)


def test_rows_that_the_sink_made_are_encoded_under_their_own_sender() -> None:
    """As many as there are, with the columns of their table."""
    head, (rows,) = head_of(made_of(minute(61, 60, 120)))
    word = form_word(form_of(HOST_MINUTE))
    assert head.batches == [RowBatch("run-1", "sampler/host/minutes", 3, 61, "host_minute", 9, 2, word)]
    assert head.forms == {word: form_of(HOST_MINUTE)}
    assert [row[0] for row in msgspec.msgpack.decode(rows)] == [60, 120]


def test_the_order_is_that_in_which_batches_came() -> None:
    """Of all tables together; size and points are those of all."""
    parcel = made_of(small(1, 2), minute(7, 1), stored(GAP, [{"reason": "x"}], seq=2), small(3))
    head, rows = head_of(parcel)
    assert [(batch.table, batch.seq) for batch in head.batches] == [("small", 1), ("host_minute", 7), ("gap", 2), ("small", 3)]
    assert rows == parcel.rows
    assert parcel.points == 2 + 1 + 1 + 1
    assert parcel.size_bytes == sum(map(len, rows))


def test_columns_are_named_once_and_only_what_the_hub_does_not_know() -> None:
    """By a checksum of all that they say; two segments that describe them alike have one."""
    again = TableForm(1, ("timestamp",), ("int64",), "small-")
    other = TableForm(2, ("timestamp",), ("int64",), "small-")
    batches = [stored_bytes("small", form, b"\x90", 0, seq=seq) for seq, form in enumerate((SMALL, again, other, SMALL), 1)]
    parcel = made_of(*batches)
    known, new = form_word(SMALL), form_word(other)
    assert known != new
    assert [batch.form for batch in parcel.batches] == [known, known, new, known]
    assert head_of(parcel)[0].forms == {known: SMALL, new: other}
    assert head_of(parcel, 1, frozenset({known}))[0].forms == {new: other}
    assert head_of(parcel, 1, frozenset({known, new}))[0].forms == {}


@pytest.mark.parametrize(
    "changed",
    [
        TableForm(1, ("timestamp",), ("int64",), "small-", (True,)),
        TableForm(1, ("time",), ("int64",), "small-"),
        TableForm(1, ("timestamp",), ("utf8",), "small-"),
        TableForm(1, ("timestamp",), ("int64",), "other-"),
    ],
)
def test_any_other_columns_have_another_word(changed: TableForm) -> None:
    """A hub would otherwise take them for those that it knows."""
    assert form_word(changed) != form_word(SMALL)


def test_made_rows_of_two_tables_have_the_columns_of_their_own() -> None:
    """In whatever order they come: of several minutes of an outage in one delivery, each is described by its own table."""
    order = [UNIT_MINUTE, UNIT_MINUTE, HOST_MINUTE, HOST_MINUTE, HOST_MINUTE, UNIT_MINUTE, HOST_MINUTE, UNIT_MINUTE] * 4
    made = [MadeRows("run-1", "w", 1, seq, table, 9, [(None,) * len(table.columns)]) for seq, table in enumerate(order, 1)]
    head, _ = head_of(made_of(*made))
    assert [head.forms[batch.form] for batch in head.batches] == [form_of(table) for table in order]


def test_the_same_batches_give_the_same_bytes() -> None:
    """Whatever was made before: a delivery that is repeated by another process is the same."""
    batches = (small(1), minute(2, 60), stored(GAP, [{"reason": "x"}], seq=3))
    assert made_of(*batches).frames(4, frozenset()) == made_of(*batches).frames(4, frozenset())


def test_a_parcel_keeps_no_window_of_the_spool() -> None:
    """Rows that are a view of memory are copied: a delivery may wait for hours."""
    memory = bytearray(b"\x91\x91\x01")
    batch = stored_bytes("small", SMALL, memoryview(memory), 1)  # type: ignore[arg-type]  # as a reader of the spool may give them
    parcel = made_of(batch)
    memory[:] = b"\0\0\0"
    assert parcel.rows == (b"\x91\x91\x01",)


@given(st.integers(1, 3 * BATCHES_MAX))
def test_no_delivery_has_more_batches_than_a_hub_reads(count: int) -> None:
    """Together they are the parcel, each as full as it may be, each with its columns."""
    parcel = RowsParcel(
        [RowBatch("r", "w", 1, seq, "small", 0, 1, 7) for seq in range(1, count + 1)],
        {7: SMALL},
        tuple(seq.to_bytes(2, "big") for seq in range(1, count + 1)),
    )  # fmt: skip
    parts = parcel.deliveries
    assert len(parts) == -(-count // BATCHES_MAX)
    assert all(len(part.batches) == BATCHES_MAX for part, _ in pairwise(parts))
    assert [batch for part in parts for batch in part.batches] == parcel.batches
    assert tuple(rows for part in parts for rows in part.rows) == parcel.rows
    for part in parts:
        head, _ = head_of(part)
        assert head.forms == {7: SMALL}
