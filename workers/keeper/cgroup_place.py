"""Where the cgroups of workloads are made, and which limits can be set there; if none, why, and what to do.

Under systemd that is the cgroup of `evergauge-workloads.service`, which is delegated; elsewhere `/evergauge-workloads`. Inner
cgroups have no processes (cgroup-v2.rst, "No Internal Process Constraint"), so the keeper itself goes into `keeper` beside the
workloads, out of the agent's own memory limit.
"""

import os
from contextlib import suppress
from errno import EBUSY, ENOENT

from msgspec import Struct

from agent.kernel_file import read_text
from agent.model.cgroup_path import WORKLOADS_DIRECTORY, WORKLOADS_SERVICE
from agent.model.foreign import readable
from workers.keeper.limit_file import CONTROLLERS, PARENT_FILES

KEEPER_SERVICE = "evergauge-keeper.service"
KEEPER_DIRECTORY = "keeper"
# Where the unit of systemd has its one process.
HOLDER_DIRECTORY = "holder"
FILE_BYTES_MAX = 64 << 10
DEPTH_MAX = 64
_NO_V2 = "there is no cgroup v2 hierarchy at {root}"
_NO_V2_REMEDY = "mount cgroup2 there, or boot with systemd.unified_cgroup_hierarchy=1"


class CgroupPlace(Struct, frozen=True):
    """The directory that workloads' cgroups are made in: `root`, a v2 hierarchy, and `path` below it.

    `shown`: the same path as /proc/PID/cgroup shows it. `controllers`: of these limits can be set. `problem`: why not of all;
    empty: of all. `is_freezer`: the hierarchy is version 1's, for births and ends without limits.
    `is_unit`: the directory is of a unit of systemd, which makes it.
    *Absent:* `root` is empty where no cgroup can be made at all.
    """

    root: str = ""
    path: str = ""
    shown: str = ""
    controllers: frozenset[str] = frozenset()
    problem: str = ""
    is_freezer: bool = False
    is_unit: bool = False

    @property
    def folder(self) -> str:
        """The directory itself."""
        return self.root + self.path

    def parents(self) -> list[tuple[str, dict[str, str]]]:
        """Path and limits in force of this directory and all above it that can be seen; the root of the hierarchy has none."""
        found = []
        path = self.path
        for _ in range(DEPTH_MAX):
            if path in ("", "/"):
                break
            files = {}
            for name in PARENT_FILES:
                with suppress(OSError):
                    files[name] = read_text(f"{self.root}{path}/{name}", FILE_BYTES_MAX).strip()
            found.append((path, files))
            path = os.path.dirname(path)
        return found


def find_place(cgroup_root: str, own_cgroup: str) -> CgroupPlace:
    """Make the place, or say why there is none. `own_cgroup` is the text of /proc/self/cgroup.

    It moves this process into `keeper`, unless systemd has put it into a service of its own.
    """
    root = hierarchy_root(cgroup_root)
    if root is None:
        return _freezer_place(cgroup_root, f"{_NO_V2.format(root=readable(cgroup_root))}; {_NO_V2_REMEDY}")
    path, is_placed = place_path(own_cgroup)
    folder = root + path
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        if not is_placed:
            os.makedirs(f"{folder}/{KEEPER_DIRECTORY}", mode=0o755, exist_ok=True)
            _write(f"{folder}/{KEEPER_DIRECTORY}/cgroup.procs", "0")
        # The root may lie below the one that /proc tells from.
        shown = path if is_placed else cgroup_of(os.getpid()).removesuffix(f"/{KEEPER_DIRECTORY}")
    except OSError as cause:
        problem = f"no cgroup can be made in {readable(folder)}: {cause.strerror}"
        return CgroupPlace(problem=f"{problem}; run the keeper as root, with a writable /sys/fs/cgroup")
    problem = _enable(root, path)
    enabled = frozenset(_words(f"{folder}/cgroup.subtree_control"))
    why_not = problem if not enabled.issuperset(CONTROLLERS) else ""
    return CgroupPlace(root, path, shown, enabled & frozenset(CONTROLLERS), why_not, is_unit=is_placed)


def renew(place: CgroupPlace) -> str:
    """Make it again where it has gone: systemd removes the cgroup of a unit that has ended. Returns what stands in the way, or
    nothing. *Raises:* OSError.
    """
    if place.controllers and place.controllers <= frozenset(_words(f"{place.folder}/cgroup.subtree_control")):
        return ""
    if not place.is_unit:
        os.makedirs(place.folder, mode=0o755, exist_ok=True)
    elif not os.path.exists(f"{place.folder}/{HOLDER_DIRECTORY}"):
        # Made here, systemd could not start the unit: it puts no process into a cgroup that hands controllers on.
        return f"{WORKLOADS_SERVICE} has been stopped, and its cgroup is gone"
    return _enable(place.root, place.path) if place.controllers else ""


def _freezer_place(cgroup_root: str, problem: str) -> CgroupPlace:
    """On a host with version 1 alone workloads are told apart, and ended whole, by its freezer."""
    root, path = f"{cgroup_root.rstrip('/')}/freezer", f"/{WORKLOADS_DIRECTORY}"
    try:
        os.stat(f"{root}/cgroup.procs")
        os.makedirs(root + path, mode=0o755, exist_ok=True)
    except OSError:
        return CgroupPlace(problem=problem)
    return CgroupPlace(root, path, path, problem=problem, is_freezer=True)


def hierarchy_root(cgroup_root: str) -> str | None:
    """The v2 hierarchy at this place, or the one of a hybrid host below it. *Absent:* there is none."""
    for root in (cgroup_root.rstrip("/"), f"{cgroup_root.rstrip('/')}/unified"):
        if os.path.exists(f"{root}/cgroup.controllers"):
            return root
    return None


def place_path(own_cgroup: str) -> tuple[str, bool]:
    """The path of the place below the root, and whether systemd has put this process where it belongs."""
    for line in own_cgroup.split("\n"):
        if not line.startswith("0::/"):
            continue
        names = line[4:].split("/")
        if WORKLOADS_SERVICE in names:
            return "/" + "/".join(names[: names.index(WORKLOADS_SERVICE) + 1]), False
        if KEEPER_SERVICE in names:
            return "/" + "/".join([*names[: names.index(KEEPER_SERVICE)], WORKLOADS_SERVICE]), True
    return f"/{WORKLOADS_DIRECTORY}", False


def _enable(root: str, path: str) -> str:
    """Hand the controllers down to the place, level by level. Returns what stands in the way, or nothing."""
    # Above its own units the hierarchy is systemd's, which hands down what the unit's Delegate= says.
    first = 0 if path == f"/{WORKLOADS_DIRECTORY}" else path.count("/")
    problem = _not_in_hierarchy(root)
    names = [name for name in path.split("/") if name]
    for depth in range(first, len(names) + 1):
        folder = "/".join([root, *names[:depth]])
        available, enabled = _words(f"{folder}/cgroup.controllers"), _words(f"{folder}/cgroup.subtree_control")
        for controller in CONTROLLERS:
            if controller not in available:
                problem = problem or _missing(folder, controller)
            elif controller not in enabled:
                try:
                    _write(f"{folder}/cgroup.subtree_control", f"+{controller}")
                except OSError as cause:
                    problem = problem or _refused(folder, controller, cause)
    return problem


def _not_in_hierarchy(root: str) -> str:
    """Which controllers the whole hierarchy lacks; empty: none."""
    available = _words(f"{root}/cgroup.controllers")
    missing = [controller for controller in CONTROLLERS if controller not in available]
    if not missing:
        return ""
    what = f"controller {missing[0]} is" if len(missing) == 1 else f"controllers {', '.join(missing)} are"
    return (
        f"{what} not in the cgroup v2 hierarchy {readable(root)} (off, or on v1); "
        "boot with cgroup_no_v1=all, or in a container share the host's cgroups"
    )


def _missing(folder: str, controller: str) -> str:
    return f"controller {controller} is not handed down to {readable(folder)}; enable it in the cgroup.subtree_control above"


def _refused(folder: str, controller: str, cause: OSError) -> str:
    if cause.errno == EBUSY:
        problem = f"{readable(folder)} has processes of its own, so controller {controller} cannot be handed on"
        return f"{problem}; run the keeper under systemd, or in a container with the host's cgroup namespace"
    if cause.errno == ENOENT:
        return f"controller {controller} cannot be enabled in {readable(folder)}; enable it above"
    return f"controller {controller} cannot be enabled in {readable(folder)}: {cause.strerror}; make it writable for the keeper"


def cgroup_of(pid: int) -> str:
    """The path of its cgroup in the v2 hierarchy; empty when it is gone. *Source:* cgroups(7)."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb", buffering=0) as file:
            lines = file.read(FILE_BYTES_MAX).split(b"\n")
    except OSError:
        return ""
    return next((os.fsdecode(line[3:]) for line in lines if line.startswith(b"0::")), "")


def _words(path: str) -> list[str]:
    try:
        return read_text(path, FILE_BYTES_MAX).split()
    except OSError:
        return []


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
