"""A keeper in memory: what the real one answers and keeps, over processes that end when a test says so."""

from msgspec.structs import replace

from workers.keeper.protocol import (
    Birth,
    ForgetWorkload,
    FromKeeper,
    KeeperDone,
    KeeperRecords,
    KeeperRefused,
    KeeperSpawned,
    ListWorkloads,
    RefusalWord,
    SpawnWorkload,
    StopWorkload,
    ToKeeper,
    WorkloadEnded,
    WorkloadEnding,
    WorkloadRecord,
)


class KeeperModel:
    """The records outlive the keeper, and so do the processes: a keeper that dies is this object without its clients."""

    def __init__(self, boot_id: str = "boot-1") -> None:
        self.boot_id = boot_id
        self.records: dict[str, WorkloadRecord] = {}
        # What really runs: a name has one process at most.
        self.processes: dict[str, int] = {}
        self.stopping: set[str] = set()
        self.missing: set[str] = set()
        self.wall_ns = 1_000_000_000_000
        self.spawned: list[WorkloadRecord] = []
        self._pids = 1000

    def answer(self, order: ToKeeper) -> FromKeeper:
        """Carry an order out."""
        match order:
            case SpawnWorkload():
                return self._spawn(order)
            case StopWorkload():
                if order.name not in self.processes:
                    return KeeperRefused(order.request, RefusalWord.NOT_FOUND, f"{order.name}: it has ended already")
                self.stopping.add(order.name)
                return KeeperDone(order.request)
            case ForgetWorkload():
                if order.name in self.processes:
                    return KeeperRefused(order.request, RefusalWord.STILL_RUNS, f"{order.name}: it runs")
                if self.records.pop(order.name, None) is None:
                    return KeeperRefused(order.request, RefusalWord.NOT_FOUND, f"{order.name}: there is none")
                return KeeperDone(order.request)
            case ListWorkloads():
                return KeeperRecords(order.request, tuple(self.records.values()), "/sys/fs/cgroup", "")

    def _spawn(self, order: SpawnWorkload) -> FromKeeper:
        name = order.spec.name
        if name in self.processes:
            return KeeperRefused(order.request, RefusalWord.NAME_TAKEN, f"{name}: a workload of this name runs")
        if order.spec.argv[0] in self.missing:
            sentence = f"{name}: there is no program {order.spec.argv[0]}; install it"
            return KeeperRefused(order.request, RefusalWord.MISSING_BINARY, sentence)
        self._pids += 1
        previous = self.records.get(name)
        record = WorkloadRecord(
            spec=order.spec,
            incarnation=1 if previous is None else previous.incarnation + 1,
            pid=self._pids,
            start_ticks=self._pids,
            boot_id=self.boot_id,
            started_wall_ns=self.wall_ns,
            birth=Birth.CLONE,
            cgroup=f"/evergauge-workloads/{name}.workload",
            output=f"/s/workloads/{name}.out",
        )
        self.records[name] = record
        self.processes[name] = record.pid
        self.spawned.append(record)
        return KeeperSpawned(order.request, record)

    def end(self, name: str, code: int | None = None, signal: int | None = None) -> WorkloadEnded:
        """The process ends; the keeper writes that down, and tells it to who is connected."""
        del self.processes[name]
        stopped = name in self.stopping
        self.stopping.discard(name)
        ending = WorkloadEnding(self.wall_ns, code=code, signal=signal, stopped=stopped, oom_kills=0)
        self.records[name] = replace(self.records[name], ending=ending)
        return WorkloadEnded(self.records[name])

    def die(self) -> None:
        """The keeper is killed: what it was ending runs on, and the next one does not know that it was to end."""
        self.stopping.clear()

    def reboot(self, boot_id: str) -> None:
        """The host goes down: all processes are gone, and nobody saw how."""
        self.die()
        self.boot_id = boot_id
        self.processes.clear()
        for name, record in self.records.items():
            if record.ending is None:
                ending = WorkloadEnding(self.wall_ns, unknown_why="the host was started again")
                self.records[name] = replace(record, ending=ending)
