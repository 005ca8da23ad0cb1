"""Reads the facts of this host. It changes nothing and decides nothing; every failure becomes a None or a False."""

import errno
import os
import resource
import stat
import sys
from collections.abc import Iterable

from agent.doctor.facts import CgroupFacts, ExitFacts, Facts, FolderFacts, GpuFacts, ProcessFacts, ResctrlFacts, SocketFacts
from agent.kernel_file import read_text, read_whole
from agent.model.mountinfo import BYTES_MAX, NAME, mount_at, resctrl_mounts
from agent.model.runtime_socket import RUNTIME_SOCKETS

FILE_BYTES_MAX = 256 << 10
# For a moment's subscription.
EXIT_BUFFER_BYTES = 64 << 10
# /proc/cpuinfo repeats the flags for each CPU; the first block, of some 2 KiB, is enough.
CPU_BYTES_MAX = 16 << 10

# The kubelet sets it in every container, whatever the pod says. *Source:* Kubernetes, "Accessing the API from a Pod".
_POD_VARIABLE = "KUBERNETES_SERVICE_HOST"
# systemd gives it to every process of a service (systemd.exec(5)).
_SERVICE_VARIABLE = "INVOCATION_ID"
# The flags of /proc/cpuinfo for cache and memory bandwidth monitoring.
RESCTRL_FLAGS = ("cqm", "cqm_llc", "cqm_occup_llc", "cqm_mbm_total", "cqm_mbm_local")
PACKAGES = ("multiprocess", "pyzmq", "msgspec", "tenacity", "pyarrow", "duckdb", "prometheus-client", "h2")


def probe(
    *,
    proc_root: str,
    cgroup_root: str,
    state_dir: str,
    resctrl_mount: str = "/sys/fs/resctrl",
    nri_socket: str = "/var/run/nri/nri.sock",
    cri_socket: str = "",
    root: str = "/",
    with_packages: bool = True,
    with_others: bool = True,
    user: int | None = None,
) -> Facts:
    """The facts of this host, as `user` sees it (default: the user of this process).

    `root` is the folder that holds /sys, /run and /dev. Looking up packages costs 30 ms. Without `with_others` no file of
    another process is touched. *Absent:* see `Facts`; nothing is raised.
    """
    ours = os.geteuid() if user is None else user
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clock = os.path.join(root, "sys/devices/system/clocksource/clocksource0")
    return Facts(
        kernel=os.uname().release,
        is_root=ours == 0,
        processes=_processes(proc_root, ours, with_others=with_others),
        exits=_exits() if with_others else None,
        cgroup=_cgroup(cgroup_root),
        resctrl=_resctrl(proc_root, root, os.path.abspath(resctrl_mount)),
        runtimes=tuple(_sockets(_runtime_sockets(root, cri_socket), ours)),
        nri=next(iter(_sockets([("NRI", _below(root, nri_socket))], ours)), None),
        nri_path=nri_socket,
        open_files_max=_limit(soft),
        open_files_hard_max=_limit(hard),
        capabilities=_capabilities(proc_root),
        state=_folder(state_dir),
        has_memfd=hasattr(os, "memfd_create"),
        shared_memory_free_bytes=_free(os.path.join(root, "dev/shm"))[0],
        clock_source=(_read(os.path.join(clock, "current_clocksource")) or "").strip() or None,
        clock_sources=tuple((_read(os.path.join(clock, "available_clocksource")) or "").split()),
        python=sys.version_info[:3],
        packages=_packages() if with_packages else None,
        is_in_pod=_POD_VARIABLE in os.environ,
        is_in_service=_SERVICE_VARIABLE in os.environ,
        gpu=_gpu(root),
    )


def _gpu(root: str) -> GpuFacts:
    from workers.gpu.availability import NVIDIA_CONTROL, gpu_signs

    signs = gpu_signs(os.environ, root)
    has_nvidia = signs.has_nvidia_driver or signs.has_nvidia_library
    control = _below(root, NVIDIA_CONTROL)
    return GpuFacts(
        nvidia=has_nvidia,
        has_binding=has_nvidia and _has_binding(),
        has_smi=signs.has_smi,
        may_use_nvidia=not os.path.exists(control) or os.access(control, os.R_OK | os.W_OK),
        drm_drivers=signs.drm_drivers,
    )


def _has_binding() -> bool:
    # Imported here: most hosts have no use for it.
    from importlib.util import find_spec

    return find_spec("pynvml") is not None


def _read(path: str, bytes_max: int = FILE_BYTES_MAX) -> str | None:
    try:
        return read_whole(path, bytes_max).decode(errors="replace")
    except OSError:
        return None


def _limit(value: int) -> int:
    return sys.maxsize if value == resource.RLIM_INFINITY else value


def _processes(proc_root: str, ours: int, *, with_others: bool) -> ProcessFacts:
    try:
        pids = [name for name in os.listdir(proc_root) if name.isdigit()]
    except OSError:
        pids = []
    reads_stat, reads_io, reads_memory = _of_others(proc_root, pids, ours) if with_others else (None, None, None)
    return ProcessFacts(
        root=proc_root,
        # `subset=pid` hides `stat` of the host, and no process.
        is_readable=bool(pids) and _read(os.path.join(proc_root, "self/status")) is not None,
        hidepid=_hidepid(proc_root),
        count=len(pids),
        reads_stat_of_others=reads_stat,
        reads_io_of_others=reads_io,
        reads_memory_of_others=reads_memory,
        has_schedstat=bool(_read(os.path.join(proc_root, "self/schedstat"))),
        # Where pressure accounting is switched off, the file exists but cannot be read.
        has_pressure=bool(_read(os.path.join(proc_root, "pressure/cpu"))),
    )


def _of_others(proc_root: str, pids: list[str], ours: int) -> tuple[bool, bool | None, bool | None]:
    # Imported here because the daemon never looks at other processes.
    from agent.doctor.other_users import folders_of_others, may_read_any

    others = folders_of_others(proc_root, pids, ours)
    # Where there is no process of another user, process 1 shows whether others are hidden.
    reads_stat = bool(may_read_any(others or [os.path.join(proc_root, "1")], "stat"))
    return reads_stat, may_read_any(others, "io"), may_read_any(others, "smaps_rollup")


def _exits() -> ExitFacts:
    # Imported here because only this needs netlink. The subscription lasts for microseconds.
    from workers.process.exits.source import open_connector, open_taskstats, remedy, why_not

    try:
        open_taskstats(EXIT_BUFFER_BYTES).close()
        return ExitFacts()
    except OSError as no_records:
        why_no_events = ""
        try:
            open_connector(EXIT_BUFFER_BYTES).close()
        except OSError as no_events:
            why_no_events = why_not(no_events)
        return ExitFacts(why_not(no_records), why_no_events, remedy(no_records))


def _mounts(proc_root: str) -> str:
    try:
        return read_text(os.path.join(proc_root, NAME), BYTES_MAX)
    except OSError:
        return ""


def _hidepid(proc_root: str) -> str | None:
    mount = mount_at(_mounts(proc_root), os.path.realpath(proc_root))
    if mount is not None and mount.type == "proc":
        for option in mount.options:
            name, _, value = option.partition("=")
            if name == "hidepid":
                return value
    return None


def _cgroup(cgroup_root: str) -> CgroupFacts:
    unified = _read(os.path.join(cgroup_root, "cgroup.controllers"))
    if unified is not None:
        return CgroupFacts(cgroup_root, "v2", tuple(unified.split()))
    try:
        names = sorted(os.listdir(cgroup_root))
    except OSError:
        names = []
    old = tuple(name for name in names if os.path.exists(os.path.join(cgroup_root, name, "cgroup.procs")))
    hybrid = _read(os.path.join(cgroup_root, "unified/cgroup.controllers"))
    if hybrid is not None:
        return CgroupFacts(cgroup_root, "hybrid", tuple(name for name in old if name != "unified"))
    return CgroupFacts(cgroup_root, "v1" if old else "none", old)


def _resctrl(proc_root: str, root: str, wanted: str) -> ResctrlFacts:
    flags = _cpu_flags(proc_root)
    kinds = (_read(os.path.join(proc_root, "filesystems")) or "").split()
    mounts = {mount.point: mount for mount in resctrl_mounts(_mounts(proc_root))}
    # Paths in the mount table have no links. The agent follows links in its setting, so this does too.
    mount = mounts.get(_real(root, wanted)) or next(iter(mounts.values()), None)
    point = "" if mount is None else mount.point
    below = _below(root, point)
    return ResctrlFacts(
        cpu_flags=tuple(flag for flag in RESCTRL_FLAGS if flag in flags),
        is_in_kernel="resctrl" in kinds,
        mount_point=(wanted if point == _real(root, wanted) else point) if point else None,
        is_readable=bool(point) and os.access(os.path.join(below, "mon_groups"), os.R_OK | os.W_OK | os.X_OK),
        has_monitoring=bool(point) and os.path.exists(os.path.join(below, "info/L3_MON")),
        wanted_point=wanted,
        is_emulated=mount is not None and mount.is_emulated,
        is_read_only=mount is not None and "ro" in mount.options,
        is_dead=bool(point) and _is_dead(below),
    )


def _real(root: str, path: str) -> str:
    """`path` with all links resolved, as the host below `root` names it."""
    base, real = os.path.realpath(root), os.path.realpath(_below(root, path))
    return "/" + os.path.relpath(real, base) if base != "/" and real.startswith(f"{base}/") else real


def _is_dead(path: str) -> bool:
    """Whether the program behind a FUSE mount has died."""
    try:
        os.stat(path)
    except OSError as failure:
        return failure.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def _below(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))


def _cpu_flags(proc_root: str) -> frozenset[str]:
    for line in (_read(os.path.join(proc_root, "cpuinfo"), CPU_BYTES_MAX) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _runtime_sockets(root: str, cri_socket: str) -> list[tuple[str, str]]:
    """The places of sockets by the names of runtimes; a place that was set comes first."""
    known = {path: name for name, path in RUNTIME_SOCKETS}
    places = {**({cri_socket: known.get(cri_socket, "container runtime")} if cri_socket else {}), **known}
    return [(name, _below(root, path)) for path, name in places.items()]


def _sockets(candidates: Iterable[tuple[str, str]], ours: int) -> list[SocketFacts]:
    return [SocketFacts(name, path, _may_connect(path, ours)) for name, path in candidates if _is_there(path)]


def _is_there(path: str) -> bool:
    """Whether a socket is there, or its folder does not say."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False


def _may_connect(path: str, ours: int) -> bool:
    # *Source:* unix(7): connecting needs permission to write. Another user's answer is not asked of the kernel.
    return ours == 0 or os.access(path, os.W_OK)


def _capabilities(proc_root: str) -> int | None:
    for line in (_read(os.path.join(proc_root, "self/status")) or "").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            try:
                return int(value, 16)
            except ValueError:
                return None
    return None


def _folder(path: str) -> FolderFacts:
    nearest = os.path.abspath(path)
    # The path gets shorter each time and ends at the root, which exists.
    while not os.path.exists(nearest) and nearest != os.path.dirname(nearest):
        nearest = os.path.dirname(nearest)
    free_bytes, free_files = _free(nearest)
    return FolderFacts(path, os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK), free_bytes, free_files)


def _free(path: str) -> tuple[int | None, int | None]:
    try:
        found = os.statvfs(path)
    except OSError:
        return None, None
    # File systems without a fixed number of inodes report 0 of 0.
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def _packages() -> dict[str, str | None]:
    # Imported here: it takes 30 ms, and no running agent needs it.
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
