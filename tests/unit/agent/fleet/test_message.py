"""Hello, deliveries and answers: round trips, and bytes of strangers that are never anything but refused."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.message import (
    ANSWER_BYTES_MAX,
    BATCHES_MAX,
    HELLO_BYTES_MAX,
    HELLO_MARK,
    PROTOCOL_VERSION,
    ROWS_MARK,
    Denied,
    Greet,
    Hold,
    HubAnswer,
    NodeHello,
    RowBatch,
    RowsHead,
    Taken,
    WantForms,
    WantWhole,
    Welcome,
    decode_answer,
    decode_hello,
    decode_rows_head,
    encode_answer,
    encode_hello,
    encode_rows_head,
)
from agent.model.errors import ProtocolError
from agent.store.record import TableForm

HELLO = NodeHello(PROTOCOL_VERSION, "beat", "00112233445566aa", "ffeeddccbbaa9988", "node-1", "boot-1", "1.0")
BATCH = RowBatch("run-1", "sampler/x", 1, 5, "diag", 1_700_000_000_000_000_000, 2, 77)
FORM = TableForm(1, ("timestamp", "kind"), ("int64", "utf8"), "diag-", (False, True))
HEAD = RowsHead(3, [BATCH], {77: FORM})
ANSWERS: tuple[HubAnswer, ...] = (
    Welcome("hub", "0011223344556677", 1000, 250), Greet(), WantWhole(), Hold(500, 3), Taken(3, 1, "why"), WantForms(3),
    Denied("removed", "join again"),
)  # fmt: skip
COUNTS = st.integers(0, (1 << 63) - 1)
NAMES = st.text(max_size=20)
BATCHES = st.builds(RowBatch, NAMES, NAMES, COUNTS, COUNTS, NAMES, COUNTS, COUNTS, COUNTS)
Decoder = Callable[[bytes], object]
DECODERS: tuple[tuple[Decoder, bytes], ...] = (
    (decode_hello, encode_hello(HELLO)),
    (lambda frame: decode_rows_head(frame, 1), encode_rows_head(HEAD)),
    (decode_answer, encode_answer(ANSWERS[0])),
)


def test_a_hello_comes_back_as_it_was() -> None:
    """All of its fields."""
    assert decode_hello(encode_hello(HELLO)) == HELLO


@given(number=COUNTS, batches=st.lists(BATCHES, max_size=5))
def test_the_head_of_a_delivery_comes_back_as_it_was(number: int, batches: list[RowBatch]) -> None:
    """With the columns of its tables."""
    head = RowsHead(number, batches, {77: FORM})
    assert decode_rows_head(encode_rows_head(head), len(batches)) == head


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_every_answer_of_a_hub_comes_back_as_it_was(answer: HubAnswer) -> None:
    """It is told which one it is."""
    assert decode_answer(encode_answer(answer)) == answer


def test_every_prefix_and_every_altered_byte_is_refused_or_something_else() -> None:
    """Never another error."""
    for decode, frame in DECODERS:
        for end in range(len(frame)):
            with pytest.raises(ProtocolError):
                decode(frame[:end])
        for place in range(len(frame)):
            for flipped in (0x01, 0x20, 0x80, 0xFF):
                altered = bytearray(frame)
                altered[place] ^= flipped
                try:
                    decode(bytes(altered))
                except ProtocolError:
                    continue


@given(data=st.binary(max_size=100), mark=st.sampled_from([b"", HELLO_MARK, ROWS_MARK]))
def test_nonsense_is_refused(data: bytes, mark: bytes) -> None:
    """Bytes of a stranger."""
    for decode, _ in DECODERS:
        with pytest.raises(ProtocolError):
            decode(mark + data)


@pytest.mark.parametrize(
    "changes",
    [{"purpose": "other"}, {"install": "XX"}, {"install": "0" * 17}, {"run": ""}, {"host": "x" * 256}, {"boot": "x" * 256}],
)
def test_a_hello_with_a_wrong_field_is_refused(changes: dict[str, str]) -> None:
    """Each of them."""
    with pytest.raises(ProtocolError):
        decode_hello(encode_hello(msgspec.structs.replace(HELLO, **changes)))


def test_a_claim_of_two_gib_costs_nothing() -> None:
    """Lengths of msgpack are believed by nobody: an array, a text and a map that claim more than is there."""
    for claim in (b"\xdd\x80\x00\x00\x00", b"\x97\xdb\x80\x00\x00\x00", b"\xdf\x80\x00\x00\x00", b"\xc6\x80\x00\x00\x00"):
        for decode, frame in DECODERS:
            mark = b"" if decode is decode_answer else frame[:2]
            with pytest.raises(ProtocolError):
                decode(mark + claim)
    with pytest.raises(ProtocolError):
        decode_hello(HELLO_MARK + b"\x91" * 1000 + b"\xc0")


def test_frames_that_are_too_large_are_not_decoded() -> None:
    """Hello and answers are small; a delivery has at most so many batches."""
    with pytest.raises(ProtocolError, match="are no hello"):
        decode_hello(encode_hello(HELLO) + bytes(HELLO_BYTES_MAX))
    with pytest.raises(ProtocolError, match="are more than"):
        decode_answer(encode_answer(Denied("x", "y" * ANSWER_BYTES_MAX)))
    with pytest.raises(ProtocolError):
        decode_rows_head(encode_rows_head(RowsHead(1, [BATCH] * (BATCHES_MAX + 1), {})), BATCHES_MAX + 1)


def test_a_delivery_has_one_frame_for_each_batch() -> None:
    """Else nobody knows whose rows they are."""
    for frames in (0, 2):
        with pytest.raises(ProtocolError, match=f"1 batches in {frames} frames"):
            decode_rows_head(encode_rows_head(HEAD), frames)
