"""The story of a small fleet, three hosts over three minutes, as rows of its tables: pure, the same for the same seed.

`node-1` was restarted in the first minute, so its sketches of that minute are in two parts. `node-3` missed three ticks of the
second minute. `node-2` has no sketches of the third minute, and those of `java` are coarser than all others. Each host has web
servers and a shared infrastructure group; `node-1` has the database; the other two crunch, and their jobs are killed, on `node-2`
for lack of memory.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from fakes.row_problem import problem_of_row
from fakes.stored_data import row_of
from msgspec.structs import asdict

from agent.model.sketch import SCALE, Sketch
from agent.model.table import Row, Table, Value
from agent.model.tables import GAP, POD_GROUP
from agent.model.timebase import S
from workers.process.schema import PROCESS, PROCESS_EXIT, PROCESS_SCAN, PROCESS_SKETCH, PROCESS_TAIL
from workers.resctrl.row import OCCUPANCY
from workers.unit.schema import UNIT, UNIT_EVENT

HOSTS = ("node-1", "node-2", "node-3")
# 2023-11-14 22:14:00 UTC.
BEGIN_NS = 1_700_000_040 * S
DATE = "2023-11-14"
TICK_NS, TICKS, WINDOWS = 5 * S, 12, 3
WINDOW_NS = TICK_NS * TICKS
MIB = 1 << 20
TABLES = (GAP, OCCUPANCY, POD_GROUP, PROCESS, PROCESS_EXIT, PROCESS_SCAN, PROCESS_SKETCH, PROCESS_TAIL, UNIT, UNIT_EVENT)
COARSE_SCALE = 4
# Rows of `process` are those with the most CPU, and those with the most memory.
_NAMED_CPU, _NAMED_RSS = 6, 2
_CACHE_BYTES = 32 * MIB

Key = tuple[str | None, str]


class FleetProcess(msgspec.Struct):
    """One process of a host: how much it does and holds at a tick, as a mean."""

    pid: int
    pod: str | None
    command: str
    cpu_ns: int
    rss_bytes: int


class Reading(msgspec.Struct, frozen=True):
    """What was read of a process in one tick."""

    process: FleetProcess
    cpu_ns: int | None
    rss_bytes: int


class FleetHost:
    """One host of the story. `rows` has its tables, `values` what was counted by window, pod and command, in cpu and rss."""

    def __init__(self, number: int, seed: int) -> None:
        self.name = HOSTS[number]
        self.number = number
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self.values: dict[tuple[int, int, str, Key], list[int]] = defaultdict(list)
        self._random = random.Random(f"{seed}/{number}")
        self.pods = pods_of(number)
        self.processes = list(self._processes())
        self._name_pods()
        for tick in range(TICKS * WINDOWS):
            if not self.is_missed(tick):
                self._tick(tick)
        self._count()
        self._lose()

    def is_missed(self, tick: int) -> bool:
        """The ticks that `node-3` overran."""
        return self.number == 2 and tick in range(16, 19)

    def at(self, tick: int) -> int:
        """The time of a tick: each host reads a tenth of a second later than the one before."""
        return BEGIN_NS + tick * TICK_NS + (1 + self.number) * S // 10

    def add(self, table: Table, values: Mapping[str, Value]) -> None:
        """Store a row, which the real check lets pass."""
        row = row_of(table, values)
        assert problem_of_row(table, row) is None, problem_of_row(table, row)
        self.rows[table.name].append(row)

    def _processes(self) -> Iterator[FleetProcess]:
        pid = 1000 * (1 + self.number)
        for pod, (_, commands) in self.pods.items():
            for command, (many, cpu_ns, rss) in commands.items():
                for _ in range(many):
                    pid += 7
                    uid = pod if pod else None
                    yield FleetProcess(pid, uid, command, cpu_ns, int(rss * self._random.uniform(0.6, 1.6)))

    def _name_pods(self) -> None:
        for pod, (name, _) in self.pods.items():
            if not pod:
                continue
            namespace, _, short = name.rpartition("/")
            values = {"pod_uid": pod, "kind": "pod" if name else "service", "cgroup": f"/{pod}", "containers": 1, "run": "run-1"}
            named = {"pod_namespace": namespace or None, "pod_name": short or None, "group": pod, "valid_from": BEGIN_NS}
            # The name comes later than the first row of a pod.
            self.add(POD_GROUP, {**values, "timestamp": BEGIN_NS, "group": pod, "valid_from": BEGIN_NS})
            self.add(POD_GROUP, {**values, **named, "timestamp": BEGIN_NS + S})

    def _tick(self, tick: int) -> None:
        readings = [self._reading(each, tick) for each in self.processes]
        by_cpu = sorted(readings, key=lambda one: (-(one.cpu_ns or 0), one.process.pid))[:_NAMED_CPU]
        by_rss = sorted(readings, key=lambda one: (-one.rss_bytes, one.process.pid))[:_NAMED_RSS]
        named = {one.process.pid for one in (*by_cpu, *by_rss)}
        for one in readings:
            if one.process.pid in named:
                self._add_process(tick, one)
        self._add_tail(tick, [one for one in readings if one.process.pid not in named])
        self._add_scan(tick, readings, self._add_exits(tick))
        self._add_units(tick, readings)
        self._add_occupancy(tick)

    def _reading(self, process: FleetProcess, tick: int) -> Reading:
        pick = self._random
        busy = pick.random() < 0.7
        # The heavy tail of the crunching pods is worst in the second minute of node-3.
        much = 6 if (self.number, tick // TICKS, process.command) == (2, 1, "job") else 1
        cpu = int(process.cpu_ns * much * pick.lognormvariate(0, 0.8)) if busy else 0
        rss = int(process.rss_bytes * pick.uniform(0.97, 1.03)) // 4096 * 4096
        is_first = tick == 0 and process.command == "postgres"
        if not is_first:
            self.values[tick // TICKS, self._part(tick), "cpu", (process.pod, process.command)].append(cpu)
        self.values[tick // TICKS, self._part(tick), "rss", (process.pod, process.command)].append(rss)
        return Reading(process, None if is_first else cpu, rss)

    def _part(self, tick: int) -> int:
        return int(self.number == 0 and tick in range(5, TICKS))

    def _add_process(self, tick: int, one: Reading) -> None:
        process, cpu = one.process, one.cpu_ns
        values: dict[str, Value] = {
            "timestamp": self.at(tick), "pid": process.pid, "start_ticks": process.pid, "ppid": 1, "comm": process.command,
            "pod_uid": process.pod, "state": "S", "threads": 1, "cpu_ns": cpu, "cpu_share": None if cpu is None else cpu / TICK_NS,
            "rss_bytes": one.rss_bytes, "read_bytes": 0, "write_bytes": 4096 * (process.pid % 5), "chosen_for": "cpu,rss",
            "absent": "cpu_ns:first_tick" if cpu is None else None,
        }  # fmt: skip
        self.add(PROCESS, values)

    def _add_tail(self, tick: int, readings: Sequence[Reading]) -> None:
        together: dict[Key, list[Reading]] = defaultdict(list)
        for one in readings:
            together[one.process.pod, one.process.command].append(one)
        for (pod, command), every in together.items():
            cpu, rss = [one.cpu_ns or 0 for one in every], [one.rss_bytes for one in every]
            values: dict[str, Value] = {
                "timestamp": self.at(tick), "pod_uid": pod, "command": command, "commands": 1, "processes": len(every),
                "cpu_ns": sum(cpu), "cpu_share": sum(cpu) / TICK_NS, "rss_bytes": sum(rss), "read_bytes": 512 * len(every),
                "write_bytes": 0, "cpu_largest_ns": max(cpu), "rss_largest_bytes": max(rss), "threads": len(every),
            }  # fmt: skip
            self.add(PROCESS_TAIL, values)

    def _add_exits(self, tick: int) -> int:
        """The processes that ended; gives their CPU."""
        used = 0
        for command, pod, deaths, signal, code in exits_of(self.number, tick):
            cpu = deaths * self._random.randrange(1, 9) * 10**6
            used += cpu
            values: dict[str, Value] = {
                "timestamp": self.at(tick), "source": "taskstats", "command": command, "pod_uid": pod, "deaths": deaths,
                "unseen": deaths - 1, "cpu_ns": cpu, "cpu_share": cpu / TICK_NS, "exit_code": code, "signal": signal,
                "rss_max_bytes": deaths * 64 * MIB, "read_bytes": 0, "write_bytes": 4096,
            }  # fmt: skip
            if deaths == 1:
                values |= {"pid": 90_000 + tick, "start_ticks": tick, "ppid": 1, "lifetime_ns": tick * TICK_NS}
            self.add(PROCESS_EXIT, values)
            if signal == 9 and self.number == 1:
                self.add(UNIT_EVENT, self._oom(tick, str(pod)))
        return used

    def _oom(self, tick: int, pod: str) -> dict[str, Value]:
        return {
            "timestamp": self.at(tick), "unit": pod, "kind": "pod", "cgroup": f"/{pod}", "sequence": tick, "event": "oom",
            "verdict": "own_limit", "kills": 1, "limit_bytes": 512 * MIB,
        }  # fmt: skip

    def _add_scan(self, tick: int, readings: Sequence[Reading], dead_ns: int) -> None:
        cpu = sum(one.cpu_ns or 0 for one in readings) + dead_ns
        values: dict[str, Value] = {
            "timestamp": self.at(tick), "processes": len(readings), "cpu_ns": cpu, "cpu_share": cpu / TICK_NS,
            "cpu_dead_ns": dead_ns, "rss_bytes": sum(one.rss_bytes for one in readings), "exit_records_lost": 0, "io_unreadable": 0,
            "unreadable": 0, "elapsed_ns": TICK_NS,
        }  # fmt: skip
        self.add(PROCESS_SCAN, values)

    def _add_units(self, tick: int, readings: Sequence[Reading]) -> None:
        for index, pod in enumerate(self.pods):
            cpu = sum(one.cpu_ns or 0 for one in readings if one.process.pod == pod)
            values: dict[str, Value] = {
                "timestamp": self.at(tick), "unit": pod, "kind": "pod", "cgroup": f"/{pod}", "elapsed_ns": TICK_NS,
                "is_final": False, "cpu_ns": cpu, "io_read_bytes": 65_536 * index,
                "io_write_bytes": self._random.randrange(256) * 4096,
            }  # fmt: skip
            if pod:
                self.add(UNIT, values)
                self.add(UNIT, {**values, "container": f"c-{pod}"})

    def _add_occupancy(self, tick: int) -> None:
        for index, (pod, (name, _)) in enumerate(self.pods.items()):
            if not name:
                continue
            namespace, _, short = name.rpartition("/")
            is_shared = namespace == "kube"
            # Pods of one group have its values, whole.
            if not is_shared or short == "dns":
                llc, total = self._random.randrange(MIB // 2, 5 * MIB), self._random.randrange(20 * 10**6, 900 * 10**6)
            is_absent = short.startswith("web") and tick % TICKS == 7
            values: dict[str, Value] = {
                "timestamp": self.at(tick) + index, "start_timestamp": self.at(tick), "pod_namespace": namespace, "pod_name": short,
                "pod_uid": pod, "resctrl_group": "/mon_groups/infra" if is_shared else f"/mon_groups/{pod}",
                "llc_occupancy_bytes": None if is_absent else llc,
                "mbm_total_bytes_per_second": None if is_absent else float(total),
                "mbm_local_bytes_per_second": None if is_absent else float(total // 4 * 3), "llc_size_bytes": _CACHE_BYTES,
                "pods_in_group": 2 if is_shared else 1, "absent": "llc_occupancy:unavailable" if is_absent else None,
            }  # fmt: skip
            self.add(OCCUPANCY, values)

    def _count(self) -> None:
        """The sketches: none of the last minute of `node-2`, which was killed before it ended."""
        for (window, part, metric, (pod, command)), values in self.values.items():
            if self.is_uncounted(window):
                continue
            sketch = Sketch(scale=COARSE_SCALE if (self.number, command) == (1, "java") else SCALE)
            for value in values:
                sketch.add(value)
            ticks = [
                tick
                for tick in range(TICKS * window, TICKS * (window + 1))
                if not self.is_missed(tick) and self._part(tick) == part
            ]
            row: dict[str, Value] = {
                "timestamp": self.at(max(ticks) + 1), "window_start": BEGIN_NS + window * WINDOW_NS, "window_ns": WINDOW_NS,
                "pod_uid": pod, "command": command, "metric": metric, "ticks": len(ticks), **asdict(sketch.to_columns()), "keys": 1,
            }  # fmt: skip
            self.add(PROCESS_SKETCH, row)

    def is_uncounted(self, window: int) -> bool:
        """Whether a window has no sketches."""
        return self.number == 1 and window == WINDOWS - 1

    def _lose(self) -> None:
        for reason, worker, values in gaps_of(self.number):
            hole = {"from_timestamp": self.at(15), "until_timestamp": self.at(19)} if self.number == 2 else {}
            row = {"timestamp": self.at(19), "worker": worker, "run": "run-1", "epoch": 1, "reason": reason, **hole, **values}
            self.add(GAP, row)


def pods_of(number: int) -> dict[str, tuple[str, dict[str, tuple[int, int, int]]]]:
    """The pods of a host by uid: name, and of each command how many processes, with which CPU and memory; "": no pod."""
    node = number + 1
    pods: dict[str, tuple[str, dict[str, tuple[int, int, int]]]] = {
        f"u-web-{node}": (f"shop/web-{node}", {"nginx": (6, 40_000_000, 24 * MIB), "sh": (1, 900_000, 2 * MIB)}),
        f"u-dns-{node}": ("kube/dns", {"coredns": (1, 15_000_000, 30 * MIB)}),
        f"u-proxy-{node}": ("kube/proxy", {"kube-proxy": (1, 4_000_000, 20 * MIB)}),
        "/system.slice/cron.service": ("", {"cron": (2, 300_000, 3 * MIB)}),
        "": ("", {"kworker": (4, 700_000, 0)}),
    }
    if number == 0:
        pods["u-db"] = ("shop/db", {"postgres": (7, 60_000_000, 90 * MIB)})
    else:
        pods[f"u-crunch-{node}"] = (
            f"batch/crunch-{node}",
            {"job": (4, 350_000_000, 200 * MIB), "java": (2, 90_000_000, 400 * MIB)},
        )
    return pods


def exits_of(number: int, tick: int) -> list[tuple[str, str, int, int | None, int | None]]:
    """Command, pod, how many, signal and exit code of what ended before a tick."""
    node = number + 1
    if tick % 9 == 4:
        return [("sh", f"u-web-{node}", 3, None, 0)]
    if number and tick in (20, 30):
        return [("job", f"u-crunch-{node}", 1, 9, None)]
    return [("java", f"u-crunch-{node}", 1, 15, None)] if (number, tick) == (2, 25) else []


def gaps_of(number: int) -> list[tuple[str, str, dict[str, Value]]]:
    """Reason, worker and what else is known of what a host lost."""
    if number == 1:
        return [
            ("worker_died", "sampler/process", {"table": "process_sketch"}),
            ("buffer_full", "sampler/node", {"table": "unit", "first_seq": 5, "last_seq": 7, "rows": 120}),
            ("buffer_full", "sampler/node", {"table": "unit", "first_seq": 9, "last_seq": 9, "rows": 40}),
        ]
    return [("overrun", "sampler/process", {"ticks": 3, "last_tick": 18})] if number == 2 else []


def fleet_of(seed: int = 1) -> tuple[FleetHost, ...]:
    """All hosts of the story."""
    return tuple(FleetHost(number, seed) for number in range(len(HOSTS)))
