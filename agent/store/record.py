"""The bytes of a spool: framed, checksummed records that are readable up to the last whole one. PURE.

A spool file is a sequence of frames; a frame is
    magic 4 bytes · table u32 · length of payload u32 · CRC-32 of payload u32 · CRC-32 of these 16 bytes u32 · payload
(little endian). The first payload is a SegmentHead, every other one an Entry: u32 length of the entry's head, the head
(msgpack), then the rows exactly as they came from the worker (a msgpack array of rows).

`table` is the CRC-32 of the table's name (0: no table). A reader that wants some tables skips the records of all others: it reads
the frame's head and goes on behind the payload, which it neither decodes nor checksums. The head's own checksum says that the
length can be believed. The magic lets a reader find the next frame behind a damaged one.

Rows of other hosts stand in records that no reader takes for this host's: their word is that of `foreign_name(table)`, and their
entry names no table, but its `origin` does.
"""

from collections.abc import Container, Iterator
from struct import Struct as Layout
from typing import Any, Protocol
from zlib import crc32

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.table import Row, Table

MAGIC = b"EGR2"
FORMAT_VERSION = 2
# How a frame began before its head named the table: such a segment is refused in one sentence.
_MAGIC_OF_1 = b"EGR1"
_FRAME = Layout("<4sIIII")
_LENGTH = Layout("<I")
FRAME_HEAD_BYTES = _FRAME.size
_HEAD_CHECKED_BYTES = FRAME_HEAD_BYTES - 4
PAYLOAD_BYTES_MAX = 32 << 20


class TableForm(Struct, frozen=True):
    """The columns of a table as this segment holds them: names and words of `DType`, in the order of a row.

    `nullable`: which of them may be null; shorter than `names`: the rest may.
    """

    version: int
    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    prefix: str
    nullable: tuple[bool, ...] = ()


def form_of(table: Table) -> TableForm:
    """The columns of a declared table, as a segment's head has them."""
    columns = table.columns
    dtypes = tuple(str(column.dtype) for column in columns)
    return TableForm(table.version, table.column_names, dtypes, table.prefix, tuple(column.nullable for column in columns))


class OtherForm(Struct, frozen=True, array_like=True):
    """Columns that differ from those that the segment declares: the first `kept` of these, then the columns named here.

    Versions of one table differ at the end, so this is short. *Range:* of a table that the segment does not declare all are here.
    """

    version: int
    kept: int = 0
    names: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    nullable: tuple[bool, ...] = ()


class EntryOrigin(Struct, frozen=True, array_like=True):
    """Of a batch of another host: its table, that host's name and installation, and the batch's number there.

    `form` None: the columns are those that the segment declares for the table.
    """

    table: str
    host: str
    install: str
    run: str
    worker: str
    epoch: int
    seq: int
    form: OtherForm | None = None


class Mark(Struct, frozen=True):
    """What the writer has of one sender: batches up to `seq`, the last stamped `stamp_wall_ns`; `ended` after its Bye.

    `tick` is the last tick of its grid that is stored or accounted for, `ticks_missed` how many of this run were missed:
    both go on from one start of a worker to the next. `hands_on`: its batches are other hosts', who keep them until then.
    """

    run: str
    worker: str
    epoch: int
    seq: int
    stamp_wall_ns: int | None
    ended: bool
    tick: int | None = None
    ticks_missed: int = 0
    hands_on: bool = False


class SegmentHead(Struct, frozen=True):
    """The first record of a spool file: all that a reader needs to make Parquet of it, years later.

    `durable`: every segment up to this generation was on the disk in whole when this one was opened. `superseded`: names of
    segments that lost their name while they were written, and whose rows later ones hold: should they come back, they count twice.
    `install`: which installation of the agent wrote it (`agent.store.install`). `foreign`: what the writer has of other hosts
    (`workers.writer.foreign`); no one else decodes it.
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
    install: str = ""
    foreign: bytes = b""


class Entry(Struct, frozen=True, omit_defaults=True):
    """The head of one stored batch. `seq` 0: rows made by the writer itself (table `gap`). `ended`: the sender's Bye.

    `tick` and `ticks_missed` are the sender's mark after it. `origin`: the rows are another host's, and `table` is empty;
    `run`, `worker`, `epoch` and `seq` are those of the worker that sent them here.
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
    origin: EntryOrigin | None = None

    @property
    def measured_table(self) -> str:
        """The table of its rows, of any host."""
        return self.table if self.origin is None else self.origin.table


class BatchIdentity(Struct, frozen=True):
    """Which batch of which worker of which agent: unique over all hosts and all times."""

    install: str
    run: str
    worker: str
    epoch: int
    seq: int


class Record(Struct, frozen=True):
    """One whole entry of a spool, with its rows still encoded, and where its frame begins and ends in the file."""

    entry: Entry
    rows: bytes
    offset: int
    end: int

    def identity(self, head: SegmentHead) -> BatchIdentity:
        """Which batch this is; `head` is that of its segment."""
        entry, origin = self.entry, self.entry.origin
        if origin is not None:
            return BatchIdentity(origin.install, origin.run, origin.worker, origin.epoch, origin.seq)
        return BatchIdentity(head.install, entry.run, entry.worker, entry.epoch, entry.seq)


class Damage(Struct, frozen=True):
    """Bytes of a spool that are no record. `torn`: they reach to the end of the file, a write was cut short."""

    offset: int
    length: int
    torn: bool


_ENCODER = msgspec.msgpack.Encoder()
_HEAD = msgspec.msgpack.Decoder(SegmentHead)
_ENTRY = msgspec.msgpack.Decoder(Entry)
# Of what types the values are, `agent.model.row_check` looks at: here one bad value would cost its whole batch.
_ROWS = msgspec.msgpack.Decoder(list[tuple[Any, ...]])


class ByteSource(Protocol):
    """The bytes of a file, wherever they are. `len` is its size, as far as it is to be read."""

    def __len__(self) -> int: ...

    def at(self, position: int, size: int) -> "memoryview | bytes":
        """The bytes from `position` on, fewer where the source ends."""
        ...

    def find(self, word: bytes, position: int) -> int:
        """Where `word` stands first from `position` on; -1: nowhere."""
        ...


class HeldBytes:
    """A ByteSource of bytes that are in memory, or mapped."""

    def __init__(self, data: "bytes | memoryview") -> None:
        self._data = data
        self._view = memoryview(data)

    def __len__(self) -> int:
        return len(self._view)

    def at(self, position: int, size: int) -> memoryview:
        """See ByteSource."""
        return self._view[position : position + size]

    def find(self, word: bytes, position: int) -> int:
        """See ByteSource."""
        # A view cannot search; bytes and a mapping can.
        data = bytes(self._data) if isinstance(self._data, memoryview) else self._data
        return data.find(word, position)


def table_word(table: str) -> int:
    """The word of a table in the heads of its records' frames. *Range:* two tables may share one; the entry tells them apart."""
    return crc32(table.encode())


def foreign_name(table: str) -> str:
    """What stands for the rows of a table that are other hosts', where names of tables are told apart; no table is called so."""
    return f"{table}@"


def frame(payload: bytes, table: str = "") -> bytes:
    """The frame around a payload."""
    assert len(payload) <= PAYLOAD_BYTES_MAX
    checked = _FRAME.pack(MAGIC, table_word(table), len(payload), crc32(payload), 0)[:_HEAD_CHECKED_BYTES]
    return checked + _LENGTH.pack(crc32(checked)) + payload


def encode_head(head: SegmentHead) -> bytes:
    """The frame that opens a segment."""
    assert head.format == FORMAT_VERSION
    return frame(_ENCODER.encode(head))


def encode_entry(entry: Entry, rows: bytes) -> bytes:
    """The frame of one batch."""
    head = _ENCODER.encode(entry)
    word = entry.table if entry.origin is None else foreign_name(entry.origin.table)
    return frame(_LENGTH.pack(len(head)) + head + rows, word)


def decode_rows(rows: bytes) -> list[Row]:
    """*Raises:* FormatError."""
    try:
        return _ROWS.decode(rows)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("spool rows", str(cause)) from cause


def parse_head(data: "bytes | memoryview | ByteSource") -> tuple[SegmentHead, int]:
    """The head of a segment and the offset behind it.

    *Raises:* FormatError when the file does not begin with one, or with that of another format.
    """
    source = _source_of(data)
    if bytes(source.at(0, len(MAGIC))) == _MAGIC_OF_1:
        raise FormatError("spool segment", _unknown_format(1))
    frame_head = _frame_head(source, 0)
    payload = None if frame_head is None else _payload(source, 0, frame_head)
    if payload is None:
        raise FormatError("spool segment", "its first record is damaged")
    try:
        head = _HEAD.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("spool segment", f"its first record is no head: {cause}") from cause
    if head.format != FORMAT_VERSION:
        raise FormatError("spool segment", _unknown_format(head.format))
    return head, FRAME_HEAD_BYTES + len(payload)


def is_other_format(data: "bytes | memoryview | ByteSource") -> bool:
    """Whether a segment was written by a version of the agent whose records this one does not read."""
    return bytes(_source_of(data).at(0, len(MAGIC))) == _MAGIC_OF_1


def _unknown_format(number: int) -> str:
    return f"format {number} is not known to this version, which reads {FORMAT_VERSION}"


def parse_records(
    data: "bytes | memoryview | ByteSource", offset: int, wanted: Container[int] | None = None
) -> Iterator[Record | Damage]:
    """Every record from `offset` on, and every stretch of bytes that is none, in the order of the file.

    `wanted`: the `table_word` of the tables to read (None: all). Records of others are passed over, damaged payloads included.
    A reader that follows a growing file starts again at the `offset` of a torn Damage.
    """
    source = _source_of(data)
    position = offset
    while position < len(source):
        frame_head = _frame_head(source, position)
        if frame_head is not None and wanted is not None and frame_head.table not in wanted:
            position += FRAME_HEAD_BYTES + frame_head.length
            continue
        payload = None if frame_head is None else _payload(source, position, frame_head)
        record = None if payload is None else _record(payload, position)
        if record is not None and payload is not None:
            yield record
            position += FRAME_HEAD_BYTES + len(payload)
            continue
        found = _next_frame(source, position + 1)
        yield Damage(offset=position, length=found - position, torn=found == len(source))
        position = found


def is_cut_short(data: "bytes | memoryview | ByteSource", damage: Damage) -> bool:
    """Whether a damage is a frame whose end was never written, as opposed to bytes that changed.

    *Range:* a frame that is whole in length but fails its checksum is corrupt even at the end of the file.
    """
    if not damage.torn:
        return False
    source = _source_of(data)
    head = bytes(source.at(damage.offset, FRAME_HEAD_BYTES))
    if len(head) < FRAME_HEAD_BYTES:
        return MAGIC.startswith(head[: len(MAGIC)])
    parsed = _parse_frame_head(head)
    return parsed is not None and damage.offset + FRAME_HEAD_BYTES + parsed.length > len(source)


class _FrameHead(Struct, frozen=True):
    table: int
    length: int
    checksum: int


def _source_of(data: "bytes | memoryview | ByteSource") -> ByteSource:
    # A mapping stands in for bytes: it can be searched and viewed as they can.
    return data if hasattr(data, "at") else HeldBytes(data)  # type: ignore[return-value]  # the attribute tells them apart


def _frame_head(source: ByteSource, position: int) -> _FrameHead | None:
    """The head of the whole frame that begins there; None: none does, or its payload reaches beyond the source."""
    parsed = _parse_frame_head(source.at(position, FRAME_HEAD_BYTES))
    if parsed is None or position + FRAME_HEAD_BYTES + parsed.length > len(source):
        return None
    return parsed


def _parse_frame_head(data: "memoryview | bytes") -> _FrameHead | None:
    if len(data) < FRAME_HEAD_BYTES:
        return None
    magic, table, length, checksum, own = _FRAME.unpack_from(data)
    if magic != MAGIC or length > PAYLOAD_BYTES_MAX or crc32(data[:_HEAD_CHECKED_BYTES]) != own:
        return None
    return _FrameHead(table, length, checksum)


def _payload(source: ByteSource, position: int, head: _FrameHead) -> "memoryview | None":
    payload = memoryview(source.at(position + FRAME_HEAD_BYTES, head.length))
    if len(payload) != head.length or crc32(payload) != head.checksum:
        return None
    return payload


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
    end = offset + FRAME_HEAD_BYTES + len(payload)
    return Record(entry=entry, rows=bytes(payload[head_end:]), offset=offset, end=end)


def _next_frame(source: ByteSource, position: int) -> int:
    # Only a frame whose checksums hold ends a damage: the magic may stand in the rows by chance.
    while (found := source.find(MAGIC, position)) >= 0:
        head = _frame_head(source, found)
        if head is not None and _payload(source, found, head) is not None:
            return found
        position = found + 1
    return len(source)
