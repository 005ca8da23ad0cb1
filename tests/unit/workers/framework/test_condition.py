"""Lasting conditions are announced when they begin, change and end, and not in between."""

import pytest
from fakes.bus import RecordingBus

from agent.model.message import Condition
from workers.framework.condition import Conditions


def test_a_condition_is_announced_when_it_begins_changes_and_ends() -> None:
    """Saying the same again is silent, and so is the end of what did not hold."""
    bus = RecordingBus()
    conditions = Conditions(bus)
    conditions.end("disk")
    for detail in ("full", "full", "broken"):
        conditions.begin("disk", detail)
    conditions.end("disk")
    conditions.end("disk")
    assert bus.conditions == [Condition("disk", True, "full"), Condition("disk", True, "broken"), Condition("disk", False, "")]


def test_a_condition_that_begins_to_block_readiness_is_announced_again() -> None:
    """The sentence is the same, what follows from it is not."""
    bus = RecordingBus()
    conditions = Conditions(bus)
    conditions.begin("mount", "gone")
    conditions.begin("mount", "gone", blocks_ready=True)
    assert [held.blocks_ready for held in bus.conditions] == [False, True]


def test_an_empty_sentence_is_the_end() -> None:
    """For callers that find out what is wrong, if anything, in one place."""
    bus = RecordingBus()
    conditions = Conditions(bus)
    conditions.tell("groups", "no ids")
    assert "groups" in conditions
    assert conditions.detail("groups") == "no ids"
    conditions.tell("groups", "")
    assert "groups" not in conditions
    assert conditions.detail("groups") == ""
    assert [held.active for held in bus.conditions] == [True, False]


def test_the_last_error_outlives_its_condition() -> None:
    """`status` shows it."""
    conditions = Conditions(RecordingBus())
    conditions.begin("disk", "full")
    conditions.end("disk", "there is room again")
    assert conditions.last_error == "full"


def test_a_condition_without_a_sentence_is_a_bug() -> None:
    """Nobody could act on it."""
    with pytest.raises(AssertionError, match="disk"):
        Conditions(RecordingBus()).begin("disk", "")
