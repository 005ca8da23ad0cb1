"""What else nodes and hubs say to each other, beside beats and updates. PURE.

A node's frame begins with two bytes that say what it is, so that a hub never decodes what it does not want. What a hub answers is
one tagged message.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from agent.fleet.live import Name
from agent.model.errors import ProtocolError
from agent.store.record import TableForm

PROTOCOL_VERSION = 1
HELLO_MARK = b"H1"
ROWS_MARK = b"R1"
HELLO_BYTES_MAX = 2048
# A delivery has some 512 KiB of rows; one batch has at most as much as the writer takes.
ROWS_BYTES_MAX = 17 << 20
BATCHES_MAX = 4096
ANSWER_BYTES_MAX = 4096

Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Purpose = Literal["beat", "live", "rows"]


class NodeHello(Struct, frozen=True, array_like=True):
    """The first word on a connection, and the answer to Greet. `boot` is the kernel's boot id: two machines never share one."""

    protocol: int
    purpose: Purpose
    install: Id
    run: Id
    host: Name
    boot: Name
    agent_version: Name


class RowBatch(Struct, frozen=True, array_like=True):
    """The head of one stored batch of a node. `form` is a number of `RowsHead.forms`, or of a delivery before on this
    connection."""

    run: Name
    worker: Name
    epoch: Count
    seq: Count
    table: Name
    stamp_wall_ns: Count
    rows: Count
    form: Count


class RowsHead(Struct, frozen=True, array_like=True):
    """The first frame of a delivery of rows; the rows of each batch follow as frames of their own, still encoded.

    `number` is answered. `forms` are the columns of tables by a checksum of them, those that the hub may not know yet.
    """

    number: Count
    batches: Annotated[list[RowBatch], Meta(max_length=BATCHES_MAX)]
    forms: dict[int, TableForm]


class Welcome(Struct, frozen=True, tag="welcome"):
    """The node is known. It beats every `beat_ms`, `phase_ms` after a full interval by its own clock."""

    hub: str
    hub_run: str
    beat_ms: Annotated[int, Meta(ge=100, le=60_000)]
    phase_ms: Annotated[int, Meta(ge=0, le=60_000)]


class Greet(Struct, frozen=True, tag="greet"):
    """The hub does not know this connection: it wants a NodeHello."""


class WantWhole(Struct, frozen=True, tag="want"):
    """The hub wants the whole live state."""


class Hold(Struct, frozen=True, tag="hold"):
    """Not now: the same again after so many milliseconds. Of a delivery `number` says which."""

    after_ms: Annotated[int, Meta(ge=0, le=3_600_000)]
    number: Count = 0


class Taken(Struct, frozen=True, tag="taken"):
    """The delivery is stored."""

    number: Count
    refused_rows: Count = 0
    sentence: str = ""


class WantForms(Struct, frozen=True, tag="forms"):
    """The delivery names columns that the hub does not know: the same again, with all of them."""

    number: Count


class Denied(Struct, frozen=True, tag="denied"):
    """The hub does not take what this node says; a person must act. `code` is a word for counters."""

    code: str
    sentence: str


HubAnswer = Welcome | Greet | WantWhole | Hold | Taken | WantForms | Denied

_HELLO = msgspec.msgpack.Decoder(NodeHello)
_ROWS = msgspec.msgpack.Decoder(RowsHead)
_ANSWER = msgspec.msgpack.Decoder(HubAnswer)
_ENCODER = msgspec.msgpack.Encoder()
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode_hello(hello: NodeHello) -> bytes:
    """The frame of a NodeHello."""
    return HELLO_MARK + _ENCODER.encode(hello)


def decode_hello(frame: bytes) -> NodeHello:
    """*Raises:* ProtocolError."""
    if frame[:2] != HELLO_MARK or len(frame) > HELLO_BYTES_MAX:
        raise ProtocolError("hello", f"{len(frame)} bytes are no hello")
    try:
        return _HELLO.decode(frame[2:])
    except _BROKEN as cause:
        raise ProtocolError("hello", str(cause)) from cause


def encode_rows_head(head: RowsHead) -> bytes:
    """The first frame of a delivery."""
    return ROWS_MARK + _ENCODER.encode(head)


def decode_rows_head(frame: bytes, frames_behind: int) -> RowsHead:
    """*Raises:* ProtocolError; also where so many frames behind it are not one for each batch."""
    if frame[:2] != ROWS_MARK:
        raise ProtocolError("delivery", f"{len(frame)} bytes are no delivery")
    try:
        head = _ROWS.decode(frame[2:])
    except _BROKEN as cause:
        raise ProtocolError("delivery", str(cause)) from cause
    if len(head.batches) != frames_behind:
        raise ProtocolError("delivery", f"{len(head.batches)} batches in {frames_behind} frames")
    return head


def encode_answer(answer: HubAnswer) -> bytes:
    """The frame of a hub's answer."""
    return _ENCODER.encode(answer)


def decode_answer(frame: bytes) -> HubAnswer:
    """*Raises:* ProtocolError."""
    if len(frame) > ANSWER_BYTES_MAX:
        raise ProtocolError("answer of the hub", f"{len(frame)} bytes are more than {ANSWER_BYTES_MAX}")
    try:
        return _ANSWER.decode(frame)
    except _BROKEN as cause:
        raise ProtocolError("answer of the hub", str(cause)) from cause
