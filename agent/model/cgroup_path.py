"""What a cgroup path says of its processes: their pod, container, service, scope, slice or workload. PURE.

It is light, because samplers import it.

Two functions turn the content of `/proc/PID/cgroup` into a unit: `parse_proc_cgroup` picks the path that tells most,
`unit_of` reads it. Both take bytes and names that any user of the host may have chosen: they never raise and are bounded.
*Source:* cgroups(7), kubelet cgroup manager (cgroupfs and systemd drivers), systemd CGROUP_DELEGATION.md.
"""

import re
from itertools import islice

from msgspec import Struct

from agent.model.container_engine import Boundary, boundary_of
from agent.model.rule import QosClass, UnitKind

# With the paths of systemd and the kubelet the file is below 4 KiB; anything after this limit is ignored.
TEXT_BYTES_MAX = 64 << 10
# The longest paths seen (a kind node below a user's own systemd) have 400 characters; longer ones belong to no unit.
PATH_CHARACTERS_MAX = 1024
_NAMES_MAX = 48
# The kernel has fourteen controllers, and hosts mount a few named hierarchies.
_PATHS_MAX = 64
_CONTAINER_NAME_CHARACTERS = 12

# How much a v1 hierarchy is trusted: lower is more. systemd keeps its whole tree only in its own named hierarchy. Every
# engine puts its containers under `memory`, `cpu` and `pids`; `blkio`, `cpuset`, `devices` and `freezer` follow the same
# managers, but batch systems and people use them by hand too. The unified one of a hybrid host is systemd's copy of its own.
_RANK = {b"name=systemd": 1, b"memory": 2, b"cpu": 3, b"cpuacct": 3, b"pids": 4}
_RANK |= dict.fromkeys((b"blkio", b"cpuset", b"devices", b"freezer"), 5)
_RANK_UNIFIED = 6
# These say nothing about workloads: packet classes (`net_cls`, `net_prio`), who may be profiled (`perf_event`), limits that few set
# (`hugetlb`, `rdma`, `misc`, `dmem`), other named hierarchies, and controllers of later kernels.
_RANK_SILENT = 50
_RANK_ROOT = 100
# What a path says counts more than its hierarchy: a pod before a container before a service or scope before a plain directory. An
# engine without systemd leaves its containers' processes in its own service in the hierarchies that it does not use.
_RANKS_BY_TELLING = 10

_QOS = {"besteffort": QosClass.BESTEFFORT, "burstable": QosClass.BURSTABLE}
_UUID_OR_HASH = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")
_POD_DIRECTORY = re.compile(r"pod([0-9A-Za-z][0-9A-Za-z_.-]{0,127})")
# The last part is containerd's form when it gets the systemd driver's path but uses cgroupfs itself.
_POD_SLICE = re.compile(
    r"(?:^|-)kubepods(?:-(besteffort|burstable))?-pod([0-9A-Za-z][0-9A-Za-z_]{0,127})\.slice"
    r"(?::([0-9a-z-]{1,32}):([0-9A-Za-z][0-9A-Za-z_.-]{0,127}))?\Z"
)
_CONTAINER_OF_POD = re.compile(r"(?:([a-z][0-9a-z_-]{0,31})[-_])?([0-9a-f]{12,128})(?:\.scope)?")
# Outside of pods only complete ids count, because any user may name a directory with twelve hexadecimal digits.
_CONTAINER = re.compile(r"(?:([a-z][0-9a-z_-]{0,31})-)?([0-9a-f]{64})(?:\.scope)?")
_HASH = re.compile(r"[0-9a-f]{32,128}")
# A workload's group is made by the agent's own keeper, in its service or, without systemd, in a directory of its own.
WORKLOADS_SERVICE = "evergauge-workloads.service"
WORKLOADS_DIRECTORY = "evergauge-workloads"
WORKLOAD_SUFFIX = ".workload"
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


class UnitIdentity(Struct, frozen=True):
    """Which unit a path belongs to.

    `uid` is the pod's uid, or else the unit's path. `cgroup` is the path of the unit itself, a prefix of the path asked
    about. `container` is the id of the container that the path lies in. *Absent:* `qos` outside of pods and where a path
    relative to a cgroup namespace does not show it; `container` where the path lies in none.
    """

    uid: str
    kind: UnitKind
    qos: QosClass | None
    cgroup: str
    container: str | None = None


def parse_proc_cgroup(text: bytes) -> str | None:
    """The path of `/proc/PID/cgroup` that identifies the workload; `/` where the process is in no group at all.

    cgroup v2 has one line. On v1 and hybrid hosts the hierarchy counts in which the path says most, among equals the one that is
    believed most (`_RANK`); one that says nothing of workloads only where the process is in the root of all others.
    *Absent:* None when no line is one of a cgroup.
    """
    ranks: dict[bytes, int] = {}
    for line in text[:TEXT_BYTES_MAX].split(b"\n"):
        number, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        if path.startswith(b"/"):
            rank = _rank(number, controllers, path)
            ranks[path] = min(rank, ranks.get(path, rank))
    best: bytes | None = None
    if len(ranks) == 1:
        (best,) = ranks
    elif ranks:
        best = min(islice(ranks, _PATHS_MAX), key=lambda path: ranks[path] - _RANKS_BY_TELLING * _telling(path, ranks[path]))
    return None if best is None else _text_of(best)


def _text_of(path: bytes) -> str:
    # v2 marks the group of a zombie that was removed; the unit it belonged to is still the right answer.
    return path.removesuffix(b" (deleted)").decode("utf-8", "replace")


def _rank(number: bytes, controllers: bytes, path: bytes) -> int:
    if number == b"0" and not controllers:
        rank = _RANK_UNIFIED
    else:
        # Controllers that are mounted together share one hierarchy.
        rank = min(_RANK.get(name, _RANK_SILENT) for name in controllers.split(b","))
    return rank + _RANK_ROOT if path == b"/" else rank


def _telling(path: bytes, rank: int) -> int:
    if rank >= _RANK_SILENT:
        return 0
    if b"kubepods" in path:
        return 3
    unit = unit_of(_text_of(path))
    if unit is None or unit.kind is UnitKind.SLICE:
        return 0
    return 3 if unit.kind is UnitKind.POD else 2 if unit.container is not None else 1


def unit_of(path: str) -> UnitIdentity | None:
    """The unit that a path lies in, None where it lies in none (the root, plain directories, hostile names).

    In this order: the outermost pod; the outermost container, machine or job of an engine (`agent.model.container_engine`), which
    is one workload with everything inside it, or the agent's own workload; the innermost service or scope; the slice at the end
    of the path.
    """
    if not path.startswith("/") or len(path) > PATH_CHARACTERS_MAX:
        return None
    if not path.isascii():
        text = path_text(path)
        if text is None:
            return None
        path = text
    names = path.split("/")
    if len(names) > _NAMES_MAX:
        return None
    return (_pod(names) if "pod" in path else None) or _unit(names, path)


def path_text(path: str) -> str | None:
    """A path of a directory listing as units carry it: what `parse_proc_cgroup` makes of the same bytes.

    *Absent:* None for text that no listing gives. Not `foreign.readable`: this is an identity, so control characters stay in it.
    """
    try:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return None


def _pod(names: list[str]) -> UnitIdentity | None:
    for index, name in enumerate(names):
        if "pod" not in name:
            continue
        if (slice_of := _POD_SLICE.search(name)) is not None:
            return _pod_of_slice(names, index, slice_of)
        if name.startswith("pod") and (found := _POD_DIRECTORY.fullmatch(name)) is not None:
            known, qos = _place(names, index, found[1])
            if known:
                return UnitIdentity(found[1], UnitKind.POD, qos, "/".join(names[: index + 1]), _container_below(names, index))
    return None


def _pod_of_slice(names: list[str], index: int, found: re.Match[str]) -> UnitIdentity:
    qos = _QOS.get(found[1] or "", QosClass.GUARANTEED)
    # In the colon form every container is a directory and the pod has none. The common part of the containers' paths stands
    # for the pod, so that it has the same path whichever container is seen.
    own_name = names[index].partition(":")[0]
    cgroup = "/".join([*names[:index], own_name])
    container = found[4] if found[3] else _container_below(names, index)
    return UnitIdentity(found[2].replace("_", "-"), UnitKind.POD, qos, cgroup, container)


def _place(names: list[str], index: int, uid: str) -> tuple[bool, QosClass | None]:
    """Whether a directory `pod<uid>` is where the kubelet puts it, and its QoS class if the place shows it."""
    parent = names[index - 1]
    if parent == "kubepods":
        return True, QosClass.GUARANTEED
    above = names[index - 2] if index >= 2 else ""
    # Inside a cgroup namespace the path goes up (`/../../pod<uid>`) and may not show `kubepods` at all.
    climbs = names[1] == ".."
    if parent in _QOS and (above == "kubepods" or (climbs and above == "..")):
        return True, _QOS[parent]
    return climbs and parent == ".." and _UUID_OR_HASH.fullmatch(uid) is not None, None


def _container_below(names: list[str], index: int) -> str | None:
    if index + 1 >= len(names):
        return None
    found = _CONTAINER_OF_POD.fullmatch(names[index + 1])
    # conmon is the runtime's own monitor beside the container.
    return None if found is None or (found[1] or "").endswith("conmon") else found[2]


def _unit(names: list[str], path: str) -> UnitIdentity | None:
    inner = 0
    container: tuple[int, str] | None = None
    for index, name in enumerate(names):
        # 64 digits are the least that a container's name has: most names need no look by the pattern.
        if len(name) >= 64 and (found := _CONTAINER.fullmatch(name)) is not None and not (found[1] or "").endswith("conmon"):
            container = index, found[2]
            break
        if name.endswith(WORKLOAD_SUFFIX) and index and names[index - 1] in (WORKLOADS_SERVICE, WORKLOADS_DIRECTORY):
            return _named_by_path(names[: index + 1], UnitKind.WORKLOAD)
        if name.endswith((".service", ".scope")):
            inner = index
    boundary = boundary_of(path)
    if boundary is not None and (container is None or boundary.begin < len("/".join(names[: container[0]]))):
        end = path.count("/", 0, boundary.end) + 1
        kind = UnitKind.SERVICE if names[end - 1].endswith(".service") else UnitKind.SCOPE
        return _named_by_path(names[:end], kind, boundary.id if boundary.form.is_container else None)
    if container is not None:
        return _named_by_path(names[: container[0] + 1], UnitKind.SCOPE, container[1])
    if inner:
        kind = UnitKind.SERVICE if names[inner].endswith(".service") else UnitKind.SCOPE
        return _named_by_path(names[: inner + 1], kind)
    return _named_by_path(names, UnitKind.SLICE) if names[-1].endswith(".slice") else None


def _named_by_path(names: list[str], kind: UnitKind, container: str | None = None) -> UnitIdentity:
    # For all others a path that leads out of a cgroup namespace is named by what remains of it.
    first = 1
    while names[first] == "..":
        first += 1
    return UnitIdentity("/" + "/".join(names[first:]), kind, None, "/".join(names), container)


def is_guest(identity: UnitIdentity) -> bool:
    """Whether a user or container made this unit inside its own part of the tree, where it can choose any name."""
    if identity.cgroup.startswith("/user.slice/"):
        return True
    return identity.kind is UnitKind.POD and holds_guests(identity.cgroup)


def holds_guests(path: str) -> bool:
    """Whether a path is in a container or machine, at any depth: names below that are chosen by the guest."""
    return any(map(_is_container_name, path.split("/"))) or boundary_of(path) is not None


def _is_container_name(name: str) -> bool:
    return len(name) >= 64 and _CONTAINER.fullmatch(name) is not None


def name_of(identity: UnitIdentity) -> str | None:
    """The unit's name for people: `nginx.service`, `docker-0123456789ab`. *Absent:* None for pods, whose path has none."""
    if identity.kind is UnitKind.POD:
        return None
    parent, _, last = identity.cgroup.rpartition("/")
    if identity.container is not None:
        found = _CONTAINER.fullmatch(last)
        if found is None and (boundary := boundary_of(identity.cgroup)) is not None:
            return _printable(_name_of_form(identity.cgroup, boundary))
        engine = (found and found[1]) or parent.rpartition("/")[2]
        return _printable(f"{engine or 'container'}-{identity.container[:_CONTAINER_NAME_CHARACTERS]}")
    if identity.kind is UnitKind.WORKLOAD:
        last = last.removesuffix(WORKLOAD_SUFFIX)
    return _printable(_unescape(last) if "\\x" in last else last)


def _name_of_form(path: str, boundary: Boundary) -> str:
    """`lxc-web`, by the id that somebody chose; below another unit or a user's slice `user-1000:lxc-web`, so that nobody who may
    make groups there takes a name by which rules know a container of the host."""
    name = f"{boundary.form.engine}-{boundary.id[: _CONTAINER_NAME_CHARACTERS if _HASH.fullmatch(boundary.id) else None]}"
    above = [each for each in path[: boundary.begin].split("/") if each not in ("", "..")]
    if not above or above == ["system.slice"]:
        return name
    outer = above[1] if above[0] == "user.slice" and len(above) > 1 else above[-1]
    return f"{outer.removesuffix('.slice')}:{name}"


def _unescape(name: str) -> str:
    """A unit name with systemd's `\\x2d` read; unchanged where that gives no text."""
    plain = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), name.encode("utf-8", "replace"))
    try:
        text = plain.decode()
    except UnicodeDecodeError:
        return name
    return text if text.isprintable() else name


def _printable(name: str) -> str:
    # A name goes to terminals; a user's own units may be called anything.
    return name if name.isprintable() else "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
