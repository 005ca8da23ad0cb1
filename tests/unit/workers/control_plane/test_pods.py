"""From directories to units: one per pod, however often it is seen, and never too many."""

from agent.model.cgroup_path import unit_of
from agent.model.json_text import json_bytes
from agent.model.rule import Assignment, QosClass, Unit, UnitKind
from workers.control_plane.pods import PATH_CHARACTERS_MAX, UNITS_MAX, Found, observe, with_unseen

FIRST = "a" * 64
SECOND = "b" * 64
UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
POD = f"/kubepods/burstable/pod{UID}"


def _found(*paths: str) -> list[Found]:
    return [Found(path, identity) for path in paths if (identity := unit_of(path)) is not None]


def test_a_pod_counts_its_containers_once_each() -> None:
    """The same container seen in two hierarchies, or through a group inside it, is one."""
    found = _found(POD, f"{POD}/{FIRST}", f"{POD}/{SECOND}", POD, f"{POD}/{FIRST}", f"{POD}/{FIRST}/inner")

    assert {UID: Unit(UID, UnitKind.POD, POD, 2, qos=QosClass.BURSTABLE)} == observe(found).units


def test_the_pods_own_directory_counts_more_than_one_of_its_containers_elsewhere() -> None:
    """When runtime and kubelet use different drivers the pod keeps the kubelet's directory, in whichever order they are seen."""
    name = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice"
    own = f"/kubepods.slice/kubepods-burstable.slice/{name}"
    elsewhere = f"/system.slice/containerd.service/{name}:cri-containerd:{FIRST}"

    for paths in ((own, elsewhere), (elsewhere, own)):
        unit = observe(_found(*paths)).units[UID]
        assert (own, 1) == (unit.cgroup, unit.containers)


def test_threads_are_looked_for_in_containers_or_in_every_directory_of_the_unit() -> None:
    """A pod's containers are its leaves; a service without any has its own directory and those it made; each stands there once."""
    service = "/system.slice/nginx.service"
    found = _found(POD, f"{POD}/{FIRST}", f"{POD}/{SECOND}", f"{POD}/{FIRST}", service, f"{service}/inner", f"/docker/{FIRST}")

    assert observe(found).places == {
        UID: {FIRST: (f"{POD}/{FIRST}",), SECOND: (f"{POD}/{SECOND}",)},
        service: {"": (service, f"{service}/inner")},
        f"/docker/{FIRST}": {FIRST: (f"/docker/{FIRST}",)},
    }


def test_a_pod_without_containers_is_looked_for_in_its_own_directory() -> None:
    """What runs there belongs to it anyway."""
    assert observe(_found(POD)).places == {UID: {"": (POD,)}}


def test_services_have_names_and_no_containers_and_an_engines_container_is_one() -> None:
    """What is no pod is called as people know it."""
    units = observe(_found("/system.slice/nginx.service", f"/docker/{FIRST}")).units

    service, container = units["/system.slice/nginx.service"], units[f"/docker/{FIRST}"]
    assert (service.name, service.containers) == ("nginx.service", 0)
    assert (container.name, container.containers) == ("docker-aaaaaaaaaaaa", 1)


def test_of_too_many_units_the_pods_stay_and_the_deepest_go() -> None:
    """A user who makes groups without end pushes out deep units only, and the number left out is said."""
    services = [f"/user.slice/u/{number:05}.service" for number in range(UNITS_MAX)]

    observation = observe(_found(*services, "/system.slice/nginx.service", POD))

    assert len(observation.units) == UNITS_MAX
    assert observation.left_out == 2
    assert UID in observation.units
    assert "/system.slice/nginx.service" in observation.units
    assert services[-1] not in observation.units


def test_paths_beyond_what_a_message_carries_are_left_out() -> None:
    """Few units with very long paths are too many as well."""
    services = [f"/{'x' * 900}/{number:04}.service" for number in range(4000)]

    observation = observe(_found(*services))

    assert sum(map(len, observation.units)) <= PATH_CHARACTERS_MAX
    assert observation.left_out == 4000 - len(observation.units) > 0


def test_what_lies_in_an_unreadable_directory_is_kept_as_last_seen() -> None:
    """Not seen is not gone: only units outside of what could not be read have ended."""
    kept = Unit("/a.slice/x.service", UnitKind.SERVICE, "/a.slice/x.service")
    gone = Unit("/b.service", UnitKind.SERVICE, "/b.service")
    present = {unit.uid: Assignment(unit, unit.uid, None, 1) for unit in (kept, gone)}
    new = {"/c.service": Unit("/c.service", UnitKind.SERVICE, "/c.service")}

    assert {kept.uid: kept, **new} == with_unseen(new, present, ("/a.slice",))
    assert new == with_unseen(new, present, ())


def test_a_pod_that_a_user_made_up_neither_joins_nor_hides_one_of_the_host() -> None:
    """By the true pod's uid it would get into its group; by thousands of others it would leave no room for services."""
    made_up = f"/user.slice/user-1000.slice/user@1000.service/kubepods/pod{UID}"
    forged = [f"/user.slice/user-1000.slice/user@1000.service/{n}/kubepods/pod{UID[:-5]}{n:05}" for n in range(UNITS_MAX)]
    services = [f"/system.slice/{number:03}.service" for number in range(100)]

    observation = observe(_found(made_up, *forged, *services, POD))

    assert observation.units[UID].cgroup == POD
    assert observation.places[UID] == {"": (POD,)}
    assert set(services) <= set(observation.units)
    assert len(observation.units) == UNITS_MAX


def test_a_pod_inside_a_container_is_not_the_hosts_pod_of_that_uid() -> None:
    """Anyone who has a container names the groups in it as he likes."""
    observation = observe(_found(f"/docker/{'c' * 64}/kubepods/pod{UID}", POD))
    assert observation.places[UID] == {"": (POD,)}


def test_a_users_pods_are_pods_where_the_host_has_none_of_that_uid() -> None:
    """Clusters of a user's own are measured like others."""
    path = f"/user.slice/user-1000.slice/user@1000.service/kubepods/pod{UID}"
    assert observe(_found(path)).units[UID].kind is UnitKind.POD


def test_the_least_valuable_kind_is_left_out_first() -> None:
    """Pods, containers, services, then scopes."""
    scopes = [f"/a/{number:05}.scope" for number in range(UNITS_MAX)]
    container = f"/z/docker/{'d' * 64}"

    observation = observe(_found(*scopes, "/z/z/z/late.service", container, POD))

    assert {UID, container, "/z/z/z/late.service"} <= set(observation.units)
    assert observation.left_out == 3


def test_paths_count_as_the_snapshot_writes_them() -> None:
    """A control character takes six bytes of the message in which all assignments travel."""
    services = [f"/{chr(1) * 900}/{number:04}.service" for number in range(4000)]
    observation = observe(_found(*services))
    assert len(json_bytes(list(observation.units))) <= PATH_CHARACTERS_MAX * 1.01


def test_long_plain_paths_are_all_carried_where_the_message_has_room_for_them() -> None:
    """How long they are as JSON is counted only where the longest that they could become would not fit."""
    services = [f"/{'x' * 900}/{number:04}.service" for number in range(1000)]

    observation = observe(_found(*services))

    assert (len(observation.units), observation.left_out) == (1000, 0)
