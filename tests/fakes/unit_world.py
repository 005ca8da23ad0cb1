"""A host with cgroup version 2 in memory, and the probe of units over it, tick by tick."""

import errno
import os
from collections.abc import Mapping
from copy import copy

from fakes.kernel_tree import MemoryTree
from fakes.row_problem import problem_of_row
from msgspec import Struct

from agent.model.heartbeat import Heartbeat
from agent.model.rule import Assignment, Unit, UnitKind, canonical, pod_key
from agent.model.rule_state import RuleState
from agent.model.table import Value
from agent.model.timebase import MS, S
from workers.samplers.unit import UnitProbe
from workers.unit.part import UnitPart
from workers.unit.schema import UNIT
from workers.unit.tracked_unit import DirectoryState

WALL_NS = 1_800_000_000 * S
POD_UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
POD = f"/kubepods/burstable/pod{POD_UID}"
FIRST, SECOND = "a" * 64, "b" * 64


class Cgroup(Struct):
    """What one cgroup has used and has now; None: its controller is not enabled."""

    inode: int
    made_ns: int
    cpu_us: int = 0
    throttled_us: int = 0
    memory: int | None = 10 << 20
    inactive_file: int = 1 << 20
    faults: int = 0
    read_bytes: int = 0
    pids: int = 1
    waited_us: int = 0
    stalled_us: int = 0
    oom_kills: int = 0
    limits: dict[str, str] = {}

    def files(self) -> dict[str, bytes]:
        """Its files as the kernel writes them."""
        found = {
            "cpu.stat": f"usage_usec {self.cpu_us}\nuser_usec {self.cpu_us // 4}\nsystem_usec {self.cpu_us - self.cpu_us // 4}\n"
            f"nr_periods 5\nnr_throttled 2\nthrottled_usec {self.throttled_us}\n",
            "cpu.max": "max 100000\n",
            "cpu.weight": "100\n",
            "cpu.pressure": _pressure(self.waited_us),
            "memory.pressure": _pressure(0),
            "io.pressure": _pressure(self.stalled_us),
            "io.stat": f"8:0 rbytes={self.read_bytes} wbytes=0 rios={self.read_bytes >> 12} wios=0 dbytes=0 dios=0\n",
            "pids.current": f"{self.pids}\n",
            "pids.max": "max\n",
        }
        if self.memory is not None:
            found |= {
                "memory.current": f"{self.memory}\n",
                "memory.stat": f"anon 4096\nfile 8192\nkernel 2048\nshmem 1024\ninactive_file {self.inactive_file}\n"
                f"pgfault {self.faults}\npgmajfault 1\n",
                "memory.events": f"low 0\nhigh 0\nmax 0\noom {self.oom_kills}\noom_kill {self.oom_kills}\n",
                "memory.swap.current": "0\n",
                "memory.peak": f"{self.memory}\n",
                "memory.max": "max\n",
                "memory.high": "max\n",
            }
        return {name: text.encode() for name, text in (found | self.limits).items()}


def _pressure(total: int) -> str:
    return f"some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={total // 2}\n"


class UnitWorld:
    """`cgroups` by path; `sample` writes them into the tree, reads it and gives the rows by column."""

    def __init__(self, parts: tuple[UnitPart, ...] = ()) -> None:
        self.tree = MemoryTree({"cgroup.controllers": b"cpu io memory pids\n"})
        self.cgroups: dict[str, Cgroup] = {"": Cgroup(1, 0)}
        self.now_ns = 100 * S
        self.beats = 0
        self._units: dict[str, Unit] = {}
        self._inode = 1
        self._written: dict[str, Cgroup] = {}
        heartbeat = Heartbeat()
        heartbeat.beat = self._beat
        self.probe = UnitProbe(self.tree, self._look_at, heartbeat, parts)

    @property
    def wall_ns(self) -> int:
        """Unix time."""
        return WALL_NS + self.now_ns

    def _beat(self) -> None:
        self.beats += 1

    # ---- the host ----------------------------------------------------------------------------------

    def make(self, path: str, *, memory: int | None = 10 << 20) -> Cgroup:
        """A cgroup, with those above it."""
        parent = path.rpartition("/")[0]
        if parent not in self.cgroups:
            self.make(parent)
        self._inode += 1
        made = self.cgroups[path] = Cgroup(self._inode, self.wall_ns, memory=memory)
        self.write()
        return made

    def remove(self, path: str) -> None:
        """A cgroup goes, with everything in it: its open files answer ENODEV."""
        for inner in [inner for inner in self.cgroups if inner == path or inner.startswith(f"{path}/")]:
            del self.cgroups[inner]
            self._written.pop(inner, None)
        self.tree.remove(path.lstrip("/"))

    def use(self, path: str, cpu_us: int) -> None:
        """CPU time, counted above too."""
        while True:
            self.cgroups[path].cpu_us += cpu_us
            if not path:
                return
            path = path.rpartition("/")[0]

    def write(self) -> None:
        """Bring the files up to date."""
        for path, cgroup in self.cgroups.items():
            if self._written.get(path) == cgroup:
                continue
            self._written[path] = copy(cgroup)
            for name, text in cgroup.files().items():
                self.tree.put(f"{path}/{name}".lstrip("/"), text)

    def _look_at(self, path: str) -> DirectoryState:
        found = self.cgroups.get(f"/{path}" if path else "")
        if found is None:
            directory, _, name = f"/{path}".rpartition("/")
            if directory in self.cgroups and name in self.cgroups[directory].files():
                return DirectoryState(1, 1, 0)
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        children = sum(inner.rpartition("/")[0] == f"/{path}" for inner in self.cgroups)
        return DirectoryState(found.inode, 2 + children, found.made_ns)

    # ---- the sampler -------------------------------------------------------------------------------

    def name(self, cgroup: str, kind: UnitKind = UnitKind.SERVICE, uid: str | None = None) -> None:
        """The assignments name one more unit."""
        unit = Unit(uid or cgroup, kind, cgroup)
        self._units[unit.uid] = unit
        self._tell_rules()

    def unname(self, uid: str) -> None:
        """One less."""
        del self._units[uid]
        self._tell_rules()

    def _tell_rules(self) -> None:
        state = RuleState()
        for unit in self._units.values():
            state.put(pod_key(unit.uid), canonical(Assignment(unit, unit.uid, None, 0)))
        self.probe.on_rules(state)

    def sample(self, *, later_ns: int = 1 * S, is_written: bool = True) -> list[Mapping[str, Value]]:
        """The rows of one tick; each fits its table."""
        self.now_ns += later_ns
        if is_written:
            self.write()
        # The tick begins somewhat before the clocks are read.
        (table, rows), *_ = self.probe.sample(self.now_ns - 1 * MS, self.wall_ns)
        assert table is UNIT
        for row in rows:
            assert problem_of_row(UNIT, row) is None
        return [dict(zip(UNIT.column_names, row, strict=True)) for row in rows]

    def row(self, **wanted: Value) -> Mapping[str, Value]:
        """The only row of a tick, or the one with these values."""
        rows = [row for row in self.sample() if all(row[name] == value for name, value in wanted.items())]
        assert len(rows) == 1, rows
        return rows[0]
