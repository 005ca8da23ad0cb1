"""Everything a workload needs before its birth: its cgroup with limits in force, its output file. All of it, or nothing."""

import os
import time
from contextlib import ExitStack

from msgspec import Struct

from workers.keeper.birth import BirthOrder
from workers.keeper.cgroup_making import make_cgroup
from workers.keeper.cgroup_place import CgroupPlace
from workers.keeper.disk import disk_number
from workers.keeper.limit_file import LimitWrite, check_below_parents, limit_files
from workers.keeper.output_bound import OutputBound
from workers.keeper.protocol import RefusalWord, WorkloadSpec
from workers.keeper.refusal import WorkloadRefused
from workers.keeper.spec_check import has_limits
from workers.keeper.workload_cgroup import WorkloadCgroup
from workers.keeper.workload_folder import WorkloadFolder

# All that a program gets of the keeper's own environment is nothing: this, its folder's name and what its order says.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# Until an empty cgroup can be removed: microseconds, here 20 ms at most.
REMOVALS_MAX = 20
REMOVAL_SECONDS = 0.001
# By these CUDA and HIP programs know which devices they may use; each takes indices and UUIDs. ROCR_VISIBLE_DEVICES is not set: HIP
# would count within what that leaves.
GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


class Prepared(Struct, frozen=True):
    """What is made; `close` or `undo` ends it. *Absent:* `cgroup` where there is no hierarchy for it."""

    cgroup: WorkloadCgroup | None
    in_force: dict[str, str]
    output: int
    order: BirthOrder

    def undo(self) -> None:
        """Remove it again: nothing was born, or nothing lives."""
        os.close(self.output)
        if self.cgroup is not None:
            _remove(self.cgroup)


def prepare(spec: WorkloadSpec, place: CgroupPlace, folder: WorkloadFolder) -> Prepared:
    """Make it. *Raises:* WorkloadRefused, OSError; then nothing is left behind."""
    files = _files(spec, place)
    with ExitStack() as undo:
        cgroup = None
        in_force: dict[str, str] = {}
        if place.root:
            cgroup = make_cgroup(place, spec.name)
            undo.callback(_remove, cgroup)
            in_force = cgroup.limit(spec.name, files)
        try:
            output = folder.open_output(spec.name)
        except OSError as cause:
            problem = f"its output {folder.output_path(spec.name)} cannot be written: {cause.strerror}"
            raise WorkloadRefused(RefusalWord.SYSTEM, spec.name, problem, "remove what is there, or make room") from cause
        undo.pop_all()
    order = BirthOrder(
        argv=spec.argv,
        env=environment(spec),
        folder=spec.folder,
        user=spec.user,
        output=output,
        cgroup=None if cgroup is None else cgroup.folder,
        may_clone=not place.is_freezer,
    )
    return Prepared(cgroup, in_force, output, order)


def environment(spec: WorkloadSpec) -> dict[str, str]:
    """The whole environment of the command."""
    gpus = dict.fromkeys(GPU_VARIABLES, ",".join(spec.gpus)) if spec.gpus else {}
    return {**ENVIRONMENT, **gpus, **spec.env}


def bound_of(prepared: Prepared, spec: WorkloadSpec, now_ns: int, lost_bytes: int) -> OutputBound:
    """What keeps its output bounded; it has the descriptor from then on."""
    return OutputBound(prepared.output, spec.output_bytes_max, now_ns, lost_bytes)


def _files(spec: WorkloadSpec, place: CgroupPlace) -> list[LimitWrite]:
    """The limits to be written. *Raises:* WorkloadRefused where they cannot hold, unless it may run without."""
    devices = {each.device: disk_number(spec.name, each.device) for each in spec.limits.io}
    files = limit_files(spec.limits, devices, is_killed_whole=spec.is_killed_whole)
    possible = [file for file in files if file.controller in place.controllers]
    # Not being killed as a whole is no limit: nobody asked for it.
    lacking = sorted({file.controller for file in files} - place.controllers) if has_limits(spec.limits) else []
    wanted = {file.controller for file in limit_files(spec.limits, devices, is_killed_whole=False)}
    if not spec.without_limits and wanted.intersection(lacking):
        what = " and ".join(sorted(wanted.intersection(lacking)))
        problem = f"its limits ({what}) cannot be set here: {place.problem}"
        raise WorkloadRefused(RefusalWord.NO_LIMITS, spec.name, problem, "or run it without: --without-limits")
    if place.root:
        check_below_parents(spec.name, spec.limits, place.parents())
    return possible


def _remove(cgroup: WorkloadCgroup) -> None:
    for _ in range(REMOVALS_MAX):
        if not cgroup.remove():
            break
        # A process that was waited for leaves its cgroup a moment later.
        time.sleep(REMOVAL_SECONDS)
    cgroup.close()
