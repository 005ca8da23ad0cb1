"""The spool's bytes: whatever happens to them, no exception, no wrong row, and every undamaged record is found."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.model.errors import FormatError
from agent.model.message import encode
from agent.model.tables import GAP
from agent.store.record import (
    FORMAT_VERSION,
    FRAME_HEAD_BYTES,
    MAGIC,
    BatchIdentity,
    Damage,
    Entry,
    EntryOrigin,
    Mark,
    Record,
    SegmentHead,
    TableForm,
    decode_rows,
    encode_entry,
    encode_head,
    foreign_name,
    form_of,
    frame,
    is_cut_short,
    is_other_format,
    parse_head,
    parse_records,
    table_word,
)

HEAD = SegmentHead(
    format=FORMAT_VERSION,
    segment="00000000456789ab",
    host="node-1",
    run="run-1",
    agent_version="0.1",
    created_wall_ns=1_700_000_000_000_000_000,
    tables={"sample": TableForm(1, ("a", "b"), ("int64", "utf8"), "sample-")},
    marks=(Mark("run-1", "process", 1, 7, 5, False),),
    install="0011223344556677",
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
    """A damaged head is refused, and the records behind it are found anyway."""
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


def two_tables() -> tuple[bytes, int]:
    """A head and records of two tables in turn; the bytes, and where the records begin."""
    head = encode_head(HEAD)
    entries = [Entry("run-1", "process", 1, seq, "odd" if seq % 2 else "even", 1000 + seq, 1) for seq in range(1, 9)]
    return head + b"".join(encode_entry(entry, encode([(entry.seq, "x")])) for entry in entries), len(head)


def test_records_of_other_tables_are_passed_over() -> None:
    """A reader of one table gets its records alone, in their order; of no table, none."""
    data, offset = two_tables()
    for table, expected in (("odd", [1, 3, 5, 7]), ("even", [2, 4, 6, 8]), ("other", [])):
        items = list(parse_records(data, offset, frozenset({table_word(table)})))
        assert [item.entry.seq for item in items if isinstance(item, Record)] == expected
        assert len(items) == len(expected)


def test_a_changed_byte_of_another_table_costs_the_wanted_one_nothing() -> None:
    """In its rows nobody looks; in the head of its frame it is a damage, and the records around it are found."""
    data, offset = two_tables()
    starts = [item.offset for item in parse_records(data, offset)]
    wanted = frozenset({table_word("odd")})
    for position in range(starts[1], starts[2]):
        altered = bytearray(data)
        altered[position] ^= 0x55
        items = list(parse_records(bytes(altered), offset, wanted))
        assert [item.entry.seq for item in items if isinstance(item, Record)] == [1, 3, 5, 7]
        damages = [item for item in items if isinstance(item, Damage)]
        assert all(not damage.torn for damage in damages)
        assert len(damages) == (position < starts[1] + 20)


def test_a_record_of_another_table_that_is_cut_short_is_torn() -> None:
    """A reader that follows the file begins there again."""
    data, offset = two_tables()
    cut = data[:-1]
    last = [item for item in parse_records(cut, offset, frozenset({table_word("odd")})) if isinstance(item, Damage)]
    assert [damage.torn for damage in last] == [True]
    assert is_cut_short(cut, last[0])


def test_an_older_format_is_refused_in_one_sentence() -> None:
    """It says which format the segment has and which one is read."""
    data = b"EGR1" + bytes(40)
    assert is_other_format(data)
    assert not is_other_format(encode_head(HEAD))
    with pytest.raises(FormatError, match="format 1 is not known to this version, which reads 2"):
        parse_head(data)


def test_a_batch_is_one_of_an_installation() -> None:
    """Its identity holds that of the agent that wrote the segment."""
    data, offset, _ = small_file()
    record = next(item for item in parse_records(data, offset) if isinstance(item, Record))
    assert record.identity(HEAD) == BatchIdentity("0011223344556677", "run-1", "process", 1, 8)


def test_a_form_says_which_columns_may_be_null() -> None:
    """As the table does."""
    form = form_of(GAP)
    assert (len(form.nullable), form.nullable[:2], form.nullable[4]) == (len(GAP.columns), (False, False), True)


def broken(payload: bytes) -> bytes:
    """A segment whose second record is of this payload, whole by its checksums."""
    data, offset, _ = small_file()
    second = [item.offset for item in parse_records(data, offset)][1]
    return data[:second] + frame(payload, "sample") + data[second:]


@pytest.mark.parametrize(
    "payload",
    [b"", b"abc", (99).to_bytes(4, "little") + b"x", (3).to_bytes(4, "little") + b"abc", (1).to_bytes(4, "little") + b"\xc0"],
)
def test_a_whole_frame_that_holds_no_record_is_damage(payload: bytes) -> None:
    """No length, a length beyond its end, a head that is none: the records around it are read."""
    data = broken(payload)
    _, offset = parse_head(data)
    items = list(parse_records(data, offset))
    assert [isinstance(item, Damage) for item in items] == [False, True, False, False]
    assert [item.length for item in items if isinstance(item, Damage)] == [FRAME_HEAD_BYTES + len(payload)]


def test_a_segment_whose_first_record_is_no_head_is_refused() -> None:
    """Another record stands there, or the head of a format of tomorrow."""
    with pytest.raises(FormatError, match="its first record is no head"):
        parse_head(frame(b"\xc0"))
    later = msgspec.msgpack.encode(replace(HEAD, format=FORMAT_VERSION + 1))
    with pytest.raises(
        FormatError, match=f"format {FORMAT_VERSION + 1} is not known to this version, which reads {FORMAT_VERSION}"
    ):
        parse_head(frame(later))


def test_a_write_that_was_cut_short_is_told_from_bytes_that_changed() -> None:
    """The head of a frame says how long it would have been; a few bytes may be the beginning of one."""
    data, offset, _ = small_file()
    starts = [item.offset for item in parse_records(data, offset)]
    last = starts[-1]
    for cut in (data[: last + 2], data[: last + FRAME_HEAD_BYTES - 1], data[: last + FRAME_HEAD_BYTES], data[:-1]):
        (damage,) = [item for item in parse_records(cut, offset) if isinstance(item, Damage)]
        assert is_cut_short(cut, damage)
    for changed in (data[:-1] + b"?", data[:last] + b"?", data[:last] + b"?" * 40):
        (damage,) = [item for item in parse_records(changed, offset) if isinstance(item, Damage)]
        assert damage.torn
        assert not is_cut_short(changed, damage)
    (within,) = [item for item in parse_records(broken(b""), offset) if isinstance(item, Damage)]
    assert not is_cut_short(broken(b""), within)


def test_the_sign_of_a_frame_may_stand_in_rows_by_chance() -> None:
    """It ends no damage: the next whole frame does."""
    entry = Entry("run-1", "process", 1, 8, "sample", 1008, 1)
    data = bytearray(encode_head(HEAD) + encode_entry(entry, b"x" + MAGIC * 9) + encode_entry(entry, encode([(8, "x")])))
    _, offset = parse_head(bytes(data))
    data[offset + FRAME_HEAD_BYTES] ^= 1
    damage, record = parse_records(bytes(data), offset)
    assert isinstance(damage, Damage)
    assert isinstance(record, Record)
    assert (damage.offset + damage.length, record.entry) == (record.offset, entry)


def test_rows_of_another_host_have_a_word_of_their_own() -> None:
    """Who reads this host's rows passes over them, and so does an earlier version, to which they are of no table."""
    origin = EntryOrigin("sample", "node-2", "8899aabbccddeeff", "run-9", "process", 3, 41)
    entry = Entry("run-1", "hub", 1, 8, "", 1008, 1, origin=origin)
    data = encode_entry(entry, encode([(1, "x")]))
    assert list(parse_records(data, 0, frozenset({table_word("sample")}))) == []
    for wanted in (None, frozenset({table_word(foreign_name("sample"))})):
        (record,) = parse_records(data, 0, wanted)
        assert isinstance(record, Record)
        assert (record.entry, record.entry.measured_table, decode_rows(record.rows)) == (entry, "sample", [(1, "x")])
        assert record.identity(HEAD) == BatchIdentity("8899aabbccddeeff", "run-9", "process", 3, 41)
