"""Kills in cgroups that go while they are looked at, or with a thousand others."""

import pytest
from fakes.cgroup_memory import CountingCgroups

from workers.unit.oom_ledger import VANISHED_MAX, OomKill, OomLedger, OomVerdict
from workers.unit.oom_reading import OomReading

A, POD = "/pods/a", "/pods"


class GoingCgroups(CountingCgroups):
    """One of its cgroups is removed as soon as it has been read."""

    going = ""

    def read(self, path: str) -> OomReading | None:
        """What the kernel shows for the last time."""
        reading = super().read(path)
        if path == self.going:
            self.remove(path)
        return reading


def test_a_unit_that_goes_before_its_verdict_has_it_all_the_same() -> None:
    """What was read of it before is enough: its own limit, or the host."""
    for is_hit, verdict in ((True, OomVerdict.OWN_LIMIT), (False, OomVerdict.HOST)):
        memory = GoingCgroups(A)
        ledger = OomLedger(memory)
        ledger.add(A, is_leaf=True)
        memory.hit(A, int(is_hit))
        memory.kill(A)
        memory.going = A
        assert ledger.look(1) == [OomKill(A, verdict, 1)]
        assert A not in memory.groups
        assert ledger.look(2) == []


class PassedCgroups(CountingCgroups):
    """A cgroup has one more kill and is removed just after one above it was read."""

    above, passing = "", ""

    def read(self, path: str) -> OomReading | None:
        """What the kernel showed before that."""
        reading = super().read(path)
        if path == self.above and self.passing in self.groups:
            self.kill(self.passing)
            self.remove(self.passing)
        return reading


@pytest.mark.parametrize("above", ["/pods", "/pods/p"])
def test_a_kill_between_two_readings_of_one_look_is_of_the_unit_that_went(above: str) -> None:
    """Those above the unit were read before the kill, and the unit itself after its removal."""
    unit, other = "/pods/p/a", "/pods/q/b"
    memory = PassedCgroups(unit, other)
    ledger = OomLedger(memory)
    for path in (unit, other):
        ledger.add(path, is_leaf=True)
    memory.hit(unit)
    memory.kill_group(unit)
    memory.kill(unit, 2)
    assert ledger.look(1) == [OomKill(unit, OomVerdict.OWN_LIMIT, 2)]
    memory.kill(unit)
    memory.above, memory.passing = above, unit
    found = ledger.look(2)
    # The pod goes with it, and others go at that time too.
    for path in ("/pods/p", "/pods/q"):
        memory.remove(path)
    found += ledger.look(3)
    assert {kill.path for kill in found} == {unit}
    assert {kill.verdict for kill in found} == {OomVerdict.OWN_LIMIT}
    assert sum(kill.kills for kill in found) == 2
    assert ledger.look(4) == []


def test_of_a_thousand_that_are_gone_no_kill_is_lost() -> None:
    """So many are remembered by name; the kill in one more is counted to one of them."""
    paths = [f"{POD}/{number}" for number in range(VANISHED_MAX + 1)]
    memory = CountingCgroups(*paths)
    ledger = OomLedger(memory)
    for path in paths:
        ledger.add(path, is_leaf=True)
        memory.kill(path)
    for path in paths:
        memory.remove(path)
        ledger.remove(path)
    kills = ledger.look(1)
    assert {kill.path for kill in kills} == set(paths[:VANISHED_MAX])
    assert sorted(kill.kills for kill in kills) == [1] * (VANISHED_MAX - 1) + [2]
    assert {kill.verdict for kill in kills} == {OomVerdict.HOST}
    assert ledger.look(2) == []
