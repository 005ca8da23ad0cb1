"""What a verdict counts."""

from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_verdict import NoisyNeighbour, Verdict


def test_a_loss_is_what_is_above_the_usual() -> None:
    """In seconds; where nothing is known of before, all of it; never below zero."""
    assert Verdict("v", Symptom.CPU, 100, 140, 0.25, 0.75).lost_seconds == 20
    assert Verdict("v", Symptom.CPU, 100, 140, None, 0.75).lost_seconds == 30
    assert Verdict("v", Symptom.CPU, 100, 140, 0.75, 0.25).lost_seconds == 0
    assert Verdict("v", Symptom.CPU, 100, 140, None, 0.75).seconds == 40


def test_a_rise_is_the_difference_of_its_means() -> None:
    """During less before."""
    assert NoisyNeighbour("n", "cpu_cores", 0.5, 2.0, 0.9, 0, 40, 0.9, 0.01).rise == 1.5
