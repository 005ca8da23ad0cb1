"""Which numbers can be those of new processes."""

import errno

from fakes.kernel_tree import MemoryTree

from workers.process.pid_sequence import DISTRUST_TICKS, LISTING_TICKS, NUMBERS_LEAST, PidSequence, last_pid

KNOWN = 100


def _tree(last: int) -> MemoryTree:
    tree = MemoryTree()
    _give(tree, last)
    return tree


def _give(tree: MemoryTree, last: int) -> None:
    tree.put("loadavg", b"0.00 0.01 0.05 1/123 %d\n" % last)


def _begun(tree: MemoryTree) -> PidSequence:
    sequence = PidSequence(tree)
    assert [sequence.given(KNOWN), sequence.given(KNOWN)] == [None, None]
    return sequence


def test_the_last_number_is_at_the_end_of_the_line() -> None:
    """Whatever else is there is no number."""
    assert last_pid(b"0.00 0.01 0.05 1/123 4567\n") == 4567
    assert [last_pid(text) for text in (b"", b"nonsense", b"0.00 0\n", b"1 -5\n", b"1 99999999999\n")] == [None] * 5


def test_numbers_given_since_the_tick_before_the_last_are_asked() -> None:
    """A process whose number was given before the last tick may show up after it."""
    tree = _tree(500)
    sequence = _begun(tree)
    assert sequence.given(KNOWN) == range(501, 501)
    _give(tree, 510)
    assert sequence.given(KNOWN) == range(501, 511)
    assert sequence.given(KNOWN) == range(501, 511)
    assert sequence.given(KNOWN) == range(511, 511)


def test_after_the_highest_number_they_begin_again_and_everything_is_listed() -> None:
    """Until the numbers of the three last ticks rise."""
    tree = _tree(32_700)
    sequence = _begun(tree)
    _give(tree, 400)
    assert [sequence.given(KNOWN) for _ in range(3)] == [None, None, range(401, 401)]


def test_many_starts_are_found_by_listing() -> None:
    """Asking each number would cost more."""
    tree = _tree(500)
    sequence = _begun(tree)
    _give(tree, 500 + NUMBERS_LEAST + 1)
    assert sequence.given(KNOWN) is None
    assert sequence.given(4 * KNOWN) == range(501, 501 + NUMBERS_LEAST + 1)


def test_once_in_a_while_everything_is_listed() -> None:
    """A restored process may have any number."""
    sequence = _begun(_tree(500))
    found = [sequence.given(KNOWN) is None for _ in range(2 * LISTING_TICKS)]
    assert sum(found) == 2


def test_a_number_out_of_order_is_found_and_ends_the_trust() -> None:
    """A new process with an old number: everything is listed for a while."""
    sequence = _begun(_tree(500))
    sequence.check([])
    assert sequence.given(KNOWN) is not None
    sequence.check(["77"])
    assert all(sequence.given(KNOWN) is None for _ in range(DISTRUST_TICKS - 1))
    assert any(sequence.given(KNOWN) is not None for _ in range(2))


def test_a_number_in_order_is_trusted() -> None:
    """It was given since the tick before the last, also after this tick began."""
    tree = _tree(500)
    sequence = _begun(tree)
    sequence.given(KNOWN)
    _give(tree, 505)
    sequence.check(["501", "505"])
    assert sequence.given(KNOWN) == range(501, 506)


def test_a_file_of_a_container_in_its_place_is_not_believed() -> None:
    """LXCFS mounts its own."""
    tree = _tree(500)
    tree.devices["loadavg"] = 7
    sequence = PidSequence(tree)
    assert [sequence.given(KNOWN) for _ in range(5)] == [None] * 5


def test_without_the_file_everything_is_listed() -> None:
    """As on a mount with `subset=pid`, and where reading it fails."""
    sequence = PidSequence(MemoryTree())
    assert [sequence.given(KNOWN) for _ in range(5)] == [None] * 5
    sequence.check(["1"])
    tree = _tree(500)
    failing = _begun(tree)
    tree.fail("loadavg", errno.EIO)
    assert failing.given(KNOWN) is None
