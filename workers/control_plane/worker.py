"""The worker `control-plane`: it finds pods and units, binds them to groups and fills the groups with their threads."""

from agent.config import CGROUP_ROOT, RESCTRL_ENABLED, RESCTRL_MOUNT
from agent.model.worker_kind import Statistic, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext


def _make(context: WorkerContext) -> Work:
    from workers.control_plane.work import ControlPlaneWork
    from workers.resctrl.filesystem import MountedFilesystem
    from workers.resctrl.groups import MonitoringGroups

    config = context.launch.config
    # `auto` was decided when the agent started.
    is_measured = config.of(RESCTRL_ENABLED) == "true"
    return ControlPlaneWork(
        context.clock,
        context.tree(config.of(CGROUP_ROOT)),
        context.outbox(),
        context.bus,
        config,
        run=context.launch.identity.run,
        groups=MonitoringGroups(MountedFilesystem(config.of(RESCTRL_MOUNT))) if is_measured else None,
        heartbeat=context.heartbeat,
    )


WORKER = Worker(
    name="control-plane",
    kind=WorkerKind("control-plane", start_order=20, may_publish=True),
    make=_make,
    preload=("workers.control_plane.work", "workers.resctrl.filesystem", "workers.resctrl.groups"),
    statistics=(
        Statistic("evergauge_resctrl_groups", "gauge", "Monitoring group directories held.", ("resctrl", "groups")),
        Statistic("evergauge_resctrl_unmeasured", "gauge", "Units without a monitoring group.", ("resctrl", "unmeasured")),
        Statistic(
            "evergauge_resctrl_unreconciled",
            "gauge",
            "Units with a container that is not completely in its group.",
            ("resctrl", "unreconciled"),
        ),
    ),
)
