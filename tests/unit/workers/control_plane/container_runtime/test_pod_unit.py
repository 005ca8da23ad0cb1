"""A pod as rules ask about it, before it was seen in the cgroup tree."""

import pytest

from agent.model.rule import QosClass, Unit, UnitKind
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod
from workers.control_plane.container_runtime.pod_unit import unit_of_pod

UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
ID = "0123456789abcdef" * 4
PARENT = f"/kubepods/burstable/pod{UID}"


def test_names_labels_and_class_of_a_reported_pod() -> None:
    """Everything that a rule can ask about."""
    pod = RuntimePod("s", UID, "shop", "web-0", {"app": "web"}, PARENT)

    unit = unit_of_pod(pod)

    assert unit == Unit(UID, UnitKind.POD, PARENT, 0, "shop", "web-0", QosClass.BURSTABLE, {"app": "web"})


def test_names_that_were_not_reported_are_absent() -> None:
    """Never empty texts, which a glob could match."""
    unit = unit_of_pod(RuntimePod("s", "sandbox-s"))

    assert (unit.namespace, unit.name, unit.qos, unit.cgroup) == (None, None, None, "")


@pytest.mark.parametrize("path", [f"{PARENT}/{ID}", f"kubepods-burstable-pod{UID.replace('-', '_')}.slice:cri-containerd:{ID}"])
def test_a_container_tells_the_class_of_a_pod_without_a_path(path: str) -> None:
    """With both drivers."""
    unit = unit_of_pod(RuntimePod("s", UID), (RuntimeContainer(ID, "s", cgroups_path=path),))

    assert unit.qos is QosClass.BURSTABLE


def test_another_directory_than_the_kubelets_tells_no_class() -> None:
    """A pod that was made by hand."""
    unit = unit_of_pod(RuntimePod("s", UID, cgroup_parent="/mine"), (RuntimeContainer(ID, "s", cgroups_path=f"/mine/{ID}"),))

    assert (unit.qos, unit.cgroup) == (None, "")
