"""The bytes of a cursor: every one of them counts, and what is written is read."""

from hypothesis import given
from hypothesis import strategies as st

from agent.store.cursor import HEAD_BYTES, SLOT_BYTES, Cursor, ExportLedger, SegmentCount, decode_slot, encode_slot, slot_bytes
from agent.store.place import Place
from agent.store.record import BatchIdentity

FIRST, SECOND = "0000000100000000", "0000000200000000"
CURSOR = Cursor(
    "central",
    "otlp",
    "0123456789abcdef",
    "fedcba9876543210",
    low=Place(FIRST, 4711),
    ahead=((Place(SECOND, 0), Place(SECOND, 99)),),
    needs=Place(FIRST, 0),
    scanned=Place(SECOND, 1 << 40),
    ledger=ExportLedger(60, 30, 10, {"http_400": 5, "too_large": 5}),
    segments={FIRST: SegmentCount(20, 2000, 10, 1000)},
    last=BatchIdentity("fedcba9876543210", "run-1", "sampler/unit", 3, 12),
    last_stamp_wall_ns=1_700_000_000_000_000_000,
    deliveries=7,
)
SLOT = encode_slot(CURSOR, 42)

places = st.builds(Place, st.text("0123456789abcdef", min_size=16, max_size=16), st.integers(0, 1 << 62))
numbers = st.integers(0, (1 << 63) - 1)
cursors = st.builds(
    Cursor,
    st.text(max_size=32),
    st.text(max_size=32),
    st.text(max_size=32),
    st.text(max_size=32),
    low=places,
    ahead=st.lists(st.tuples(places, places), max_size=8).map(tuple),
    needs=places,
    scanned=places,
    ledger=st.builds(ExportLedger, numbers, numbers, numbers, st.dictionaries(st.text(max_size=20), numbers, max_size=5)),
    segments=st.dictionaries(st.text(max_size=16), st.builds(SegmentCount, numbers, numbers, numbers, numbers), max_size=5),
    last=st.none() | st.builds(BatchIdentity, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), numbers, numbers),
    last_stamp_wall_ns=st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    deliveries=numbers,
)


def test_a_slot_is_what_was_written() -> None:
    """With its number; what lies behind it in the file does not matter."""
    assert decode_slot(SLOT) == (42, CURSOR)
    assert decode_slot(SLOT + b"left of a longer one") == (42, CURSOR)
    assert slot_bytes(SLOT[:HEAD_BYTES]) == len(SLOT)


def test_every_prefix_is_no_slot() -> None:
    """A write that was cut short anywhere leaves the cursor before it."""
    assert [length for length in range(len(SLOT)) if decode_slot(SLOT[:length]) is not None] == []


def test_every_byte_altered_once_is_no_slot() -> None:
    """Whichever bit of it: a number or a length that is believed would be worse than none."""
    for position in range(len(SLOT)):
        for bit in range(8):
            damaged = bytearray(SLOT)
            damaged[position] ^= 1 << bit
            assert decode_slot(bytes(damaged)) is None, (position, bit)


def test_a_whole_slot_of_something_else_is_no_cursor() -> None:
    """Right sums over what is no cursor: another program's, or a version's that had other fields."""
    from zlib import crc32

    for payload in (b"", b"\xc0", b"\x81\xa4sink\x01", b"\xff" * 9, b"\x91" * 5000):
        checked = b"EGC1" + (1).to_bytes(8, "little") + len(payload).to_bytes(4, "little") + crc32(payload).to_bytes(4, "little")
        assert decode_slot(checked + crc32(checked).to_bytes(4, "little") + payload) is None


def test_a_head_says_how_much_to_read() -> None:
    """At most a slot, whatever it says."""
    assert slot_bytes(b"") == slot_bytes(SLOT[: HEAD_BYTES - 1]) == slot_bytes(b"X" + SLOT[1:HEAD_BYTES]) == 0
    assert slot_bytes(SLOT[:12] + b"\xff" * 4 + SLOT[16:HEAD_BYTES]) == SLOT_BYTES


def test_what_is_settled_is_the_sum_of_its_parts() -> None:
    """The rest of what was produced is pending."""
    assert CURSOR.ledger.settled == 50
    assert ExportLedger().settled == 0


def test_a_year_of_segments_fits_into_a_slot() -> None:
    """Those of 15 minutes that nobody has read."""
    counts = {f"{number:08x}00000000": SegmentCount(10**9, 10**9, 10**9, 10**9) for number in range(4 * 24 * 365)}
    assert len(encode_slot(Cursor("s" * 32, "k", "i", "n", segments=counts), 1 << 63)) <= SLOT_BYTES


@given(cursors, st.integers(0, (1 << 64) - 1))
def test_any_cursor_is_the_same_after_its_slot(cursor: Cursor, number: int) -> None:
    """All fields, any text, any number."""
    assert decode_slot(encode_slot(cursor, number)) == (number, cursor)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_slot_or_none(data: bytes) -> None:
    """Nothing is raised."""
    assert decode_slot(data) is None
    assert decode_slot(b"EGC1" + data) is None
