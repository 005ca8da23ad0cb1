"""What workers announces: each kind says what it means and what to do."""

from agent.model.event_kind import EventForm, by_name
from agent.model.event_kinds_of_workers import WORKER_KINDS


def test_each_kind_is_there_once_and_says_what_to_do() -> None:
    """A person who reads an event at night needs all three sentences."""
    kinds = by_name(WORKER_KINDS)
    assert len(kinds) == len(WORKER_KINDS)
    assert [
        each.name for each in WORKER_KINDS if not (each.about.endswith(".") and each.remedy.endswith(".") and each.normal)
    ] == []


def test_a_dropped_batch_happens_and_a_breaker_stays_open() -> None:
    """What lasts has an end that is announced too."""
    kinds = by_name(WORKER_KINDS)
    assert {name: kinds[name].form for name in ("bad_row", "batches_dropped", "breaker_open", "sketch_fallback")} == {
        "bad_row": EventForm.EVENT,
        "batches_dropped": EventForm.EVENT,
        "breaker_open": EventForm.CONDITION,
        "sketch_fallback": EventForm.CONDITION,
    }
