"""The merge of the cgroup tree with the runtime's reports: names, places, what ends when, and what a lost runtime leaves."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.rule import Assignment, QosClass, Unit, UnitKind
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod
from workers.control_plane.container_runtime.registry import KnownPod
from workers.control_plane.group_step import SANDBOX
from workers.control_plane.merged_units import MergedUnits
from workers.control_plane.pods import Places

UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
CGROUP = f"/kubepods/burstable/pod{UID}"
NGINX, LOGS, PAUSE = "a" * 64, "b" * 64, "e" * 64
POD = RuntimePod(PAUSE, UID, "shop", "web", {"app": "web"}, CGROUP)
SEEN = Unit(UID, UnitKind.POD, CGROUP, 2, qos=QosClass.BURSTABLE)
SEEN_PLACES: Places = {NGINX: (f"{CGROUP}/{NGINX}",), PAUSE: (f"{CGROUP}/{PAUSE}",)}
SCOPE = f"/k8s.io/{NGINX}"


def _places(pod: RuntimePod, container: RuntimeContainer) -> tuple[str, ...]:
    return (f"{pod.cgroup_parent}/{container.id}",) if pod.cgroup_parent else ()


def _known(*ids: str, pod: RuntimePod = POD, is_running: bool = True) -> KnownPod:
    containers = tuple(RuntimeContainer(each, pod.sandbox_id, f"name-{each[0]}") for each in ids)
    return KnownPod(pod, containers, (pod.sandbox_id,), is_running or bool(ids))


class Story:
    """One merge; the runtime is connected unless a test says otherwise."""

    def __init__(self, *, is_disconnected: bool = False) -> None:
        self.merged = MergedUnits(_places)
        self.merged.set_disconnected(is_disconnected)
        self.units: dict[str, tuple[Unit, Places]] = {}

    def look(self, scanned: Mapping[str, Unit] | None = None, places: Mapping[str, Places] | None = None) -> "Story":
        """The tree shows the pod as it is, or what the test gives."""
        self.units = self.merged.look({UID: SEEN} if scanned is None else scanned, {UID: SEEN_PLACES} if places is None else places)
        return self

    def report(self, known: KnownPod | None, uid: str = UID) -> "Story":
        """The runtime reports a pod."""
        return self.take(self.merged.follow({uid: known}))

    def connect(self) -> "Story":
        """The runtime has reported everything."""
        return self.take(self.merged.set_disconnected(False))

    def take(self, touched: set[str]) -> "Story":
        """Follow what was touched, and nothing else."""
        for uid in touched:
            if (found := self.merged.unit(uid)) is None:
                self.units.pop(uid, None)
            else:
                self.units[uid] = found
        return self


def test_names_come_from_the_runtime_and_places_from_the_tree() -> None:
    """The sandbox is measured with its pod, and is no container."""
    story = Story().look().report(_known(NGINX))
    unit, places = story.units[UID]
    assert (unit.namespace, unit.name, unit.labels, unit.qos) == ("shop", "web", {"app": "web"}, QosClass.BURSTABLE)
    assert (unit.containers, unit.container_names) == (1, {NGINX: "name-a"})
    assert places == {NGINX: (f"{CGROUP}/{NGINX}",), SANDBOX: (f"{CGROUP}/{PAUSE}",)}


def test_a_pod_is_a_unit_before_any_look_sees_it() -> None:
    """Where its threads will be follows from what the runtime says; a look that sees it changes nothing about who it is."""
    story = Story().look({}, {}).report(_known(NGINX, LOGS))
    unit, places = story.units[UID]
    assert (unit.cgroup, unit.qos, unit.containers) == (CGROUP, QosClass.BURSTABLE, 2)
    assert places == {NGINX: (f"{CGROUP}/{NGINX}",), LOGS: (f"{CGROUP}/{LOGS}",), SANDBOX: ()}
    story.look(places={UID: {**SEEN_PLACES, LOGS: (f"{CGROUP}/{LOGS}",)}})
    assert story.units[UID][0] == unit


def test_a_started_pod_without_containers_is_a_unit() -> None:
    """Its group is made before its first container."""
    unit, places = Story().look({}, {}).report(_known()).units[UID]
    assert (unit.containers, unit.cgroup, places) == (0, CGROUP, {SANDBOX: ()})


def test_a_sandbox_that_may_have_ended_counts_while_its_cgroup_is_seen() -> None:
    """Runtimes list ended sandboxes for hours; an id is not spent on them."""
    story = Story().look({}, {}).report(_known(is_running=False))
    assert UID not in story.units
    story.look()
    assert story.units[UID][0].name == "web"
    story.report(_known(is_running=False, pod=RuntimePod(PAUSE, UID, "shop", "web")))
    assert UID in story.units
    assert UID not in story.look({}, {}).units


def test_a_running_pod_of_which_all_is_listed_again_stays_until_a_look() -> None:
    """The last look may be older than the pod."""
    story = Story().look({}, {}).report(_known()).report(_known(is_running=False))
    assert UID in story.units


def test_what_the_runtime_removed_is_gone_though_its_cgroup_is_still_seen() -> None:
    """Until a look without it; then the same uid is as new."""
    story = Story().look().report(_known(NGINX)).report(None)
    assert UID not in story.units
    assert UID not in story.look().units
    story.look({}, {})
    assert story.look(places={UID: {PAUSE: SEEN_PLACES[PAUSE]}}).units[UID][0].name is None


def test_a_pod_that_comes_back_is_there_at_once() -> None:
    """A new sandbox of the same uid."""
    assert UID in Story().look().report(_known(NGINX)).report(None).report(_known(LOGS)).look().units


def test_a_pod_of_another_runtime_stays() -> None:
    """Nothing that this runtime reports concerns it."""
    story = Story().look().report(_known("f" * 64, pod=RuntimePod("s2", "own")), "own").report(None, "own")
    assert story.look().units[UID] == (SEEN, SEEN_PLACES)


def test_an_ended_container_is_no_part_though_its_cgroup_is_still_seen() -> None:
    """Until a look without it."""
    story = Story().look().report(_known(NGINX)).report(_known())
    unit, places = story.units[UID]
    assert (unit.containers, places) == (0, {SANDBOX: (f"{CGROUP}/{PAUSE}",)})
    assert story.look().units[UID][1] == places


def test_a_container_that_the_runtime_does_not_list_is_measured_and_not_counted() -> None:
    """Some runtimes leave out what is in a state that they do not know."""
    places = {UID: {**SEEN_PLACES, LOGS: (f"{CGROUP}/{LOGS}",)}}
    unit, found = Story().report(_known(NGINX)).look(places=places).units[UID]
    assert (unit.containers, found[SANDBOX]) == (1, (f"{CGROUP}/{PAUSE}", f"{CGROUP}/{LOGS}"))


def test_a_scope_of_a_runtimes_container_folds_into_its_pod() -> None:
    """Pods that a tool made without a parent cgroup lie anywhere; their container is no unit of its own."""
    bare = RuntimePod(PAUSE, "sandbox-x", name="bare")
    scanned = {
        SCOPE: Unit(SCOPE, UnitKind.SCOPE, SCOPE, 1),
        "/k8s.io/other": Unit("/k8s.io/other", UnitKind.SCOPE, "/k8s.io/other"),
    }
    places: dict[str, Places] = {SCOPE: {NGINX: (SCOPE,)}, "/k8s.io/other": {"": ("/k8s.io/other",)}}
    story = Story().look(scanned, places)
    assert set(story.units) == set(scanned)
    story.report(_known(NGINX, pod=bare), "sandbox-x")
    assert set(story.units) == {"sandbox-x", "/k8s.io/other"}
    unit, found = story.units["sandbox-x"]
    assert (unit.cgroup, found) == (SCOPE, {NGINX: (SCOPE,), SANDBOX: ()})
    assert set(story.look(scanned, places).units) == {"sandbox-x", "/k8s.io/other"}
    story.report(None, "sandbox-x")
    assert set(story.units) == {"/k8s.io/other"}
    assert set(story.look(scanned, places).units) == {"/k8s.io/other"}


def test_a_container_that_the_tree_shows_in_another_pod_is_the_runtimes() -> None:
    """The rest of that pod stays."""
    story = Story().look().report(_known(NGINX, pod=RuntimePod("s2", "other")), "other")
    assert story.units[UID] == (Unit(UID, UnitKind.POD, CGROUP, 1, qos=QosClass.BURSTABLE), {PAUSE: SEEN_PLACES[PAUSE]})
    assert story.units["other"][1] == {NGINX: SEEN_PLACES[NGINX], SANDBOX: ()}


def test_while_no_runtime_is_connected_only_the_tree_ends_things() -> None:
    """A container and then the pod end; what was never seen stays; the runtime's return says how it is."""
    story = Story().report(_known(NGINX, LOGS)).look(places={UID: {**SEEN_PLACES, LOGS: ("/l",)}})
    story.report(_known("f" * 64, pod=RuntimePod("s2", "unseen")), "unseen")
    story.merged.set_disconnected(True)
    assert story.look().units[UID][0].container_names == {NGINX: "name-a"}
    story.look({}, {})
    assert set(story.units) == {"unseen"}
    story.look()
    assert story.units[UID][0].containers == 1
    story.look({}, {})
    story.connect()
    assert story.units[UID][0].containers == 2


def test_a_container_that_starts_while_no_runtime_is_connected_is_counted() -> None:
    """Nobody else would report it."""
    story = Story().report(_known(NGINX)).look()
    story.merged.set_disconnected(True)
    unit, places = story.look(places={UID: {**SEEN_PLACES, LOGS: ("/l",)}}).units[UID]
    assert (unit.containers, places[LOGS]) == (2, ("/l",))


def _adopted(*names: str) -> Assignment:
    unit = Unit(UID, UnitKind.POD, CGROUP, len(names), "shop", "web", QosClass.BURSTABLE, {"app": "web"}, dict.fromkeys(names, "x"))
    return Assignment(unit, UID, None, 7)


def test_names_of_a_predecessor_hold_until_the_runtime_reports() -> None:
    """The look of a restarted control plane comes before the runtime is connected."""
    story = Story(is_disconnected=True)
    story.merged.adopt([_adopted(NGINX)])
    story.look()
    assert story.units[UID] == (_adopted(NGINX).unit, {NGINX: SEEN_PLACES[NGINX], SANDBOX: SEEN_PLACES[PAUSE]})
    story.report(_known(NGINX, pod=RuntimePod(PAUSE, UID, "shop", "new"))).connect()
    assert story.units[UID][0].name == "new"


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_predecessors_pod_that_the_runtime_does_not_name_is_gone(is_seen: bool) -> None:
    """It ended while no control plane ran."""
    story = Story(is_disconnected=True)
    story.merged.adopt([_adopted(NGINX)])
    story.look() if is_seen else story.look({}, {})
    assert UID in story.units
    assert UID not in story.connect().units


def test_a_predecessors_pod_that_no_look_sees_goes_with_the_second() -> None:
    """The runtime has had the time to report it; units that are no pods or have no names are the tree's alone."""
    story = Story(is_disconnected=True)
    story.merged.adopt(
        [_adopted(NGINX), Assignment(SEEN, UID, None, 7), Assignment(Unit("/a", UnitKind.SLICE, "/a"), "/a", None, 7)]
    )
    assert set(story.look({}, {}).units) == {UID}
    assert story.look({}, {}).units == {}


def test_a_pod_whose_cgroup_nobody_can_guess_has_none() -> None:
    """It is a unit nevertheless, and waits for its threads."""
    unit, places = Story().look({}, {}).report(_known(NGINX, pod=RuntimePod("s9", "u9")), "u9").units["u9"]
    assert (unit.cgroup, places) == ("", {NGINX: (), SANDBOX: ()})


_PODS = {"u1": ("s1", "/kubepods/podu1"), "u2": ("s2", ""), "u3": ("s3", "/kubepods/podu3")}
_STATES = st.one_of(
    st.none(),
    st.tuples(st.sets(st.sampled_from(["c1", "c2", "c3"]), max_size=3), st.booleans()),
)
_SIGHTS = st.dictionaries(
    st.sampled_from(["u1", "u3", "/scope/c1", "/scope/s2", "/a.service"]),
    st.sets(st.sampled_from(["c1", "c2", "s1", "s2"]), max_size=2),
)
_REPORTS = st.tuples(st.just("report"), st.sampled_from(sorted(_PODS)), _STATES)
_STEPS = st.lists(st.one_of(_REPORTS, st.tuples(st.just("look"), _SIGHTS), st.booleans()), max_size=14)


def _sight(sights: Mapping[str, set[str]]) -> tuple[dict[str, Unit], dict[str, Places]]:
    kinds = {uid: UnitKind.POD if uid.startswith("u") else UnitKind.SCOPE for uid in sights}
    units = {uid: Unit(uid, kind, f"/kubepods/pod{uid}" if kind is UnitKind.POD else uid) for uid, kind in kinds.items()}
    taken: set[str] = set()
    places: dict[str, Places] = {}
    for uid, parts in sights.items():
        # A container is seen in one unit only.
        places[uid] = {part: (f"{uid}/{part}",) for part in sorted(parts - taken)} or {"": (uid,)}
        taken |= parts
    return units, places


@settings(max_examples=300, deadline=None)
@given(_STEPS)
def test_a_report_touches_every_unit_that_it_changes(steps: list[Any]) -> None:
    """Whatever was reported and seen: what follows from the touched units alone is what asking about all gives. What the runtime
    has ended is no unit, and no container is a part of two."""
    story = Story()
    for step in steps:
        if isinstance(step, bool):
            story.merged.set_disconnected(True) if step else story.connect()
        elif step[0] == "look":
            story.look(*_sight(step[1]))
        else:
            _kind, uid, state = step
            sandbox_id, parent = _PODS[uid]
            pod = RuntimePod(sandbox_id, uid, "shop", "web", {}, parent)
            story.report(None if state is None else _known(*sorted(state[0]), pod=pod, is_running=state[1]), uid)
            assert state is not None or uid not in story.units
        everything = {**story.merged._scanned, **story.merged._runtime}
        again = {uid: found for uid in everything if (found := story.merged.unit(uid)) is not None}
        assert story.units == again
