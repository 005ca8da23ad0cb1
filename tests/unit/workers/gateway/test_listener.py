"""Who listens at a port, by the kernel's own tables."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.gateway.listener import Listener, listener_in_place_of

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
# As a little-endian Linux 6.1 writes them: 127.0.0.1:9464 listens, 10.0.0.7:9464 is connected, 0.0.0.0:80 listens.
TCP = f"""\
{HEAD}
   0: 0100007F:24F8 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 12345 1 0000000000000000 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0000000000000000 100 0 0 10 0
   2: 0700000A:24F9 0100000A:C350 01 00000000:00000000 00:00000000 00000000     0        0 888 1 0000000000000000 20 4 30 10 -1
"""
# ::1, every address, and 127.0.0.1 as IPv6 has it.
TCP6 = f"""\
{HEAD}
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 00:0 0    33        0 1 1 0 100 0 0 10 0
   1: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A 0:0 00:0 0    34        0 2 1 0 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1F92 00000000000000000000000000000000:0000 0A 0:0 00:0 0    35        0 3 1 0 100 0 0 10 0
"""
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the captured tables are those of such a machine")


@little_endian
@pytest.mark.parametrize(
    ("address", "port", "inode"),
    [
        ("127.0.0.1", 9464, 12345),
        ("127.0.0.2", 9464, None),
        ("0.0.0.0", 9464, 12345),
        ("::", 9464, 12345),
        ("::1", 9464, None),
        ("127.0.0.1", 80, 777),
        ("::1", 80, 777),
        ("10.0.0.7", 9465, None),
        ("::1", 8080, 1),
        ("127.0.0.1", 8080, None),
        ("127.0.0.1", 8081, 2),
        ("127.0.0.1", 8082, 3),
        ("::ffff:127.0.0.1", 9464, 12345),
    ],
)
def test_the_socket_that_stands_in_our_place_is_found(address: str, port: int, inode: int | None) -> None:
    """At the same address, at all of them, or at any where all are wanted; only those that listen."""
    found = listener_in_place_of(address, port, TCP, TCP6)
    assert (None if found is None else found.inode) == inode


@little_endian
def test_it_is_told_with_its_user() -> None:
    """For one whose process cannot be seen."""
    assert listener_in_place_of("127.0.0.1", 9464, TCP) == Listener(inode=12345, user=33)


@given(st.data())
def test_damaged_tables_name_a_socket_or_none(data: st.DataObject) -> None:
    """A table with any letter changed, or cut anywhere, never fails."""
    text = list(TCP[: data.draw(st.integers(0, len(TCP)))])
    if text:
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.characters())
    listener_in_place_of("127.0.0.1", 9464, "".join(text))
