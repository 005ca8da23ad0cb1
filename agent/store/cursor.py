"""How far a sink has come, as it is kept: the cursor of an exporter, in one of two slots of a file. PURE.

A slot is `EGC1` · number u64 · length u32 · CRC-32 of payload u32 · CRC-32 of these 20 bytes u32 · payload (msgpack), all
little endian.
Each write goes to the slot that the newest cursor is not in, so that a write that is cut short leaves the cursor before it.
"""

from collections.abc import Mapping
from struct import Struct as Layout
from zlib import crc32

import msgspec
from msgspec import Struct

from agent.store.place import BEGINNING, Place
from agent.store.record import BatchIdentity

MAGIC = b"EGC1"
_SLOT = Layout("<4sQIII")
_HEAD_CHECKED_BYTES = _SLOT.size - 4
# Counts of a year of segments of 15 minutes fit.
SLOT_BYTES = 2 << 20
SLOTS = 2
PAYLOAD_BYTES_MAX = SLOT_BYTES - _SLOT.size


class SegmentCount(Struct, frozen=True, array_like=True):
    """Rows (and their bytes) of the sink's tables in one segment: found so far, and settled: delivered, rejected or pruned."""

    rows: int = 0
    bytes: int = 0
    settled_rows: int = 0
    settled_bytes: int = 0


class ExportLedger(Struct, frozen=True):
    """Rows since the cursor was made. *Range:* `produced` is the sum of the others and of what is pending, always.

    `rejected` counts by reason what the sink refused for good, `pruned` what was removed before it could be sent.
    """

    produced: int = 0
    delivered: int = 0
    pruned: int = 0
    rejected: Mapping[str, int] = {}

    @property
    def settled(self) -> int:
        """All that is not pending."""
        return self.delivered + self.pruned + sum(self.rejected.values())


class Cursor(Struct, frozen=True):
    """The state of one sink. Everything before `low` is settled, and so is each of the spans in `ahead`, which are in order.

    `identity` says which sink it is (kind and address), `install` whose spool it points into. `scanned`: up to there the rows are
    counted in `ledger` and `segments`; the latter has the segments that are not settled in whole. `needs`: the earliest place that
    a new process would read. `last` is the batch that was settled last, of `last_stamp_wall_ns`; None: none was yet.
    """

    sink: str
    kind: str
    identity: str
    install: str
    low: Place = BEGINNING
    ahead: tuple[tuple[Place, Place], ...] = ()
    needs: Place = BEGINNING
    scanned: Place = BEGINNING
    ledger: ExportLedger = ExportLedger()
    segments: Mapping[str, SegmentCount] = {}
    last: BatchIdentity | None = None
    last_stamp_wall_ns: int | None = None
    deliveries: int = 0


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Cursor)


def encode_slot(cursor: Cursor, number: int) -> bytes:
    """The bytes of a slot. `number` is that of the write, which only grows."""
    payload = _ENCODER.encode(cursor)
    assert len(payload) <= PAYLOAD_BYTES_MAX, "more segments are kept than any quota allows"
    checked = _SLOT.pack(MAGIC, number, len(payload), crc32(payload), 0)[:_HEAD_CHECKED_BYTES]
    return checked + crc32(checked).to_bytes(4, "little") + payload


HEAD_BYTES = _SLOT.size


def slot_bytes(head: bytes) -> int:
    """How long the slot is that begins with these bytes, at most; 0: none begins so."""
    if len(head) < HEAD_BYTES or head[:4] != MAGIC:
        return 0
    return min(SLOT_BYTES, HEAD_BYTES + int(_SLOT.unpack_from(head)[2]))


def decode_slot(data: bytes) -> tuple[int, Cursor] | None:
    """The number and the cursor of a slot; None: nothing whole was ever written there, or it is damaged."""
    if len(data) < _SLOT.size:
        return None
    magic, number, length, checksum, own = _SLOT.unpack_from(data)
    payload = data[_SLOT.size : _SLOT.size + length]
    if magic != MAGIC or crc32(data[:_HEAD_CHECKED_BYTES]) != own or len(payload) != length or crc32(payload) != checksum:
        return None
    try:
        return number, _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
