"""What a unit is called, and which units somebody else may have named."""

import pytest

from agent.model.cgroup_path import UnitIdentity, holds_guests, is_guest, name_of, unit_of
from agent.model.rule import UnitKind

CONTAINER = "4f3c1a9be07d52c86aa1f0c94e2d7b3851e6f7a80b9c2d4e5f60718293a4b5c6"
UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"


def identity_of(path: str) -> UnitIdentity:
    """Of a path that has one."""
    found = unit_of(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        (r"/system.slice/a\x2db.service", "a-b.service"),
        (r"/system.slice/a\xff.service", r"a\xff.service"),
        (r"/system.slice/a\x07.service", r"a\x07.service"),
        ("/system.slice/a\x07.service", "a\ufffd.service"),
        ("/system.slice/evergauge-workloads.service/train.workload", "train"),
        ("/evergauge-workloads/train.workload", "train"),
        (f"/docker/{CONTAINER}", "docker-4f3c1a9be07d"),
        (f"/system.slice/docker-{CONTAINER}.scope", "docker-4f3c1a9be07d"),
        ("/lxc.payload.web", "lxc-web"),
        ("/system.slice/machine.slice/lxc.payload.web", "machine:lxc-web"),
        ("/user.slice/user-1000.slice/lxc.payload.web", "user-1000:lxc-web"),
        (f"/kubepods/pod{UID}/{CONTAINER}", None),
    ],
)
def test_a_unit_is_named_for_people(path: str, name: str | None) -> None:
    """As its manager calls it; below a user's slice with the user, so that nobody takes a name of the host's containers."""
    assert name_of(identity_of(path)) == name


def test_a_workload_counts_only_in_the_keeper_s_own_group() -> None:
    """Anybody may make a directory with such a name elsewhere."""
    assert identity_of("/evergauge-workloads/train.workload/inner").cgroup == "/evergauge-workloads/train.workload"
    assert identity_of("/evergauge-workloads/train.workload").kind is UnitKind.WORKLOAD
    assert unit_of("/home/train.workload") is None


@pytest.mark.parametrize(
    ("path", "is_theirs"),
    [
        ("/user.slice/user-1000.slice/session-3.scope", True),
        ("/system.slice/nginx.service", False),
        (f"/docker/{CONTAINER}", False),
        (f"/docker/{CONTAINER}/kubepods/pod{UID}", True),
        (f"/lxc.payload.web/kubepods/pod{UID}", True),
        (f"/kubepods/pod{UID}", False),
    ],
)
def test_a_guest_is_what_a_user_or_a_container_made(path: str, is_theirs: bool) -> None:
    """A pod inside a container is somebody's own cluster."""
    assert is_guest(identity_of(path)) is is_theirs


@pytest.mark.parametrize(
    ("path", "holds"),
    [(f"/a/{CONTAINER}/b", True), ("/lxc.payload.web/b", True), ("/a/b", False), (f"/a/{'x' * 64}", False)],
)
def test_names_below_a_container_are_the_guest_s(path: str, holds: bool) -> None:
    """At any depth."""
    assert holds_guests(path) is holds
