"""The catalogue of all kinds: every name that a person may use leads to one."""

import pytest

from agent.model.event_catalogue import KINDS, named, severity_of
from agent.model.event_kind import ALIASES, ConditionPhase, EventAlias, EventSeverity


def test_every_alias_is_a_name_of_a_kind_in_the_catalogue() -> None:
    """A search by an alias of no kind would find nothing, for ever."""
    assert {alias.kind for alias in ALIASES.values()} <= KINDS.keys()


@pytest.mark.parametrize(
    ("announced", "severity"),
    [("spool", EventSeverity.ERROR), ("sync", EventSeverity.WARNING), ("breaker_open:io", KINDS["breaker_open"].severity)],
)
def test_a_condition_is_as_severe_as_its_kind(announced: str, severity: EventSeverity) -> None:
    """Whatever its subject is."""
    assert severity_of(announced) is severity


def test_a_kind_that_the_catalogue_does_not_know_is_a_warning() -> None:
    """An older agent reads what a newer one stored."""
    assert severity_of("of_tomorrow:x") is EventSeverity.WARNING


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("BreakerClosed", EventAlias("breaker_open", ConditionPhase.END)),
        ("sealed", EventAlias("sealed")),
        ("Sealed", None),
        ("breaker_open:io", None),
    ],
)
def test_a_person_names_events_by_kind_or_alias(word: str, found: EventAlias | None) -> None:
    """The spelling counts, and a subject is no part of a name."""
    assert named(word) == found
