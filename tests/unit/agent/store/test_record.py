"""The spool's bytes: whatever happens to them, no exception, no wrong row, and every undamaged record is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import FormatError
from agent.model.message import encode
from agent.store.record import (
    Damage,
    Entry,
    Mark,
    Record,
    SegmentHead,
    TableForm,
    decode_rows,
    encode_entry,
    encode_head,
    parse_head,
    parse_records,
)

HEAD = SegmentHead(
    format=1,
    segment="0123456789ab",
    host="node-1",
    run="run-1",
    agent_version="0.1",
    created_wall_ns=1_700_000_000_000_000_000,
    tables={"sample": TableForm(1, ("a", "b"), ("int64", "utf8"), "sample-")},
    marks=(Mark("run-1", "process", 1, 7, 5, False),),
)
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=8)
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=4)
NUMBERS = st.integers(0, 2**63 - 1)
ENTRIES = st.builds(
    Entry, run=st.text(max_size=8), worker=st.text(max_size=8), epoch=NUMBERS, seq=NUMBERS, table=st.text(max_size=8),
    stamp_wall_ns=NUMBERS, rows=st.integers(0, 4), ended=st.booleans(),
)  # fmt: skip


def small_file() -> tuple[bytes, int, list[Entry]]:
    """A head and three records; the bytes, where the records begin, and what they hold."""
    entries = [Entry("run-1", "process", 1, seq, "sample", 1000 + seq, 1) for seq in (8, 9, 10)]
    head = encode_head(HEAD)
    return head + b"".join(encode_entry(entry, encode([(entry.seq, "x")])) for entry in entries), len(head), entries


def found(data: bytes, offset: int) -> list[Entry]:
    """The entries of a file, each checked against its rows."""
    records = [item for item in parse_records(data, offset) if isinstance(item, Record)]
    assert all(decode_rows(record.rows) == [(record.entry.seq, "x")] for record in records)
    return [record.entry for record in records]


@given(st.lists(st.tuples(ENTRIES, ROWS), max_size=5))
def test_what_is_encoded_is_read_back(batches: list[tuple[Entry, list[tuple[object, object]]]]) -> None:
    """Head, entries and rows come back as they were, with no damage between."""
    data = encode_head(HEAD) + b"".join(encode_entry(entry, encode(rows)) for entry, rows in batches)
    head, offset = parse_head(data)
    items = list(parse_records(data, offset))
    assert head == HEAD
    assert [(item.entry, decode_rows(item.rows)) for item in items if isinstance(item, Record)] == batches
    assert not any(isinstance(item, Damage) for item in items)


def test_every_prefix_gives_its_whole_records() -> None:
    """A file cut anywhere gives the records before the cut, and at most one torn damage at its end."""
    data, offset, entries = small_file()
    ends = [*[item.offset for item in parse_records(data, offset)][1:], len(data)]
    for cut in range(offset, len(data)):
        items = list(parse_records(data[:cut], offset))
        whole = sum(end <= cut for end in ends)
        assert found(data[:cut], offset) == entries[:whole]
        damages = [item for item in items if isinstance(item, Damage)]
        assert [damage.torn for damage in damages] == ([] if cut in (offset, *ends) else [True])


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_byte_altered_costs_its_record_alone(flip: int) -> None:
    """One changed byte loses one record; the others are found and nothing wrong is."""
    data, offset, entries = small_file()
    starts = [item.offset for item in parse_records(data, offset)]
    for position in range(offset, len(data)):
        altered = bytearray(data)
        altered[position] ^= flip
        hit = sum(start <= position for start in starts) - 1
        assert found(bytes(altered), offset) == entries[:hit] + entries[hit + 1 :]


def test_every_byte_of_the_head_altered_is_a_format_error() -> None:
    """A damaged head is refused, and the records behind it are found all the same."""
    data, offset, entries = small_file()
    for position in range(offset):
        altered = bytearray(data)
        altered[position] ^= 0x10
        with pytest.raises(FormatError):
            parse_head(bytes(altered))
        assert found(bytes(altered), 0) == entries


@given(st.binary(max_size=200))
def test_foreign_bytes_are_damage(data: bytes) -> None:
    """Any bytes at all are covered by records and damages without a hole."""
    position = 0
    for item in parse_records(data, 0):
        assert item.offset == position
        assert isinstance(item, Damage)
        position += item.length
    assert position == len(data)


@given(st.binary(max_size=60))
def test_foreign_rows_are_a_format_error_or_rows(data: bytes) -> None:
    """Rows that are no array of rows raise FormatError and nothing else."""
    try:
        rows = decode_rows(data)
    except FormatError:
        return
    assert all(isinstance(row, tuple) for row in rows)
