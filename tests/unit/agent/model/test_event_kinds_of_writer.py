"""What the writer announces: each kind says what it means and what to do."""

from agent.model.event_kind import EventForm, by_name
from agent.model.event_kinds_of_writer import WRITER_KINDS


def test_each_kind_is_there_once_and_says_what_to_do() -> None:
    """A person who reads an event at night needs all three sentences."""
    kinds = by_name(WRITER_KINDS)
    assert len(kinds) == len(WRITER_KINDS)
    assert [
        each.name for each in WRITER_KINDS if not (each.about.endswith(".") and each.remedy.endswith(".") and each.normal)
    ] == []


def test_a_lost_row_happens_and_a_full_disk_lasts() -> None:
    """What lasts has an end that is announced too."""
    kinds = by_name(WRITER_KINDS)
    assert {name: kinds[name].form for name in ("data_gap", "sealed", "spool", "sync")} == {
        "data_gap": EventForm.EVENT,
        "sealed": EventForm.EVENT,
        "spool": EventForm.CONDITION,
        "sync": EventForm.CONDITION,
    }
