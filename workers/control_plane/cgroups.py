"""Looks through the mounted cgroup tree for directories that are units. It reads names only, through a KernelTree.

cgroup v2 is one hierarchy. v1 has one per controller and hybrid hosts have v2 beside them: there systemd keeps its whole
tree only in the hierarchy it named, while an engine without systemd may leave that one empty and put containers under
the controllers only. So `systemd` and `memory` are looked at and merged; the other controllers repeat them.
"""

from collections import deque
from errno import ENODEV

from msgspec import Struct

from agent.model.cgroup_path import UnitIdentity, path_text, unit_of
from agent.model.errors import UnavailableError
from agent.model.foreign import encodable
from agent.model.rule import UnitKind
from agent.ports import KernelTree
from workers.control_plane.pods import Found

# A kind node inside a user's own systemd is ten deep.
DEPTH_MAX = 12
# A node of 250 pods has below 2,000 directories; this many take about half a second to list.
DIRECTORIES_MAX = 20_000

# Where the hierarchies of v1 are found; the first that exists stands for all controllers.
_CONTROLLERS = ("memory", "cpu", "cpu,cpuacct", "cpuacct", "pids", "blkio", "cpuset", "freezer", "devices")
# One process id is enough to know that there is one.
_ONE_LINE_BYTES = 16


class Look(Struct, frozen=True):
    """What one look at the tree found, parents before what is in them.

    `hierarchy` is v1, v2 or hybrid. `directories` were listed; with `truncated` more existed than may be looked at.
    `unreadable` are paths that exist but could not be listed, as units name them: what is below them is not known. `roots` are
    the hierarchies in which the paths were found, the most telling first.
    """

    hierarchy: str
    found: list[Found]
    directories: int
    truncated: bool
    unreadable: tuple[str, ...]
    roots: tuple[str, ...] = ()


class CgroupTree:
    """Looks again and again at one cgroup mount; what a path means is remembered from one look to the next."""

    def __init__(self, tree: KernelTree) -> None:
        self._tree = tree
        self._known: dict[str, UnitIdentity | None] = {}

    def look(self) -> Look:
        """One whole look. *Raises:* OSError when a hierarchy cannot be listed, UnavailableError when there is none."""
        hierarchy, roots = self._hierarchies()
        walk = _Walk(self._tree, self._known)
        for root in roots:
            walk.through(root)
        if hierarchy == "hybrid" and not walk.seen:
            # Nobody uses v1 here although it is mounted (a container's own view, an init other than systemd).
            walk.through("unified")
            roots = [*roots, "unified"]
        self._known = walk.seen
        return Look(hierarchy, walk.found, len(walk.seen), walk.truncated, tuple(walk.unreadable), tuple(roots))

    def _hierarchies(self) -> tuple[str, list[str]]:
        names = set(self._tree.list_names("."))
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
    """One look in progress.

    Breadth first and pods before all: whoever may make groups deep in the tree, and makes too many, hides only his own.
    """

    def __init__(self, tree: KernelTree, known: dict[str, UnitIdentity | None]) -> None:
        self._tree = tree
        self._known = known
        self.seen: dict[str, UnitIdentity | None] = {}
        self.found: list[Found] = []
        self.truncated = False
        self.unreadable: list[str] = []

    def through(self, root: str) -> None:
        # systemd makes only those groups under a controller that need it and leaves the processes of the others in
        # the slice: which slice holds processes is true only in the first hierarchy that has groups at all.
        slices_count = not self.seen
        pending: deque[tuple[str, int]] = deque([("", 0)])
        while pending:
            path, depth = pending.popleft()
            for name in self._names(root, path):
                inner = f"{path}/{name}"
                if not self._take(root, inner, slices_count=slices_count):
                    return
                if self._is_container_of_pod(inner):
                    continue
                if depth + 1 >= DEPTH_MAX:
                    self.truncated = True
                elif "kubepods" in inner:
                    pending.appendleft((inner, depth + 1))
                else:
                    pending.append((inner, depth + 1))

    def _names(self, root: str, path: str) -> list[str]:
        try:
            # In order, so that a tree beyond the limits is cut at the same place each time.
            return sorted(self._tree.list_directories(root + path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as problem:
            if not path:
                raise
            # The kernel's answer for a group that was removed while it is listed.
            if problem.errno != ENODEV:
                self.unreadable.append(path_text(path) or encodable(path))
            return []

    def _take(self, root: str, path: str, *, slices_count: bool) -> bool:
        """Note one directory; False when there are too many. One seen in an earlier hierarchy is not noted again."""
        if path in self.seen:
            return True
        if len(self.seen) >= DIRECTORIES_MAX:
            self.truncated = True
            return False
        identity = self._known[path] if path in self._known else unit_of(path)
        self.seen[path] = identity
        if identity is not None and (identity.kind is not UnitKind.SLICE or (slices_count and self._holds_process(root, path))):
            self.found.append(Found(path, identity))
        return True

    def _is_container_of_pod(self, path: str) -> bool:
        # What a container does below its own group is one workload; not listing them spares half of the calls.
        identity = self.seen[path]
        return identity is not None and identity.kind is UnitKind.POD and identity.container is not None

    def _holds_process(self, root: str, path: str) -> bool:
        try:
            return bool(self._tree.read(f"{root}{path}/cgroup.procs", _ONE_LINE_BYTES))
        except OSError:
            # Gone meanwhile, or a threaded group, which names no processes: nothing is known to be in it.
            return False
