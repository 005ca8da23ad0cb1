"""Speed and state of interfaces: read aside, and rarely."""

import errno

import pytest
from fakes.kernel_tree import MemoryTree
from fakes.side_reader import InlineReader

from agent.model.absence import Absence
from agent.side_reader import Unanswered
from workers.host.links import BELIEVED_NS, Answer, LinkReader, link_of
from workers.host.network import Link

GIGABIT = Link(speed_bits_per_second=1_000_000_000, is_up=True)


def _reader(tree: MemoryTree) -> tuple[LinkReader, InlineReader]:
    inline = InlineReader(lambda path: tree.read(path, 64))
    return LinkReader(inline), inline


def test_a_link_is_read_once_in_a_while() -> None:
    """At its first row, and again when it was read long ago."""
    tree = MemoryTree({"eth0/speed": b"1000\n", "eth0/operstate": b"up\n"})
    links, inline = _reader(tree)
    assert links.links(["eth0"], 0) == {"eth0": GIGABIT}
    tree.put("eth0/operstate", b"down\n")
    assert links.links(["eth0"], BELIEVED_NS - 1) == {"eth0": GIGABIT}
    assert links.links(["eth0"], BELIEVED_NS)["eth0"].is_up is False
    assert len(inline.hand_overs) == 2


def test_a_link_without_a_row_is_forgotten() -> None:
    """And read again when it has one."""
    links, inline = _reader(MemoryTree({"eth0/speed": b"1000\n", "eth0/operstate": b"up\n"}))
    links.links(["eth0"], 0)
    assert links.links([], 1) == {}
    assert links.links(["eth0"], 2) == {"eth0": GIGABIT}
    assert len(inline.hand_overs) == 2


def test_a_name_never_leaves_the_folder() -> None:
    """The kernel allows no slash in a name; a file of another form may hold one."""
    links, inline = _reader(MemoryTree())
    assert links.links(["../../etc"], 0)["../../etc"].reason is Absence.NOT_IN_KERNEL
    assert inline.hand_overs == []


@pytest.mark.parametrize(
    ("state", "speed", "link"),
    [
        (b"up\n", b"-1\n", Link(None, True)),
        (b"down\n", OSError(errno.EINVAL, "no speed"), Link(None, False)),
        (b"up\n", OSError(errno.EACCES, "refused"), Link(None, True, Absence.NO_PERMISSION)),
        (Unanswered.STUCK, b"1000\n", Link(1_000_000_000, None, Absence.NOT_ANSWERED)),
        (Unanswered.NOT_ASKED, Unanswered.NOT_ASKED, Link(None, None, Absence.READERS_STUCK)),
    ],
)
def test_what_is_not_answered_says_why(state: Answer, speed: Answer, link: Link) -> None:
    """A link that is down, or has no speed, is no failure."""
    assert link_of(state, speed) == link


def test_a_reader_that_is_stuck_is_counted() -> None:
    """The driver does not answer; the others are read."""
    links, inline = _reader(MemoryTree({"eth0/speed": b"1000\n", "eth0/operstate": b"up\n"}))
    inline.stuck_paths.add("eth0/speed")
    assert links.links(["eth0"], 0)["eth0"] == Link(None, True, Absence.NOT_ANSWERED)
    assert links.stuck == 1
    links.close()
