"""Which threads a container has, from what its runtime reported about it, before any look at the cgroup tree shows it."""

from errno import ENODEV, ENOENT, ENOTDIR, ESRCH

from agent.model.cgroup_path import TEXT_BYTES_MAX, parse_proc_cgroup
from agent.model.errors import UnavailableError
from agent.ports import KernelTree
from workers.control_plane.cgroups import hierarchies
from workers.control_plane.container_runtime.cgroup_place import container_places, names_container
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod
from workers.resctrl.threads import CgroupThreads

_GONE = frozenset({ENOENT, ENODEV, ENOTDIR, ESRCH})


class CgroupRoots:
    """The hierarchies of one cgroup mount, which do not change while a host runs."""

    def __init__(self, tree: KernelTree) -> None:
        self.tree = tree
        self._roots: tuple[str, ...] = ()

    def get(self) -> tuple[str, ...]:
        """As directories of the tree, the most telling first. *Raises:* OSError where there is none."""
        if not self._roots:
            try:
                kind, roots = hierarchies(self.tree)
            except UnavailableError as problem:
                raise OSError(ENOENT, problem.problem, problem.where) from problem
            # A runtime without systemd may use v2 alone although v1 is mounted.
            self._roots = (*roots, "unified") if kind == "hybrid" else tuple(roots)
        return self._roots


class ContainerThreads:
    """`workers.resctrl.ports.ThreadSource` over one container: the first of its possible places that holds a thread, else that of
    its first process."""

    def __init__(self, roots: CgroupRoots, proc: KernelTree, pod: RuntimePod, container: RuntimeContainer) -> None:
        self._roots = roots
        self._proc = proc
        self._container = container
        self._places = container_places(pod, container)
        self._source: CgroupThreads | None = None

    def threads(self) -> frozenset[int]:
        """All threads, nested cgroups included; empty where none was found. *Raises:* OSError when they cannot be listed."""
        if self._source is not None:
            return _threads(self._source)
        for place in (*self._places, *self._place_of_process()):
            source = CgroupThreads(self._roots.tree, self._roots.get(), place)
            if found := _threads(source):
                self._source = source
                return found
        return frozenset()

    def _place_of_process(self) -> tuple[str, ...]:
        """Where the process is that the runtime named; only a directory of the container's own counts."""
        if self._container.pid <= 0:
            return ()
        try:
            path = parse_proc_cgroup(self._proc.read(f"{self._container.pid}/cgroup", TEXT_BYTES_MAX))
        except OSError as problem:
            if problem.errno in _GONE:
                return ()
            raise
        return () if path is None or not names_container(path, self._container.id) else (path,)


def _threads(source: CgroupThreads) -> frozenset[int]:
    try:
        return source.threads()
    except OSError as problem:
        if problem.errno in _GONE:
            return frozenset()
        raise
