"""Which monitoring groups are to be made, checked and given back, in which order, and who goes without. PURE.

Monitoring ids are few. While there are enough, everybody has one; when there are not, the priority of the rule that chose a
group decides: a group gives way to one of higher priority, never to an equal. Whoever goes without is known by its reason.

`next_step` names one thing to do; whoever does it tells how it ended, and the plan goes on from there.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.rule import Monitoring
from agent.model.timebase import MS, S
from workers.control_plane.group_step import Check, CheckResult, Create, Delete, DesiredGroup, Part, Step
from workers.resctrl.problem import ProblemKind

# A released id is looked at by the kernel once a second; four looks a second find it free soon enough and cost a millisecond.
BUSY_RETRY_NS = 250 * MS
# Other tools hold the lock for a few milliseconds.
LOCKED_RETRY_NS = 50 * MS
# A group that cannot be removed now (still mounted elsewhere, a fault of the file system) must not be tried in a busy loop.
DELETE_RETRY_NS = 1 * S
# A container that has not started yet, or one that forks faster than it can be caught.
UNSETTLED_RETRY_NS = 500 * MS
# Fork storms converge within five; beyond this it is no race but something that pushes threads out.
PASSES_MAX = 16
# A fork takes a millisecond; on a host that stands still for longer the usual check finds what is left.
SECOND_LOOK_NS = 500 * MS
# Each look that finds nothing new doubles the wait, up to the usual interval; more doublings mean nothing.
IDLE_MAX = 16

# What is over in a moment: nobody forgets the true reason for it.
_MOMENTARY = frozenset({ProblemKind.BUSY, ProblemKind.LOCKED})

GAVE_WAY = "its monitoring id went to a group of higher priority"


class _Group(Struct):
    """What is known of one wanted group."""

    wanted: DesiredGroup
    number: int
    paths: tuple[str, ...] = ()
    problem: ProblemKind | None = None
    detail: str = ""
    tried: bool = False
    create_at_ns: int = 0
    check_at_ns: int = 0
    passes: int = 0
    # How often in a row a look changed nothing and yet not all was whole.
    idle: int = 0
    outside: dict[Part, int | None] = {}
    # The parts of `wanted` by unit: thousands of units may share a group, and each is asked about.
    by_unit: dict[str, list[Part]] = {}

    @property
    def rank(self) -> tuple[int, int]:
        return -self.wanted.priority, self.number


class GroupPlan:
    """The plan of one host. *Range:* as many groups as there are units and shared groups."""

    def __init__(self, *, check_interval_ns: int, retry_interval_ns: int) -> None:
        self._check_interval_ns = check_interval_ns
        self._retry_interval_ns = retry_interval_ns
        self._groups: dict[str, _Group] = {}
        self._of_unit: dict[str, str] = {}
        self._numbers = 0
        # Directories to be removed, with the instant from which that may be tried.
        self._leaving: dict[str, tuple[str, int]] = {}
        self._adopted: dict[str, tuple[str, ...]] = {}
        self._create_at_ns = 0
        self._paused_until_ns = 0
        self._changed: set[str] = set()

    # ---- what is wanted ---------------------------------------------------------------------------

    def adopt(self, group: str, paths: tuple[str, ...]) -> None:
        """A predecessor made these directories: when the group is wanted it goes on with them, so that counters do."""
        self._adopted[group] = paths

    def want(self, wanted: Sequence[DesiredGroup], now_ns: int) -> None:
        """From now on exactly these groups are wanted. Directories of all others are to be removed, ids first for the rest."""
        before, self._groups = self._groups, {}
        units = {uid: each.group for each in wanted for uid, _part in each.parts}
        for each in wanted:
            known = before.pop(each.group, None)
            if known is None:
                known = self._new(each, now_ns)
            elif known.wanted != each:
                is_other = set(each.parts) != set(known.wanted.parts)
                if each.priority > known.wanted.priority:
                    self._create_soon(now_ns)
                known.outside = {part: known.outside[part] for part in each.parts if part in known.outside}
                known.wanted, known.by_unit = each, _by_unit(each)
                if is_other:
                    # Threads of a part that came are to be moved in, those of one that went are to be let go.
                    self._check_soon(known, now_ns)
                self._touch(known)
            self._groups[each.group] = known
        for gone in before.values():
            self._leave(gone, now_ns)
        self._changed |= {uid for uid in self._of_unit if uid not in units}
        self._of_unit = units

    def end_adoption(self, now_ns: int) -> None:
        """What a predecessor made and nobody wanted by now goes."""
        for group, paths in self._adopted.items():
            for path in paths:
                self._leaving[path] = (group, now_ns)
        self._adopted = {}

    def remove(self, path: str, now_ns: int) -> None:
        """A directory of ours that belongs to no group goes."""
        self._leaving.setdefault(path, ("", now_ns))

    def _new(self, wanted: DesiredGroup, now_ns: int) -> _Group:
        self._numbers += 1
        new = _Group(wanted, self._numbers, check_at_ns=now_ns, by_unit=_by_unit(wanted))
        # One that is wanted again before its directory was removed keeps it, and its counters.
        still_there = tuple(path for path, (group, _due_ns) in self._leaving.items() if group == wanted.group)
        new.paths = self._adopted.pop(wanted.group, ()) or still_there
        for path in new.paths:
            self._leaving.pop(path, None)
        new.tried = bool(new.paths)
        self._create_soon(now_ns)
        self._touch(new)
        return new

    def _create_soon(self, now_ns: int) -> None:
        """Somebody who did not wait yet may be important enough for another one to give way."""
        self._create_at_ns = min(self._create_at_ns, now_ns)

    def _leave(self, group: _Group, now_ns: int) -> None:
        for path in group.paths:
            self._leaving[path] = (group.wanted.group, now_ns)
        group.paths = ()
        group.outside = {}
        self._touch(group)

    def on_lost(self, kind: ProblemKind, detail: str) -> None:
        """There is no resctrl (any more): nothing has a directory, nothing is left to remove."""
        self._leaving.clear()
        self._adopted.clear()
        for group in self._groups.values():
            if group.paths or group.problem is not kind:
                self._fail(group, kind, detail)

    def on_found(self, now_ns: int) -> None:
        """There is resctrl (again): everything is made at once."""
        self._create_at_ns = self._paused_until_ns = now_ns

    def retry_all(self, now_ns: int) -> None:
        """Failed groups are tried again and every part that is not whole is looked at, whatever their turn."""
        self._create_at_ns = min(self._create_at_ns, now_ns)
        for group in self._groups.values():
            group.create_at_ns = min(group.create_at_ns, now_ns)
            if group.paths and not self._is_whole(group):
                self._check_soon(group, now_ns)

    # ---- what to do next --------------------------------------------------------------------------

    def next_step(self, now_ns: int) -> Step | None:
        """The most urgent thing that is due: ids are given back before any is asked for; then groups are made, in the order of
        their priority; then threads are looked after, whoever waits longest first."""
        if now_ns >= self._paused_until_ns and (change := self._next_change(now_ns)) is not None:
            return change
        # Whoever finds nobody outside needs no lock.
        due = [group for group in self._groups.values() if group.paths and group.check_at_ns <= now_ns]
        if due:
            group = min(due, key=lambda each: (each.check_at_ns, each.rank))
            return Check(group.wanted.group, group.paths, group.wanted.parts)
        return None

    def _next_change(self, now_ns: int) -> Step | None:
        for path, (name, due_ns) in self._leaving.items():
            if due_ns <= now_ns:
                return Delete(name, path)
        if now_ns >= self._create_at_ns and (missing := [each for each in self._missing() if each.create_at_ns <= now_ns]):
            return Create(min(missing, key=lambda each: each.rank).wanted.group)
        return None

    def next_deadline_ns(self) -> int | None:
        """When `next_step` has something to do; None: never, as things are."""
        instants = [max(self._paused_until_ns, due_ns) for _group, due_ns in self._leaving.values()]
        if missing := self._missing():
            instants.append(max(self._paused_until_ns, self._create_at_ns, min(each.create_at_ns for each in missing)))
        instants += [group.check_at_ns for group in self._groups.values() if group.paths]
        return min(instants, default=None)

    def _missing(self) -> list[_Group]:
        return [group for group in self._groups.values() if not group.paths]

    # ---- how it ended -----------------------------------------------------------------------------

    def on_created(self, name: str, path: str, now_ns: int) -> None:
        """The directory is there."""
        if (group := self._groups.get(name)) is None:
            self._leaving[path] = (name, now_ns)
            return
        self._leaving.pop(path, None)
        group.paths, group.problem, group.detail, group.tried = (path,), None, "", True
        group.outside = {}
        self._check_soon(group, now_ns)
        self._touch(group)

    def on_create_failed(self, name: str, kind: ProblemKind, detail: str, now_ns: int) -> None:
        """It could not be made. What holds for one holds for all that wait: ids, the lock, permission; only a failure of one
        directory alone (`io`) says nothing about the others."""
        group = self._groups.get(name)
        if kind is ProblemKind.IO:
            if group is not None:
                group.create_at_ns = now_ns + self._retry_interval_ns
                self._fail(group, kind, detail)
            return
        match kind:
            case ProblemKind.LOCKED:
                self._paused_until_ns = now_ns + LOCKED_RETRY_NS
            case ProblemKind.BUSY:
                self._create_at_ns = now_ns + BUSY_RETRY_NS
            case ProblemKind.CAPACITY if self._evict(now_ns):
                # Their ids go into limbo first: the next try will say busy.
                self._create_at_ns = now_ns
            case _:
                self._create_at_ns = now_ns + self._retry_interval_ns
        for waiting in self._missing():
            # Hundreds may wait: they are told once, and not anew whenever another one of them is tried.
            # Whose own directory fails keeps that reason.
            if waiting.create_at_ns > now_ns:
                continue
            if waiting.problem is not kind and not (kind in _MOMENTARY and waiting.problem is ProblemKind.CAPACITY):
                self._fail(waiting, kind, detail)

    def on_deleted(self, path: str, now_ns: int) -> None:
        """The directory is gone; its id will be free when the cache has forgotten it."""
        self._leaving.pop(path, None)
        self._create_at_ns = min(self._create_at_ns, now_ns)

    def on_delete_failed(self, path: str, kind: ProblemKind, now_ns: int) -> None:
        """It is still there, and is tried again later."""
        if kind is ProblemKind.LOCKED:
            self._paused_until_ns = now_ns + LOCKED_RETRY_NS
        elif path in self._leaving:
            self._leaving[path] = (self._leaving[path][0], now_ns + DELETE_RETRY_NS)

    def on_checked(self, name: str, found: CheckResult, now_ns: int) -> None:
        """One pass is over; one that found nothing outside is the proof that all of a part's threads are in."""
        group = self._groups.get(name)
        if group is None or not group.paths:
            return
        group.paths = found.paths
        group.outside = self._outside(group, found)
        group.problem = found.problem if found.refused else None
        group.detail = found.detail
        group.passes += 1
        is_dirty = any(group.outside.values())
        if is_dirty and not found.refused and group.passes < PASSES_MAX:
            group.check_at_ns = now_ns
        elif self._is_whole(group):
            group.check_at_ns = now_ns + self._wait_of_whole_ns(group)
            group.passes = group.idle = 0
        else:
            group.passes = 0
            group.check_at_ns = now_ns + min(self._check_interval_ns, UNSETTLED_RETRY_NS << group.idle)
            group.idle = min(group.idle + 1, IDLE_MAX)
        self._touch(group)

    def _outside(self, group: _Group, found: CheckResult) -> dict[Part, int | None]:
        """How many are outside by part. Of a part that was whole, threads that were listed and ended before they were looked for
        in the group say nothing: in a storm of short lives there is always one."""
        if found.moved or found.refused:
            return found.outside
        return {part: 0 if group.outside.get(part) == 0 and count else count for part, count in found.outside.items()}

    def _wait_of_whole_ns(self, group: _Group) -> int:
        if group.passes > 1:
            # Threads had to be moved: a fork that began before its creator was moved may have ended only after the clean pass.
            return min(SECOND_LOOK_NS, self._check_interval_ns)
        # Spread over the interval, so that hundreds of groups are not looked at in one go.
        return self._check_interval_ns - self._check_interval_ns * (group.number % 16) // 32

    def on_check_failed(self, name: str, kind: ProblemKind, detail: str, now_ns: int) -> None:
        """The pass did not come to its end; where the directory itself is gone it is made anew, at once."""
        group = self._groups.get(name)
        if group is None:
            return
        if kind is ProblemKind.LOCKED:
            self._paused_until_ns = group.check_at_ns = now_ns + LOCKED_RETRY_NS
            return
        group.problem, group.detail = kind, detail
        group.check_at_ns, group.passes = now_ns + self._retry_interval_ns, 0
        self._touch(group)

    def on_vanished(self, name: str, now_ns: int) -> None:
        """Somebody else removed the group's directory: it is made anew."""
        if (group := self._groups.get(name)) is not None:
            self._fail(group, ProblemKind.IO, "the group's directory was removed by somebody else")
            self._create_at_ns = min(self._create_at_ns, now_ns)

    def _evict(self, now_ns: int) -> bool:
        """Whoever has an id and less priority than somebody who waits gives it back; as many as that helps."""
        # Nobody gives way to a group that cannot be made whatever ids are free: an equal one would take the id, and so on for ever.
        waiting = sorted((group for group in self._missing() if group.create_at_ns <= now_ns), key=lambda each: each.rank)
        holding = sorted((group for group in self._groups.values() if group.paths), key=lambda each: each.rank, reverse=True)
        evicted = 0
        for low, high in zip(holding, waiting, strict=False):
            if low.wanted.priority >= high.wanted.priority:
                break
            self._leave(low, now_ns)
            self._fail(low, ProblemKind.CAPACITY, GAVE_WAY)
            evicted += 1
        return evicted > 0

    def _fail(self, group: _Group, kind: ProblemKind, detail: str) -> None:
        group.paths, group.outside, group.tried = (), {}, True
        if (group.problem, group.detail) != (kind, detail):
            group.problem, group.detail = kind, detail
            self._touch(group)

    # ---- what is known ----------------------------------------------------------------------------

    def monitoring(self, uid: str) -> Monitoring | None:
        """How the group of a unit stands; None: none is wanted for it."""
        group = self._groups.get(self._of_unit.get(uid, ""))
        if group is None:
            return None
        own = group.by_unit.get(uid, [])
        whole = sum(group.outside.get(part) == 0 for part in own) if group.paths else 0
        problem = "" if group.problem is None else group.problem.value
        return Monitoring(group.paths, problem, group.detail, len(own), whole)

    def take_changed(self) -> set[str]:
        """The units about which `monitoring` may say something else than when this was asked last."""
        changed, self._changed = self._changed, set()
        return changed

    @property
    def is_settled(self) -> bool:
        """Whether every wanted group was tried at least once."""
        return not self._any_untried()

    def unmeasured(self) -> dict[str, tuple[str, str]]:
        """The units whose group has no directory, with kind and detail of the reason."""
        return {
            uid: (group.problem.value if group.problem else "", group.detail)
            for group in self._groups.values()
            if not group.paths
            for uid in group.by_unit
        }

    def unreconciled(self) -> list[str]:
        """The units with a group of which some part is not known to be whole in it."""
        return [
            uid
            for group in self._groups.values()
            if group.paths
            for uid, parts in group.by_unit.items()
            if any(group.outside.get(part) != 0 for part in parts)
        ]

    def names(self) -> list[str]:
        """Every group that is wanted."""
        return list(self._groups)

    def paths(self) -> list[str]:
        """Every directory that is held or on its way out."""
        held = [path for group in self._groups.values() for path in group.paths]
        return held + list(self._leaving) + [path for paths in self._adopted.values() for path in paths]

    def is_whole(self, name: str) -> bool:
        """Whether a wanted group holds all threads of all its parts, as last looked at."""
        group = self._groups.get(name)
        return group is not None and bool(group.paths) and self._is_whole(group)

    def _any_untried(self) -> bool:
        return any(not group.tried for group in self._groups.values())

    def _is_whole(self, group: _Group) -> bool:
        return all(group.outside.get(part) == 0 for part in group.wanted.parts)

    def _check_soon(self, group: _Group, now_ns: int) -> None:
        group.check_at_ns, group.passes, group.idle = now_ns, 0, 0

    def _touch(self, group: _Group) -> None:
        self._changed |= {uid for uid, _part in group.wanted.parts}


def _by_unit(wanted: DesiredGroup) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for part in wanted.parts:
        found.setdefault(part[0], []).append(part)
    return found
