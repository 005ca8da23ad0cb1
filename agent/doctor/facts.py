"""What was found on a host, before it is judged. PURE. None is what could not be found out."""

from msgspec import Struct


class ProcessFacts(Struct, frozen=True):
    """The proc file system: whether it is there, how many processes it shows, and what of other users' it lets read.

    *Absent:* the latter is None where no process tells it: there is none of another user but process 1 and kernel threads,
    or none answers. All of it is None where other processes were not looked at.
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


class CgroupFacts(Struct, frozen=True):
    """The cgroup mount: `v1`, `v2`, `hybrid` or `none`, and its controllers."""

    root: str
    version: str
    controllers: tuple[str, ...]


class ResctrlFacts(Struct, frozen=True):
    """Cache monitoring: what the CPU announces, whether the kernel has the file system, where it is mounted.

    `wanted_point` is where the agent looks for it; `mount_point` where it is, this one if it is here at all.
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
    """A socket of a container runtime that is there."""

    name: str
    path: str


class FolderFacts(Struct, frozen=True):
    """The state folder or, where it is not made yet, the nearest folder above it."""

    path: str
    is_writable: bool
    free_bytes: int | None
    free_files: int | None


class Facts(Struct, frozen=True):
    """Everything that the doctor looks at. `packages` maps a needed package to its version; None: not installed."""

    kernel: str
    is_root: bool
    processes: ProcessFacts
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
