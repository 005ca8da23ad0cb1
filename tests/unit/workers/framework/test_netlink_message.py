"""Netlink messages: what is packed can be parsed, and hostile bytes end a loop early and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.framework.netlink_message import (
    ATTRIBUTE_HEAD,
    ATTRIBUTES_MAX,
    ERROR,
    MESSAGE_HEAD,
    MESSAGES_MAX,
    NetlinkMessage,
    attributes,
    error_number,
    first_attribute,
    messages,
    pack_attribute,
    pack_connector,
    pack_family_query,
    pack_message,
    pack_uint32,
    parse_family_id,
    uint32,
)


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40)), max_size=8))
def test_packed_attributes_are_parsed_back(pairs: list[tuple[int, bytes]]) -> None:
    """Attributes come back in their order with their contents, whatever their padding."""
    data = b"".join(pack_attribute(kind, content) for kind, content in pairs)
    assert [(kind, bytes(content)) for kind, content in attributes(data)] == pairs


@given(st.integers(16, 0xFFFF), st.binary(max_size=64), st.integers(0, 0xFFFFFFFF))
def test_a_packed_message_is_parsed_back(kind: int, payload: bytes, sequence: int) -> None:
    """Two messages in one datagram are both found."""
    data = pack_message(kind, payload, sequence=sequence)
    assert [(m.kind, m.sequence, bytes(m.payload)) for m in messages(data + data)] == [(kind, sequence, payload)] * 2


@given(st.binary(max_size=600))
def test_any_bytes_are_parsed_without_an_error(data: bytes) -> None:
    """Bytes from anywhere give messages and attributes that lie within them, and no exception."""
    for message in messages(data):
        assert len(message.payload) <= len(data)
        error_number(message)
        parse_family_id(message.payload)
        assert all(len(content) <= len(message.payload) for _, content in attributes(message.payload))
    uint32(first_attribute(data, 1))


@pytest.mark.parametrize("length", [0, 1, 3, 200])
def test_an_attribute_with_a_wrong_length_ends_the_list(length: int) -> None:
    """A length of zero, below its head or beyond the end gives no content, and never an endless loop."""
    good = pack_attribute(1, b"abcd")
    assert [kind for kind, _ in attributes(good + ATTRIBUTE_HEAD.pack(length, 2) + b"xxxx")] == [1]


@pytest.mark.parametrize("length", [0, 15, 4096])
def test_a_message_with_a_wrong_length_ends_the_datagram(length: int) -> None:
    """A length below the head or beyond the datagram gives no message."""
    good = pack_message(20, b"abcd")
    assert [m.kind for m in messages(good + MESSAGE_HEAD.pack(length, 21, 0, 0, 0))] == [20]


def test_every_prefix_of_an_answer_is_harmless() -> None:
    """Cut anywhere, the controller's answer gives its family or none."""
    answer = pack_message(16, bytes(4) + pack_attribute(2, b"TASKSTATS\0") + pack_attribute(1, (31).to_bytes(2, "little")))
    found = {parse_family_id(m.payload) for end in range(len(answer)) for m in messages(answer[:end])}
    (whole,) = messages(answer)
    assert found <= {None, 31}
    assert parse_family_id(whole.payload) == 31


def test_an_error_message_has_a_number() -> None:
    """A refusal has its errno, an acknowledgement zero, and any other message none."""
    refused = (-13).to_bytes(4, "little", signed=True)
    assert error_number(NetlinkMessage(ERROR, 0, 0, 0, memoryview(refused))) == 13
    assert error_number(NetlinkMessage(ERROR, 0, 0, 0, memoryview(bytes(4)))) == 0
    assert error_number(NetlinkMessage(ERROR, 0, 0, 0, memoryview(b"\0"))) is None
    assert error_number(NetlinkMessage(20, 0, 0, 0, memoryview(refused))) is None


def test_queries_name_their_target() -> None:
    """The family's name ends with a zero, and a connector message has the length of its content."""
    assert b"TASKSTATS\0" in pack_family_query("TASKSTATS")
    assert pack_connector(1, 1, b"abcd") == b"\1\0\0\0\1\0\0\0" + bytes(8) + b"\4\0\0\0abcd"


def test_a_number_is_packed_as_it_is_read() -> None:
    """32 bits in the order of the machine."""
    content = first_attribute(pack_attribute(3, pack_uint32(1 << 31)), 3)
    assert content is not None
    assert uint32(content) == 1 << 31


def test_messages_and_attributes_without_end_are_left() -> None:
    """A datagram of heads alone is no reason to loop for ever."""
    assert len(list(messages(pack_message(99, b"") * (MESSAGES_MAX + 1)))) == MESSAGES_MAX
    assert len(list(attributes(pack_attribute(1, b"") * (ATTRIBUTES_MAX + 1)))) == ATTRIBUTES_MAX
