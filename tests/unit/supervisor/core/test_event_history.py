"""The last events, deaths and conditions."""

from agent.model.event_kind import ConditionPhase
from agent.model.message import Condition
from agent.model.timebase import S
from supervisor.core.effect import Log
from supervisor.core.event_history import (
    CONDITIONS_MAX,
    EVENTS_MAX,
    KINDS_MAX,
    OTHERS,
    PAIRS_MAX,
    WORKER_ENDED,
    DiagnosticEvent,
    EventHistory,
    event_of,
)

FULL = Condition("spool", active=True, detail="full")


def event(kind: str, worker: str = "writer", phase: ConditionPhase | None = None) -> DiagnosticEvent:
    """An event of some moment."""
    return DiagnosticEvent(0, kind, "info", worker, {}, phase=phase)


def test_the_oldest_events_go_and_are_counted() -> None:
    """What is no longer kept is said."""
    history = EventHistory()
    for number in range(EVENTS_MAX + 7):
        history.note(DiagnosticEvent(number, "kind", "info", "writer", {}))
    assert (len(history.events), history.hidden, history.events[0].at_ns) == (EVENTS_MAX, 7, 7)
    assert history.counts["kind"] == EVENTS_MAX + 7


def test_events_are_numbered_by_kind_and_worker() -> None:
    """A condition counts with its beginnings; its ends have a count of their own."""
    history = EventHistory()
    phases = (ConditionPhase.BEGIN, ConditionPhase.CHANGE, ConditionPhase.END, ConditionPhase.BEGIN)
    assert [history.note(event("sync", phase=phase)).count for phase in phases] == [1, 1, 1, 2]
    assert history.note(event("sync", "gateway")).count == 1
    assert (history.counts["sync"], history.ends["sync"]) == (3, 1)


def test_names_without_end_do_not_fill_the_memory() -> None:
    """They share a count."""
    history = EventHistory()
    for number in range(PAIRS_MAX + 2):
        history.note(event(f"kind{number}"))
    assert history.counts[OTHERS] == PAIRS_MAX + 2 - KINDS_MAX
    assert history.events[-1].count == 0


def test_a_condition_is_told_when_it_begins_changes_and_ends() -> None:
    """Repeating it is no news, ending what does not hold neither; the end says since when it held."""
    history = EventHistory()
    fuller = Condition("spool", active=True, detail="fuller")
    over = Condition("spool", active=False, detail="")
    told = ((FULL, 1 * S), (FULL, 2 * S), (fuller, 3 * S), (over, 5 * S), (over, 6 * S))
    said = [history.set_condition("writer", *each) for each in told]
    assert [each and (each.phase, each.since_ns, each.held_seconds) for each in said] == [
        (ConditionPhase.BEGIN, 1 * S, 0.0),
        None,
        (ConditionPhase.CHANGE, 1 * S, 2.0),
        (ConditionPhase.END, 1 * S, 4.0),
        None,
    ]
    assert history.conditions == {}


def test_lines_of_a_condition_name_it_and_events_are_of_its_kind() -> None:
    """The log has one name for all beginnings, `agentctl diag` the kind and its subject."""
    history = EventHistory()
    history.set_condition("sampler/process", Condition("breaker_open:io", active=True, detail="dear"), 1 * S)
    ended = history.set_condition("sampler/process", Condition("breaker_open:io", active=False, detail="read again"), 3 * S)
    assert ended is not None
    line = ended.log()
    fields = {"worker": "sampler/process", "condition": "breaker_open:io", "detail": "read again", "held_seconds": 2.0}
    assert line == Log("condition_ends", "info", fields, ConditionPhase.END, 1 * S)
    told = {"detail": "read again", "held_seconds": 2.0}
    event_told = DiagnosticEvent(3 * S, "breaker_open", "info", "sampler/process", told, "io", ConditionPhase.END, 1 * S)
    assert event_of(line, 3 * S) == event_told


def test_the_supervisor_has_conditions_of_its_own() -> None:
    """They begin and end like those of workers; their events are the supervisor's, as severe as the catalogue says."""
    history = EventHistory()
    begun = history.begin_own("rules_not_durable", "no room", 0)
    assert begun is not None
    assert history.begin_own("rules_not_durable", "no room", 1) is None
    assert history.conditions[("supervisor", "rules_not_durable")].detail == "no room"
    assert (event_of(begun.log(), 0).worker, event_of(begun.log(), 0).severity) == ("", "error")
    assert history.end_own("rules_not_durable", 2) is not None
    assert history.end_own("rules_not_durable", 3) is None


def test_conditions_are_bounded_but_those_that_hold_can_still_change() -> None:
    """A confused worker cannot fill the memory, and cannot freeze what is known."""
    history = EventHistory()
    for number in range(CONDITIONS_MAX):
        assert history.set_condition("writer", Condition(f"kind{number}", active=True, detail=""), 0)
    assert not history.set_condition("writer", Condition("one more", active=True, detail=""), 0)
    assert history.set_condition("writer", Condition("kind0", active=True, detail="changed"), 0)


def test_a_dead_workers_conditions_end_with_it() -> None:
    """Its neighbours' stay."""
    history = EventHistory()
    history.set_condition("writer", FULL, 1 * S)
    history.set_condition("gateway", Condition("port", active=True, detail=""), 1 * S)
    (ended,) = history.forget_worker("writer", 4 * S)
    assert (ended.phase, ended.condition.detail, ended.held_seconds) == (ConditionPhase.END, WORKER_ENDED, 3.0)
    assert list(history.conditions) == [("gateway", "port")]


def test_what_a_condition_does_is_an_event_of_its_own_kind() -> None:
    """The line of the log names the condition with its subject; another line is an event of its own word."""
    line = Log("condition", "warning", {"worker": "writer", "condition": "spool:a", "detail": "x"}, ConditionPhase.BEGIN, 3)
    assert event_of(line, 5) == DiagnosticEvent(5, "spool", "warning", "writer", {"detail": "x"}, "a", ConditionPhase.BEGIN, 3)
    assert event_of(Log("sealed", "info", {"worker": "writer", "rows": 3}), 5) == DiagnosticEvent(
        5, "sealed", "info", "writer", {"rows": 3}
    )


def test_what_the_supervisor_found_of_a_worker_outlives_its_process() -> None:
    """It ends when it is found no more, or when the worker is not wanted any more."""
    history = EventHistory()
    over = Condition("module_over_limit:cpu", active=True, detail="x")
    history.set_lasting("writer", over, 1)
    history.set_condition("writer", FULL, 1)
    assert [change.condition.kind for change in history.forget_worker("writer", 2)] == ["spool"]
    change = history.set_lasting("writer", Condition("module_over_limit:cpu", active=False, detail=""), 3)
    assert change is not None
    assert change.phase is ConditionPhase.END
    history.set_lasting("writer", over, 4)
    assert [change.condition.kind for change in history.forget_lasting("writer", 5)] == ["module_over_limit:cpu"]
    assert history.conditions == {}
