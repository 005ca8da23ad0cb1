"""What random stories have found, each told once more, in the fewest words."""

from fakes.rules_world import CHILDREN, RulesWorld
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.effect import Persisted
from supervisor.core.rule_changes import CHANGES_PER_DOCUMENT_MAX
from supervisor.core.rulebook import encode_rulebook

WORKER = "sampler/a"
CHANGES = 300


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
    assert not world.supervisor_state.authority.is_in_sync(WORKER)
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
    """It says hello, hears of the new supervisor and says hello again: its single message that it is ready counts."""
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
    assert world.supervisor_state.authority.drifts == 0
    world.make_peace()
    assert world.supervisor_state.authority.snapshots == len(world.workers), "nobody needed more than its first snapshot"


def test_a_change_whose_durability_is_not_known_is_in_force_as_the_document_says() -> None:
    """The folder could not be synced after the rename: workers hold the new rules, a restart finds the same, and the condition
    holds until a later document is durable, which may say the same."""
    world = _world()
    world.change("kept", 1)
    world.change("added", 1)
    for _ in range(2):
        world.disk_answers(problem="Input/output error", is_in_place=True)
    assert world.last_answer is not None
    assert world.last_answer.problem is not None
    assert (world.last_answer.problem.code, world.last_answer.problem.exit) == ("durability_unknown", 74)
    assert sorted(world.rules_on_disk()) == ["added", "kept"]
    assert ("supervisor", "rules_not_durable") in world.supervisor_state.history.conditions
    world.change("added", 1)
    assert len(world.persists) == 1, "asked for once more, it is written once more"
    world.disk_answers()
    assert world.supervisor_state.history.conditions == {}
    world.change("kept", None)
    world.disk_answers(problem="Input/output error", is_in_place=True)
    assert sorted(world.rules_on_disk()) == ["added"]
    world.die(is_written=False, killed=CHILDREN, keeps_heard=False)
    world.make_peace()


def test_that_a_file_system_syncs_no_folders_is_said_once() -> None:
    """It is the same for every document, and no reason to refuse a rule."""
    world = _world()
    for name in ("a", "b"):
        world.change(name, 1)
        order = world.persists.pop(0)
        world.disk = encode_rulebook(order.book)
        world.tell(Persisted(order.token, weakness="it syncs no folders"))
    assert [line.fields for line in world.log if line.kind == "rules_durability_limited"] == [{"reason": "it syncs no folders"}]
    assert sorted(world.supervisor_state.authority.rules) == ["a", "b"]


def test_many_changes_at_once_are_answered_in_parts() -> None:
    """Hundreds of clients: never more answers and entries of a message in one turn than the bound, and all are answered."""
    world = _world()
    for number in range(CHANGES):
        world.change(f"rule-{number}", 1)
    answered = []
    while world.persists:
        before = len(world.open)
        world.disk_answers()
        world.flow()
        answered.append(before - len(world.open))
    assert sum(answered) == CHANGES
    assert max(answered) <= CHANGES_PER_DOCUMENT_MAX
    assert len(answered) <= 2 + CHANGES // CHANGES_PER_DOCUMENT_MAX
