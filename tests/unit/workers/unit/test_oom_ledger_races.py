"""Kills while the ledger reads: between two readings of one look units are killed in and removed, with their pods too."""

import pytest
from fakes.cgroup_memory import CountingCgroups
from fakes.cgroup_race import tell_scenes

from agent.model.timebase import MS, S
from workers.unit.oom_ledger import OomKill, OomLedger, OomVerdict

POD, A, B = "/pods/p", "/pods/p/a", "/pods/p/b"
LIMIT = 4 << 20
# Where unit and pod are removed between two readings, nothing is left to know a few kills by.
UNDECIDABLE_SHARE = 0.001


def _ledger(*paths: str) -> tuple[CountingCgroups, OomLedger]:
    memory = CountingCgroups(*paths)
    ledger = OomLedger(memory)
    for path in paths:
        ledger.add(path, is_leaf=True)
    return memory, ledger


@pytest.mark.parametrize("eagerness", [0.02, 0.1, 0.3])
def test_whatever_happens_between_two_readings_kills_are_told_right(eagerness: float) -> None:
    """Seven thousand scenes of every kind, half of whose units are removed at once, and all pods soon after."""
    told = [pair for seed in range(100) for pair in tell_scenes(seed, 70, eagerness)]
    wrong = [(done, said) for done, said in told if done != said]
    assert len(wrong) <= UNDECIDABLE_SHARE * len(told), wrong[:10]
    # No kill is lost, and none told twice.
    assert sum(kills for _done, said in told for *_, kills in said.elements()) == sum(
        kills for done, _said in told for *_, kills in done.elements()
    )


def test_a_unit_that_was_given_up_and_is_there_keeps_its_account() -> None:
    """Its kills of before are told, and are no kills of its neighbour."""
    memory, ledger = _ledger(A, B)
    memory.hit(A)
    memory.kill(A)
    assert ledger.look(1) == [OomKill(A, OomVerdict.OWN_LIMIT, 1)]
    memory.hit(B)
    memory.kill(B)
    for path in (A, B):
        ledger.remove(path)
    assert ledger.look(2) == [OomKill(B, OomVerdict.OWN_LIMIT, 1)]


def test_a_pod_that_has_long_been_gone_has_no_kill_of_another_one() -> None:
    """It had none itself: what was killed in it was in its containers, which have been told."""
    memory, ledger = _ledger(A, "/pods/old/c")
    memory.hit("/pods/old/c")
    memory.kill("/pods/old/c")
    memory.remove("/pods/old/c")
    assert ledger.look(1) == [OomKill("/pods/old/c", OomVerdict.OWN_LIMIT, 1)]
    memory.remove("/pods/old")
    ledger.remove("/pods/old")
    memory.hit(A)
    memory.kill(A, 2)
    memory.remove(POD)
    assert ledger.look(2) == [OomKill(A, OomVerdict.OWN_LIMIT, 2)]


def test_the_rest_of_a_group_is_told_right_when_its_unit_has_gone() -> None:
    """That a group was killed is counted above it too."""
    memory, ledger = _ledger(A)
    memory.hit(A)
    memory.kill(A)
    assert ledger.look(1) == [OomKill(A, OomVerdict.OWN_LIMIT, 1)]
    memory.kill_group(A)
    memory.kill(A, 3)
    memory.remove(A)
    assert ledger.look(100 * MS) == [OomKill(A, OomVerdict.OWN_LIMIT, 3)]
    # The group is over, and a kill without a limit is one of the host.
    memory.make(A)
    ledger.add(A, is_leaf=True)
    memory.kill(A)
    assert ledger.look(10 * S) == [OomKill(A, OomVerdict.HOST, 1)]


def test_a_limit_that_was_hit_inside_a_pod_counts_when_the_pod_has_gone() -> None:
    """It was seen in the pod after the unit had gone, and the kill only above both."""
    memory, ledger = _ledger(A)
    memory.hit(A)
    memory.groups.pop(A)
    assert ledger.look(1) == []
    memory.groups["/pods"].whole[1] += 1
    memory.remove(POD)
    assert ledger.look(100 * MS) == [OomKill(A, OomVerdict.OWN_LIMIT, 1)]


def test_a_limit_that_was_set_after_its_pod_was_found_is_known() -> None:
    """A runtime makes the cgroup of a pod, then its limit, then those of the containers."""
    memory = CountingCgroups("/pods/other")
    ledger = OomLedger(memory)
    memory.make(POD)
    ledger.add(POD)
    memory.groups[POD].limit_bytes = LIMIT
    memory.make(A)
    ledger.add(A, is_leaf=True)
    memory.hit(POD)
    memory.kill(A)
    memory.remove(POD)
    assert ledger.look(1) == [OomKill(A, OomVerdict.ANCESTOR, 1, POD, LIMIT)]


def test_of_two_that_are_gone_the_one_with_a_limit_hit_its_own() -> None:
    """The other one was killed for the limit of the pod."""
    memory = CountingCgroups("/pods/other")
    ledger = OomLedger(memory)
    memory.make(POD, 4 * LIMIT)
    for path, limit in ((A, LIMIT), (B, None)):
        memory.make(path, limit)
        ledger.add(path, is_leaf=True)
    for level, victim in ((POD, B), (A, A)):
        memory.hit(level)
        memory.kill(victim)
        memory.remove(victim)
    found = sorted(ledger.look(1), key=lambda kill: kill.path)
    assert found == [
        OomKill(A, OomVerdict.OWN_LIMIT, 1, None, LIMIT),
        OomKill(B, OomVerdict.ANCESTOR, 1, POD, 4 * LIMIT),
    ]
