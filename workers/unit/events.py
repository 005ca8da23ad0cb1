"""What happened to units: started, ended, killed for lack of memory, a limit changed. Rows of table `unit_event`.

A kill's row stands before that of the end of its unit: both wait for the tick, where kills are written first.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.cgroup_path import path_text, unit_of
from agent.model.foreign import readable
from agent.model.rule import UnitKind
from agent.model.table import Row
from agent.model.timebase import S
from agent.ports import Interest
from workers.framework.sampler import Sample
from workers.unit.limit import Limit, LimitChange
from workers.unit.oom_ledger import OomKill, OomVerdict
from workers.unit.oom_watch import OomWatch
from workers.unit.part import QuietPart
from workers.unit.schema import UNIT_EVENT
from workers.unit.tracked_unit import Instant, TrackedUnit

# The first look at a host finds what has long been there, one unit after another.
FIRST_LOOK_NS = 10 * S
# A node that starts has hundreds of units in one tick. What is more is counted.
EVENTS_MAX = 2048
# Of a directory without sub-directories.
_LINKS_OF_LEAF = 2


class UnitExit(Struct, frozen=True):
    """How the first process of a unit ended. *Absent:* both, with the reason."""

    code: int | None = None
    signal: int | None = None
    reason: Absence | None = Absence.NOT_A_CHILD


class _Named(Struct, frozen=True):
    """What the rows of a unit begin with."""

    uid: str
    kind: UnitKind
    container: str | None
    cgroup: str


class UnitEvents(QuietPart):
    """`watch` gives the watch of kills when the first unit begins. `exit_of` says how a unit ended that is gone."""

    def __init__(
        self, watch: Callable[[], OomWatch], exit_of: Callable[[TrackedUnit], UnitExit] = lambda _unit: UnitExit()
    ) -> None:
        self._make_watch = watch
        self._watch: OomWatch | None = None
        self._exit_of = exit_of
        self._named: dict[str, _Named] = {}
        self._ended: list[str] = []
        self._first: Instant | None = None
        self._sequence = 0
        # In this order they are written.
        self._starts: list[Row] = []
        self._limits: list[tuple[_Named, LimitChange]] = []
        self._ends: list[Row] = []
        self._lost = self._unattributed = self._kills = 0

    def begin(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`."""
        if self._watch is None:
            self._watch = self._make_watch()
        self._first = self._first or at
        named = self._named[unit.path] = _named(unit)
        # The containers of a pod and the units of a slice are below it; all else that is there belongs to the unit itself.
        is_leaf = unit.kind is not UnitKind.SLICE and (unit.kind is not UnitKind.POD or unit.pod is not None)
        self._watch.begin(unit.path, is_leaf=is_leaf)
        # Start and end of a workload are written by worker `workloads`: it knows them at once, and its keeper how they ended.
        if unit.kind is not UnitKind.WORKLOAD and self._has_started(unit, at, self._first):
            self._starts.append(self._row(at.wall_ns, named, "started"))

    def end(self, unit: TrackedUnit, at: Instant) -> None:
        """See `UnitPart`."""
        assert self._watch is not None
        self._watch.end(unit.path)
        self._ended.append(unit.path)
        if unit.is_gone and unit.kind is not UnitKind.WORKLOAD:
            found = self._exit_of(unit)
            self._ends.append(
                self._row(at.wall_ns, _named(unit), "ended", exit_code=found.code, signal=found.signal, reason=found.reason)
            )

    def on_limit(self, path: str, change: LimitChange) -> None:
        """See `UnitPart`. Limits above the units are nobody's event."""
        if (named := self._named.get(path)) is not None and len(self._limits) < EVENTS_MAX:
            self._limits.append((named, change))

    def interests(self) -> tuple[Interest, ...]:
        """The kernel's notices of kills."""
        return () if self._watch is None else self._watch.interests()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """See `UnitPart`."""
        if self._watch is not None:
            self._watch.on_readable(descriptor, now_ns)

    def rows(self, at: Instant) -> Sample:
        """Starts, changed limits, kills, ends."""
        kills = [] if self._watch is None else self._watch.take(at.now_ns)
        changed = [
            self._row(at.wall_ns, named, "limit_changed", limit=change.file, before=_text(change.before), after=_text(change.after))
            for named, change in self._limits
        ]
        rows = [
            *self._starts,
            *changed,
            *(row for seen_ns, kill in kills for row in self._kill_rows(at, seen_ns, kill)),
            *self._ends,
        ]
        self._starts, self._limits, self._ends = [], [], []
        for path in self._ended:
            self._named.pop(path, None)
        self._ended = []
        self._lost += max(0, len(rows) - EVENTS_MAX)
        return ((UNIT_EVENT, [self._numbered(row) for row in rows[:EVENTS_MAX]]),)

    def stats(self) -> dict[str, Any]:
        """Events, kills, and what was lost of them."""
        watch = self._watch
        return {
            "events": self._sequence,
            "events_lost": self._lost + (0 if watch is None else watch.lost),
            "oom_kills": self._kills,
            "oom_kills_unattributed": self._unattributed,
            "oom_notices": 0 if watch is None else watch.notices,
            "oom_watches": 0 if watch is None else watch.watches,
        }

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._watch is not None:
            self._watch.close()

    # ---- one event ---------------------------------------------------------------------------------

    def _has_started(self, unit: TrackedUnit, at: Instant, first: Instant) -> bool:
        """Whether it was made after the sampler began. A directory's time is that of its last new sub-directory too."""
        if at.now_ns - first.now_ns >= FIRST_LOOK_NS:
            return True
        is_new = unit.started_wall_ns is not None and unit.started_wall_ns >= first.wall_ns
        return is_new and unit.state.links <= _LINKS_OF_LEAF

    def _kill_rows(self, at: Instant, seen_ns: int, kill: OomKill) -> list[Row]:
        self._kills += kill.kills
        named = self._victim(kill.path)
        if named is None:
            self._unattributed += kill.kills
            return []
        verdict, culprit = kill.verdict, kill.culprit
        if culprit is not None and (culprit == named.cgroup or culprit.startswith(named.cgroup + "/")):
            # The victim is in a part of the unit that is no unit itself.
            verdict, culprit = OomVerdict.OWN_LIMIT, None
        return [
            self._row(
                at.wall_ns - max(0, at.now_ns - seen_ns), named, "oom", verdict=None if verdict is None else verdict.value,
                culprit=None if culprit is None else readable(culprit), kills=kill.kills, limit_bytes=kill.limit_bytes,
                reason=Absence.ROOT_HIDDEN if verdict is None else None,
            )
        ]  # fmt: skip

    def _victim(self, path: str) -> _Named | None:
        """The unit that a cgroup is, or lies in; also one that nobody had reported yet."""
        if (named := self._named.get(path)) is not None:
            return named
        text = path_text(path)
        identity = None if text is None else unit_of(text)
        if text is not None and identity is not None:
            container = identity.container if identity.kind is UnitKind.POD else None
            return _Named(identity.uid, identity.kind, container, text if container is not None else identity.cgroup)
        while path:
            path = path.rpartition("/")[0]
            if (named := self._named.get(path)) is not None:
                return named
        return None

    def _row(self, wall_ns: int, named: _Named, event: str, **values: Any) -> Row:
        reason = values.get("reason")
        return (
            wall_ns, named.uid, named.kind.value, named.container, named.cgroup, 0, event,
            values.get("verdict"), values.get("culprit"), values.get("kills"), values.get("limit_bytes"),
            values.get("exit_code"), values.get("signal"), values.get("limit"), values.get("before"), values.get("after"),
            None if reason is None else reason.value,
        )  # fmt: skip

    def _numbered(self, row: Row) -> Row:
        self._sequence += 1
        return (*row[:5], self._sequence, *row[6:])


def _named(unit: TrackedUnit) -> _Named:
    return _Named(unit.uid, unit.kind, unit.container, unit.cgroup)


def _text(limit: Limit) -> str:
    """As the kernel writes it; CPUs as a number of them."""
    return "max" if limit is None else f"{limit:g}" if isinstance(limit, float) else str(limit)
