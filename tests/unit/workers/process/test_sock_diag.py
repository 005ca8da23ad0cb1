"""The listing of sockets: what is taken from a datagram, and that no bytes break it."""

from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from workers.framework.netlink_message import DONE, ERROR, MESSAGE_HEAD, MESSAGES_MAX, pack_attribute, pack_message
from workers.process.sock_diag import IPV4, SOCK_DIAG_BY_FAMILY, TcpListing, TcpSocket, pack_tcp_query

SEQUENCE = 7
# Length and what comes behind the two counters differ by kernel: 4.1 and 6.18.
OLD, NEW = 0, 144


def _info(sent: int, received: int, more: int = OLD) -> bytes:
    return pack_attribute(2, bytes(120) + pack("=QQ", sent, received) + bytes(more))


def _socket(inode: int, attributes: bytes, sequence: int = SEQUENCE) -> bytes:
    return pack_message(SOCK_DIAG_BY_FAMILY, bytes(68) + pack("=I", inode) + attributes, sequence=sequence)


def _taken(*parts: bytes) -> tuple[dict[int, TcpSocket], int | None]:
    listing = TcpListing()
    result = listing.take(memoryview(b"".join(parts)), SEQUENCE)
    # Whatever comes, counters are numbers of 64 bits.
    assert all(0 <= number < 1 << 64 for socket in listing.sockets.values() for number in socket)
    return listing.sockets, result


def test_the_question_asks_for_connections_with_their_counters() -> None:
    """Of one family, without listeners and without those in time wait."""
    query = pack_tcp_query(IPV4)
    assert (len(query), query[:3]) == (56, bytes((2, 6, 2)))
    assert not int.from_bytes(query[4:8], "little") & (1 << 10 | 1 << 6)


def test_counters_are_found_in_the_answers_of_old_and_new_kernels() -> None:
    """Whatever stands before them, and however long they are."""
    shutdown, mark = pack_attribute(8, b"\0"), pack_attribute(15, bytes(4))
    done = pack_message(DONE, bytes(4), sequence=SEQUENCE)
    found, result = _taken(
        _socket(11, _info(1, 2)), _socket(12, shutdown + mark + _info(3, 4, NEW)), _socket(13, _info(5, 6, NEW)), done
    )
    assert (found, result) == ({11: TcpSocket(1, 2), 12: TcpSocket(3, 4), 13: TcpSocket(5, 6)}, 0)


def test_what_is_no_connection_of_a_process_is_left_out() -> None:
    """No inode, no counters, counters of a kernel that has none, answers to another question, short messages."""
    short = pack_message(SOCK_DIAG_BY_FAMILY, bytes(20), sequence=SEQUENCE)
    old = pack_attribute(2, bytes(104))
    found, result = _taken(
        _socket(0, _info(1, 1)),
        _socket(1, b""),
        _socket(2, old),
        _socket(3, _info(1, 1), 6),
        short,
        pack_message(3, b"", sequence=6),
    )
    assert (found, result) == ({}, None)


def test_a_refusal_is_an_errno() -> None:
    """A kernel without the module says that there is none."""
    assert _taken(pack_message(ERROR, pack("=i", -2) + bytes(16), sequence=SEQUENCE)) == ({}, 2)
    assert _taken(pack_message(ERROR, b"", sequence=SEQUENCE)) == ({}, None)


def test_a_wrong_length_ends_the_datagram() -> None:
    """It would lead out of it, or nowhere."""
    whole = _socket(11, _info(1, 2))
    assert _taken(whole, whole[:-20])[0] == {11: TcpSocket(1, 2)}
    assert _taken(MESSAGE_HEAD.pack(3, 0, 0, 0, 0), whole) == ({}, None)
    assert _taken(_socket(12, pack("=HH", 0, 5) * 400)) == ({}, None)


def test_every_prefix_and_every_changed_byte_is_taken_without_failing() -> None:
    """What the kernel sends is foreign bytes too."""
    whole = _socket(11, pack_attribute(8, b"\0") + _info(1, 2)) + _socket(12, _info(3, 4))
    for end in range(len(whole)):
        _taken(whole[:end])
        for byte in (b"\0", b"\1", b"\xff"):
            _taken(whole[:end] + byte + whole[end + 1 :])


@given(st.binary(max_size=500))
def test_foreign_bytes_are_taken_without_failing(data: bytes) -> None:
    """Also behind the head of a message that is right."""
    _taken(data)
    _taken(_socket(1, data))


def test_a_datagram_of_messages_without_end_is_left() -> None:
    """Each has its head alone: no more of them are looked at than a datagram can sensibly hold."""
    found, result = _taken(pack_message(99, b"", sequence=SEQUENCE) * MESSAGES_MAX, _socket(11, _info(1, 2)))
    assert (found, result) == ({}, None)
