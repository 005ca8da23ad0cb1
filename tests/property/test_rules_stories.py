"""What random stories have found, each told once more, in the fewest words."""

from fakes.rules_world import CHILDREN, RulesWorld
from hypothesis import given
from hypothesis import strategies as st

WORKER = "sampler/a"


def _world() -> RulesWorld:
    world = RulesWorld()
    world.flow()
    return world


def test_a_repairing_snapshot_counts_when_it_is_acknowledged_and_not_when_it_is_sent() -> None:
    """A worker that drifted holds the wrong rules until it has taken the snapshot, and nobody is told otherwise."""
    world = _world()
    worker = world.workers[WORKER]
    worker.drift("added")
    worker.turn(world.now_ns)
    world.look()
    world.look()
    assert worker.sent_sequence > worker.taken_sequence, "the snapshot is on its way"
    assert not world.fleet.authority.is_in_sync(WORKER)
    world.flow()
    assert world.is_well(worker)


def test_who_asks_for_a_rule_that_is_being_written_is_answered_when_it_is_written() -> None:
    """Two clients ask for the same rule while the disk works: neither hears that it is there before the disk has it."""
    world = _world()
    for name in ("other", "same", "same"):
        world.change(name, 1)
    world.disk_answers()
    assert sorted(world.open) == [2, 3], "both wait for the disk"
    world.disk_answers(problem="no space left on device")
    world.make_peace()


def test_a_worker_thrown_back_to_an_older_revision_is_repaired_within_two_looks() -> None:
    """It acknowledged the new rules and then works with the old ones: its page says so, digest and revision alike."""
    world = _world()
    worker = world.workers[WORKER]
    world.change("r", 1)
    world.disk_answers()
    world.flow()
    assert world.is_well(worker)
    assert worker.drift("thrown back")
    worker.turn(world.now_ns)
    world.look()
    world.look()
    world.flow()
    assert world.is_well(worker)


def test_a_worker_whose_first_hello_is_on_its_way_when_the_supervisor_dies_is_up_under_the_next() -> None:
    """It says hello, hears of the new supervisor and says hello again: its one word that it is ready counts all the same."""
    world = RulesWorld()
    epochs = {name: worker.epoch for name, worker in world.workers.items()}
    world.die(is_written=False, killed=(), keeps_heard=True)
    world.flow()
    assert {name: worker.epoch for name, worker in world.workers.items()} == epochs
    assert all(map(world.is_well, world.workers.values()))


def test_a_worker_that_says_hello_twice_keeps_its_pods_until_somebody_has_looked_at_the_host() -> None:
    """The supervisor that took over dies at once: the hello to it comes to the next one, and then the hello to that."""
    world = _world()
    world.publish("p", "g")
    world.flow()
    world.die(is_written=False, killed=(), keeps_heard=True)
    world.deliver(WORKER)
    world.die(is_written=False, killed=(), keeps_heard=True)
    world.deliver(WORKER)
    while world.hear(WORKER):
        pass
    world.deliver(WORKER)
    assert world.workers[WORKER].held_pods(), "the pod is there, and it was measured until now"
    world.flow()
    world.make_peace()


@given(st.lists(st.integers(1, 3), min_size=5, max_size=40))
def test_rules_that_change_all_the_time_are_no_drift(changes_by_look: list[int]) -> None:
    """A worker answers every word within a look; that a newer one is always on its way to it is nobody's fault."""
    world = _world()
    worker = world.workers[WORKER]
    number = 0
    for changes in changes_by_look:
        older = len(worker.down)
        for _ in range(changes):
            number += 1
            world.change("r", number)
            world.disk_answers()
        for name in CHILDREN:
            for _ in range(older):
                world.deliver(name)
            while world.hear(name):
                pass
        world.look()
    assert world.fleet.authority.drifts == 0
    world.make_peace()
    assert world.fleet.authority.snapshots == len(world.workers), "nobody needed more than its first snapshot"
