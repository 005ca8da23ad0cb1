"""The last events, deaths and conditions."""

from agent.model.message import Condition
from supervisor.core.diary import CONDITIONS_MAX, EVENTS_MAX, DiagnosticEvent, Diary


def test_the_oldest_events_go_and_are_counted() -> None:
    """What is no longer kept is said."""
    diary = Diary()
    for number in range(EVENTS_MAX + 7):
        diary.note(DiagnosticEvent(number, "kind", "info", "writer", {}))
    assert (len(diary.events), diary.hidden, diary.events[0].at_ns) == (EVENTS_MAX, 7, 7)
    assert diary.counts["kind"] == EVENTS_MAX + 7


def test_a_condition_is_told_when_it_begins_changes_and_ends() -> None:
    """Repeating it is no news, ending what does not hold neither."""
    diary = Diary()
    full = Condition("spool", active=True, detail="full")
    assert diary.set_condition("writer", full)
    assert not diary.set_condition("writer", full)
    assert diary.set_condition("writer", Condition("spool", active=True, detail="fuller"))
    assert diary.set_condition("writer", Condition("spool", active=False, detail=""))
    assert not diary.set_condition("writer", Condition("spool", active=False, detail=""))
    assert diary.conditions == {}


def test_conditions_are_bounded_but_those_that_hold_can_still_change() -> None:
    """A confused worker cannot fill the memory, and cannot freeze what is known."""
    diary = Diary()
    for number in range(CONDITIONS_MAX):
        assert diary.set_condition("writer", Condition(f"kind{number}", active=True, detail=""))
    assert not diary.set_condition("writer", Condition("one more", active=True, detail=""))
    assert diary.set_condition("writer", Condition("kind0", active=True, detail="changed"))


def test_a_dead_workers_conditions_go_with_it() -> None:
    """Its neighbours' stay."""
    diary = Diary()
    diary.set_condition("writer", Condition("spool", active=True, detail=""))
    diary.set_condition("gateway", Condition("port", active=True, detail=""))
    diary.forget_worker("writer")
    assert list(diary.conditions) == [("gateway", "port")]
