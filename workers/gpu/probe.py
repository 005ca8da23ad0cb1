"""Measures all GPUs of a host at each tick, without a wait: one set of GPUs for each driver, each with a collector of its own."""

import os
from functools import partial
from typing import Any, Self

from msgspec import Struct

from agent.model.table import Row
from agent.model.timebase import MS
from agent.ports import Bus, Clock
from workers.framework.condition import Conditions
from workers.framework.sampler import NoRules, Sample, UnreadableError
from workers.gpu.availability import gpu_signs
from workers.gpu.collector_process import start_collector
from workers.gpu.file_sign import NVIDIA, SMI_SOURCE
from workers.gpu.gpu_set import GpuSet
from workers.gpu.row import UnitPlaceOf
from workers.gpu.schema import GPU, GPU_PROCESS
from workers.gpu.watch import CollectorWatch

# So long before a tick the drivers are asked, so that their answers are fresh and there. One GPU takes some milliseconds.
LEAD_NS, LEAD_SHARE = 200 * MS, 4
_FALLBACK = "sampler_fallback:gpu"


class Terms(Struct, frozen=True):
    """What the settings say. `folder` is where the collectors' locks are; `is_demanded`: the agent is not ready without a GPU."""

    interval_ns: int
    patience_ns: int
    retry_most_ns: int
    is_demanded: bool
    folder: str
    proc_root: str


class GpuProbe(NoRules):
    """All GPUs of this host: a set for each driver, in a collector of its own."""

    def __init__(self, sets: list[GpuSet], terms: Terms, clock: Clock, bus: Bus) -> None:
        self._sets = sets
        self._clock = clock
        self._conditions = Conditions(bus)
        self._interval_ns = terms.interval_ns
        self._lead_ns = min(LEAD_NS, terms.interval_ns // LEAD_SHARE)
        self._is_demanded = terms.is_demanded
        self._ask_at_ns = 0
        # Whether what arrives late was looked for in this interval.
        self._has_listened = True

    @classmethod
    def of_host(cls, terms: Terms, clock: Clock, bus: Bus, place_of: UnitPlaceOf) -> Self:
        """Those that this host has, as its files say."""
        start = partial(start_collector, folder=terms.folder, proc_root=terms.proc_root)
        # Where it was demanded and nothing is there, the driver of most hosts says what is missing.
        names = gpu_signs(os.environ).sets or (NVIDIA,)

        def gpu_set(name: str) -> GpuSet:
            watch = CollectorWatch(patience_ns=terms.patience_ns, retry_most_ns=terms.retry_most_ns)
            return GpuSet(name, start, watch, bus, place_of=place_of)

        return cls([gpu_set(name) for name in names], terms, clock, bus)

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
        is_worse = any(each.source == SMI_SOURCE and each.has_devices for each in self._sets)
        sentence = "NVIDIA GPUs are asked by nvidia-smi, every few seconds alone: pip install 'evergauge[gpu]' to ask the driver"
        self._conditions.tell(_FALLBACK, sentence if is_worse else "")
