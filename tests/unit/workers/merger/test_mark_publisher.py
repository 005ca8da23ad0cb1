"""Which marks are due in the cache."""

from agent.lake.mark_form import CachedMark
from workers.merger.mark_publisher import OwnedMarks
from workers.merger.outcome import NumberedMark


def marks(*hosts: str, number: int = 1) -> dict[str, dict[str, NumberedMark]]:
    """Of one table."""
    return {"t": {host: NumberedMark(number, 5) for host in hosts}}


def test_new_marks_are_due_once() -> None:
    """The newest of each host; what could not be published is due again."""
    owned = OwnedMarks()
    owned.take(marks("a", "b"))
    owned.take(marks("b", number=2))
    due = owned.next_due()
    assert due == {"t": {"a": CachedMark(1, 5), "b": CachedMark(2, 5)}}
    assert owned.next_due() == {}
    owned.put_back("t", {"a": CachedMark(1, 5), "x": CachedMark(1, 5)})
    assert owned.next_due() == {"t": {"a": CachedMark(1, 5)}}


def test_all_come_again_in_turn() -> None:
    """A few at a time."""
    owned = OwnedMarks()
    owned.take(marks("a", "b", "c"))
    turns = [owned.next_again(2) for _ in range(3)]
    assert [sorted(turn["t"]) for turn in turns] == [["a", "b"], ["c"], ["a", "b"]]
    assert len(owned) == 3
    owned.clear()
    assert owned.next_again(2) == owned.next_due() == {}
    assert len(owned) == 0


def test_there_is_a_bound() -> None:
    """Hosts beyond it have no mark in the cache."""
    owned = OwnedMarks(marks_max=2)
    owned.take(marks("a", "b", "c"))
    owned.take(marks("a", number=7))
    assert owned.next_due() == {"t": {"a": CachedMark(7, 5), "b": CachedMark(1, 5)}}
