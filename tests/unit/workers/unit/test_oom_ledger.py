"""Whose limit was hit: every kind of kill, however fast its cgroup goes, told once and told right."""

from random import Random

import pytest
from fakes.cgroup_memory import CountingCgroups

from agent.model.timebase import MS, S
from workers.unit.oom_ledger import READS_MAX, OomKill, OomLedger, OomVerdict

A, B, POD = "/pods/a", "/pods/b", "/pods"
LIMIT = 64 << 20


class Ledger:
    """A ledger over a host in memory, and its clock."""

    def __init__(self, *paths: str, counts_whole: bool = True, counts_groups: bool = True, is_root_hidden: bool = False) -> None:
        self.memory = CountingCgroups(*paths, counts_whole=counts_whole, counts_groups=counts_groups)
        self.ledger = OomLedger(self.memory, is_whole=counts_whole, is_root_hidden=is_root_hidden)
        self.now_ns = 100 * S
        for path in paths:
            self.ledger.add(path, is_leaf=True)

    def look(self, after_ns: int = 1 * MS) -> list[OomKill]:
        """What it says now."""
        self.now_ns += after_ns
        return sorted(self.ledger.look(self.now_ns), key=lambda kill: (kill.path, kill.verdict or ""))


def own(path: str, kills: int = 1, limit_bytes: int | None = None) -> OomKill:
    """A kill by the unit's own limit."""
    return OomKill(path, OomVerdict.OWN_LIMIT, kills, None, limit_bytes)


def by(culprit: str, path: str, kills: int = 1, limit_bytes: int | None = None) -> OomKill:
    """A kill by the limit of a cgroup above."""
    return OomKill(path, OomVerdict.ANCESTOR, kills, culprit, limit_bytes)


def host(path: str, kills: int = 1) -> OomKill:
    """A kill for the host."""
    return OomKill(path, OomVerdict.HOST, kills)


WAYS = pytest.mark.parametrize("counts_whole", [True, False])


@WAYS
def test_a_kill_is_for_the_limit_that_was_hit(counts_whole: bool) -> None:
    """The unit's own, one above it, or none; told once, with the limit."""
    story = Ledger(A, B, counts_whole=counts_whole)
    story.memory.make(A, LIMIT)
    story.memory.hit(A)
    story.memory.kill(A)
    assert story.look() == [own(A, limit_bytes=LIMIT)]
    assert story.look() == []
    story.now_ns += 10 * S
    story.memory.hit(POD)
    story.memory.kill(A)
    assert story.look() == [by(POD, A)]
    story.now_ns += 10 * S
    story.memory.kill(B)
    assert story.look() == [host(B)]
    assert story.look() == []


@WAYS
def test_what_was_counted_before_is_not_told(counts_whole: bool) -> None:
    """A sampler that begins has no part in it."""
    memory = CountingCgroups(A, counts_whole=counts_whole)
    memory.hit(A)
    memory.kill(A, 3)
    ledger = OomLedger(memory, is_whole=counts_whole)
    assert ledger.add(A)
    assert ledger.look(1) == []


def test_a_unit_that_is_gone_at_once_has_its_verdict() -> None:
    """What its parent has more than its other children was its own."""
    for above, kill in ((A, own(A)), (POD, by(POD, A)), (None, host(A))):
        story = Ledger(A, B)
        if above is not None:
            story.memory.hit(above)
        story.memory.kill(A)
        story.memory.remove(A)
        assert story.look() == [kill]
        assert story.look() == []


def test_a_unit_whose_end_is_told_before_the_kill_is_seen_has_its_verdict_too() -> None:
    """In any order."""
    story = Ledger(A, B)
    story.memory.hit(A)
    story.memory.kill(A)
    story.memory.remove(A)
    story.ledger.remove(A)
    assert story.look() == [own(A)]


def test_a_hit_that_is_seen_before_its_kill_waits_for_it() -> None:
    """The kernel writes a report in between, perhaps on a slow console; a hit without a kill is forgotten."""
    story = Ledger(A)
    story.memory.hit(POD)
    assert story.look() == []
    story.memory.kill(A)
    assert story.look(3 * S) == [by(POD, A)]
    story.memory.hit(POD)
    assert story.look(1 * S) == []
    story.memory.kill(A)
    assert story.look(6 * S) == [host(A)]


def test_a_hit_seen_before_the_unit_went_counts_for_it() -> None:
    """The first notice comes with the hit, the removal before the second."""
    story = Ledger(A)
    story.memory.hit(A)
    assert story.look() == []
    story.memory.kill(A)
    story.memory.remove(A)
    assert story.look() == [own(A)]


def test_kills_at_two_levels_at_once_are_told_apart() -> None:
    """A kill that only one limit explains takes it, and leaves the other one for the other kill."""
    story = Ledger(A, B)
    story.memory.hit(A)
    story.memory.hit(POD)
    story.memory.kill(A)
    story.memory.kill(B)
    assert story.look() == [own(A), by(POD, B)]
    story.now_ns += 10 * S
    story.memory.hit(A)
    story.memory.hit(POD)
    story.memory.kill(A, 2)
    assert story.look() == [by(POD, A), own(A)]


def test_a_whole_group_is_killed_for_one_hit() -> None:
    """Also where its last processes are seen later."""
    story = Ledger(A)
    story.memory.hit(A)
    story.memory.kill_group(A)
    story.memory.kill(A, 2)
    assert story.look() == [own(A, 2)]
    story.memory.kill(A, 3)
    assert story.look(100 * MS) == [own(A, 3)]
    # A slow console has a line for each.
    story.memory.kill(A)
    story.memory.remove(A)
    assert story.look(1 * S) == [own(A)]
    story = Ledger(A)
    story.memory.hit(A)
    story.memory.kill_group(A)
    story.memory.kill(A, 2)
    assert story.look() == [own(A, 2)]
    story.memory.kill(A)
    assert story.look(6 * S) == [host(A)]


def test_the_first_of_a_group_is_killed_before_the_kernel_counts_the_group() -> None:
    """A look in between sees one kill alone."""
    story = Ledger(A)
    story.memory.hit(POD)
    story.memory.kill(A)
    assert story.look() == [by(POD, A)]
    story.memory.kill_group(A)
    story.memory.kill(A)
    assert story.look(100 * MS) == [by(POD, A)]
    story.memory.kill(A)
    assert story.look(3 * S) == [host(A)]


def test_before_linux_5_17_the_kills_that_follow_one_are_of_its_group() -> None:
    """The kernel does not count groups there."""
    story = Ledger(A, counts_groups=False)
    story.memory.hit(POD)
    story.memory.kill(A, 2)
    assert story.look() == [by(POD, A, 2)]
    story.memory.kill(A)
    assert story.look(100 * MS) == [by(POD, A)]
    story.memory.kill(A)
    assert story.look(2 * S) == [host(A)]


def test_a_limit_inside_a_unit_is_its_own() -> None:
    """A container manager in a container has cgroups of its own below."""
    story = Ledger(A)
    story.memory.make(A + "/inner/pod")
    story.memory.hit(A + "/inner")
    story.memory.kill(A + "/inner/pod")
    assert story.look() == [own(A)]
    story.memory.hit(A)
    story.memory.kill(A + "/inner/pod")
    assert story.look(10 * S) == [own(A)]


def test_a_container_of_a_pod_is_told_by_itself() -> None:
    """The pod's limit is above its container's."""
    container = A + "/container"
    story = Ledger(container, B)
    story.memory.hit(A)
    story.memory.kill(container)
    assert story.look() == [by(A, container)]


def test_a_cgroup_that_is_new_is_told_by_its_own_path() -> None:
    """Born and killed between two looks, before anybody knew it; also where it is known now."""
    story = Ledger(A)
    story.memory.make("/pods/new")
    story.memory.hit("/pods/new")
    story.memory.kill("/pods/new")
    assert story.look() == [own("/pods/new")]
    story.memory.make("/pods/newer")
    story.memory.hit("/pods/newer")
    story.memory.kill("/pods/newer")
    assert story.ledger.add("/pods/newer")
    assert story.look() == [own("/pods/newer")]
    assert story.look() == []


def test_an_old_cgroup_that_is_found_late_has_no_part_in_a_new_kill() -> None:
    """What it counted long ago is not taken for what its parent has just counted."""
    memory = CountingCgroups("/pods/old", A)
    memory.kill("/pods/old", 5)
    ledger = OomLedger(memory)
    ledger.add(A)
    memory.make("/pods/new")
    memory.kill("/pods/new")
    assert ledger.look(1) == [host("/pods/new")]


def test_several_that_are_gone_have_one_kill_each() -> None:
    """First those whose limit was seen hit; with fewer gone than kills, the first had the rest."""
    story = Ledger(A, B, "/pods/c")
    story.memory.hit(B)
    assert story.look() == []
    story.memory.kill(B)
    for path in (A, B):
        story.memory.remove(path)
    assert story.look() == [own(B)]
    story = Ledger(A, B)
    story.memory.kill(A, 2)
    story.memory.kill(B)
    story.memory.remove(A)
    story.memory.remove(B)
    kills = story.look()
    assert sum(kill.kills for kill in kills) == 3
    assert {kill.path for kill in kills} == {A, B}


def test_a_pod_that_is_gone_with_its_only_container_is_told_by_the_container() -> None:
    """The processes were there."""
    container = A + "/container"
    story = Ledger(container, B)
    story.memory.hit(container)
    story.memory.kill(container)
    story.memory.remove(A)
    assert story.look() == [own(container)]


def test_of_a_pod_that_is_gone_as_a_whole_the_lowest_limit_was_hit() -> None:
    """Nothing else is left to know it by."""
    container = A + "/container"
    for pod_limit, kill in ((LIMIT // 2, by(A, container, limit_bytes=LIMIT // 2)), (2 * LIMIT, own(container, limit_bytes=LIMIT))):
        story = Ledger(B)
        story.memory.make(A, pod_limit)
        story.memory.make(container, LIMIT)
        story.ledger.add(container, is_leaf=True)
        story.memory.hit(A if pod_limit < LIMIT else container)
        story.memory.kill(container)
        story.memory.remove(A)
        assert story.look() == [kill]


def test_of_two_containers_that_are_gone_with_their_pod_the_one_has_the_kill_whose_limit_was_hit() -> None:
    """The other one had its own before."""
    first, second = A + "/first", A + "/second"
    story = Ledger(first, second, B)
    story.memory.hit(first)
    story.memory.kill(first)
    story.memory.hit(second)
    assert story.look() == [own(first)]
    story.memory.kill(second)
    story.memory.remove(A)
    assert story.look() == [own(second)]


def test_of_two_that_are_gone_the_one_without_a_kill_had_the_next() -> None:
    """Also where the limit of the other one was hit once more before its process was gone."""
    story = Ledger(A, B)
    for _ in range(3):
        story.memory.hit(B)
    story.memory.kill(B)
    assert story.look() == [own(B)]
    story.memory.hit(A)
    story.memory.kill(A)
    for path in (A, B):
        story.memory.remove(path)
        story.ledger.remove(path)
    assert story.look(100 * MS) == [own(A)]


def test_below_a_hidden_root_a_kill_without_a_limit_has_no_verdict() -> None:
    """It may be the host, or a limit above what this container sees."""
    story = Ledger(A, is_root_hidden=True)
    story.memory.kill(A)
    assert story.look() == [OomKill(A, None, 1)]


def test_a_unit_without_a_memory_controller_is_not_accounted_for() -> None:
    """Nor one that is gone; what is above it may be."""
    memory = CountingCgroups(A)
    memory.groups[A].is_controlled = False
    ledger = OomLedger(memory)
    assert not ledger.add(A)
    assert not ledger.add("/gone")
    ledger.remove("/gone")
    assert ledger.tops == (POD,)
    assert len(ledger) == 1
    memory.remove(POD)
    assert ledger.look(1) == []
    assert len(ledger) == 0


def test_the_root_alone_can_be_a_unit_of_its_own() -> None:
    """In a container with a cgroup namespace it is."""
    memory = CountingCgroups("/")
    assert OomLedger(memory).add("/")


def test_a_quiet_host_costs_one_reading_per_uppermost_cgroup() -> None:
    """However many units there are."""
    story = Ledger(*(f"/pods/{number}" for number in range(100)), "/system/x")
    story.memory.reads.clear()
    assert story.look() == []
    assert sorted(story.memory.reads) == [POD, "/system"]


def test_a_look_reads_no_more_than_a_bound() -> None:
    """What is left is read by the next one."""
    paths = [f"/pods/{number}" for number in range(READS_MAX + 100)]
    story = Ledger(*paths)
    for path in paths:
        story.memory.kill(path)
    first = story.look()
    assert len(first) >= READS_MAX - 10
    seen = {kill.path for kill in first}
    for _ in range(3):
        seen |= {kill.path for kill in story.look()}
    assert len(seen) >= READS_MAX


@pytest.mark.parametrize("seed", range(20))
def test_fifty_random_kills_are_all_told_right(seed: int) -> None:
    """One after the other, at any level, with groups, cgroups that go at once, and looks in the middle."""
    random = Random(seed)
    paths = [f"/pods/p{pod}/c{container}" for pod in range(5) for container in range(3)]
    story = Ledger(*paths)
    expected: list[OomKill] = []
    found: list[OomKill] = []
    for number in range(50):
        victim = random.choice(paths)
        levels = [victim, *(["/".join(victim.split("/")[:-1]), "/pods"])]
        level = random.choice([*levels, None])
        kills = random.choice([1, 1, 1, 4])
        if level is not None:
            story.memory.hit(level, random.choice([1, 1, 2]))
        if random.random() < 0.3:
            found += story.look(random.choice([1, 100]) * MS)
        if kills > 1:
            story.memory.kill_group(victim)
        story.memory.kill(victim, kills)
        expected.append(
            host(victim, kills) if level is None else own(victim, kills) if level == victim else by(level, victim, kills)
        )
        if random.random() < 0.4:
            story.memory.remove(victim)
            if random.random() < 0.5:
                story.ledger.remove(victim)
            paths.remove(victim)
            paths.append(f"{victim.rsplit('/', 1)[0]}/n{number}")
        found += story.look(random.choice([1, 10, 300]) * MS)
        if paths[-1] not in story.memory.groups:
            story.memory.make(paths[-1])
            story.ledger.add(paths[-1], is_leaf=True)
        # Between two kills nothing of the first one is left over.
        story.now_ns += 400 * MS if kills == 1 else 2 * S
    assert found == expected
