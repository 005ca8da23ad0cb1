"""A pod as rules ask about it, from its runtime's report alone: before it was seen in the cgroup tree. PURE."""

from collections.abc import Iterable

from agent.model.cgroup_path import unit_of
from agent.model.rule import QosClass, Unit, UnitKind
from workers.control_plane.container_runtime.cgroup_place import container_places
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod


def unit_of_pod(pod: RuntimePod, containers: Iterable[RuntimeContainer] = ()) -> Unit:
    """The pod as a unit. *Absent:* without a path of the kubelet's its class is None and its cgroup empty."""
    cgroup, qos = _place(pod, containers)
    return Unit(pod.uid, UnitKind.POD, cgroup, namespace=pod.namespace or None, name=pod.name or None, qos=qos, labels=pod.labels)


def _place(pod: RuntimePod, containers: Iterable[RuntimeContainer]) -> tuple[str, QosClass | None]:
    # The pod's own path first: every container of it gives the same answer.
    for path in (pod.cgroup_parent, *(place for each in containers for place in container_places(pod, each))):
        identity = unit_of(path)
        if identity is not None and identity.kind is UnitKind.POD:
            return identity.cgroup, identity.qos
    return "", None
