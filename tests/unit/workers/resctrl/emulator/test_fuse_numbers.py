"""Numbers of files as the kernel holds them."""

import pytest

from workers.resctrl.emulator.fuse_node import Nodes
from workers.resctrl.emulator.fuse_protocol import ROOT_NODE
from workers.resctrl.emulator.ports import Attributes


def attributes(inode: int) -> Attributes:
    """Of a file that was made as so manieth."""
    return Attributes(inode, 0o100444, 0, 0, 0, 1)


def test_a_file_that_was_made_again_has_another_number() -> None:
    """The old one is invalid, so that what is open on it fails."""
    nodes = Nodes()
    old = nodes.look_up("a", attributes(1))
    assert nodes.look_up("a", attributes(1)) == old
    new = nodes.look_up("a", attributes(2))
    assert new != old
    with pytest.raises(FileNotFoundError, match="this file is gone"):
        nodes.path(old)
    nodes.forget(old, 2)
    assert nodes.path(new) == "a"


def test_the_root_and_unknown_numbers_are_not_forgotten() -> None:
    """The kernel may say it at any time."""
    nodes = Nodes()
    nodes.forget(ROOT_NODE, 1)
    nodes.forget(999, 1)
    assert nodes.path(ROOT_NODE) == ""
