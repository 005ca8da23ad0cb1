"""Looks through the mounted cgroup tree for directories that are units. It reads names only, through a KernelTree.

cgroup v2 is one hierarchy. v1 has one per controller and hybrid hosts have v2 beside them: there systemd keeps its whole
tree only in the hierarchy it named, while an engine without systemd may leave that one empty and put containers under
the controllers only. So `systemd` and `memory` are looked at and merged; the other controllers repeat them. Workloads are in
none of the two there: the keeper has them in v2 beside v1, or in v1's freezer.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import ENODEV

from msgspec import Struct

from agent.model.cgroup_path import (
    WORKLOAD_SUFFIX,
    WORKLOADS_DIRECTORY,
    WORKLOADS_SERVICE,
    UnitIdentity,
    holds_guests,
    path_text,
    unit_of,
)
from agent.model.errors import UnavailableError
from agent.model.foreign import encodable
from agent.model.heartbeat import Heartbeat
from agent.model.rule import UnitKind
from agent.ports import KernelTree
from workers.control_plane.frontier import Directory, Frontier, Value
from workers.control_plane.pods import Found

# A kind node inside a user's own systemd is ten deep.
DEPTH_MAX = 12
# A node of 250 pods has below 2,000 directories; this many take about half a second to list.
DIRECTORIES_MAX = 20_000

# Where the hierarchies of v1 are found; the first that exists stands for all controllers.
_CONTROLLERS = ("memory", "cpu", "cpu,cpuacct", "cpuacct", "pids", "blkio", "cpuset", "freezer", "devices")
# One process id is enough to know that there is one.
_ONE_LINE_BYTES = 16

# In an own service of the first slice, or without systemd; the keeper's `cgroup_place.py` decides it.
_WORKLOAD_PLACES = (f"/system.slice/{WORKLOADS_SERVICE}", f"/{WORKLOADS_DIRECTORY}")

_VALUES = {"slice": Value.SLICE, "service": Value.SERVICE, "scope": Value.SCOPE}
# Where engines without systemd put their containers.
_ENGINES = frozenset(
    {
        "docker",
        "libpod_parent",
        "default",
        "machine.slice",
        "machine",
        "qemu.slice",
        "ecs",
        "ecstasks.slice",
        "slurm",
        "nomad.slice",
    }
    | {"nomad", "mesos", "garden", "firecracker", "kata_overhead", "lxc", "lxc.payload", "slurmstepd.scope", "singularity"}
)


class CgroupScan(Struct, frozen=True):
    """What one look at the tree found, parents before what is in them.

    `hierarchy` is v1, v2 or hybrid. `directories` were listed; with `truncated` more existed than may be looked at.
    `unreadable` are paths that exist but could not be listed, as units name them: what is below them is not known. `roots` are
    the hierarchies in which the paths were found, the most telling first. `left_out` counts, by the path above them, directories
    that were seen by name only; `too_deep` lie below the last level.
    """

    hierarchy: str
    found: list[Found]
    directories: int
    truncated: bool
    unreadable: tuple[str, ...]
    roots: tuple[str, ...] = ()
    left_out: Mapping[str, int] = {}
    too_deep: int = 0


class CgroupTree:
    """Looks again and again at one cgroup mount; what a path means is remembered from one look to the next."""

    def __init__(self, tree: KernelTree, heartbeat: Callable[[], None] | None = None) -> None:
        """`heartbeat` is given with every directory: a look at a full tree takes longer than a worker may be silent."""
        self._tree = tree
        self._heartbeat = heartbeat or Heartbeat()
        self._known: dict[str, UnitIdentity | None] = {}

    def look(self) -> CgroupScan:
        """One whole look. *Raises:* OSError when a hierarchy cannot be listed, UnavailableError when there is none."""
        hierarchy, roots = hierarchies(self._tree)
        walk = _Walk(self._tree, self._known, self._heartbeat)
        walk.through(roots)
        if hierarchy == "hybrid" and not walk.seen:
            # Nobody uses v1 here although it is mounted (a container's own view, an init other than systemd).
            walk.through(["unified"])
            roots = [*roots, "unified"]
        elif hierarchy != "v2" and walk.workloads(apart := "unified" if hierarchy == "hybrid" else "freezer"):
            roots = [*roots, apart]
        self._known = walk.seen
        return CgroupScan(
            hierarchy,
            walk.found,
            len(walk.seen),
            bool(walk.left_out or walk.too_deep),
            tuple(walk.unreadable),
            tuple(roots),
            walk.left_out,
            walk.too_deep,
        )


def hierarchies(tree: KernelTree) -> tuple[str, list[str]]:
    """Whether a cgroup mount is v1, v2 or hybrid, and the hierarchies to look at as its directories, the most telling first.

    On a hybrid host `unified` is none of them; where nothing is found in the others it is the one.
    *Raises:* OSError when it cannot be listed, UnavailableError when there is no hierarchy.
    """
    names = set(tree.list_names("."))
    if "cgroup.controllers" in names:
        return "v2", ["."]
    if "cgroup.procs" in names:
        # The setting names one hierarchy of v1 and not the folder of them all.
        return "v1", ["."]
    controller = next((name for name in _CONTROLLERS if name in names), None)
    roots = [name for name in ("systemd", controller) if name is not None and name in names]
    if not roots and "unified" not in names:
        raise UnavailableError(
            "cgroup root", "no cgroup hierarchy is mounted there", "mount one, or name the right folder by kernel.cgroup_root"
        )
    return ("hybrid" if "unified" in names else "v1"), roots


class _Walk:
    """One look in progress, in the order of `Frontier`: pods before all, and nobody's subtree hides another's."""

    def __init__(self, tree: KernelTree, known: Mapping[str, UnitIdentity | None], heartbeat: Callable[[], None]) -> None:
        self._tree = tree
        self._known = known
        self._heartbeat = heartbeat
        self.seen: dict[str, UnitIdentity | None] = {}
        self.found: list[Found] = []
        self.left_out: dict[str, int] = {}
        self.too_deep = 0
        self.unreadable: list[str] = []
        # By hierarchy: file system and owner of its root. What differs is mounted over it, or delegated.
        self._devices: dict[str, int] = {}
        self._owners: dict[str, int] = {}
        # systemd makes only those groups under a controller that need it and leaves the processes of the others in the slice:
        # which slice holds processes is true only in the first hierarchy that has groups at all.
        self._slices_root: str | None = None

    def through(self, roots: Sequence[str]) -> None:
        """Look through these hierarchies, which take turns. *Raises:* OSError when one cannot be listed at all."""
        frontier = Frontier(roots)
        while len(self.seen) < DIRECTORIES_MAX and (taken := frontier.take()) is not None:
            self._heartbeat()
            frontier.settle(taken, *self._looked_at(taken))
        self.left_out = {path: count for path, count in frontier.left_out.items() if count}

    def workloads(self, root: str) -> bool:
        """Look for workloads in a hierarchy that nothing else is looked for in, where the keeper makes their cgroups when the
        controllers are those of v1. Whether there are any."""
        before = len(self.found)
        for place in _WORKLOAD_PLACES:
            # Most hosts have none of them, and where v1 is one hierarchy there is no such root.
            with suppress(OSError):
                for name in sorted(self._tree.list_directories(f"{root}{place}")):
                    if name.endswith(WORKLOAD_SUFFIX) and len(self.seen) < DIRECTORIES_MAX:
                        self._note(Directory(root, f"{place}/{name}", 0, is_first=False))
        return len(self.found) > before

    def _looked_at(self, taken: Directory) -> tuple[list[tuple[Value, str]], bool]:
        """Note one directory; what is in it, and whether pods in it come before all others."""
        if not taken.path:
            self._devices[taken.root] = self._tree.device(taken.root)
            self._owners[taken.root] = self._tree.owner(taken.root)
        else:
            self._note(taken)
            if self._is_container_of_pod(taken.path):
                return [], False
        names = self._names(taken)
        if names and taken.depth >= DEPTH_MAX:
            self.too_deep += len(names)
            return [], False
        if names and self._slices_root is None:
            self._slices_root = taken.root
        return names, self._is_trusted(taken, names)

    def _note(self, taken: Directory) -> None:
        # One seen in an earlier hierarchy is not noted again.
        if taken.path in self.seen:
            return
        identity = self._known[taken.path] if taken.path in self._known else unit_of(taken.path)
        self.seen[taken.path] = identity
        if identity is not None and (
            identity.kind is not UnitKind.SLICE or (taken.root == self._slices_root and self._holds_process(taken.root, taken.path))
        ):
            self.found.append(Found(taken.path, identity))

    def _names(self, taken: Directory) -> list[tuple[Value, str]]:
        path = f"{taken.root}{taken.path}"
        try:
            if taken.path and self._tree.device(path) != self._devices[taken.root]:
                # A hierarchy of v1 mounted below v2: its groups are the same units once more, under another path.
                return []
            # In order, so that a tree beyond the limits is cut at the same place each time.
            return sorted((_value(name), name) for name in self._tree.list_directories(path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as problem:
            if not taken.path:
                raise
            # The kernel's answer for a group that was removed while it is listed.
            if problem.errno != ENODEV:
                self.unreadable.append(path_text(taken.path) or encodable(taken.path))
            return []

    def _is_trusted(self, taken: Directory, names: list[tuple[Value, str]]) -> bool:
        """Whether what calls itself pods in this directory is this host's own: neither delegated to a user nor in a container."""
        if taken.is_first or not names or names[0][0] is not Value.PODS:
            return False
        if holds_guests(taken.path):
            return False
        try:
            return self._tree.owner(f"{taken.root}{taken.path}") == self._owners[taken.root]
        except OSError:
            return False

    def _is_container_of_pod(self, path: str) -> bool:
        # What a container does below its own group is one workload; not listing them spares half of the calls.
        identity = self.seen.get(path)
        return identity is not None and identity.kind is UnitKind.POD and identity.container is not None

    def _holds_process(self, root: str, path: str) -> bool:
        try:
            return bool(self._tree.read(f"{root}{path}/cgroup.procs", _ONE_LINE_BYTES))
        except OSError:
            # Gone meanwhile, or a threaded group, which names no processes: nothing is known to be in it.
            return False


def _value(name: str) -> Value:
    """What a directory may hold, by its name alone: a hint for the order, nothing more."""
    if "kubepods" in name:
        return Value.PODS
    if len(name) >= 64 or name in _ENGINES or name.startswith("lxc.payload."):
        return Value.CONTAINERS
    return _VALUES.get(name.rpartition(".")[2], Value.OTHER)
