"""Verdicts put together by victim."""

from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_ranking import findings_of
from agent.cli.neighbour_verdict import Innocence, NoisyNeighbour, Verdict


def verdict(unit: str, begin: int, seconds: int, **parts: float) -> Verdict:
    culprits = tuple(NoisyNeighbour(name, "cpu_cores", 0, 1, part, 0, seconds, 0.9, 0.01) for name, part in parts.items())
    reason = None if culprits else Innocence.NOTHING_ROSE
    return Verdict(unit, Symptom.CPU, begin, begin + seconds, 0.0, 0.5, culprits, reason)


def test_a_neighbours_cost_is_its_part_of_each_loss() -> None:
    """Over all episodes of a victim, the costliest first; the worst episode of each is kept."""
    (found,) = findings_of([verdict("v", 0, 20, a=0.5), verdict("v", 100, 40, a=0.25, b=0.75)])
    assert [(blame.unit, blame.lost_seconds, blame.episodes, blame.seconds) for blame in found.blames] == [
        ("b", 15.0, 1, 40),
        ("a", 10.0, 2, 60),
    ]
    assert (found.lost_seconds, found.seconds, found.innocence) == (30.0, 60, None)


def test_victims_with_a_culprit_come_before_larger_losses() -> None:
    """And of those without one the larger loss is first."""
    found = findings_of([verdict("idle", 0, 10), verdict("long", 0, 90), verdict("named", 0, 10, a=1.0)])
    assert [each.unit for each in found] == ["named", "long", "idle"]
    assert found[1].innocence is Innocence.NOTHING_ROSE


def test_the_episode_that_is_told_is_the_worst_with_a_culprit() -> None:
    """A longer one that nobody caused is not; without any culprit the longest is."""
    (found,) = findings_of([verdict("v", 0, 90), verdict("v", 100, 10, a=1.0), verdict("v", 200, 20, b=1.0)])
    assert (found.worst.begin_s, found.innocence) == (200, Innocence.NOTHING_ROSE)
    (alone,) = findings_of([verdict("v", 0, 10), verdict("v", 100, 90)])
    assert alone.worst.begin_s == 100
