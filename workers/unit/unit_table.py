"""All units that are measured, and one tick of them: which are looked at, what is read, which have a row."""

import os
from collections.abc import Iterable, Mapping

from agent.model.heartbeat import Heartbeat, beating
from agent.model.rule import Unit, UnitKind
from agent.model.table import Row
from agent.model.timebase import MINUTE, MS, S
from agent.ports import KernelTree
from workers.unit.container_search import new_containers
from workers.unit.limit import LimitChange, LimitsInForce
from workers.unit.part import UnitPart
from workers.unit.reader import UnitReader
from workers.unit.row import row_of
from workers.unit.siblings import BUSY_NS, SILENCE_NS, Siblings
from workers.unit.tracked_unit import Instant, TrackedUnit
from workers.unit.value import COUNTERS_COUNT, CPU

# All files of a busy unit are read at this interval, of an idle one at the second.
REST_NS, IDLE_REST_NS = 30 * S, 10 * MINUTE
# A new unit that does nothing counts as idle after this time.
NEW_NS = 2 * S
# A directory that is not there is looked for at this interval.
MISSING_NS = 1 * S
# CPU time may be counted up to a timer tick late.
CPU_SLACK_NS = 50 * MS


class UnitTable:
    """`parts` measure what is not in the files of a cgroup, see `workers.unit.part`."""

    def __init__(self, tree: KernelTree, reader: UnitReader, parts: Iterable[UnitPart], heartbeat: Heartbeat) -> None:
        self._tree = tree
        self._reader = reader
        self._parts = tuple(parts)
        self._heartbeat = heartbeat
        self._limits = LimitsInForce(tree, reader.layout, self._on_limit)
        # By uid, without containers; and those whose directory is not there, with when they were looked for.
        self.units: dict[str, TrackedUnit] = {}
        self.missing: dict[str, int] = {}
        # By the directory that they are in.
        self._siblings: dict[str, Siblings] = {}
        self._named: Mapping[str, Unit] = {}
        self._at = Instant(0, 0)
        self._last: Instant | None = None
        self._cpus = os.cpu_count() or 1
        self._rows: list[Row] = []

    def arrange(self, named: Mapping[str, Unit], at: Instant) -> None:
        """From now on these are the units: end what is no longer one, begin what is new."""
        self._at = at
        self._named = named
        for unit in list(self.units.values()):
            wanted = named.get(unit.uid)
            if wanted is None or wanted.cgroup != unit.cgroup or wanted.kind is not unit.kind:
                self._finish(unit)
        self.missing = {uid: tried_ns for uid, tried_ns in self.missing.items() if uid in named}
        for uid in named:
            if uid not in self.units and uid not in self.missing:
                self._try(uid)

    def tick(self, at: Instant) -> list[Row]:
        """The rows of this tick."""
        self._at = at
        for uid in [uid for uid, tried_ns in self.missing.items() if at.now_ns - tried_ns >= MISSING_NS]:
            self._try(uid)
        for directory, siblings in list(self._siblings.items()):
            self._look_at(siblings)
            if not len(siblings):
                self._reader.end(siblings.gate)
                del self._siblings[directory]
        self._last = at
        rows, self._rows = self._rows, []
        return rows

    @property
    def _last_ns(self) -> int:
        return 0 if self._last is None else self._last.now_ns

    def close(self) -> None:
        """Close every descriptor."""
        self._reader.close(self._heartbeat)

    # ---- beginning and ending ----------------------------------------------------------------------

    def _on_limit(self, path: str, change: LimitChange) -> None:
        for part in self._parts:
            part.on_limit(path, change)

    def _try(self, uid: str) -> None:
        named = self._named[uid]
        unit = TrackedUnit(uid, named.kind, named.cgroup)
        if not self._begin(unit):
            self.missing[uid] = self._at.now_ns
            return
        self.missing.pop(uid, None)
        self.units[uid] = unit
        directory = f"{unit.home}{unit.path.rpartition('/')[0]}"
        siblings = self._siblings.get(directory)
        if siblings is None:
            gate = TrackedUnit(directory, UnitKind.SLICE, unit.path.rpartition("/")[0])
            self._reader.begin(gate)
            siblings = self._siblings[directory] = Siblings(gate)
        siblings.add(unit)

    def _begin(self, unit: TrackedUnit) -> bool:
        if not self._reader.begin(unit):
            return False
        # At the agent's start all units are new, and most of them idle: a few ticks show which.
        unit.active_at_ns = self._at.now_ns - BUSY_NS + NEW_NS
        for part in self._parts:
            part.begin(unit, self._at)
        self._heartbeat()
        return True

    def _finish(self, unit: TrackedUnit) -> None:
        """The last read and the last row of a unit and its containers."""
        for container in list(unit.containers.values()):
            self._finish(container)
        if not unit.is_gone:
            self._reader.read_cpu(unit)
            self._reader.read_rest(unit)
        self._tell(unit, is_final=True)
        for part in self._parts:
            part.end(unit, self._at)
        self._reader.end(unit)
        if unit.pod is not None:
            unit.pod.containers.pop(unit.path.rpartition("/")[2], None)
        else:
            self.units.pop(unit.uid, None)
            siblings = self._siblings.get(f"{unit.home}{unit.path.rpartition('/')[0]}")
            if siblings is not None:
                siblings.remove(unit)

    # ---- one tick ----------------------------------------------------------------------------------

    def _look_at(self, siblings: Siblings) -> None:
        before = siblings.gate.values[CPU]
        above = self._reader.read_gate(siblings.gate)
        now = siblings.gate.values[CPU]
        used = None if before is None or now is None else now - before
        self._follow_links(siblings)
        explained = self._measure_all(list(siblings.busy), above, siblings) if above else self._wait(siblings)
        in_turn = siblings.in_turn(self._at.now_ns, is_moved=bool(above))
        explained += self._measure_all(in_turn, above, siblings)
        others = list(siblings.others(used, explained, in_turn))
        if others:
            siblings.learn(is_found=self._measure_all(others, above, siblings) > 0)

    def _measure_all(self, units: Iterable[TrackedUnit], above: frozenset[int], siblings: Siblings) -> int:
        return sum(self._measure(unit, above, siblings) for unit in beating(units, self._heartbeat))

    def _follow_links(self, siblings: Siblings) -> None:
        """The links of a directory count its directories: when there are fewer, one of the units may be gone."""
        state = self._reader.state(siblings.gate)
        if state is None or state.links == siblings.links:
            return
        siblings.links = state.links
        names = self._reader.names_below(siblings.gate)
        if names is None:
            return
        for unit in [unit for group in (siblings.busy, siblings.idle) for unit in group]:
            if unit.path.rpartition("/")[2] not in names:
                self._measure(unit, frozenset(), siblings)

    def _wait(self, siblings: Siblings) -> int:
        """Nothing was done: the busy ones become idle, those that are new or have something to tell are measured."""
        for unit in list(siblings.busy):
            # There was nothing to miss.
            unit.looked_at_ns = self._at.now_ns if unit.looked_at_ns == self._last_ns else unit.looked_at_ns
            if unit.rest_at_ns is None or self._at.now_ns - unit.active_at_ns >= BUSY_NS:
                self._measure(unit, frozenset(), siblings)
        return 0

    def _measure(self, unit: TrackedUnit, above: frozenset[int], siblings: Siblings | None) -> int:
        """Look at one unit and tell what it did; the CPU time that it used since the last look."""
        at, reader = self._at, self._reader
        is_first = unit.rest_at_ns is None
        before = unit.values[:COUNTERS_COUNT] if unit.kind is UnitKind.POD else None
        used = reader.read_cpu(unit)
        # What moved above while a unit was not looked at is not known any more.
        is_missed = unit.looked_at_ns not in (self._last_ns, at.now_ns)
        unit.looked_at_ns = at.now_ns
        is_silent = self._is_silent(unit)
        # Where its CPU time is not known, nothing says that it is idle.
        if used != 0:
            unit.active_at_ns = at.now_ns
        if is_first or at.now_ns - (unit.rest_at_ns or 0) >= (REST_NS if at.now_ns - unit.active_at_ns < BUSY_NS else IDLE_REST_NS):
            # Those that began together are read apart.
            unit.rest_at_ns = at.now_ns - (unit.number * S % REST_NS if is_first else 0)
            reader.read_rest(unit)
        elif used != 0 or is_silent:
            reader.read_changing(unit, reader.every_above if is_missed or is_silent else above, at.now_ns)
        else:
            reader.read_stalls(unit, above)
        if unit.is_gone:
            self._replace(unit)
            return 0
        if is_first:
            self._count_from_birth(unit)
        if is_first or is_silent or unit.values[:COUNTERS_COUNT] != unit.told:
            if not is_silent:
                unit.active_at_ns = at.now_ns
            self._tell(unit)
        if before is not None and unit.pod is None:
            self._measure_containers(unit, before)
        if siblings is not None:
            siblings.settle(unit, at.now_ns)
        return used or 0

    def _replace(self, gone: TrackedUnit) -> None:
        self._finish(gone)
        if gone.pod is None and gone.uid in self._named:
            # Another one may have taken its place at once.
            self._try(gone.uid)
            if (unit := self.units.get(gone.uid)) is not None:
                self._measure(unit, frozenset(), None)

    def _measure_containers(self, pod: TrackedUnit, before: list[int | None]) -> None:
        above = self._reader.moved(pod, before)
        known = list(pod.containers.values())
        is_any_silent = any(map(self._is_silent, known))
        if 0 not in above and not is_any_silent and pod.listed_links:
            return
        for container in known:
            self._measure(container, above, None)
        for made in new_containers(pod, self._reader, self._tree, is_certain=len(pod.containers) < len(known)):
            if self._begin(made):
                pod.containers[made.path.rpartition("/")[2]] = made
                self._measure(made, frozenset(), None)

    def _count_from_birth(self, unit: TrackedUnit) -> None:
        """A unit that was made since the last tick is counted from its birth, others from their first reading on."""
        at, started = self._at, unit.started_wall_ns
        if self._last is None or started is None or not self._last.wall_ns <= started <= at.wall_ns:
            return
        age_ns = at.wall_ns - started
        if (unit.values[CPU] or 0) <= age_ns * self._cpus + CPU_SLACK_NS:
            unit.told, unit.told_at_ns = [0] * COUNTERS_COUNT, at.now_ns - age_ns

    def _is_silent(self, unit: TrackedUnit) -> bool:
        return self._at.now_ns - unit.told_at_ns >= SILENCE_NS

    def _tell(self, unit: TrackedUnit, *, is_final: bool = False) -> None:
        if not unit.is_gone:
            self._limits.follow(unit, self._at.now_ns, is_idle=self._at.now_ns - unit.active_at_ns >= BUSY_NS)
        for part in self._parts:
            part.read(unit, self._at)
        self._rows.append(row_of(unit, self._at, is_final=is_final))
