"""The last events, deaths and conditions."""

from agent.model.message import Condition
from supervisor.core.event_history import CONDITIONS_MAX, EVENTS_MAX, DiagnosticEvent, EventHistory


def test_the_oldest_events_go_and_are_counted() -> None:
    """What is no longer kept is said."""
    history = EventHistory()
    for number in range(EVENTS_MAX + 7):
        history.note(DiagnosticEvent(number, "kind", "info", "writer", {}))
    assert (len(history.events), history.hidden, history.events[0].at_ns) == (EVENTS_MAX, 7, 7)
    assert history.counts["kind"] == EVENTS_MAX + 7


def test_a_condition_is_told_when_it_begins_changes_and_ends() -> None:
    """Repeating it is no news, ending what does not hold neither."""
    history = EventHistory()
    full = Condition("spool", active=True, detail="full")
    assert history.set_condition("writer", full)
    assert not history.set_condition("writer", full)
    assert history.set_condition("writer", Condition("spool", active=True, detail="fuller"))
    assert history.set_condition("writer", Condition("spool", active=False, detail=""))
    assert not history.set_condition("writer", Condition("spool", active=False, detail=""))
    assert history.conditions == {}


def test_the_supervisor_has_conditions_of_its_own() -> None:
    """They begin and end like those of workers."""
    history = EventHistory()
    assert history.begin_own("runtime_folder", "control.sock gone")
    assert not history.begin_own("runtime_folder", "control.sock gone")
    assert history.conditions[("supervisor", "runtime_folder")].detail == "control.sock gone"
    assert history.end_own("runtime_folder")
    assert not history.end_own("runtime_folder")


def test_conditions_are_bounded_but_those_that_hold_can_still_change() -> None:
    """A confused worker cannot fill the memory, and cannot freeze what is known."""
    history = EventHistory()
    for number in range(CONDITIONS_MAX):
        assert history.set_condition("writer", Condition(f"kind{number}", active=True, detail=""))
    assert not history.set_condition("writer", Condition("one more", active=True, detail=""))
    assert history.set_condition("writer", Condition("kind0", active=True, detail="changed"))


def test_a_dead_workers_conditions_go_with_it() -> None:
    """Its neighbours' stay."""
    history = EventHistory()
    history.set_condition("writer", Condition("spool", active=True, detail=""))
    history.set_condition("gateway", Condition("port", active=True, detail=""))
    history.forget_worker("writer")
    assert list(history.conditions) == [("gateway", "port")]
