"""Kinds of events: how one is named, and that a name stands for one kind."""

import pytest

from agent.model.event_kind import (
    ALIASES,
    CataloguedKind,
    ConditionPhase,
    EventAlias,
    EventForm,
    EventSeverity,
    by_name,
    condition,
    event,
    split_kind,
)

SEALED = event("sealed", EventSeverity.INFO, "A file was finished.", "Nothing.", "one an hour")
SYNC = condition("sync", "The disk does not answer.", "Look at the disk.")


def test_an_event_has_its_own_severity_and_a_condition_is_a_warning_as_a_rule() -> None:
    """Most conditions degrade something, and none of them is normal."""
    assert (
        CataloguedKind("sealed", EventForm.EVENT, EventSeverity.INFO, "A file was finished.", "Nothing.", "one an hour") == SEALED
    )
    assert (SYNC.form, SYNC.severity, SYNC.normal) == (EventForm.CONDITION, EventSeverity.WARNING, "none")


@pytest.mark.parametrize(
    ("announced", "parts"),
    [("sync", ("sync", None)), ("breaker_open:io", ("breaker_open", "io")), ("a:b:c", ("a", "b:c")), ("a:", ("a", ""))],
)
def test_a_subject_stands_behind_the_kind(announced: str, parts: tuple[str, str | None]) -> None:
    """The first mark parts them; without one there is no subject, which is not an empty one."""
    assert split_kind(announced) == parts


def test_kinds_are_found_by_name_and_no_name_is_there_twice() -> None:
    """Two kinds of one name would hide each other's remedy."""
    assert by_name([SEALED, SYNC]) == {"sealed": SEALED, "sync": SYNC}
    with pytest.raises(AssertionError, match="sealed"):
        by_name([SEALED, SYNC, SEALED])


def test_a_breaker_s_two_names_are_the_two_ends_of_one_condition() -> None:
    """BreakerClosed is no event of its own."""
    assert ALIASES["BreakerOpen"] == EventAlias("breaker_open", ConditionPhase.BEGIN)
    assert ALIASES["BreakerClosed"] == EventAlias("breaker_open", ConditionPhase.END)
