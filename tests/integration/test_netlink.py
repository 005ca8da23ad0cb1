"""A netlink socket with this kernel."""

import os
from errno import ENOENT

import pytest

from workers.framework.netlink import NetlinkSocket, family_id, generic_socket
from workers.framework.netlink_message import NETLINK_GENERIC, NETLINK_SOCK_DIAG


def test_a_family_is_found_by_its_name_and_another_is_not() -> None:
    """The controller knows itself by its fixed number; a family that is not there is an error."""
    connection = generic_socket()
    assert family_id(connection, "nlctrl") == NETLINK_GENERIC
    with pytest.raises(OSError, match="netlink") as refused:
        family_id(connection, "NO_SUCH")
    assert refused.value.errno == ENOENT
    connection.close()


def test_a_dump_ends() -> None:
    """A listing of all families has many messages, and ends."""
    connection = generic_socket()
    families = list(connection.dump(NETLINK_GENERIC, b"\3\1\0\0"))
    assert len(families) > 1
    connection.close()


def test_the_buffer_is_granted_and_nothing_was_dropped() -> None:
    """Root gets the buffer that it asks for, and the kernel counts what it dropped."""
    connection = NetlinkSocket(NETLINK_SOCK_DIAG, buffer_bytes=8 << 20)
    assert connection.buffer_bytes >= 8 << 20
    assert connection.dropped == 0
    assert os.get_inheritable(connection.fileno()) is False
    connection.close()
