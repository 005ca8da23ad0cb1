"""The bytes of a spool: framed, checksummed records that are readable up to the last whole one. PURE.

A spool file is a sequence of frames; a frame is
    magic 4 bytes · length of payload u32 · CRC-32 of payload u32 · payload     (little endian)
The first payload is a SegmentHead, every other one an Entry: u32 length of the entry's head, the head
(msgpack), then the rows exactly as they came from the worker (a msgpack array of rows).
The magic lets a reader find the next frame behind a damaged one.
"""

from collections.abc import Iterator
from struct import Struct as Layout
from zlib import crc32

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.table import Row

MAGIC = b"EGR1"
FORMAT_VERSION = 1
_FRAME = Layout("<4sII")
_LENGTH = Layout("<I")
FRAME_HEAD_BYTES = _FRAME.size
PAYLOAD_BYTES_MAX = 32 << 20


class TableForm(Struct, frozen=True):
    """The columns of a table as this segment holds them: names and Arrow type words, in the order of a row."""

    version: int
    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    prefix: str


class Mark(Struct, frozen=True):
    """What the writer has of one sender: batches up to `seq`, the last stamped `stamp_wall_ns`; `ended` after its Bye.

    `tick` is the last tick of its grid that is stored or accounted for, `ticks_missed` how many of this run were missed:
    both go on from one start of a worker to the next.
    """

    run: str
    worker: str
    epoch: int
    seq: int
    stamp_wall_ns: int | None
    ended: bool
    tick: int | None = None
    ticks_missed: int = 0


class SegmentHead(Struct, frozen=True):
    """The first record of a spool file: all that a reader needs to make Parquet of it, years later.

    `durable`: every segment up to this generation was on the disk in whole when this one was opened. `superseded`: names of
    segments that lost their name while they were written, and whose rows later ones hold: should they come back, they count twice.
    """

    format: int
    segment: str
    host: str
    run: str
    agent_version: str
    created_wall_ns: int
    tables: dict[str, TableForm]
    marks: tuple[Mark, ...]
    durable: int = 0
    superseded: tuple[str, ...] = ()


class Entry(Struct, frozen=True, omit_defaults=True):
    """The head of one stored batch. `seq` 0: rows made by the writer itself (table `gap`). `ended`: the sender's Bye.

    `tick` and `ticks_missed` are the sender's mark after it.
    """

    run: str
    worker: str
    epoch: int
    seq: int
    table: str
    stamp_wall_ns: int
    rows: int
    ended: bool = False
    tick: int | None = None
    ticks_missed: int = 0


class Record(Struct, frozen=True):
    """One whole entry of a spool, with its rows still encoded, and where its frame begins in the file."""

    entry: Entry
    rows: bytes
    offset: int


class Damage(Struct, frozen=True):
    """Bytes of a spool that are no record. `torn`: they reach to the end of the file, a write was cut short."""

    offset: int
    length: int
    torn: bool


_ENCODER = msgspec.msgpack.Encoder()
_HEAD = msgspec.msgpack.Decoder(SegmentHead)
_ENTRY = msgspec.msgpack.Decoder(Entry)
_ROWS = msgspec.msgpack.Decoder(list[tuple[int | float | str | bool | None, ...]])


def frame(payload: bytes) -> bytes:
    """The frame around a payload."""
    assert len(payload) <= PAYLOAD_BYTES_MAX
    return _FRAME.pack(MAGIC, len(payload), crc32(payload)) + payload


def encode_head(head: SegmentHead) -> bytes:
    """The frame that opens a segment."""
    return frame(_ENCODER.encode(head))


def encode_entry(entry: Entry, rows: bytes) -> bytes:
    """The frame of one batch."""
    head = _ENCODER.encode(entry)
    return frame(_LENGTH.pack(len(head)) + head + rows)


def decode_rows(rows: bytes) -> list[Row]:
    """*Raises:* FormatError."""
    try:
        return _ROWS.decode(rows)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("spool rows", str(cause)) from cause


def parse_head(data: bytes | memoryview) -> tuple[SegmentHead, int]:
    """The head of a segment and the offset behind it. *Raises:* FormatError when the file does not begin with one."""
    payload, end = _payload_at(data, 0)
    if payload is None:
        raise FormatError("spool segment", "its first record is damaged")
    try:
        head = _HEAD.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("spool segment", f"its first record is no head: {cause}") from cause
    if head.format != FORMAT_VERSION:
        raise FormatError("spool segment", f"format {head.format} is not known to this version, which reads {FORMAT_VERSION}")
    return head, end


def parse_records(data: bytes, offset: int) -> Iterator[Record | Damage]:
    """Every record from `offset` on, and every stretch of bytes that is none, in the order of the file.

    A reader that follows a growing file starts again at the `offset` of a torn Damage.
    """
    position = offset
    while position < len(data):
        payload, end = _payload_at(data, position)
        record = None if payload is None else _record(payload, position)
        if record is not None:
            yield record
            position = end
            continue
        found = _next_frame(data, position + 1)
        yield Damage(offset=position, length=found - position, torn=found == len(data))
        position = found


def _payload_at(data: bytes | memoryview, position: int) -> tuple[memoryview | None, int]:
    if len(data) - position < FRAME_HEAD_BYTES:
        return None, position
    magic, length, checksum = _FRAME.unpack_from(data, position)
    start = position + FRAME_HEAD_BYTES
    if magic != MAGIC or length > PAYLOAD_BYTES_MAX or start + length > len(data):
        return None, position
    payload = memoryview(data)[start : start + length]
    if crc32(payload) != checksum:
        return None, position
    return payload, start + length


def _record(payload: memoryview, offset: int) -> Record | None:
    if len(payload) < _LENGTH.size:
        return None
    head_end = _LENGTH.size + _LENGTH.unpack_from(payload)[0]
    if head_end > len(payload):
        return None
    try:
        entry = _ENTRY.decode(payload[_LENGTH.size : head_end])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # A checksum that holds over a head that does not decode: damage of another making, reported like the rest.
        return None
    return Record(entry=entry, rows=bytes(payload[head_end:]), offset=offset)


def _next_frame(data: bytes, position: int) -> int:
    # Only a frame whose checksum holds ends a damage: the magic may stand in the rows by chance.
    while (found := data.find(MAGIC, position)) >= 0:
        if _payload_at(data, found)[0] is not None:
            return found
        position = found + 1
    return len(data)
