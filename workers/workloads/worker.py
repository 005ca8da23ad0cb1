"""The worker `workloads`: programs that the agent runs within limits. It sleeps while there are none."""

import os
from contextlib import suppress

from agent.config import (
    BACKOFF_BASE,
    BACKOFF_CEILING,
    BACKOFF_FACTOR,
    BACKOFF_JITTER,
    CGROUP_ROOT,
    STABLE_PERIOD,
    STATE_DIR,
    Config,
)
from agent.model.control import WORKLOAD_OPERATIONS
from agent.model.worker_kind import RULES, STATS, Statistic, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext

RECORDS_FOLDER = "workloads"
RECORD_SUFFIX = ".json"
IDLE = "no workload is in the settings file, and none has run; `agentctl run NAME -- PROGRAM` starts one"


def _make(context: WorkerContext) -> Work:
    import random

    from agent.kernel_file import read_text
    from agent.model.backoff import Backoff
    from agent.model.message import Note
    from workers.keeper.cgroup_place import hierarchy_root
    from workers.keeper.client import KeeperClient
    from workers.workloads.core import WorkloadsCore
    from workers.workloads.described import specs_of
    from workers.workloads.remembered_file import RememberedFile
    from workers.workloads.restart_policy import RestartPolicy
    from workers.workloads.table import WorkloadTable
    from workers.workloads.work import WorkloadsWork

    config, state_dir = context.launch.config, context.launch.state_dir
    cgroup_root = config.of(CGROUP_ROOT)
    backoff = Backoff(config.of(BACKOFF_BASE), config.of(BACKOFF_FACTOR), config.of(BACKOFF_CEILING), config.of(BACKOFF_JITTER))
    file = RememberedFile(state_dir)
    remembered, problem = file.read()
    if problem:
        context.bus.note(Note("workloads_forgotten", "warning", {"problem": problem}))
    policy = RestartPolicy(backoff, config.of(STABLE_PERIOD))
    boot_id = read_text("/proc/sys/kernel/random/boot_id", 64).strip()
    table = WorkloadTable(specs_of(config), policy, random.Random(os.urandom(8)), remembered, boot_id)
    tree = context.tree(hierarchy_root(cgroup_root) or cgroup_root)
    return WorkloadsWork(
        WorkloadsCore(table),
        KeeperClient(state_dir, cgroup_root),
        file,
        clock=context.clock,
        bus=context.bus,
        outbox=context.outbox(),
        tree=lambda: tree,
    )


def _idle_reason(config: Config) -> str:
    """Empty where there is something to do: a workload is described, or has a record."""
    if config.workloads:
        return ""
    with suppress(OSError), os.scandir(os.path.join(config.of(STATE_DIR), RECORDS_FOLDER)) as entries:
        if any(entry.name.endswith(RECORD_SUFFIX) for entry in entries):
            return ""
    return IDLE


def _check(config: Config, origin: str) -> None:
    """*Raises:* ConfigError for a workload that could never start."""
    if not config.workloads:
        return
    from workers.workloads.described import check_described

    check_described(config, origin)


WORKER = Worker(
    name="workloads",
    kind=WorkerKind("workloads", start_order=55, answers=frozenset({STATS, RULES}) | WORKLOAD_OPERATIONS, is_on_demand=True),
    make=_make,
    preload=(),
    statistics=(
        Statistic("evergauge_workloads", "gauge", "Workloads by their state.", ("states",), by="state"),
        Statistic("evergauge_workload_starts_total", "counter", "Workloads started by this process.", ("starts",)),
        Statistic("evergauge_workload_endings_total", "counter", "Ends of workloads that were seen.", ("endings",)),
    ),
    # Workloads are started again as workers are.
    reads=(
        "workload",
        *(each.key for each in (BACKOFF_BASE, BACKOFF_CEILING, BACKOFF_FACTOR, BACKOFF_JITTER, STABLE_PERIOD)),
    ),
    idle_reason=_idle_reason,
    check=_check,
)
