"""Messages cross the sockets whole or not at all."""

from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from agent.model.errors import ProtocolError
from agent.model.message import (
    FRAME_BYTES_MAX,
    Ack,
    Answer,
    Ask,
    Batch,
    Bye,
    Condition,
    DataAck,
    DataHello,
    Delta,
    Hello,
    Identity,
    Lost,
    Nack,
    Note,
    Publish,
    Ready,
    Reply,
    Request,
    Resync,
    Snapshot,
    Stop,
    decode_from_worker,
    decode_from_writer,
    decode_identity,
    decode_to_worker,
    decode_to_writer,
    encode,
)

Decode = Callable[[bytes], Struct]

DIGEST = bytes(range(32))
LOST = (Lost(first_seq=3, last_seq=4, rows=20, reason="buffer_full"),)
MESSAGES: list[tuple[Decode, Struct]] = [
    (decode_from_worker, Hello(pid=42)),
    (decode_from_worker, Ready()),
    (decode_from_worker, Ack(sequence=1, revision=7, digest=DIGEST)),
    (decode_from_worker, Nack(sequence=2, problem="wrong digest")),
    (decode_from_worker, Resync(sequence=3)),
    (decode_from_worker, Publish(changes=[("pod/a", b"{}"), ("pod/b", None)], complete=True)),
    (decode_from_worker, Condition(kind="gateway", active=True, detail="é", blocks_ready=True)),
    (decode_from_worker, Note(kind="tick_missed", severity="warning", fields={"count": 2, "why": None, "share": 0.5})),
    (decode_from_worker, Reply(ask=5, body={"rules": [1, {"a": None}]})),
    (decode_from_worker, Request(request=6, what="status")),
    (decode_to_worker, Snapshot(sequence=1, revision=7, digest=DIGEST, entries=[("rule/a", b"{}")])),
    (decode_to_worker, Delta(sequence=2, revision=8, digest=DIGEST, changes=[("rule/a", None)])),
    (decode_to_worker, Ask(ask=1, what="stats")),
    (decode_to_worker, Answer(request=6, body={"ready": True})),
    (decode_to_worker, Stop(grace_ns=1_500_000_000)),
    (decode_to_writer, Batch(seq=5, table="process", table_version=1, stamp_wall_ns=2**60, rows=100, lost=LOST)),
    (decode_to_writer, Bye(seq=9, lost=LOST)),
    (decode_from_writer, DataHello(writer_epoch=2, have_seq=8)),
    (decode_from_writer, DataAck(seq=8)),
]
DECODERS: list[Decode] = [decode_from_worker, decode_to_worker, decode_to_writer, decode_from_writer]
each_message = pytest.mark.parametrize(("decode", "message"), MESSAGES, ids=lambda value: type(value).__name__)


def decodes_or_is_refused(decode: Decode, frame: bytes) -> None:
    """A frame is a message, or a ProtocolError; whatever it is, nothing else comes out."""
    with suppress(ProtocolError):
        assert isinstance(decode(frame), Struct)


@each_message
def test_a_message_arrives_as_it_was_sent(decode: Decode, message: Struct) -> None:
    """Encoding and decoding is the identity."""
    assert decode(encode(message)) == message


@each_message
def test_a_cut_message_is_refused(decode: Decode, message: Struct) -> None:
    """No prefix of a message is a message."""
    frame = encode(message)
    for length in range(len(frame)):
        with pytest.raises(ProtocolError):
            decode(frame[:length])


@each_message
def test_bytes_behind_a_message_are_refused(decode: Decode, message: Struct) -> None:
    """A frame holds one message and nothing else."""
    with pytest.raises(ProtocolError):
        decode(encode(message) + b"\xc0")


@each_message
def test_a_message_with_one_altered_byte_is_a_message_or_refused(decode: Decode, message: Struct) -> None:
    """Every byte altered to every value."""
    frame = bytearray(encode(message))
    for place, original in enumerate(frame):
        for value in range(256):
            frame[place] = value
            decodes_or_is_refused(decode, bytes(frame))
        frame[place] = original


@each_message
def test_a_message_on_the_wrong_way_is_refused(decode: Decode, message: Struct) -> None:
    """What one side says, the other side does not understand."""
    for other in DECODERS:
        if other is not decode:
            with pytest.raises(ProtocolError):
                other(encode(message))


@given(st.sampled_from(DECODERS), st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(decode: Decode, frame: bytes) -> None:
    """Noise is refused in words."""
    decodes_or_is_refused(decode, frame)


@pytest.mark.parametrize("decode", [decode_from_worker, decode_to_worker])
def test_a_body_nested_without_end_is_refused(decode: Decode) -> None:
    """A hundred thousand lists in each other are a bad message, not the end of the process."""
    tagged = {"type": "reply" if decode is decode_from_worker else "answer", "ask": 1, "request": 1}
    head = msgspec.msgpack.encode({**tagged, "body": {"a": 0}})
    assert head.endswith(b"\x00")
    with pytest.raises(ProtocolError):
        decode(head[:-1] + b"\x91" * 100_000 + b"\x00")


def test_a_frame_above_the_limit_is_refused_before_it_is_decoded() -> None:
    """The sentence says how large it was."""
    with pytest.raises(ProtocolError, match=f"{FRAME_BYTES_MAX + 1} bytes are more than"):
        decode_to_worker(bytes(FRAME_BYTES_MAX + 1))


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(words.filter(lambda word: "/" not in word), words, st.integers(min_value=0, max_value=2**63 - 1))
def test_an_identity_is_read_as_it_was_written(run: str, worker: str, epoch: int) -> None:
    """A worker's name may hold slashes, a run's may not."""
    identity = Identity(run, worker, epoch)
    assert decode_identity(identity.encode()) == identity


@given(st.binary(max_size=40) | st.from_regex(rb"[a-z/]{0,3}/[ +_0-9-]{0,4}/[a-z/]{0,5}", fullmatch=True))
def test_a_frame_names_one_identity_or_none(frame: bytes) -> None:
    """No two frames name the same sender."""
    with suppress(ProtocolError):
        assert decode_identity(frame).encode() == frame


@pytest.mark.parametrize(
    "frame", [b"", b"run", b"run/1", b"run/x/w", b"run/ 1/w", b"run/1_0/w", b"run/-1/w", b"/1/w", b"run/1/", b"\xff/1/w"]
)
def test_what_is_no_identity_is_refused(frame: bytes) -> None:
    """Half an identity, another writing of a number, an empty name."""
    with pytest.raises(ProtocolError, match="is not run/epoch/worker"):
        decode_identity(frame)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (Condition("c", active=True, detail="/x\udcff"), Condition("c", active=True, detail=r"/x\xff")),
        (Note("n", "info", {"path": "\ud800"}), Note("n", "info", {"path": r"\ud800"})),
        (Reply(1, {"k": [{"p\udcfe": "\udcff"}]}), Reply(1, {"k": [{r"p\xfe": r"\xff"}]})),
        (
            Publish([("pod/\udcff", b"\xff"), ("b", None)], complete=True),
            Publish([(r"pod/\xff", b"\xff"), ("b", None)], complete=True),
        ),
    ],
)
def test_a_name_that_is_no_utf8_never_keeps_a_message_from_being_sent(said: Struct, heard: Struct) -> None:
    """Anyone who forgot to make a foreign name readable loses its looks and not the worker."""
    assert decode_from_worker(encode(said)) == heard


def test_a_row_with_a_name_that_is_no_utf8_costs_no_batch() -> None:
    """The other rows and the other values are as they were."""
    rows = [(1, "a\n", None, 1.5, True), (2, "x\udcff", None, 2.5, False)]
    assert msgspec.msgpack.decode(encode(rows)) == [[1, "a\n", None, 1.5, True], [2, r"x\xff", None, 2.5, False]]
