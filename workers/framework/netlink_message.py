"""Netlink messages and their attributes: packing what is sent, parsing what arrives. PURE.

What arrives is taken for foreign bytes: lengths that are zero, too large or that overlap end the parsing of that message, and every
loop has a maximum. *Source:* netlink(7), linux/include/uapi/linux/netlink.h, genetlink.h, connector.h. All numbers have the byte
order of the host.
"""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

# linux/netlink.h: protocols, message types and flags.
NETLINK_SOCK_DIAG, NETLINK_CONNECTOR, NETLINK_GENERIC = 4, 11, 16
ERROR, DONE = 2, 3
REQUEST, MULTIPART, ACKNOWLEDGE, DUMP = 0x01, 0x02, 0x04, 0x300
# linux/genetlink.h: the controller, which knows the other families.
CONTROLLER, GET_FAMILY = 16, 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
# Flags in the type of an attribute: nested, and in the network's byte order.
_ATTRIBUTE_TYPE_MASK = 0x3FFF
# A datagram of 64 KiB has at most as many messages and attributes as heads fit into it.
MESSAGES_MAX, ATTRIBUTES_MAX = 4096, 16_384

MESSAGE_HEAD = Struct("=IHHII")
ATTRIBUTE_HEAD = Struct("=HH")
GENERIC_HEAD = Struct("=BBH")
# Two words of address, sequence, acknowledgement, length, flags.
CONNECTOR_HEAD = Struct("=IIIIHH")
_ERRNO = Struct("=i")
_UINT16, _UINT32 = Struct("=H"), Struct("=I")


class NetlinkMessage(NamedTuple):
    """One message; `payload` is a view into the bytes that were received."""

    kind: int
    flags: int
    sequence: int
    port: int
    payload: memoryview


def aligned(length: int) -> int:
    """The length with its padding."""
    return (length + 3) & ~3


def pack_message(kind: int, payload: bytes, *, flags: int = REQUEST, sequence: int = 0) -> bytes:
    """A message to the kernel (port 0)."""
    head = MESSAGE_HEAD.pack(MESSAGE_HEAD.size + len(payload), kind, flags, sequence, 0)
    return (head + payload).ljust(aligned(len(head) + len(payload)), b"\0")


def pack_attribute(kind: int, payload: bytes) -> bytes:
    """One attribute with its padding."""
    length = ATTRIBUTE_HEAD.size + len(payload)
    return (ATTRIBUTE_HEAD.pack(length, kind) + payload).ljust(aligned(length), b"\0")


def pack_generic(command: int, attributes: bytes, *, version: int = 1) -> bytes:
    """The payload of a message to a generic netlink family."""
    return GENERIC_HEAD.pack(command, version, 0) + attributes


def pack_connector(index: int, value: int, payload: bytes) -> bytes:
    """The payload of a message to the connector. *Source:* linux/include/uapi/linux/connector.h."""
    return CONNECTOR_HEAD.pack(index, value, 0, 0, len(payload), 0) + payload


def messages(data: bytes | bytearray | memoryview) -> Iterator[NetlinkMessage]:
    """The messages of one datagram, up to the first whose length is wrong. *Range:* at most MESSAGES_MAX."""
    view = memoryview(data)
    place, end = 0, len(view)
    for _ in range(MESSAGES_MAX):
        if end - place < MESSAGE_HEAD.size:
            return
        length, kind, flags, sequence, port = MESSAGE_HEAD.unpack_from(view, place)
        if not MESSAGE_HEAD.size <= length <= end - place:
            return
        yield NetlinkMessage(kind, flags, sequence, port, view[place + MESSAGE_HEAD.size : place + length])
        place += aligned(length)


def attributes(data: bytes | bytearray | memoryview) -> Iterator[tuple[int, memoryview]]:
    """The attributes in a payload as type and content, up to the first whose length is wrong. *Range:* at most ATTRIBUTES_MAX."""
    view = memoryview(data)
    place, end = 0, len(view)
    for _ in range(ATTRIBUTES_MAX):
        if end - place < ATTRIBUTE_HEAD.size:
            return
        length, kind = ATTRIBUTE_HEAD.unpack_from(view, place)
        if not ATTRIBUTE_HEAD.size <= length <= end - place:
            return
        yield kind & _ATTRIBUTE_TYPE_MASK, view[place + ATTRIBUTE_HEAD.size : place + length]
        place += aligned(length)


def first_attribute(data: bytes | bytearray | memoryview, wanted: int) -> memoryview | None:
    """The content of the first attribute of this type. *Absent:* there is none."""
    return next((content for kind, content in attributes(data) if kind == wanted), None)


def error_number(message: NetlinkMessage) -> int | None:
    """The errno of an error message, 0 for an acknowledgement. *Absent:* it is no error message, or too short for one."""
    if message.kind != ERROR or len(message.payload) < _ERRNO.size:
        return None
    (number,) = _ERRNO.unpack_from(message.payload)
    return abs(int(number))


def uint32(content: memoryview | None) -> int | None:
    """A number of 32 bits. *Absent:* there is no content, or it is too short."""
    return None if content is None or len(content) < _UINT32.size else int(_UINT32.unpack_from(content)[0])


def pack_uint32(number: int) -> bytes:
    """A number of 32 bits as the content of an attribute."""
    return _UINT32.pack(number)


def pack_family_query(name: str) -> bytes:
    """The payload that asks the controller for a generic netlink family."""
    return pack_generic(GET_FAMILY, pack_attribute(_FAMILY_NAME, name.encode() + b"\0"))


def parse_family_id(payload: memoryview) -> int | None:
    """The message type of a family from the controller's answer. *Absent:* the answer has none."""
    content = first_attribute(payload[GENERIC_HEAD.size :], _FAMILY_ID)
    return None if content is None or len(content) < _UINT16.size else int(_UINT16.unpack_from(content)[0])
