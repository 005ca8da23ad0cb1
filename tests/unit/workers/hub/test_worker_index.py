"""The index of workers: by any name of a model, and always what a scan would find."""

from random import Random

from fakes.hub_story import install_id, labelled

from agent.fleet.live import UnitLabel, UnitUse
from agent.fleet.update import LiveState
from agent.model.timebase import S
from workers.hub.fleet_node import PRESENT, FleetNode, NodePhase
from workers.hub.worker_index import EAGER_FROM, WATCHED_MAX, WATCHED_NS, WorkerIndex, folded, is_worker
from workers.hub.worker_scores import WorkerScores, key_of, scores_of

NOW_NS = 1000 * S


def serving(index: WorkerIndex, model: str) -> dict[str, set[int]]:
    """The keys on each node of the workers that serve it."""
    return {install: set(map(key_of, scores.loads)) for install, scores in index.scores(model, NOW_NS).items()}


def using(*labels: UnitLabel) -> LiveState:
    """These units, which say nothing of what they do."""
    return LiveState(labels={label.key: label for label in labels}, uses={label.key: UnitUse(label.key) for label in labels})


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
    held.state = using(labelled(1, model="Org/Big", served_model="big", lora=("Fast", "big")), labelled(2))
    index.on_node(held)
    place = (held.install, 1)
    for name in ("org/big", "BIG", "fast"):
        assert serving(index, name) == {held.install: {1}}
    assert (serving(index, "other"), len(index), list(index.places())) == ({}, 2, [place, (held.install, 2)])
    assert folded("STRASSE") == folded("straße")


def test_the_workers_of_a_node_that_is_silent_are_away() -> None:
    """They are counted by what they served, and come back with it."""
    index, held = WorkerIndex(), node(1)
    held.state = using(labelled(1, model="m"), labelled(2, kind="service"))
    index.on_node(held)
    held.phase = NodePhase.STALE
    index.on_node(held)
    assert (len(index), serving(index, "m"), index.away) == (0, {}, {held.install: (("m",),)})
    held.phase = NodePhase.LATE
    index.on_node(held)
    assert (len(index), serving(index, "m"), index.away) == (1, {held.install: {1}}, {})


def test_random_changes_leave_what_a_scan_finds() -> None:
    """Labels that change, nodes that come and go."""
    for seed in range(30):
        rng = Random(seed)
        index, nodes = WorkerIndex(), [node(number) for number in range(5)]
        for _ in range(60):
            held = rng.choice(nodes)
            held.phase = rng.choice(list(NodePhase))
            labels = []
            for key in range(rng.randrange(5)):
                kind = rng.choice(("workload", "service"))
                labels.append(labelled(key, kind=kind, model=rng.choice((None, "a", "b")), lora=rng.choice(((), ("c", "a")))))
            held.state = using(*labels)
            index.on_node(held)
            present = [each for each in nodes if each.phase in PRESENT]
            workers = {(each.install, key) for each in present for key, label in each.state.labels.items() if is_worker(label)}
            assert set(index.places()) == workers, f"seed {seed}"
            assert len(index) == len(workers)
            for name in "abc":
                expected = {
                    (each.install, key)
                    for each in present
                    for key, label in each.state.labels.items()
                    if is_worker(label) and name in (label.model, *label.lora)
                }
                found = {(install, key) for install, keys in serving(index, name).items() for key in keys}
                assert found == expected, f"seed {seed}"


def scanned(nodes: list[FleetNode], model: str) -> dict[str, WorkerScores]:
    """The scores that a scan of all nodes gives; "": of all workers."""
    found = {}
    for held in nodes:
        labels = held.state.labels.items() if held.phase in PRESENT else ()
        if keys := [key for key, label in labels if is_worker(label) and (not model or label.model == model)]:
            found[held.install] = scores_of(keys, held.state.uses)
    return found


def test_scores_are_those_of_a_scan_whatever_has_changed_since() -> None:
    """Asked often or seldom, over nodes with few workers and with many, that come, go, and change."""
    for seed in range(20):
        rng = Random(seed)
        index, nodes, now_ns = WorkerIndex(), [node(number) for number in range(4)], NOW_NS
        for _ in range(80):
            held = rng.choice(nodes)
            keys = range(rng.choice((0, 2, 2 * EAGER_FROM)))
            uses = {key: UnitUse(key, waiting=rng.randrange(3), vram_free_mib=rng.choice((None, 4, 8))) for key in keys}
            held.updated_ns = now_ns = now_ns + rng.choice((1, S, WATCHED_NS))
            if rng.random() < 0.5 and held.state.labels:
                for key in held.state.uses:
                    held.state.uses[key] = UnitUse(key, running=rng.randrange(9), vram_free_mib=rng.randrange(9))
                index.on_uses(held)
            else:
                held.phase = rng.choice((NodePhase.FRESH, NodePhase.LATE, NodePhase.STALE))
                held.state = LiveState(labels={key: labelled(key, model=rng.choice("ab")) for key in keys}, uses=uses)
                index.on_node(held)
            if rng.random() < 0.3:
                model = rng.choice(["", "a", "b", "none"])
                assert dict(index.scores(model.upper(), now_ns)) == scanned(nodes, model), f"seed {seed}"


def test_scores_are_kept_for_who_asks_and_for_some_models_only() -> None:
    """What nobody asks for any more costs an update nothing, and a client that asks for all models costs it no more than some."""
    index, held = WorkerIndex(), node(1)
    labels = {key: labelled(key, model=f"m{key}") for key in range(2 * WATCHED_MAX)}
    held.state = LiveState(labels=labels, uses={key: UnitUse(key) for key in labels})
    index.on_node(held)
    for key in labels:
        assert index.scores(f"m{key}", NOW_NS) == {held.install: scores_of((key,), held.state.uses)}
    assert len(index._watched) == WATCHED_MAX
    assert index.scores("none", NOW_NS) == {}
    assert len(index._watched) == WATCHED_MAX
    held.updated_ns = NOW_NS + WATCHED_NS
    index.on_uses(held)
    assert len(index._watched) == 0
