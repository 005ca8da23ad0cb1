"""The index of workers: by any name of a model, and always what a scan would find."""

from random import Random

from fakes.hub_story import install_id, labelled

from agent.fleet.update import LiveState
from workers.hub.fleet_node import PRESENT, FleetNode, NodePhase
from workers.hub.worker_index import WorkerIndex, folded, is_worker


def node(number: int, phase: NodePhase = NodePhase.FRESH) -> FleetNode:
    """A node without units."""
    return FleetNode(install_id(number), f"node-{number}", phase, 0)


def test_a_worker_serves_a_model_or_is_a_workload() -> None:
    """Anything else is only a unit."""
    assert not is_worker(labelled(1, kind="service"))
    assert is_worker(labelled(1, kind="service", model="m"))
    assert is_worker(labelled(1, kind="pod", served_model="m"))
    assert is_worker(labelled(1, kind="workload"))


def test_workers_are_found_by_any_of_their_names() -> None:
    """Upper and lower case are one."""
    index, held = WorkerIndex(), node(1)
    held.state = LiveState(labels={1: labelled(1, model="Org/Big", served_model="big", lora=("Fast", "big")), 2: labelled(2)})
    index.on_node(held)
    place = (held.install, 1)
    for name in ("org/big", "BIG", "fast"):
        assert index.serving(name) == {held.install: (1,)}
    assert (dict(index.serving("other")), len(index), list(index.places())) == ({}, 2, [place, (held.install, 2)])
    assert folded("STRASSE") == folded("straße")


def test_the_workers_of_a_node_that_is_silent_are_away() -> None:
    """They are counted by what they served, and come back with it."""
    index, held = WorkerIndex(), node(1)
    held.state = LiveState(labels={1: labelled(1, model="m"), 2: labelled(2, kind="service")})
    index.on_node(held)
    held.phase = NodePhase.STALE
    index.on_node(held)
    assert (len(index), dict(index.serving("m")), index.away) == (0, {}, {held.install: (("m",),)})
    held.phase = NodePhase.LATE
    index.on_node(held)
    assert (len(index), dict(index.serving("m")), index.away) == (1, {held.install: (1,)}, {})


def test_random_changes_leave_what_a_scan_finds() -> None:
    """Labels that change, nodes that come and go."""
    for seed in range(30):
        rng = Random(seed)
        index, nodes = WorkerIndex(), [node(number) for number in range(5)]
        for _ in range(60):
            held = rng.choice(nodes)
            held.phase = rng.choice(list(NodePhase))
            labels = {}
            for key in range(rng.randrange(5)):
                kind = rng.choice(("workload", "service"))
                labels[key] = labelled(key, kind=kind, model=rng.choice((None, "a", "b")), lora=rng.choice(((), ("c", "a"))))
            held.state = LiveState(labels=labels)
            index.on_node(held)
            present = [each for each in nodes if each.phase in PRESENT]
            workers = {(each.install, key) for each in present for key, label in each.state.labels.items() if is_worker(label)}
            assert set(index.places()) == workers, f"seed {seed}"
            assert len(index) == len(workers)
            for name in "abc":
                serving = {
                    (each.install, key)
                    for each in present
                    for key, label in each.state.labels.items()
                    if is_worker(label) and name in (label.model, *label.lora)
                }
                assert {(install, key) for install, keys in index.serving(name).items() for key in keys} == serving, f"seed {seed}"
