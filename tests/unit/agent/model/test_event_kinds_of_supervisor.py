"""What the supervisor announces: each kind says what it means and what to do."""

from agent.model.event_kind import EventForm, by_name
from agent.model.event_kinds_of_supervisor import SUPERVISOR_KINDS


def test_each_kind_is_there_once_and_says_what_to_do() -> None:
    """A person who reads an event at night needs all three sentences."""
    kinds = by_name(SUPERVISOR_KINDS)
    assert len(kinds) == len(SUPERVISOR_KINDS)
    assert [
        each.name for each in SUPERVISOR_KINDS if not (each.about.endswith(".") and each.remedy.endswith(".") and each.normal)
    ] == []


def test_a_restart_happens_and_a_degradation_lasts() -> None:
    """What lasts has an end that is announced too."""
    kinds = by_name(SUPERVISOR_KINDS)
    assert {name: kinds[name].form for name in ("worker_restart", "worker_hung", "module_over_limit", "degraded")} == {
        "worker_restart": EventForm.EVENT,
        "worker_hung": EventForm.EVENT,
        "module_over_limit": EventForm.CONDITION,
        "degraded": EventForm.CONDITION,
    }
