"""Turns facts about a host into findings: what the agent can use, and the exact remedy for what it cannot. PURE."""

from collections.abc import Iterable
from shlex import quote

from agent.doctor.facts import ExitFacts, Facts, FolderFacts, ResctrlFacts
from agent.doctor.finding import Finding, Usability
from agent.doctor.gpu_judgement import judge_gpu
from agent.doctor.runtime_judgement import judge_runtime
from agent.model.foreign import readable

MIB = 1 << 20
GIB = 1 << 30
PYTHON_LEAST = (3, 11)
# 4.20 brought pressure files and 5.3 pidfd_open, by which the supervisor sees a death.
KERNEL_LEAST = (5, 3)
# A worker needs descriptors for sockets, heartbeat pages and logs beside one for each process.
OPEN_FILES_BESIDE = 256
# FREE_BYTES_GOOD holds a day of a busy host's tables, compressed. Below FREE_BYTES_LEAST the spool itself may not fit.
FREE_BYTES_GOOD, FREE_BYTES_LEAST = GIB, 64 * MIB
FREE_FILES_LEAST = 1_000
# Clock sources that the vDSO reads without a system call.
FAST_CLOCKS = frozenset({"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "xen"})

# With this capability an agent that is not root sees the processes that /proc hides (capabilities(7)).
PTRACE, PTRACE_BIT = "CAP_SYS_PTRACE", 19


def judge(facts: Facts) -> list[Finding]:
    """One finding for each topic.

    *Shape:* always in the same order; "packages" and "exit records" are absent where they were not looked up or tried.
    """
    return [
        _kernel(facts),
        _processes(facts),
        *_exit_records(facts.exits),
        _cgroup(facts),
        _resctrl(facts),
        *judge_runtime(facts),
        *judge_gpu(facts.gpu),
        _pressure(facts),
        _schedstat(facts),
        _open_files(facts),
        _capabilities(facts),
        _state_folder(facts.state),
        _shared_memory(facts),
        _clock(facts),
        _python(facts),
        *_packages(facts),
    ]


def _usable(topic: str, detail: str) -> Finding:
    return Finding(topic, Usability.USABLE, detail)


def _limited(topic: str, detail: str, remedy: str) -> Finding:
    return Finding(topic, Usability.LIMITED, detail, remedy)


def _missing(topic: str, detail: str, remedy: str) -> Finding:
    return Finding(topic, Usability.MISSING, detail, remedy)


def _kernel(facts: Facts) -> Finding:
    digits = [part for part in facts.kernel.split("-")[0].split(".") if part.isdigit()]
    number = tuple(int(part) for part in digits[:2])
    if number < KERNEL_LEAST:
        wanted = ".".join(map(str, KERNEL_LEAST))
        return _missing("kernel", f"Linux {facts.kernel} is older than {wanted}", f"run Linux {wanted} or later")
    return _usable("kernel", f"Linux {facts.kernel}")


def _processes(facts: Facts) -> Finding:
    topic, proc = "processes", facts.processes
    if not proc.is_readable:
        return _missing(topic, f"{proc.root} is not readable", f"mount -t proc proc {proc.root}")
    if proc.reads_stat_of_others is None:
        return _usable(topic, f"{proc.count} are visible; those of other users were not checked")
    if not proc.reads_stat_of_others:
        hidden = f" (hidepid={proc.hidepid})" if proc.hidepid else ""
        remedy = f"mount -o remount,hidepid=0 {proc.root}, or {_with_capabilities(facts, PTRACE)}"
        return _limited(topic, f"processes of other users are hidden{hidden}: {proc.count} are visible", remedy)
    may_trace = facts.capabilities is not None and bool(facts.capabilities >> PTRACE_BIT & 1)
    told = {"io": proc.reads_io_of_others, "smaps_rollup": proc.reads_memory_of_others}
    # Where no process answered, the capability decides.
    lost = [name for name, is_read in told.items() if not (may_trace if is_read is None else is_read)]
    if lost:
        remedy = _with_capabilities(facts, PTRACE)
        if may_trace:
            remedy = (
                "a security module (Yama, SELinux, AppArmor) or a user namespace forbids it: allow the agent to trace for reading"
            )
        return _limited(topic, f"{proc.count} are visible; {' and '.join(lost)} of other users cannot be read", remedy)
    if None in told.values():
        return _usable(topic, f"{proc.count} are visible, none of another user; those could be read")
    return _usable(topic, f"{proc.count} are visible, including those of other users")


def _exit_records(exits: ExitFacts | None) -> Iterable[Finding]:
    """No finding where the sources were not tried."""
    topic = "exit records"
    if exits is None:
        return
    if not exits.why_no_records:
        yield _usable(topic, "the kernel reports the CPU time of every process that ends")
        return
    using = "the process connector reports who ends; their CPU time is that of their parents' counters, in steps of 10 ms"
    if exits.why_no_events:
        using = f"no process connector either ({exits.why_no_events}): only their parents' counters show what the dead used"
    yield _limited(topic, f"{exits.why_no_records}; {using}", exits.remedy)


def _with_capabilities(facts: Facts, *names: str) -> str:
    """How this user's agent gets these capabilities. Root lacks them only where a container or unit took them away."""
    if not facts.is_root:
        return f"run the agent as root, or give its unit AmbientCapabilities={' '.join(names)}"
    # Docker and Kubernetes name them without the prefix.
    short = [name.removeprefix("CAP_") for name in names]
    docker = " ".join(f"--cap-add {name}" for name in short)
    return (
        f"the container or unit takes {' '.join(names)} away: give it back with docker run {docker}, in Kubernetes "
        f"securityContext.capabilities.add: [{', '.join(short)}], in a systemd unit CapabilityBoundingSet={' '.join(names)}"
    )


def _cgroup(facts: Facts) -> Finding:
    topic, found = "cgroup", facts.cgroup
    listed = " ".join(found.controllers) or "no controllers"
    if found.version == "none":
        return _missing(topic, f"nothing is mounted on {found.root}", f"mount -t cgroup2 cgroup2 {found.root}")
    if found.version != "v2":
        remedy = "boot with systemd.unified_cgroup_hierarchy=1 for v2"
        return _limited(topic, f"{found.version} on {found.root}: {listed}", remedy)
    # Which controllers are there does not matter: the tree is scanned, but no controller's files are read.
    return _usable(topic, f"v2 on {found.root}: {listed}")


def _resctrl(facts: Facts) -> Finding:
    topic, found = "resctrl", facts.resctrl
    if found.mount_point is None:
        return _resctrl_not_mounted(found, is_in_pod=facts.is_in_pod)
    point = readable(found.mount_point)
    if found.mount_point != found.wanted_point:
        return _limited(
            topic,
            f"mounted on {point}, but the agent uses {readable(found.wanted_point)}",
            f"set resctrl.mount to {point} (--resctrl-mount, RESCTRL_MOUNT)",
        )
    if found.is_dead:
        remedy = f"start it again: agentctl emulate-resctrl --mount {quote(point)}; or: umount {quote(point)}"
        return _limited(topic, f"the emulator of {point} has died", remedy)
    if not found.has_monitoring:
        remedy = "boot with rdt=cmt,mbmtotal,mbmlocal where the CPU can monitor"
        return _limited(topic, f"{point} has no L3 monitoring", remedy)
    if found.is_read_only:
        return _limited(topic, f"{point} is mounted read-only", _for_writing(facts, point))
    if not found.is_readable:
        remedy = _for_writing(facts, point) if facts.is_root else "run the agent as root"
        return _limited(topic, f"this user may not use {point}/mon_groups", remedy)
    usable = f"mounted on {point}, with monitoring"
    if found.is_emulated:
        detail = f"{usable}; emulated: its values do not come from hardware"
        return Finding(topic, Usability.USABLE, detail, remark="on an emulated resctrl")
    return _usable(topic, usable)


def _for_writing(facts: Facts, point: str) -> str:
    remount = f"mount -o remount,rw {quote(point)}"
    if not facts.is_in_service:
        return remount
    return f"run scripts/install again, which lets the service write to resctrl; if the host has it read-only too: {remount}"


def _resctrl_not_mounted(found: ResctrlFacts, *, is_in_pod: bool) -> Finding:
    topic = "resctrl"
    if found.is_in_kernel and is_in_pod:
        remedy = (
            "mount it on the node and its folder here (chart: resctrl.enabled, and resctrl.autoMountHost where the node has it not)"
        )
        return _missing(topic, "this kernel has it, but none is mounted in this pod", remedy)
    if found.is_in_kernel:
        remedy = f"mount -t resctrl resctrl {quote(readable(found.wanted_point))}, or set resctrl.auto_mount"
        return _missing(topic, "this kernel has it, but it is not mounted", remedy)
    if found.cpu_flags:
        detail = f"the CPU has {' '.join(found.cpu_flags)}, but this kernel has no resctrl"
        return _missing(topic, detail, "run a kernel with CONFIG_X86_CPU_RESCTRL=y, booted without rdt=! options")
    return _missing(
        topic,
        "this kernel or CPU has none",
        "needs Intel RDT, AMD QoS or Arm MPAM; virtual machines rarely have it; to try it: agentctl emulate-resctrl --help",
    )


def _pressure(facts: Facts) -> Finding:
    topic = "pressure"
    if facts.processes.has_pressure:
        return _usable(topic, f"{facts.processes.root}/pressure is readable")
    return _limited(topic, "stall information (PSI) is off", "boot with psi=1, on a kernel with CONFIG_PSI=y")


def _schedstat(facts: Facts) -> Finding:
    topic = "schedstat"
    if facts.processes.has_schedstat:
        return _usable(topic, "the kernel counts how often each process is given a CPU")
    return _limited(topic, "context switches of processes are not known", "run a kernel with CONFIG_SCHEDSTATS=y")


def _open_files(facts: Facts) -> Finding:
    needed = facts.processes.count + OPEN_FILES_BESIDE
    if facts.open_files_max >= needed:
        return _usable("open files", f"{facts.open_files_max} allowed, {needed} needed")
    # Twice as many: processes come in bursts.
    wanted = 1 << (2 * needed - 1).bit_length()
    allowed = f"{facts.open_files_max} allowed (hard limit {facts.open_files_hard_max})"
    return _limited(
        "open files",
        f"{allowed}, {needed} needed for {facts.processes.count} processes",
        f"ulimit -n {wanted}, or LimitNOFILE={wanted} in the agent's unit",
    )


def _capabilities(facts: Facts) -> Finding:
    topic = "capabilities"
    if facts.capabilities is None:
        return _limited(topic, "unknown: CapEff cannot be read", f"make {facts.processes.root}/self/status readable")
    if facts.capabilities >> PTRACE_BIT & 1:
        return _usable(topic, PTRACE)
    if facts.processes.hidepid in (None, "0", "off"):
        return _usable(topic, f"none is needed: {facts.processes.root} hides no process")
    detail = f"without {PTRACE} the processes of other users, which {facts.processes.root} hides, are not visible"
    return _limited(topic, detail, _with_capabilities(facts, PTRACE))


def _state_folder(state: FolderFacts) -> Finding:
    topic = "state folder"
    if not state.is_writable:
        return _missing(topic, f"{state.path} cannot be written by this user", f"install -d -m 0750 -o $USER {state.path}")
    remedy = f"free space below {state.path}, or put the data elsewhere with --state-dir"
    if state.free_bytes is None:
        return _limited(topic, f"{state.path}: its free space is unknown", remedy)
    detail = f"{state.path}: {state.free_bytes // MIB} MiB free"
    if state.free_bytes < FREE_BYTES_LEAST:
        return _missing(topic, detail, remedy)
    if state.free_files is not None and state.free_files < FREE_FILES_LEAST:
        remedy = f"remove files on its file system (df -i {state.path}), or put the data elsewhere with --state-dir"
        if not state.free_files:
            return _missing(topic, f"{detail}, but no free inode", remedy)
        return _limited(topic, f"{detail}, but only {state.free_files} free inodes", remedy)
    if state.free_bytes < FREE_BYTES_GOOD:
        return _limited(topic, detail, remedy)
    return _usable(topic, detail)


def _shared_memory(facts: Facts) -> Finding:
    topic = "shared memory"
    if facts.has_memfd:
        return _usable(topic, "memfd_create")
    if facts.shared_memory_free_bytes:
        return _usable(topic, f"/dev/shm: {facts.shared_memory_free_bytes // MIB} MiB free")
    return _missing(topic, "neither memfd_create nor /dev/shm", "mount -t tmpfs tmpfs /dev/shm")


def _clock(facts: Facts) -> Finding:
    topic, source = "clock", facts.clock_source
    if source is None:
        return _limited(topic, "the clock source is unknown", "mount -t sysfs sysfs /sys")
    if source in FAST_CLOCKS:
        return _usable(topic, source)
    faster = next((name for name in facts.clock_sources if name in FAST_CLOCKS), None)
    detail = f"each reading of {source} costs a system call"
    if faster is None:
        return _limited(topic, detail, "this machine offers no faster one")
    file = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    return _limited(topic, detail, f"echo {faster} > {file}")


def _python(facts: Facts) -> Finding:
    number = ".".join(map(str, facts.python))
    if facts.python[:2] < PYTHON_LEAST:
        wanted = ".".join(map(str, PYTHON_LEAST))
        return _missing("python", f"{number} is older than {wanted}", f"install evergauge with Python {wanted} or later")
    return _usable("python", number)


def _packages(facts: Facts) -> Iterable[Finding]:
    """No finding where packages were not looked up."""
    if facts.packages is None:
        return
    lost = [name for name, version in facts.packages.items() if version is None]
    if lost:
        yield _missing("packages", f"not installed: {' '.join(lost)}", f"pip install {' '.join(lost)}")
    else:
        yield _usable("packages", ", ".join(f"{name} {version}" for name, version in facts.packages.items()))
