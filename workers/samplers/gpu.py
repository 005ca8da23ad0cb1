"""What GPUs do and who uses them, once a tick. A driver may never answer: other processes ask it, and no tick waits for them."""

import os
from functools import partial
from typing import Any

from agent.config import PROC_ROOT, RUNTIME_DIR, Config
from agent.model.table import Row
from agent.model.timebase import HOUR, MINUTE, MS, S
from agent.model.worker_kind import Statistic
from agent.ports import Bus, Clock
from agent.setting import AutoSwitch, Duration
from workers.framework.condition import Conditions
from workers.framework.sampler import NoRules, Sample, Sampler, SamplerContext, UnreadableError, interval_setting
from workers.gpu.availability import gpu_signs
from workers.gpu.collector_process import start_collector
from workers.gpu.file_sign import NVIDIA
from workers.gpu.gpu_set import GpuSet
from workers.gpu.row import Place
from workers.gpu.schema import GPU, GPU_PROCESS
from workers.gpu.watch import CollectorWatch
from workers.process.placement import Placements

ENABLED = AutoSwitch("sampler.gpu.enabled", "auto", "measure GPUs; auto: if this host has one; true: not ready without it")
INTERVAL = interval_setting("gpu")
PATIENCE = Duration(
    "sampler.gpu.patience", 5 * S, 50 * MS, 10 * MINUTE, "time without an answer after which a GPU driver counts as stuck"
)
RETRY = Duration("sampler.gpu.retry_interval", MINUTE, 50 * MS, 1 * HOUR, "longest wait before a GPU driver is tried again")

# So long before a tick the drivers are asked, so that their answers are fresh and there. One GPU takes some milliseconds.
LEAD_NS, LEAD_SHARE = 200 * MS, 4


class Places:
    """The unit and container of a text of /proc/PID/cgroup."""

    def __init__(self) -> None:
        self._placements = Placements()

    def of(self, cgroup: str) -> Place:
        """Its uid, or path, and the container's id."""
        found = self._placements.of(cgroup.encode("utf-8", "replace"))
        return Place(found.pod_uid, found.container)


class GpuProbe(NoRules):
    """All GPUs of this host: a set for each driver, in a collector of its own."""

    def __init__(self, sets: list[GpuSet], config: Config, clock: Clock, bus: Bus) -> None:
        self._sets = sets
        self._clock = clock
        self._conditions = Conditions(bus)
        self._interval_ns = config.of(INTERVAL)
        self._lead_ns = min(LEAD_NS, self._interval_ns // LEAD_SHARE)
        self._is_demanded = config.of(ENABLED) == "true"
        self._ask_at_ns = 0
        # Whether what arrives late was looked for in this interval.
        self._has_listened = True

    def check(self) -> None:
        """Nothing is asked before the worker is ready: an answer may take seconds."""

    def wake_at_ns(self) -> int | None:
        """When a collector is to be started or asked, or its late answer to be taken."""
        due = [at_ns for each in self._sets if (at_ns := each.due_at_ns()) is not None]
        if not self._has_listened and any(each.is_asked for each in self._sets):
            due.append(self._ask_at_ns)
        return min(due, default=None)

    def catch_up(self, until_ns: int) -> None:
        """Start, ask and listen; to start a process takes a millisecond or two."""
        now_ns, wall_ns = self._clock.now_ns(), self._clock.wall_ns()
        self._has_listened = self._has_listened or now_ns >= self._ask_at_ns
        for each in self._sets:
            each.turn(now_ns, wall_ns, self._ask_at_ns)

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """Rows of `gpu` and `gpu_process` of what has arrived, see `workers.framework.sampler.Probe`."""
        self._ask_at_ns, self._has_listened = now_ns + self._interval_ns - self._lead_ns, False
        devices: list[Row] = []
        processes: list[Row] = []
        for each in self._sets:
            each.listen(now_ns, wall_ns, self._ask_at_ns)
            more_devices, more_processes = each.rows(wall_ns)
            devices += more_devices
            processes += more_processes
        problems = [each.problem for each in self._sets if each.problem]
        if problems and len(problems) == len(self._sets) and not devices and not any(each.has_devices for each in self._sets):
            self._tell({})
            raise UnreadableError("", "; ".join(problems), "", blocks_ready=self._is_demanded)
        self._tell({each.name: each.problem for each in self._sets})
        return ((GPU, devices), (GPU_PROCESS, processes))

    def stats(self) -> dict[str, Any]:
        """Of each set: its collector, its source, its devices."""
        found = {each.name: each.stats() for each in self._sets}
        return {"sets": found, "stuck": sum(each["stuck"] for each in found.values())}

    def close(self) -> None:
        """Leave the collectors to their end."""
        for each in self._sets:
            each.close()

    def _tell(self, problems: dict[str, str]) -> None:
        for each in self._sets:
            self._conditions.tell(f"gpu_{each.name}", problems.get(each.name, ""))


def is_available(config: Config) -> bool:
    """Whether this host has GPUs, as its files say; no driver is asked."""
    return bool(gpu_signs(os.environ).sets)


def _open(around: SamplerContext) -> GpuProbe:
    config = around.config
    start = partial(start_collector, folder=config.of(RUNTIME_DIR), proc_root=config.of(PROC_ROOT))
    # Where it was demanded and nothing is there, the driver of most hosts says what is missing.
    names = gpu_signs(os.environ).sets or (NVIDIA,)
    places = Places()

    def gpu_set(name: str) -> GpuSet:
        watch = CollectorWatch(patience_ns=config.of(PATIENCE), retry_most_ns=config.of(RETRY))
        return GpuSet(name, start, watch, around.bus, place_of=places.of)

    return GpuProbe([gpu_set(name) for name in names], config, around.clock, around.bus)


SAMPLER = Sampler(
    name="gpu",
    about="GPUs and MIG slices: busy time, memory, power, clocks, errors, and each process on them",
    tables=(GPU, GPU_PROCESS),
    files=("libnvidia-ml.so.1", "/sys/class/drm/*/device", "/sys/class/kfd/kfd/proc", "/proc/PID/fdinfo"),
    is_enabled=ENABLED,
    interval=INTERVAL,
    further_settings=(PATIENCE, RETRY),
    open=_open,
    is_available=is_available,
    statistics=(Statistic("evergauge_gpu_sets_stuck", "gauge", "Sets of GPUs whose driver does not answer.", ("stuck",)),),
)
