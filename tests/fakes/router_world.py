"""A world of processes whose every value is known, stored as the process sampler stores it, and then damaged by chance.

Rows keep the values that they hold, so that a test knows what a true answer is, whatever is lost.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow
import pyarrow.compute
from msgspec.structs import asdict

from agent.model.sketch import Sketch
from agent.router.answer import RoutedAnswer
from agent.router.cell import WINDOW_NS
from agent.router.interval import rank_of
from agent.router.plan import Way
from agent.router.question import PodNames, RoutedQuestion

S = 10**9
# A minute of UTC.
BEGIN = 1_704_164_400 * S
INT, TEXT = pyarrow.int64(), pyarrow.utf8()
COLUMNS: dict[str, dict[str, Any]] = {
    "process": {
        "timestamp": INT, "host": TEXT, "pid": INT, "ppid": INT, "comm": TEXT, "pod_uid": TEXT, "cpu_ns": INT, "rss_bytes": INT,
        "read_bytes": INT, "write_bytes": INT, "absent": TEXT,
    },
    "process_tail": {
        "timestamp": INT, "host": TEXT, "pod_uid": TEXT, "command": TEXT, "commands": INT, "processes": INT, "cpu_ns": INT,
        "rss_bytes": INT, "read_bytes": INT, "write_bytes": INT, "cpu_largest_ns": INT, "rss_largest_bytes": INT, "absent": TEXT,
    },
    "process_exit": {
        "timestamp": INT, "host": TEXT, "pid": INT, "pod_uid": TEXT, "command": TEXT, "deaths": INT, "cpu_ns": INT,
        "read_bytes": INT, "write_bytes": INT, "absent": TEXT,
    },
    "process_scan": {
        "timestamp": INT, "host": TEXT, "processes": INT, "deaths": INT, "cpu_ns": INT, "rss_bytes": INT, "read_bytes": INT,
        "write_bytes": INT, "elapsed_ns": INT, "absent": TEXT,
    },
    "process_sketch": {
        "timestamp": INT, "host": TEXT, "window_start": INT, "window_ns": INT, "pod_uid": TEXT, "command": TEXT, "metric": TEXT,
        "ticks": INT, "scale": INT, "relative_error": pyarrow.float64(), "zero_count": INT, "count": INT, "sum": INT, "min": INT,
        "max": INT, "first_bucket": INT, "counts": pyarrow.list_(INT), "keys": INT,
    },
    "gap": {
        "timestamp": INT, "host": TEXT, "worker": TEXT, "first_seq": INT, "reason": TEXT, "from_timestamp": INT,
        "until_timestamp": INT,
    },
    "export_gap": {"timestamp": INT, "host": TEXT, "from_timestamp": INT, "until_timestamp": INT},
    "occupancy": {
        "timestamp": INT, "host": TEXT, "pod_uid": TEXT, "llc_occupancy_bytes": INT,
        "mbm_total_bytes_per_second": pyarrow.float64(), "mbm_local_bytes_per_second": pyarrow.float64(),
    },
    "pod_group": {"timestamp": INT, "host": TEXT, "pod_uid": TEXT, "pod_namespace": TEXT, "pod_name": TEXT},
}  # fmt: skip
METRICS = {"cpu": "cpu_ns", "rss": "rss_bytes", "read": "read_bytes"}

# Unit, command, value: None is not known.
Valued = tuple[str | None, str, int | None]


@dataclass
class WorldRow:
    """A stored row, and the values that it holds by metric."""

    table: str
    columns: dict[str, Any]
    values: dict[str, list[Valued]] = field(default_factory=dict)

    @property
    def at_ns(self) -> int:
        """Its time."""
        return int(self.columns["timestamp"])

    @property
    def host(self) -> str:
        """Whose it is."""
        return str(self.columns["host"])

    @property
    def window(self) -> int:
        """The minute of its values."""
        return int(self.columns.get("window_start", self.at_ns)) // WINDOW_NS


class WorldRows:
    """A `agent.router.source.RowSource` of rows in memory."""

    shown = "a world"

    def __init__(self, rows: Sequence[WorldRow], marks: Mapping[str, int] | None = None, *, is_delivered: bool = False) -> None:
        self.rows = rows
        self.is_delivered = is_delivered
        self._marks = marks
        self._tables: dict[str, pyarrow.Table] = {}

    def batches(self, table: str, since_ns: int, until_ns: int, columns: Sequence[str], rows_max: int) -> Iterator[Any]:
        """See RowSource."""
        kinds = COLUMNS[table]
        if table not in self._tables:
            own = [row.columns for row in self.rows if row.table == table]
            made = {name: pyarrow.array([row.get(name) for row in own], kind) for name, kind in kinds.items()}
            self._tables[table] = pyarrow.table(made)
        found = self._tables[table]
        compute, at = pyarrow.compute, found["timestamp"]
        mask = compute.and_(compute.greater_equal(at, since_ns), compute.less(at, until_ns))
        found = found.select([name for name in dict.fromkeys(columns) if name in kinds]).filter(mask)
        yield from found.combine_chunks().to_batches(max_chunksize=rows_max)

    def marks(self, table: str) -> Mapping[str, int] | None:
        """See RowSource."""
        return self._marks

    def warnings(self) -> list[str]:
        """See RowSource."""
        return []


@dataclass
class _Process:
    pid: int
    pod: str | None
    command: str
    rss: int
    cpu: int | None = None
    read: int | None = None
    is_rss_known: bool = True


@dataclass
class WorldShape:
    """How large a world is and what happens in it; each chance is that of one tick, window or row."""

    hosts: int = 1
    windows: int = 3
    ticks: int = 4
    processes: int = 8
    deaths: float = 0.2
    unknown: float = 0.03
    restart: float = 0.05
    kill: float = 0.5
    clock_step: float = 0.03
    keys_max: int = 4
    lost: Mapping[str, float] = field(default_factory=dict)


class HostWorld:
    """One host: `rows` are all that its sampler wrote."""

    def __init__(self, name: str, shape: WorldShape, chance: Random) -> None:
        self.name = name
        self.rows: list[WorldRow] = []
        self._shape = shape
        self._chance = chance
        self._pids = 100
        self._processes = [self._born() for _ in range(chance.randrange(1, shape.processes + 1))]
        self._parts: dict[tuple[str, tuple[str | None, str | None]], list[int]] = defaultdict(list)
        self._ticks = 0
        self._window: int | None = None
        self._period_ns = WINDOW_NS // shape.ticks
        self._now_ns = BEGIN - self._period_ns * shape.ticks // 2
        self._steps_ns = 0
        self._is_first = True
        self._last_ns = 0
        self._run()

    def _born(self) -> _Process:
        chance = self._chance
        self._pids += 1
        pod = chance.choice([None, "u1", "u2", "u3"])
        return _Process(self._pids, pod, chance.choice("abcde"), chance.choice([0, 4096, 10 ** chance.randrange(4, 11)]))

    def _run(self) -> None:
        shape, chance = self._shape, self._chance
        for _ in range(shape.ticks * shape.windows + shape.ticks):
            if chance.random() < shape.clock_step:
                self._steps_ns += chance.randrange(-90, 90) * S
            if chance.random() < shape.restart and not self._is_first:
                if chance.random() < shape.kill:
                    self._parts.clear()
                    died = {"worker": "sampler/process", "reason": "worker_died", "from_timestamp": self._last_ns}
                    self._row("gap", self._wall_ns, {**died, "until_timestamp": self._wall_ns}, {})
                else:
                    self._end_window(self._wall_ns)
                self._window, self._ticks, self._is_first = None, 0, True
            self._tick()
            self._now_ns += self._period_ns
        self._end_window(self._wall_ns)

    @property
    def _wall_ns(self) -> int:
        return self._now_ns + self._steps_ns

    def _tick(self) -> None:
        chance, shape = self._chance, self._shape
        dead: list[_Process] = []
        for process in list(self._processes):
            if chance.random() < shape.deaths:
                self._processes.remove(process)
                dead.append(process)
        while len(self._processes) < shape.processes and chance.random() < shape.deaths:
            self._processes.append(self._born())
        for process in (*self._processes, *dead):
            busy = chance.random() < 0.6
            process.cpu = chance.randrange(0, 10 ** chance.randrange(1, 10)) if busy else 0
            process.read = chance.choice([None, 0, chance.randrange(1 << 20)])
            process.rss = process.rss if chance.random() < 0.7 else max(0, process.rss + chance.randrange(-4096, 1 << 16))
            process.is_rss_known = chance.random() >= shape.unknown
            if self._is_first or chance.random() < shape.unknown:
                process.cpu = None
        wall_ns = self._wall_ns
        if self._window != wall_ns // WINDOW_NS:
            self._end_window(wall_ns)
            self._window = wall_ns // WINDOW_NS
        self._count(dead)
        self._write_tick(wall_ns, [] if self._is_first else dead)
        self._is_first, self._last_ns = False, wall_ns

    def _count(self, dead: Sequence[_Process]) -> None:
        for process in self._processes:
            if process.cpu is not None:
                self._parts["cpu", (process.pod, process.command)].append(process.cpu)
            if process.is_rss_known:
                self._parts["rss", (process.pod, process.command)].append(process.rss)
        for process in dead:
            if process.cpu is not None and not self._is_first:
                self._parts["cpu", (process.pod, process.command)].append(process.cpu)
        self._ticks += 1

    # ---- rows ----

    def _write_tick(self, wall_ns: int, dead: Sequence[_Process]) -> None:
        chance, processes = self._chance, self._processes
        shown = chance.sample(processes, chance.randrange(0, min(5, len(processes)) + 1))
        for process in shown:
            self._row("process", wall_ns, {
                "pid": process.pid, "ppid": 1, "comm": process.command, "pod_uid": process.pod, "cpu_ns": process.cpu,
                "rss_bytes": process.rss if process.is_rss_known else None, "read_bytes": process.read,
            }, _values([process]))  # fmt: skip
        rest: dict[tuple[str | None, str | None], list[_Process]] = defaultdict(list)
        fold = chance.choice(["none", "none", "commands", "all"])
        for process in processes:
            if process not in shown:
                pod = None if fold == "all" and chance.random() < 0.5 else process.pod
                command = process.command if fold == "none" or (fold == "commands" and process.command < "c") else None
                rest[(pod if command is None else process.pod), command].append(process)
        for (pod, command), members in rest.items():
            self._row("process_tail", wall_ns, {"pod_uid": pod, "command": command, **self._sums(members)}, _values(members))
        remainder = self._write_dead(wall_ns, dead)
        known = [process.cpu for process in (*processes, *dead) if process.cpu is not None]
        lacks = any(process.cpu is None or not process.is_rss_known for process in processes)
        self._row("process_scan", wall_ns, {
            "processes": len(processes), "deaths": None if self._is_first else len(dead),
            "cpu_ns": None if self._is_first else sum(known) + remainder,
            "rss_bytes": sum(process.rss for process in processes if process.is_rss_known),
            "read_bytes": sum(process.read or 0 for process in (*processes, *dead)),
            "elapsed_ns": None if self._is_first else self._period_ns,
            "absent": "incomplete" if lacks and not (self._is_first and all(p.is_rss_known for p in processes)) else None,
        }, {})  # fmt: skip

    def _sums(self, members: Sequence[_Process]) -> dict[str, Any]:
        cpus = [process.cpu for process in members if process.cpu is not None]
        memory = [process.rss for process in members if process.is_rss_known]
        lacks = len(memory) < len(members) or (len(cpus) < len(members) and not self._is_first)
        return {
            "processes": len(members),
            "cpu_ns": None if self._is_first else sum(cpus),
            "cpu_largest_ns": None if self._is_first else max(cpus, default=0),
            "rss_bytes": sum(memory),
            "rss_largest_bytes": max(memory, default=0),
            "read_bytes": sum(process.read or 0 for process in members),
            "absent": "incomplete" if lacks else None,
        }

    def _write_dead(self, wall_ns: int, dead: Sequence[_Process]) -> int:
        """Gives the CPU that is of some of them, and of none that is known."""
        remainder = 0
        singles = [process for process in dead if self._chance.random() < 0.5]
        sums: dict[tuple[str | None, str | None], list[_Process]] = defaultdict(list)
        for process in dead:
            if process in singles:
                columns = {"pid": process.pid, "pod_uid": process.pod, "command": process.command, "deaths": 1}
                self._row(
                    "process_exit", wall_ns, {**columns, "cpu_ns": process.cpu, "read_bytes": process.read}, _values([process])
                )
            else:
                sums[(process.pod, process.command) if self._chance.random() < 0.7 else (None, None)].append(process)
        for (pod, command), members in sums.items():
            cpu, read = sum(each.cpu or 0 for each in members), sum(each.read or 0 for each in members)
            more = self._chance.choice([0, 0, 1000])
            remainder += more
            lacks = more or any(each.cpu is None or each.read is None for each in members)
            self._row("process_exit", wall_ns, {
                "pod_uid": pod, "command": command, "deaths": len(members), "cpu_ns": cpu + more, "read_bytes": read,
                "absent": "incomplete" if lacks else None,
            }, _values(members))  # fmt: skip
        return remainder

    def _end_window(self, wall_ns: int) -> None:
        shape, chance = self._shape, self._chance
        if self._window is None or not self._parts:
            self._parts.clear()
            self._ticks = 0
            return
        keys = list(dict.fromkeys(key for _, key in self._parts))
        chance.shuffle(keys)
        own = keys if len(keys) <= shape.keys_max else keys[: shape.keys_max]
        rows: dict[tuple[str, tuple[str | None, str | None]], list[Valued]] = defaultdict(list)
        for (metric, key), values in self._parts.items():
            rows[metric, key if key in own else (None, None)] += [(key[0], str(key[1]), value) for value in values]
        scale = chance.choice([6, 6, 6, 4])
        for (metric, key), valued in rows.items():
            sketch = Sketch(scale=scale)
            for _, _, value in valued:
                sketch.add(value or 0)
            self._row("process_sketch", wall_ns + chance.randrange(0, 3) * S, {
                "window_start": self._window * WINDOW_NS, "window_ns": WINDOW_NS, "pod_uid": key[0], "command": key[1],
                "metric": metric, "ticks": self._ticks, **asdict(sketch.to_columns()),
                "keys": len(keys) - len(own) if key == (None, None) else 1,
            }, {metric: valued})  # fmt: skip
        self._parts.clear()
        self._ticks = 0

    def _row(self, table: str, wall_ns: int, columns: Mapping[str, Any], values: dict[str, list[Valued]]) -> None:
        self.rows.append(WorldRow(table, {"timestamp": wall_ns, "host": self.name, **columns}, values))


def _values(processes: Sequence[_Process]) -> dict[str, list[Valued]]:
    return {
        "cpu": [(each.pod, each.command, each.cpu) for each in processes],
        "rss": [(each.pod, each.command, each.rss if each.is_rss_known else None) for each in processes],
        "read": [(each.pod, each.command, each.read) for each in processes],
    }


def damaged(rows: Sequence[WorldRow], lost: Mapping[str, float], chance: Random) -> list[WorldRow]:
    """What is left when batches are lost, each by the chance of its table: one batch is the rows of one time. Each loss is
    recorded, as the agent records what it loses."""
    gone: set[tuple[str, str, int]] = set()
    for table, host, at_ns in dict.fromkeys((row.table, row.host, row.at_ns) for row in rows):
        if chance.random() < lost.get(table, 0.0):
            gone.add((table, host, at_ns))
    kept = [row for row in rows if (row.table, row.host, row.at_ns) not in gone]
    for _, host, at_ns in gone:
        noticed = {"timestamp": at_ns + 30 * S, "host": host, "worker": "sampler/process", "first_seq": 7, "reason": "buffer_full"}
        kept.append(WorldRow("gap", {**noticed, "from_timestamp": at_ns - S, "until_timestamp": at_ns + S}))
    chance.shuffle(kept)
    return kept


def cut_off(rows: Sequence[WorldRow], parts: Mapping[str, float]) -> list[WorldRow]:
    """What has come so far: of each table a part, in the order in which it was written."""
    written: dict[str, list[WorldRow]] = defaultdict(list)
    for row in rows:
        written[row.table].append(row)
    return [row for table, own in written.items() for row in own[: round(len(own) * parts.get(table, 1.0))]]


def true_values(
    answer: RoutedAnswer, names: PodNames, written: Sequence[WorldRow], stored: Sequence[WorldRow]
) -> dict[tuple[str | None, ...], list[int]]:
    """The values that an answer is about, by line: of cells that it calls covered all that were measured, `written`; of others
    those that it read from what is `stored`."""
    question = answer.question
    metric = question.metric.name
    raw_tables = ("process", "process_tail", *(["process_exit"] if question.metric.exit else []))
    by_cell: dict[tuple[bool, bool, str, int], list[WorldRow]] = defaultdict(list)
    for is_stored, rows in ((False, written), (True, stored)):
        for row in rows:
            if row.table in raw_tables or (row.table == "process_sketch" and row.columns["metric"] == metric):
                by_cell[is_stored, row.table == "process_sketch", row.host, row.window].append(row)
    found: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for leg in answer.legs:
        for window in range(leg.since_ns // WINDOW_NS, leg.until_ns // WINDOW_NS):
            is_stored = leg.way is Way.UNKNOWN
            has_sketch = is_stored and bool(question.metric.sketch) and bool(by_cell[True, True, leg.host, window])
            for row in by_cell[is_stored, has_sketch, leg.host, window]:
                for valued in row.values.get(metric, []):
                    if is_of(question, names, valued, row.host):
                        found[key_of(question, names, valued, row.host)].append(valued[2] or 0)
    return found


def wrong_bounds(answer: RoutedAnswer, truth: Mapping[tuple[str | None, ...], list[int]]) -> list[str]:
    """Each number of an answer that the true one is outside of."""
    found = []
    for line in answer.lines:
        if line.key is None:
            continue
        values = sorted(truth.get(line.key, []))
        true: dict[str, float | None] = {
            text: values[rank_of(part, len(values) - 1)] if values else None for text, part in answer.question.percents
        }
        told = {**line.numbers, "#count": line.count, "#sum": line.total, "#max": line.largest}
        true |= {"#count": len(values), "#sum": sum(values), "#max": max(values, default=None)}
        true |= {"sum": sum(values), "count": len(values), "max": max(values, default=None)}
        true["avg"] = sum(values) / len(values) if values else None
        for name, bound in told.items():
            value = true[name]
            if value is None or bound.interval is None:
                if value is not None:
                    found.append(f"{line.key} {name}: no interval, and it is {value}")
            elif not bound.interval.low - abs(value) * 1e-12 <= value <= bound.interval.high + abs(value) * 1e-12:
                found.append(f"{line.key} {name}: {value} is not in {bound.interval}")
            elif bound.value is not None and not bound.interval.holds(bound.value):
                found.append(f"{line.key} {name}: its own value {bound.value} is not in {bound.interval}")
    return found


def is_of(question: RoutedQuestion, names: PodNames, valued: Valued, host: str) -> bool:
    """Whether a value was asked for."""
    pod, command, value = valued
    return (
        value is not None
        and question.wants_host(host)
        and (not question.pods or pod in names.uids(question.pods))
        and (not question.commands or command in question.commands)
        and (not question.namespaces or names.namespaces.get(pod or "") in question.namespaces)
    )


def key_of(question: RoutedQuestion, names: PodNames, valued: Valued, host: str) -> tuple[str | None, ...]:
    """The line that a value belongs to."""
    pod, command, _ = valued
    parts = {"pod": pod, "command": command, "host": host, "namespace": names.namespaces.get(pod or "")}
    return tuple(parts[part] for part in question.by)
