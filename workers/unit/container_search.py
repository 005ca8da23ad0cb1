"""The containers of a pod, found in the pod's own directory, which is looked at again only when it changed."""

from agent.model.cgroup_path import path_text, unit_of
from agent.ports import KernelTree
from workers.unit.reader import UnitReader
from workers.unit.tracked_unit import TrackedUnit

# A pod of the kubelet has some ten at most; who has more below its own group makes them itself.
CONTAINERS_MAX = 1000


def new_containers(pod: TrackedUnit, reader: UnitReader, tree: KernelTree, *, is_certain: bool = False) -> list[TrackedUnit]:
    """Containers that are new in a pod's directory. Its links count its directories; `is_certain` looks whatever they say."""
    state = reader.state(pod)
    if state is None or (state.links == pod.listed_links and not is_certain):
        return []
    try:
        names = tree.list_directories(reader.directory(pod))
    except OSError:
        return []
    pod.listed_links = state.links
    return [made for name in names[:CONTAINERS_MAX] if name not in pod.containers and (made := _container(pod, name)) is not None]


def _container(pod: TrackedUnit, name: str) -> TrackedUnit | None:
    cgroup = path_text(f"{pod.cgroup}/{name}")
    identity = None if cgroup is None else unit_of(cgroup)
    if cgroup is None or identity is None or identity.container is None or identity.uid != pod.uid:
        return None
    return TrackedUnit(pod.uid, pod.kind, cgroup, container=identity.container, pod=pod)
