"""What GPUs do and who uses them, once a tick. A driver may never answer: other processes ask it, and no tick waits for them.

Only the declaration is here: what it takes is imported where there is a GPU (`workers.gpu.probe`).
"""

from agent.capability import SYS_PTRACE
from agent.config import PROC_ROOT, RUNTIME_DIR, Config
from agent.model.timebase import HOUR, MINUTE, MS, S
from agent.model.worker_kind import Statistic
from agent.setting import AutoSwitch, Duration
from workers.framework.sampler import Probe, Sampler, SamplerContext, interval_setting
from workers.gpu.schema import GPU, GPU_PROCESS

ENABLED = AutoSwitch("sampler.gpu.enabled", "auto", "measure GPUs; auto: if this host has one; true: not ready without it")
INTERVAL = interval_setting("gpu")
PATIENCE = Duration(
    "sampler.gpu.patience", 5 * S, 50 * MS, 10 * MINUTE, "time without an answer after which a GPU driver counts as stuck"
)
RETRY = Duration("sampler.gpu.retry_interval", MINUTE, 50 * MS, 1 * HOUR, "longest wait before a GPU driver is tried again")


def is_available(config: Config) -> bool:
    """Whether this host has GPUs, as its files say; no driver is asked."""
    import os

    from workers.gpu.availability import gpu_signs

    return bool(gpu_signs(os.environ).sets)


def _open(around: SamplerContext) -> Probe:
    from workers.gpu.probe import GpuProbe, Terms
    from workers.gpu.row import UnitPlace
    from workers.process.placement import Placements

    placements = Placements()

    def place_of(cgroup: str) -> UnitPlace:
        found = placements.of(cgroup.encode("utf-8", "replace"))
        return UnitPlace(found.pod_uid, found.container)

    config = around.config
    terms = Terms(
        interval_ns=config.of(INTERVAL),
        patience_ns=config.of(PATIENCE),
        retry_most_ns=config.of(RETRY),
        is_demanded=config.of(ENABLED) == "true",
        folder=config.of(RUNTIME_DIR),
        proc_root=config.of(PROC_ROOT),
    )
    return GpuProbe.of_host(terms, around.clock, around.bus, place_of)


SAMPLER = Sampler(
    name="gpu",
    about="GPUs and MIG slices: busy time, memory, power, clocks, errors, and each process on them",
    tables=(GPU, GPU_PROCESS),
    files=("/dev/nvidia* by libnvidia-ml.so.1", "/sys/class/drm/*/device", "/sys/class/kfd/kfd/proc", "/proc/PID/fdinfo"),
    is_enabled=ENABLED,
    interval=INTERVAL,
    further_settings=(PATIENCE, RETRY),
    open=_open,
    is_available=is_available,
    # The descriptors of other users' processes.
    capabilities=(SYS_PTRACE,),
    statistics=(Statistic("evergauge_gpu_sets_stuck", "gauge", "Sets of GPUs whose driver does not answer.", ("stuck",)),),
)
