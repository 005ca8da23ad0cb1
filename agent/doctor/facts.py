"""What was found on a host, before it is judged. PURE. None means that it could not be found out."""

from msgspec import Struct


class ProcessFacts(Struct, frozen=True):
    """The proc file system: whether it can be read, how many processes it shows, and which files of other users are readable.

    *Absent:* `reads_*_of_others` are None where no process shows it (only process 1 and kernel threads belong to others, or none
    of them answered) and where other processes were not looked at. *Source:* proc(5).
    """

    root: str
    is_readable: bool
    hidepid: str | None
    count: int
    reads_stat_of_others: bool | None
    reads_io_of_others: bool | None
    reads_memory_of_others: bool | None
    has_schedstat: bool
    has_pressure: bool


class ExitFacts(Struct, frozen=True):
    """Why exit records and exit events cannot be had, in the kernel's words, and what brings exit records back; empty: they can."""

    why_no_records: str = ""
    why_no_events: str = ""
    remedy: str = ""


class CgroupFacts(Struct, frozen=True):
    """The cgroup mount: `v1`, `v2`, `hybrid` or `none`, and its controllers. *Source:* cgroups(7)."""

    root: str
    version: str
    controllers: tuple[str, ...]


class ResctrlFacts(Struct, frozen=True):
    """Cache monitoring: which flags the CPU has, whether the kernel has resctrl, and where it is mounted.

    `wanted_point` is where the agent expects resctrl. `mount_point` is where one is mounted, `wanted_point` first.
    *Source:* /proc/cpuinfo, /proc/filesystems, proc_pid_mountinfo(5).
    """

    cpu_flags: tuple[str, ...]
    is_in_kernel: bool
    mount_point: str | None
    is_readable: bool
    has_monitoring: bool
    wanted_point: str = "/sys/fs/resctrl"
    is_emulated: bool = False
    is_read_only: bool = False
    is_dead: bool = False


class SocketFacts(Struct, frozen=True):
    """A socket of a container runtime that exists. `is_usable`: this user may connect to it, as far as its modes say."""

    name: str
    path: str
    is_usable: bool = True


class WireFacts(Struct, frozen=True):
    """The state of a running agent's connection to the container runtime, in its own words (`LinkState` of the control plane)."""

    is_connected: bool
    is_there: bool = True
    runtime: str = ""
    problem: str = ""


class GpuFacts(Struct, frozen=True):
    """GPUs as files show them; no driver is asked. `nvidia`: its driver or library is there. `drm_drivers`: of render nodes.

    `has_binding`: Python package nvidia-ml-py is installed. `may_use_nvidia`: this user may use its device files.
    """

    nvidia: bool = False
    has_binding: bool = False
    has_smi: bool = False
    may_use_nvidia: bool = True
    drm_drivers: tuple[str, ...] = ()
    enabled: str = "auto"


class FolderFacts(Struct, frozen=True):
    """The state folder or, where it does not exist yet, the nearest folder above it. *Source:* statvfs(3)."""

    path: str
    is_writable: bool
    free_bytes: int | None
    free_files: int | None


class Facts(Struct, frozen=True):
    """Everything that the doctor looks at.

    `wires` is what a running agent says of NRI and CRI, None where none answers. `gpu` is None where nobody looked. `exits`
    is None when the sources of deaths were not tried. `packages` maps a required package to its version, None when it is not
    installed; it is None when packages were not looked up. `is_in_pod`: this is a container of Kubernetes, which sees of its
    node what the pod mounts. `is_in_service`: this is a service of systemd, for which its unit may have made file systems
    read-only.
    """

    kernel: str
    is_root: bool
    processes: ProcessFacts
    exits: ExitFacts | None
    cgroup: CgroupFacts
    resctrl: ResctrlFacts
    runtimes: tuple[SocketFacts, ...]
    nri: SocketFacts | None
    nri_path: str
    open_files_max: int
    open_files_hard_max: int
    capabilities: int | None
    state: FolderFacts
    has_memfd: bool
    shared_memory_free_bytes: int | None
    clock_source: str | None
    clock_sources: tuple[str, ...]
    python: tuple[int, int, int]
    packages: dict[str, str | None] | None
    nri_enabled: str = "auto"
    cri_enabled: str = "auto"
    is_in_pod: bool = False
    is_in_service: bool = False
    wires: dict[str, WireFacts] | None = None
    gpu: GpuFacts | None = None
