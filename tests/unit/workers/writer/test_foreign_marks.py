"""What came before is known by one number for each start of a worker, and all of it is bounded."""

from random import Random

import pytest
from fakes.foreign_node import ForeignNode
from hypothesis import given
from hypothesis import strategies as st

from agent.model.message import BatchOrigin
from workers.writer import foreign_marks
from workers.writer.foreign_marks import STARTS_MAX, WORKERS_MAX, ForeignMarks, start_of

STAMP_NS = 1_700_000_000_000_000_000


def origin(seq: int, *, install: str = "a", worker: str = "w", epoch: int = 1) -> BatchOrigin:
    """The number of a batch."""
    return BatchOrigin("node", install, "run", worker, epoch, seq, b"")


def taken(marks: ForeignMarks, *origins: BatchOrigin) -> list[bool]:
    """What becomes of these, one after the other and committed."""
    found = [marks.take(each) for each in origins]
    marks.commit()
    return found


def test_a_number_that_is_not_above_the_mark_came_before() -> None:
    """Also within one turn; another start, worker or host has numbers of its own; a skipped number is nothing."""
    marks = ForeignMarks()
    assert taken(marks, origin(1), origin(1), origin(5), origin(3)) == [True, False, True, False]
    assert taken(marks, origin(5), origin(6), origin(5, epoch=2), origin(5, worker="v"), origin(5, install="b")) == [
        False, True, True, True, True
    ]  # fmt: skip
    assert (marks.count, marks.have(origin(0)), marks.have(origin(0, install="c"))) == (4, 6, 0)


def test_what_was_not_appended_is_new_again() -> None:
    """A rollback forgets what was taken since the last commit."""
    marks = ForeignMarks()
    taken(marks, origin(1))
    assert marks.take(origin(2))
    marks.rollback()
    marks.commit()
    assert marks.have(origin(0)) == 1
    assert marks.take(origin(2))


def test_the_starts_and_workers_used_longest_ago_are_forgotten_first() -> None:
    """Of one worker so many starts are kept, of one host so many workers; what is forgotten is counted."""
    marks = ForeignMarks()
    taken(marks, *(origin(1, epoch=epoch) for epoch in range(STARTS_MAX)))
    taken(marks, origin(2, epoch=0), origin(1, epoch=STARTS_MAX))
    assert (marks.have(origin(0, epoch=0)), marks.have(origin(0, epoch=1)), marks.forgotten) == (2, 0, 1)
    taken(marks, *(origin(1, worker=str(number)) for number in range(WORKERS_MAX)))
    assert marks.have(origin(0, epoch=0)) == 0
    assert (marks.count, marks.forgotten) == (WORKERS_MAX, 1 + STARTS_MAX)


def test_the_hosts_used_longest_ago_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the order of arrival, above a number of hosts and above a number of marks of all together."""
    monkeypatch.setattr(foreign_marks, "INSTALLS_MAX", 3)
    monkeypatch.setattr(foreign_marks, "MARKS_MAX", 5)
    marks = ForeignMarks()
    taken(marks, *(origin(1, install=name) for name in "abc"))
    taken(marks, origin(2, install="a"), origin(1, install="d"))
    assert list(marks.installs) == ["c", "a", "d"]
    taken(marks, *(origin(1, install="d", worker=worker) for worker in "xyz"))
    assert list(marks.installs) == ["a", "d"]
    assert (marks.count, marks.forgotten) == (5, 2)


def test_what_an_earlier_writer_had_is_taken_over_in_its_order() -> None:
    """The higher number wins, whichever was found first."""
    former, marks = ForeignMarks(), ForeignMarks()
    taken(former, origin(7, install="b"), origin(3, install="a"))
    marks.learn("b", "w", start_of("run", 1), 9)
    marks.merge(former.installs)
    assert marks.installs == {"b": {"w": {"run/1": 9}}, "a": {"w": {"run/1": 3}}}
    assert list(marks.installs) == ["b", "a"]


@given(st.randoms(use_true_random=False))
def test_every_batch_is_taken_once_over_any_repeats(random: Random) -> None:
    """Nodes begin again anywhere behind what was stored, appends fail, writers die and read what the one before has written."""
    nodes = [ForeignNode(number) for number in range(3)]
    marks, stored = ForeignMarks(), []
    for node in nodes:
        for _ in range(8):
            node.measure(STAMP_NS)
    sent = dict.fromkeys(range(3), 0)
    for _ in range(60):
        number = random.randrange(3)
        batches = nodes[number].batches[sent[number] :][: random.randint(1, 3)]
        new = [batch.origin for batch in batches if marks.take(batch.origin)]
        if random.random() < 0.2:
            marks.rollback()
        else:
            marks.commit()
            stored += new
            sent[number] = min(8, sent[number] + len(batches))
        if random.random() < 0.2:
            # The node did not hear of it.
            sent[number] = random.randint(0, sent[number])
        if random.random() < 0.1:
            former, marks = marks, ForeignMarks()
            marks.merge(former.installs)
    assert len(set(stored)) == len(stored)
    for number, node in enumerate(nodes):
        have = marks.have(node.batches[0].origin)
        assert [each for each in stored if each.install == node.install] == [batch.origin for batch in node.batches[:have]]
        assert sent[number] <= have
