"""Messages of ttrpc."""

import pytest
from fakes import nri_wire
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from workers.control_plane.nri.ttrpc import (
    DATA_BYTES_MAX,
    HEADER,
    LONG_BYTES,
    MessageReader,
    PayloadTaker,
    TtrpcMessage,
    TtrpcRequest,
    TtrpcResponse,
    pack_request,
    pack_response,
    pack_unimplemented,
    parse_request,
    parse_response,
)

SERVICE = "nri.pkg.api.v1alpha1.Plugin"


def only(data: bytes) -> TtrpcMessage:
    """The one message in these bytes."""
    (message,) = MessageReader().read(data)
    return message


def test_a_message_may_be_cut_at_every_byte() -> None:
    """Two messages in any two parts are the same two messages."""
    data = nri_wire.request(1, "Configure", b"payload", 2_000_000_000) + nri_wire.message_bytes(3, 9, b"")
    whole = MessageReader().read(data)
    assert [message.stream for message in whole] == [1, 3]
    for cut in range(len(data) + 1):
        reader = MessageReader()
        assert whole == reader.read(data[:cut]) + reader.read(data[cut:]), cut


def test_a_message_above_the_limit_is_refused_at_its_header() -> None:
    """None of its data need to have come; the top byte of the length is part of it."""
    assert MessageReader().read(HEADER.pack(DATA_BYTES_MAX, 1, 1, 0)) == []
    for length in (DATA_BYTES_MAX + 1, 1 << 24, (1 << 32) - 1):
        with pytest.raises(ProtocolError, match=f"a ttrpc message of {length} bytes"):
            MessageReader().read(HEADER.pack(length, 1, 1, 0))


def test_a_request_is_read() -> None:
    """Service, method, payload and the caller's limit; metadata is passed over."""
    data = only(nri_wire.request(5, "StateChange", b"payload", 1_999_953_380)).data + nri_wire.field(5, {"key": "value"})
    assert TtrpcRequest(SERVICE, "StateChange", b"payload", 1_999_953_380) == parse_request(data)


def test_a_request_without_anything_is_read() -> None:
    """Absent fields are empty; an empty payload is an empty message."""
    assert TtrpcRequest("", "", b"", 0) == parse_request(b"")


def test_the_last_of_repeated_fields_counts() -> None:
    """As in every protobuf runtime; a negative limit is none."""
    data = nri_wire.field(2, "First") + nri_wire.field(4, 5) + nri_wire.field(2, "Last") + nri_wire.field(4, -1)
    assert TtrpcRequest("", "Last", b"", 0) == parse_request(data)


def test_a_method_that_is_no_text_is_readable() -> None:
    """Control characters and bytes that are no UTF-8 are written out, and there is an end."""
    assert parse_request(nri_wire.field(2, b"a\xff\n")).method == "a\\xff\\n"
    assert len(parse_request(nri_wire.field(2, "x" * 5000)).method) == 128


def test_fields_of_another_wire_type_are_unknown_fields() -> None:
    """A number where a text belongs, and the other way round, is passed over."""
    data = nri_wire.field(1, 7) + nri_wire.field(2, 7) + nri_wire.field(3, 7) + nri_wire.field(4, "x")
    assert TtrpcRequest("", "", b"", 0) == parse_request(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", TtrpcResponse(0, "", b"")),
        (nri_wire.field(2, b"payload"), TtrpcResponse(0, "", b"payload")),
        (nri_wire.repeated(1, [b""]), TtrpcResponse(0, "", b"")),
        (
            nri_wire.field(1, nri_wire.field(1, 2) + nri_wire.field(2, "invalid plugin name\n")),
            TtrpcResponse(2, "invalid plugin name\\n", b""),
        ),
        # One status in two parts, with details that nobody needs.
        (
            nri_wire.field(1, nri_wire.field(1, 8)) + nri_wire.field(1, nri_wire.field(2, "full") + nri_wire.field(3, b"x")),
            TtrpcResponse(8, "full", b""),
        ),
        # Fields of other wire types are unknown ones.
        (nri_wire.field(1, 3) + nri_wire.field(2, 3), TtrpcResponse(0, "", b"")),
        (nri_wire.field(1, nri_wire.field(1, "x") + nri_wire.field(2, 3)), TtrpcResponse(0, "", b"")),
    ],
)
def test_a_response_is_read(data: bytes, expected: TtrpcResponse) -> None:
    """Success without a status or with code 0; otherwise the code and its text."""
    assert expected == parse_response(data)


def test_a_request_is_written_as_another_encoder_writes_it() -> None:
    """Header, service, method, payload, limit."""
    assert nri_wire.request(1, "RegisterPlugin", b"payload", 5, SERVICE) == pack_request(
        1, SERVICE, "RegisterPlugin", b"payload", 5
    )


def test_answers_are_read_by_the_other_side() -> None:
    """A success has no status; a method that is not served has code 12 and a text."""
    assert nri_wire.message_bytes(7, nri_wire.RESPONSE, nri_wire.field(2, b"answer")) == pack_response(7, b"answer")
    assert nri_wire.message_bytes(7, nri_wire.RESPONSE, b"") == pack_response(7)
    status = nri_wire.fields(nri_wire.bytes_of(nri_wire.fields(only(pack_unimplemented(9, "Sing")).data), 1))
    assert (nri_wire.number_of(status, 1), nri_wire.text_of(status, 2)) == (12, "Sing is not served by this plugin")


# ---- long requests ---------------------------------------------------------------------------------

PAYLOAD = bytes(range(256)) * 200


class Taker:
    """Takes the payloads of one method."""

    def __init__(self, method: str = "Synchronize") -> None:
        self.method = method
        self.asked: list[str] = []
        self.pieces: list[bytes] = []

    def of(self, request: TtrpcRequest) -> PayloadTaker | None:
        """The taker of a long request."""
        self.asked.append(request.method)
        return self.pieces.append if request.method == self.method else None


def long_request(method: str = "Synchronize", payload: bytes = PAYLOAD) -> bytes:
    """A long request, with a limit and metadata behind its payload."""
    data = only(nri_wire.request(1, method, payload, 7)).data + nri_wire.field(5, {"key": "value"})
    return nri_wire.message_bytes(1, 1, data)


@pytest.mark.parametrize("size", [1, 13, 4096, 65536, 1 << 20])
def test_the_payload_of_a_long_request_is_handed_on_as_it_arrives(size: int) -> None:
    """The request has all but its payload, and what follows it is read."""
    taker = Taker()
    reader = MessageReader(taker.of)
    data = long_request() + nri_wire.request(3, "Shutdown", b"end", 0)
    messages = [message for at in range(0, len(data), size) for message in reader.read(data[at : at + size])]
    assert b"".join(taker.pieces) == PAYLOAD
    assert [parse_request(message.data) for message in messages] == [
        TtrpcRequest(SERVICE, "Synchronize", b"", 7),
        TtrpcRequest(SERVICE, "Shutdown", b"end", 0),
    ]
    assert taker.asked == ["Synchronize"]


def test_a_long_request_that_nobody_takes_is_whole() -> None:
    """Another method's; one that is not long is not even asked about."""
    taker = Taker()
    (message,) = MessageReader(taker.of).read(long_request("StateChange"))
    assert parse_request(message.data).payload == PAYLOAD
    (message,) = MessageReader(taker.of).read(long_request(payload=b"short"))
    assert parse_request(message.data).payload == b"short"
    assert (taker.asked, taker.pieces) == (["StateChange"], [])


@pytest.mark.parametrize(
    "data",
    [
        # The payload before the names, names that are too long to look through, a number first, more fields than there are.
        nri_wire.field(3, PAYLOAD) + nri_wire.field(2, "Synchronize"),
        nri_wire.field(2, "x" * LONG_BYTES) + nri_wire.field(3, PAYLOAD),
        nri_wire.field(4, 7) + nri_wire.field(2, "Synchronize") + nri_wire.field(3, PAYLOAD),
        nri_wire.field(2, "Synchronize") * 5 + nri_wire.field(3, PAYLOAD),
    ],
)
def test_a_long_request_in_another_order_is_whole(data: bytes) -> None:
    """Protobuf allows any order; only the usual one is handed on."""
    taker = Taker()
    (message,) = MessageReader(taker.of).read(nri_wire.message_bytes(1, 1, data))
    assert (message.data, taker.pieces) == (data, [])


def test_a_long_payload_that_claims_more_than_its_message_is_not_handed_on() -> None:
    """The message is read as a whole, and its parser refuses it."""
    taker = Taker()
    data = nri_wire.field(2, "Synchronize") + b"\x1a" + nri_wire.varint(len(PAYLOAD) + 1) + PAYLOAD
    (message,) = MessageReader(taker.of).read(nri_wire.message_bytes(1, 1, data))
    assert taker.pieces == []
    with pytest.raises(ProtocolError):
        parse_request(message.data)


def test_long_responses_are_whole() -> None:
    """Only requests have takers."""
    taker = Taker()
    data = only(long_request()).data
    assert MessageReader(taker.of).read(nri_wire.message_bytes(1, 2, data))[0].data == data
    assert taker.asked == []


messages = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=400))


@given(st.lists(messages, max_size=5), st.data())
def test_messages_round_trip(expected: list[tuple[int, int, int, bytes]], data: st.DataObject) -> None:
    """Any messages, however they are cut."""
    sent = b"".join(HEADER.pack(len(body), stream, kind, flags) + body for stream, kind, flags, body in expected)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    reader, found = MessageReader(), []
    for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        found += reader.read(sent[begin:end])
    assert expected == [(message.stream, message.kind, message.flags, message.data) for message in found]


def test_a_message_of_which_a_part_is_to_come_is_unfinished() -> None:
    """From the first byte of its head to the last one of its data."""
    reader = MessageReader()
    for place, byte in enumerate(nri_wire.message_bytes(3, 9, b"ab")):
        assert reader.is_unfinished is (place > 0)
        reader.read(bytes([byte]))
    assert not reader.is_unfinished
