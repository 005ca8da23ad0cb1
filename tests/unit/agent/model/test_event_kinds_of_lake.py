"""What the compactor announces: each kind says what it means and what to do."""

from agent.model.event_kind import EventForm, by_name
from agent.model.event_kinds_of_lake import LAKE_KINDS


def test_each_kind_is_there_once_and_says_what_to_do() -> None:
    """A person who reads an event at night needs all three sentences."""
    kinds = by_name(LAKE_KINDS)
    assert len(kinds) == len(LAKE_KINDS)
    assert [each.name for each in LAKE_KINDS if not (each.about.endswith(".") and each.remedy.endswith(".") and each.normal)] == []


def test_a_compaction_happens_and_a_damaged_file_lasts() -> None:
    """What lasts has an end that is announced too."""
    kinds = by_name(LAKE_KINDS)
    assert kinds["lake_compacted"].form is EventForm.EVENT
    assert kinds["lake_files_left"].form is EventForm.CONDITION
