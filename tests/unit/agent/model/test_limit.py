"""Limits of a worker, and the ladder of what it leaves out."""

import pytest

from agent.model.limit import (
    Ladder,
    LadderStep,
    Resource,
    WorkerLimits,
    effective_limits,
    shown_limit,
    strides,
)

SETTINGS = WorkerLimits(cpu=500, memory=64 << 20, descriptors=0, queue=1 << 20)
LADDER = Ladder((LadderStep.LONGER_INTERVAL, LadderStep.SKETCH_ONLY), is_dispensable=True)


def test_each_resource_has_its_limit() -> None:
    """Without one the limit is 0, and not missing."""
    assert [SETTINGS.of(resource) for resource in Resource] == [500, 64 << 20, 0, 1 << 20]


def test_what_the_operator_set_holds_before_the_settings() -> None:
    """The other limits stay as they are."""
    assert effective_limits(SETTINGS, {Resource.CPU: 100, Resource.DESCRIPTORS: 32}) == WorkerLimits(100, 64 << 20, 32, 1 << 20)
    assert effective_limits(SETTINGS, {}) == SETTINGS


@pytest.mark.parametrize(
    ("level", "words", "name"),
    [
        (0, (), "full"),
        (1, ("longer_interval",), "longer_interval"),
        (2, ("longer_interval", "sketch_only"), "sketch_only"),
        (3, ("longer_interval", "sketch_only"), "off"),
    ],
)
def test_a_level_leaves_out_all_steps_up_to_its_own(level: int, words: tuple[str, ...], name: str) -> None:
    """Its name is that of the last one; behind the last step the worker is off."""
    assert (LADDER.words(level), LADDER.name(level)) == (words, name)


def test_behind_the_lowest_level_a_worker_does_nothing() -> None:
    """One without steps goes from full to off."""
    assert (LADDER.lowest, LADDER.off_level) == (2, 3)
    assert (Ladder().lowest, Ladder().off_level, Ladder().name(0), Ladder().name(1)) == (0, 1, "full", "off")


@pytest.mark.parametrize(
    ("resource", "value", "shown"),
    [
        (Resource.CPU, 100, "0.1 %"),
        (Resource.CPU, 12_345, "12.3 %"),
        (Resource.MEMORY, 100 << 20, "100 MiB"),
        (Resource.QUEUE, 3 << 19, "1.5 MiB"),
        (Resource.DESCRIPTORS, 1024, "1024"),
    ],
)
def test_a_limit_is_shown_in_the_unit_of_its_resource(resource: Resource, value: int, shown: str) -> None:
    """Percent of a core, MiB, or a plain number."""
    assert shown_limit(resource, value) == shown


@pytest.mark.parametrize(
    ("steps", "taken"),
    [
        ([], 1),
        (["sketch_only"], 1),
        (["longer_interval", "lower_cap"], 2),
        (["longer_interval", "much_longer_interval"], 5),
    ],
)
def test_a_longer_interval_takes_one_of_several_ticks(steps: list[str], taken: int) -> None:
    """Of two such steps the longer one counts."""
    assert strides(steps) == taken
