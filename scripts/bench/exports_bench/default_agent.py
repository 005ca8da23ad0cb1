"""What a default agent stores on a node with 500 processes and 100 units, as batches of its spool, made by a seeded generator.

The load is heavy-tailed: a tenth of the processes use most of the CPU and stay the same, their figures change each second, the
memory of most does not. Rows of `process` are those that reach the capture target, the others are summed in `process_tail`.
"""

import random
from collections.abc import Mapping

from fakes.stored_batch import STAMP_NS, stored
from msgspec import Struct

from agent.model.sketch import Sketch, SketchColumns
from agent.model.table import Table, Value
from agent.model.tables import CONTAINER_NAME, POD_GROUP
from agent.model.timebase import MINUTE, S
from agent.store.batch import StoredBatch
from workers.host import schema as host
from workers.process import schema as process
from workers.unit import schema as unit

PROCESSES, UNITS, NAMED = 500, 100, 60
WINDOW_TICKS = 60
_COMMANDS = (
    "nginx",
    "java",
    "python3",
    "postgres",
    "node",
    "redis-server",
    "envoy",
    "kubelet",
    "containerd",
    "sh",
    "cron",
    "go-app",
)
_PAGE = 4096


class FakeProcess(Struct):
    """A process that does as much as its weight says."""

    pid: int
    start_ticks: int
    unit: int
    comm: str
    weight: float
    total_ns: int
    rss_bytes: int
    threads: int


class DefaultAgent:
    """Gives the batches of one tick after another."""

    def __init__(self, seed: int = 1, processes: int = PROCESSES, units: int = UNITS, begin_ns: int = STAMP_NS) -> None:
        self.begin_ns = begin_ns
        self._random = random.Random(seed)
        self._seq = 0
        pick = self._random
        # Two of three units are pods with one container.
        self.units = [
            (f"{pick.getrandbits(128):032x}", "pod", f"{pick.getrandbits(256):064x}")
            if number % 3
            else (f"/system.slice/service-{number}.service", "service", None)
            for number in range(units)
        ]
        # A unit runs one command or two.
        commands = [pick.choices(_COMMANDS, k=2) for _ in self.units]
        places = [pick.randrange(units) for _ in range(processes)]
        self.processes = [
            FakeProcess(
                1000 + 37 * number,
                5_000 + 91 * number,
                place,
                commands[place][pick.random() < 0.2],
                pick.paretovariate(1.1),
                pick.randrange(10**9, 10**13),
                pick.randrange(200, 200_000) * _PAGE,
                pick.choice((1, 1, 1, 4, 12, 40)),
            )
            for number, place in enumerate(places)
        ]
        self._sketches: dict[tuple[int, str, str], Sketch] = {}

    def names(self) -> list[StoredBatch]:
        """The rows that name pods and containers."""
        pods: list[Mapping[str, Value]] = [
            {
                "timestamp": self.begin_ns,
                "pod_uid": uid,
                "kind": kind,
                "cgroup": f"/kubepods/{uid}",
                "containers": 1,
                "valid_from": self.begin_ns,
                "run": "r",
                "pod_namespace": "shop" if kind == "pod" else None,
                "pod_name": f"web-{number}" if kind == "pod" else None,
            }
            for number, (uid, kind, _) in enumerate(self.units)
        ]
        containers: list[Mapping[str, Value]] = [
            {"timestamp": self.begin_ns, "container_id": container, "name": "main", "pod_uid": uid, "run": "r"}
            for uid, _, container in self.units
            if container
        ]
        return [self._batch(POD_GROUP, pods, 0, "control_plane"), self._batch(CONTAINER_NAME, containers, 0, "control_plane")]

    def tick(self, number: int) -> list[StoredBatch]:
        """The batches of one second."""
        at = self.begin_ns + number * S + self._random.randrange(200_000)
        elapsed = S + self._random.randrange(-100_000, 100_000)
        spent = [self._spent(each) for each in self.processes]
        order = sorted(range(len(spent)), key=lambda index: -spent[index])
        named, tail = order[:NAMED], order[NAMED:]
        rows = [self._process_row(self.processes[index], spent[index], at, elapsed) for index in sorted(named)]
        batches = [
            self._batch(process.PROCESS, rows, number, "sampler/process"),
            self._batch(process.PROCESS_TAIL, self._tail_rows(tail, spent, at, elapsed), number, "sampler/process"),
            self._batch(process.PROCESS_SCAN, [self._scan_row(spent, named, at, elapsed)], number, "sampler/process"),
            *self._host(at, elapsed, number),
            self._batch(unit.UNIT, self._unit_rows(spent, at, elapsed, number), number, "sampler/unit"),
        ]
        for index, each in enumerate(self.processes):
            for metric, value in (("cpu", spent[index]), ("rss", each.rss_bytes)):
                key = (each.unit, each.comm, metric)
                self._sketches.setdefault(key, Sketch()).add(value)
        if number % WINDOW_TICKS == WINDOW_TICKS - 1:
            batches.append(self._batch(process.PROCESS_SKETCH, self._sketch_rows(at), number, "sampler/process"))
        return batches

    def _batch(self, table: Table, rows: list[Mapping[str, Value]], tick: int, worker: str) -> StoredBatch:
        self._seq += 1
        return stored(table, rows, seq=self._seq, worker=worker, stamp_ns=self.begin_ns + tick * S)

    def _spent(self, each: FakeProcess) -> int:
        pick, weight = self._random, each.weight
        busy = pick.random() < min(1.0, weight / 8)
        spent = int(pick.gauss(1, 0.15) * weight * 4_000_000) if busy else pick.choice((0, 0, 0, 41_000))
        each.total_ns = each.total_ns + max(0, spent)
        if pick.random() < 0.1:
            each.rss_bytes = max(_PAGE, each.rss_bytes + pick.randrange(-50, 60) * _PAGE)
        return max(0, spent)

    def _process_row(self, each: FakeProcess, spent: int, at: int, elapsed: int) -> Mapping[str, Value]:
        pick, (uid, kind, container) = self._random, self.units[each.unit]
        system = spent // 10_000_000 // 3 * 10_000_000
        return {
            "timestamp": at,
            "pid": each.pid,
            "start_ticks": each.start_ticks,
            "ppid": 1,
            "comm": each.comm,
            "command_line": f"/usr/bin/{each.comm} --port 80",
            "uid": 1000,
            "cgroup": f"/kubepods/{uid}/{container}",
            "pod_uid": uid,
            "unit_kind": kind,
            "container": container,
            "state": "S",
            "threads": each.threads,
            "cpu_total_ns": each.total_ns,
            "cpu_ns": spent,
            "cpu_user_ns": spent // 10_000_000 * 10_000_000 - system,
            "cpu_system_ns": system,
            "cpu_share": spent / elapsed,
            "rss_bytes": each.rss_bytes,
            "read_bytes": 0,
            "write_bytes": pick.choice((0, 0, 0, 4096, 73_728)),
            "minor_faults": pick.choice((0, 0, 3, 40)),
            "major_faults": 0,
            "context_switches": pick.randrange(400),
            "chosen_for": "cpu,rss",
        }

    def _tail_rows(self, tail: list[int], spent: list[int], at: int, elapsed: int) -> list[Mapping[str, Value]]:
        sums: dict[tuple[int, str], list[int]] = {}
        for index in tail:
            each = self.processes[index]
            key = (each.unit, each.comm)
            of_key = sums.setdefault(key, [0, 0, 0, 0, 0, 0])
            rss = each.rss_bytes
            for place, value in enumerate((1, spent[index], rss, each.threads)):
                of_key[place] += value
            of_key[4] = max(of_key[4], rss)
            of_key[5] = max(of_key[5], spent[index])
        return [
            {
                "timestamp": at,
                "pod_uid": self.units[unit_number][0],
                "command": command,
                "commands": 1,
                "processes": count,
                "cpu_ns": cpu,
                "cpu_share": cpu / elapsed,
                "rss_bytes": rss,
                "read_bytes": 0,
                "write_bytes": 0,
                "cpu_largest_ns": cpu_largest,
                "rss_largest_bytes": largest,
                "threads": threads,
            }
            for (unit_number, command), (count, cpu, rss, threads, largest, cpu_largest) in sums.items()
        ]

    def _scan_row(self, spent: list[int], named: list[int], at: int, elapsed: int) -> Mapping[str, Value]:
        total = sum(spent)
        return {
            "timestamp": at,
            "processes": len(spent),
            "threads": 4 * len(spent),
            "started": 3,
            "deaths": 3,
            "cpu_ns": total,
            "cpu_share": total / elapsed,
            "cpu_dead_ns": 1_000_000,
            "rss_bytes": sum(each.rss_bytes for each in self.processes),
            "read_bytes": 0,
            "write_bytes": 4096,
            "cpu_capture": sum(spent[index] for index in named) / total if total else None,
            "rss_capture": 0.9531,
            "io_capture": 1.0,
            "cpu_rows": 40,
            "rss_rows": 30,
            "io_rows": 5,
            "exit_source": "taskstats",
            "exit_records_lost": 0,
            "io_unreadable": 0,
            "unreadable": 0,
            "elapsed_ns": elapsed,
        }

    def _host(self, at: int, elapsed: int, tick: int) -> list[StoredBatch]:
        pick = self._random
        texts = {"cpu_source", "absent"}
        row: dict[str, Value] = {name: pick.randrange(10**9) for name in host.HOST.column_names if name not in texts}
        row |= {name: pick.randrange(400) / 100 for name in ("load_1", "load_5", "load_15")}
        row |= {
            "timestamp": at,
            "elapsed_ns": elapsed,
            "boot_timestamp": self.begin_ns - 10**15,
            "ticks_per_second": 100,
            "absent": None,
        }
        disks: list[Mapping[str, Value]] = [self._device(host.HOST_DISK, at, name) for name in ("nvme0n1", "nvme1n1")]
        networks: list[Mapping[str, Value]] = [self._device(host.HOST_NETWORK, at, name) for name in ("eth0", "lo", "cni0")]
        return [
            self._batch(host.HOST, [row], tick, "sampler/host"),
            self._batch(host.HOST_DISK, disks, tick, "sampler/host"),
            self._batch(host.HOST_NETWORK, networks, tick, "sampler/host"),
        ]

    def _device(self, table: Table, at: int, name: str) -> Mapping[str, Value]:
        values: dict[str, Value] = {}
        for column in table.columns:
            values[column.name] = self._random.randrange(10**6) if column.dtype == "int64" else None
        values |= {"timestamp": at, table.columns[1].name: name, "utilisation": 0.25}
        return values | ({"is_up": True} if "is_up" in values else {})

    def _unit_rows(self, spent: list[int], at: int, elapsed: int, tick: int) -> list[Mapping[str, Value]]:
        used = [0] * len(self.units)
        for index, each in enumerate(self.processes):
            used[each.unit] += spent[index]
        rows: list[Mapping[str, Value]] = []
        for number, (uid, kind, container) in enumerate(self.units):
            # A unit that did nothing has a row a minute.
            if used[number] < 200_000 and (tick + number) % WINDOW_TICKS:
                continue
            row = self._unit_row(number, used[number], at, elapsed) | {"unit": uid, "kind": kind}
            rows.append(row)
            if container:
                rows.append(row | {"container": container})
        return rows

    def _unit_row(self, number: int, cpu: int, at: int, elapsed: int) -> dict[str, Value]:
        pick, memory = self._random, (1 + number) * 1_048_576 * 8
        counts = [
            name
            for name in unit.UNIT.column_names
            if name.startswith(("oom_", "memory_max", "memory_high_ev", "pressure_", "net_", "tcp_"))
        ]
        row: dict[str, Value] = dict.fromkeys(counts, 0)
        return row | {
            "timestamp": at,
            "cgroup": f"/kubepods/{number}",
            "started_timestamp": self.begin_ns - 10**15,
            "uptime_ns": at - self.begin_ns + 10**15,
            "elapsed_ns": elapsed,
            "is_final": False,
            "cpu_ns": cpu,
            "cpu_user_ns": cpu * 2 // 3,
            "cpu_system_ns": cpu // 3,
            "cpu_cores": cpu / elapsed,
            "cpu_periods": 10,
            "cpu_throttled_periods": 0,
            "cpu_throttled_ns": 0,
            "cpu_limit_cores": 2.0,
            "cpu_weight": 100,
            "memory_current_bytes": memory + pick.randrange(9) * _PAGE,
            "memory_anon_bytes": memory // 2,
            "memory_file_bytes": memory // 3,
            "memory_shmem_bytes": 0,
            "memory_kernel_bytes": memory // 50,
            "memory_working_set_bytes": memory * 2 // 3 + pick.randrange(9) * _PAGE,
            "memory_swap_bytes": 0,
            "memory_peak_bytes": memory * 2,
            "memory_limit_bytes": memory * 4,
            "page_faults": pick.randrange(50),
            "major_faults": 0,
            "io_read_bytes": 0,
            "io_write_bytes": pick.choice((0, 0, 4096)),
            "io_reads": 0,
            "io_writes": 1,
            "io_read_bytes_per_second": 0.0,
            "io_write_bytes_per_second": 4096.0,
            "io_reads_per_second": 0.0,
            "io_writes_per_second": 1.0,
            "pids": 5,
            "pressure_cpu_some_ns": pick.randrange(3_000_000),
            "net_received_bytes": pick.randrange(90_000),
            "net_sent_bytes": pick.randrange(90_000),
            "net_received_packets": pick.randrange(90),
            "net_sent_packets": pick.randrange(90),
            "sockets_tcp": 12,
        }

    def _sketch_rows(self, at: int) -> list[Mapping[str, Value]]:
        rows: list[Mapping[str, Value]] = []
        for (number, command, metric), sketch in self._sketches.items():
            row = sketch_row(sketch.to_columns(), at)
            rows.append(row | {"pod_uid": self.units[number][0], "command": command, "metric": metric})
        self._sketches = {}
        return rows


def sketch_row(columns: SketchColumns, at: int) -> dict[str, Value]:
    """A row of a sketch, without what it is about."""
    return {
        "timestamp": at,
        "window_start": at - at % MINUTE,
        "window_ns": 60 * S,
        "ticks": 60,
        "scale": columns.scale,
        "relative_error": columns.relative_error,
        "zero_count": columns.zero_count,
        "count": columns.count,
        "sum": columns.sum,
        "min": columns.min,
        "max": columns.max,
        "first_bucket": columns.first_bucket,
        "counts": list(columns.counts),
        "keys": 1,
    }
