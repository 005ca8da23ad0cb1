"""Where a container's cgroup is, from what its runtime reports about it. PURE.

A runtime gives the path of the OCI specification, whose meaning depends on the cgroup driver, so one text may name several
directories; the caller takes the first that holds threads. `agent.model.cgroup_path` reads such paths the other way round.
*Source:* OCI runtime-spec, config-linux.md (cgroupsPath); runc and crun, cgroup managers; systemd.slice(5).
"""

import re

from agent.model.cgroup_path import PATH_CHARACTERS_MAX
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod

# As all runtimes make them (64 digits), and as the cgroup tree is read. `kubepods`, `containerd.service` or a pod's own directory
# must never pass for a container's, whatever a runtime calls its containers.
_CONTAINER_ID = re.compile(r"[0-9a-f]{12,128}")
_NAME_BYTES_MAX = 255
_NAMES_MAX = 48
# The kubelet's own slices are four deep.
_SLICES_MAX = 16
# With a relative path and no systemd driver, the directory is made beside the runtime's own processes.
_RUNTIME_CGROUPS = ("", "/system.slice/containerd.service", "/system.slice/crio.service")
# How the two runtimes call a container's scope or directory.
_SCOPE_PREFIXES = ("cri-containerd", "crio")
_SYSTEM_SLICE = "system.slice"


def container_places(pod: RuntimePod, container: RuntimeContainer) -> tuple[str, ...]:
    """The same as `cgroup_places`, of a container as it was reported."""
    return cgroup_places(pod.cgroup_parent, container.cgroups_path, container.id)


def cgroup_places(cgroup_parent: str, cgroups_path: str, container_id: str) -> tuple[str, ...]:
    """Where a container may be below a hierarchy, the most likely place first: absolute paths, each once.

    `cgroup_parent` is that of its pod. The last name of every path ends with the container's id, so that no report makes another
    cgroup than the container's own be taken.
    *Absent:* an empty tuple for what names no place: hostile, too long or unknown forms.
    """
    if not is_container_id(container_id):
        return ()
    places = _of_path(cgroup_parent, cgroups_path) if cgroups_path else _of_parent(cgroup_parent, container_id)
    return tuple(dict.fromkeys(place for place in places if _is_place(place) and names_container(place, container_id)))


def is_container_id(text: str) -> bool:
    """Whether this can be a container's id, which names no other cgroup."""
    return _CONTAINER_ID.fullmatch(text) is not None


def names_container(path: str, container_id: str) -> bool:
    """Whether a path's last name is that of a container's directory or scope: the id alone or behind the engine's prefix."""
    name = path.rpartition("/")[2].removesuffix(".scope")
    before = name.removesuffix(container_id)
    return is_container_id(container_id) and name.endswith(container_id) and (not before or before[-1] in "-_:")


def slice_path(name: str) -> str | None:
    """Where systemd has a slice: `a-b.slice` is `/a.slice/a-b.slice`, `-.slice` is the root (an empty path).

    *Absent:* None for what is no slice's name.
    """
    stem = name.removesuffix(".slice")
    if stem == name or not stem or "/" in name:
        return None
    if stem == "-":
        return ""
    parts = stem.split("-")
    if not all(parts) or len(parts) > _SLICES_MAX:
        return None
    return "".join(f"/{'-'.join(parts[:end])}.slice" for end in range(1, len(parts) + 1))


def _of_path(parent: str, path: str) -> list[str]:
    parts = path.split(":")
    if len(parts) == 3 and "/" not in path:
        slice_name, prefix, name = parts
        # Where the runtime uses cgroupfs although the kubelet names slices, the text is the name of one directory.
        literal = [f"{above}/{path}" for above in ("", *_absolute(parent), *_RUNTIME_CGROUPS)]
        return [*_scopes(parent, slice_name, f"{prefix}-{name}.scope" if prefix else f"{name}.scope"), *literal]
    if path.startswith("/"):
        return [_clean(path)]
    return [f"{above}/{_clean(path)}" for above in _RUNTIME_CGROUPS]


def _of_parent(parent: str, container_id: str) -> list[str]:
    """Where a container without a path of its own is by the runtimes' own habits."""
    if not parent:
        return []
    last = parent.rstrip("/").rpartition("/")[2]
    if last.endswith(".slice"):
        scopes = [f"{prefix}-{container_id}.scope" for prefix in _SCOPE_PREFIXES]
        literal = [f"{above}/{last}:{_SCOPE_PREFIXES[0]}:{container_id}" for above in _RUNTIME_CGROUPS]
        return [place for scope in scopes for place in _scopes(parent, last, scope)] + literal
    return [f"{above}/{name}" for above in _absolute(parent) for name in (container_id, f"crio-{container_id}")]


def _scopes(parent: str, slice_name: str, scope: str) -> list[str]:
    expanded = slice_path(slice_name or _SYSTEM_SLICE)
    above = [] if expanded is None else [expanded]
    # A kubelet inside a slice or container of its own names the whole way.
    above += [each for each in _absolute(parent) if slice_name and each.endswith(f"/{slice_name}")]
    return [f"{each}/{scope}" for each in above]


def _absolute(parent: str) -> list[str]:
    return [_clean(parent)] if parent.startswith("/") else []


def _clean(path: str) -> str:
    """A path without doubled or closing slashes. Not more than that: `..` is refused and not resolved."""
    if len(path) > PATH_CHARACTERS_MAX:
        return ""
    cleaned = "/".join(name for name in path.split("/") if name)
    return f"/{cleaned}" if path.startswith("/") else cleaned


def _is_place(path: str) -> bool:
    names = path.split("/")
    return path.startswith("/") and len(path) <= PATH_CHARACTERS_MAX and len(names) <= _NAMES_MAX and all(map(_is_name, names[1:]))


def _is_name(name: str) -> bool:
    """Whether this can be the name of one directory."""
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(name) > _NAME_BYTES_MAX:
        return False
    try:
        # As the system's calls write it; other lone surrogates are in no name of a directory.
        return len(name.encode("utf-8", "surrogateescape")) <= _NAME_BYTES_MAX
    except UnicodeEncodeError:
        return False
