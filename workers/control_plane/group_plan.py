"""Which monitoring groups are to be made, checked and given back, in which order, and which groups go without an id. PURE.

Monitoring ids are few. While there are enough, everybody has one; when there are not, the priority of the rule that chose a
group decides: a group gives way to one of higher priority, never to an equal. A group without one has its reason.

`next_step` names one thing to do; the caller reports how it ended, and the plan goes on from there.
"""

from collections.abc import Iterable, Mapping, Sequence

from agent.model.rule import Monitoring
from agent.model.timebase import MS, S
from workers.control_plane.check_queue import CheckQueue
from workers.control_plane.group_step import Check, CheckResult, Create, Delete, DesiredGroup, Part, Step
from workers.control_plane.planned_group import PlannedGroup, parts_by_unit
from workers.resctrl.problem import ProblemKind

# A released id is looked at by the kernel once a second; four looks a second find it free soon enough and cost a millisecond.
BUSY_RETRY_NS = 250 * MS
# Other tools hold the lock for a few milliseconds.
LOCKED_RETRY_NS = 50 * MS
# A group that cannot be removed now (still mounted elsewhere, a fault of the file system) must not be tried in a busy loop.
DELETE_RETRY_NS = 1 * S
# A start that moved its threads just before the directory was removed is heard of well within this time.
DELETED_NS = 2 * S
DELETED_MAX = 1_000
# What is over in a moment: nobody forgets the true reason for it.
_MOMENTARY = frozenset({ProblemKind.BUSY, ProblemKind.LOCKED})

GAVE_WAY = "its monitoring id went to a group of higher priority"


class GroupPlan:
    """The plan of one host. *Range:* as many groups as there are units and shared groups."""

    def __init__(self, *, check_interval_ns: int, retry_interval_ns: int) -> None:
        self._check_interval_ns = check_interval_ns
        self._retry_interval_ns = retry_interval_ns
        self._groups: dict[str, PlannedGroup] = {}
        self._of_unit: dict[str, str] = {}
        self._numbers = 0
        # Directories to be removed, with the instant from which that may be tried.
        self._leaving: dict[str, tuple[str, int]] = {}
        # Directories that were removed a moment ago, with the instant.
        self._deleted: dict[str, int] = {}
        self._adopted: dict[str, tuple[str, ...]] = {}
        self._create_at_ns = 0
        self._paused_until_ns = 0
        self._changed: set[str] = set()
        # Groups without a directory, and those for which nothing was tried yet.
        self._missing: dict[str, PlannedGroup] = {}
        self._untried: set[str] = set()
        self._checks = CheckQueue()

    # ---- what is wanted ---------------------------------------------------------------------------

    def adopt(self, group: str, paths: tuple[str, ...]) -> None:
        """A predecessor made these directories: when the group is wanted it goes on with them, so that counters do."""
        self._adopted[group] = paths

    def want(self, wanted: Sequence[DesiredGroup], now_ns: int) -> None:
        """From now on exactly these groups are wanted. Directories of all others are to be removed, ids first for the rest."""
        by_group = {each.group: each for each in wanted}
        assert len(by_group) == len(wanted), "a group is wanted once"
        self.change({**dict.fromkeys(self._groups.keys() - by_group.keys()), **by_group}, now_ns)

    def change(self, changes: Mapping[str, DesiredGroup | None], now_ns: int) -> None:
        """These groups are wanted like this from now on, or (None) not any more; all others as before."""
        for name, wanted in changes.items():
            known = self._groups.get(name)
            units: Iterable[str] = () if wanted is None else parts_by_unit(wanted)
            for uid in () if known is None else known.by_unit.keys() - units:
                self._changed.add(uid)
                if self._of_unit.get(uid) == name:
                    del self._of_unit[uid]
            self._of_unit.update(dict.fromkeys(units, name))
            if known is None:
                if wanted is not None:
                    self._groups[name] = self._new(wanted, now_ns)
            elif wanted is None:
                self._leave(self._groups.pop(name), now_ns)
                self._missing.pop(name, None)
                self._untried.discard(name)
            elif known.wanted != wanted:
                self._want_otherwise(known, wanted, now_ns)

    def _want_otherwise(self, known: PlannedGroup, wanted: DesiredGroup, now_ns: int) -> None:
        before, after = set(known.wanted.parts), set(wanted.parts)
        if wanted.priority > known.wanted.priority:
            self._create_soon(now_ns)
        known.want(wanted)
        if after - before:
            # Threads of a part that came are to be moved in.
            known.check_soon(now_ns)
        elif before - after:
            # Those of one that went are to be let go; most have ended.
            known.check_later(now_ns)
        self._touch(known)

    def end_adoption(self, now_ns: int) -> None:
        """Remove what a predecessor made and no unit has asked for by now."""
        for group, paths in self._adopted.items():
            for path in paths:
                self._leaving[path] = (group, now_ns)
        self._adopted = {}

    def remove(self, path: str, now_ns: int) -> None:
        """A directory of ours that belongs to no group goes."""
        self._leaving.setdefault(path, ("", now_ns))

    def _new(self, wanted: DesiredGroup, now_ns: int) -> PlannedGroup:
        self._numbers += 1
        new = PlannedGroup(wanted, self._numbers, check_at_ns=now_ns, by_unit=parts_by_unit(wanted))
        self._untried.add(wanted.group)
        # One that is wanted again before its directory was removed keeps it, and its counters.
        still_there = tuple(path for path, (group, _due_ns) in self._leaving.items() if group == wanted.group)
        self._give(new, self._adopted.pop(wanted.group, ()) or still_there)
        for path in new.paths:
            self._leaving.pop(path, None)
        self._create_soon(now_ns)
        self._touch(new)
        return new

    def _give(self, group: PlannedGroup, paths: tuple[str, ...]) -> None:
        """The group has these directories from now on, or (empty) none."""
        group.paths = paths
        name = group.wanted.group
        if paths:
            self._missing.pop(name, None)
            self._untried.discard(name)
        elif name not in self._missing:
            self._missing[name] = group

    def _create_soon(self, now_ns: int) -> None:
        """A group that did not wait yet may have enough priority for another one to give way."""
        self._create_at_ns = min(self._create_at_ns, now_ns)

    def _leave(self, group: PlannedGroup, now_ns: int) -> None:
        for path in group.paths:
            self._leaving[path] = (group.wanted.group, now_ns)
        self._give(group, ())
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

    def retry_all_once(self, now_ns: int) -> None:
        """Failed groups are tried again until the first for which there is no id, and every part that is not whole is looked at,
        before their turn. Ids in limbo hold up nobody else."""
        self._create_at_ns = min(self._create_at_ns, now_ns)
        for group in self._groups.values():
            group.create_at_ns = min(group.create_at_ns, now_ns)
            if group.paths and not group.is_whole:
                group.check_soon(now_ns)
                self._checks.put(group)

    # ---- what to do next --------------------------------------------------------------------------

    def next_step(self, now_ns: int) -> Step | None:
        """The most urgent thing that is due: ids are given back before any is asked for; then groups are made, in the order of
        their priority; then threads are checked, the longest wait first."""
        if now_ns >= self._paused_until_ns and (change := self._next_change(now_ns)) is not None:
            return change
        # A check that finds no thread outside takes no lock.
        group = self._checks.first(self._groups)
        if group is not None and group.check_at_ns <= now_ns:
            return Check(group.wanted.group, group.paths, group.wanted.parts)
        return None

    def _next_change(self, now_ns: int) -> Step | None:
        for path, (name, due_ns) in self._leaving.items():
            if due_ns <= now_ns:
                return Delete(name, path)
        if now_ns >= self._create_at_ns and (missing := [each for each in self._missing.values() if each.create_at_ns <= now_ns]):
            return Create(min(missing, key=lambda each: each.rank).wanted.group)
        return None

    def next_deadline_ns(self) -> int | None:
        """When `next_step` has something to do; None: never, as things are."""
        instants = [max(self._paused_until_ns, due_ns) for _group, due_ns in self._leaving.values()]
        if self._missing:
            create_ns = min(each.create_at_ns for each in self._missing.values())
            instants.append(max(self._paused_until_ns, self._create_at_ns, create_ns))
        if (group := self._checks.first(self._groups)) is not None:
            instants.append(group.check_at_ns)
        return min(instants, default=None)

    # ---- how it ended -----------------------------------------------------------------------------

    def on_created(self, name: str, path: str, now_ns: int) -> None:
        """The directory is there."""
        if (group := self._groups.get(name)) is None:
            self._leaving[path] = (name, now_ns)
            return
        self._leaving.pop(path, None)
        self._give(group, (path,))
        group.problem, group.detail, group.is_checked = None, "", True
        group.outside = {}
        if group.is_whole:
            # A pod whose containers are still to come.
            group.check_later(now_ns)
        else:
            group.check_soon(now_ns)
        self._touch(group)

    def on_assigned(self, name: str, path: str, part: Part, now_ns: int, *, is_whole: bool) -> None:
        """The directory is there, made or found by the start of a container, whose threads were moved into it: `is_whole`, all.

        It may have been removed in between, with its threads let go; then a look decides.
        """
        group = self._groups.get(name)
        if group is None or not group.paths:
            self.on_created(name, path, now_ns)
        if group is None or path not in group.paths:
            return
        if is_whole and now_ns - self._deleted.get(path, -DELETED_NS) >= DELETED_NS:
            group.on_assigned(part, now_ns)
        else:
            group.check_soon(now_ns)
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
        for waiting in self._missing.values():
            # Hundreds may wait: they are told once, not again each time that one of them is tried.
            # Whose own directory fails keeps that reason.
            if waiting.create_at_ns > now_ns:
                continue
            if waiting.problem is not kind and not (kind in _MOMENTARY and waiting.problem is ProblemKind.CAPACITY):
                self._fail(waiting, kind, detail)

    def on_deleted(self, path: str, now_ns: int) -> None:
        """The directory is gone; its id will be free when the cache has forgotten it."""
        self._leaving.pop(path, None)
        self._deleted.pop(path, None)
        self._deleted[path] = now_ns
        if len(self._deleted) > DELETED_MAX:
            del self._deleted[next(iter(self._deleted))]
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
        group.on_checked(found, now_ns, self._check_interval_ns)
        self._touch(group)

    def on_check_failed(self, name: str, kind: ProblemKind, detail: str, now_ns: int) -> None:
        """The pass did not come to its end; where the directory itself is gone it is made again at once."""
        group = self._groups.get(name)
        if group is None:
            return
        if kind is ProblemKind.LOCKED:
            self._paused_until_ns = group.check_at_ns = now_ns + LOCKED_RETRY_NS
            self._checks.put(group)
            return
        group.problem, group.detail = kind, detail
        group.check_at_ns, group.passes = now_ns + self._retry_interval_ns, 0
        self._touch(group)

    def on_vanished(self, name: str, now_ns: int) -> None:
        """Another program removed the group's directory: it is made again."""
        if (group := self._groups.get(name)) is not None:
            self._fail(group, ProblemKind.IO, "the group's directory was removed by another program")
            self._create_at_ns = min(self._create_at_ns, now_ns)

    def _evict(self, now_ns: int) -> bool:
        """Groups with an id give it back to waiting groups of higher priority; True when any did."""
        # Nobody gives way to a group that cannot be made whatever ids are free: an equal one would take the id, and so on for ever.
        waiting = sorted((group for group in self._missing.values() if group.create_at_ns <= now_ns), key=lambda each: each.rank)
        holding = sorted((group for group in self._groups.values() if group.paths), key=lambda each: each.rank, reverse=True)
        evicted = 0
        for low, high in zip(holding, waiting, strict=False):
            if low.wanted.priority >= high.wanted.priority:
                break
            self._leave(low, now_ns)
            self._fail(low, ProblemKind.CAPACITY, GAVE_WAY)
            evicted += 1
        return evicted > 0

    def _fail(self, group: PlannedGroup, kind: ProblemKind, detail: str) -> None:
        self._give(group, ())
        self._untried.discard(group.wanted.group)
        group.outside = {}
        if (group.problem, group.detail) != (kind, detail):
            group.problem, group.detail = kind, detail
            self._touch(group)

    # ---- what is known ----------------------------------------------------------------------------

    def monitoring(self, uid: str) -> Monitoring | None:
        """How the group of a unit stands; None: none is wanted for it."""
        group = self.group_of(uid)
        return None if group is None else group.monitoring(uid)

    def group_of(self, uid: str) -> PlannedGroup | None:
        """The group that is wanted for a unit; None: none is."""
        return self._groups.get(self._of_unit.get(uid, ""))

    def is_checked(self, uid: str) -> bool:
        """Whether more is known of a unit's group than that a predecessor made it."""
        group = self.group_of(uid)
        return group is None or not group.paths or group.is_checked

    def take_changed(self) -> set[str]:
        """The units about which `monitoring` may say something else than when this was asked last."""
        changed, self._changed = self._changed, set()
        return changed

    @property
    def is_settled(self) -> bool:
        """Whether every wanted group was tried at least once."""
        return not self._untried

    def unmeasured(self) -> dict[str, tuple[str, str]]:
        """The units whose group has no directory, with kind and detail of the reason."""
        return {
            uid: (group.problem.value if group.problem else "", group.detail)
            for group in self._missing.values()
            for uid in group.by_unit
        }

    def unreconciled(self) -> list[str]:
        """The units with a group that is not known to hold all of their threads."""
        return [uid for group in self._groups.values() if group.paths for uid in group.incomplete_units]

    def names(self) -> list[str]:
        """Every group that is wanted."""
        return list(self._groups)

    def paths(self) -> list[str]:
        """Every directory that is held or on its way out."""
        held = [path for group in self._groups.values() for path in group.paths]
        return held + list(self._leaving) + [path for paths in self._adopted.values() for path in paths]

    def path_by_group(self) -> dict[str, str]:
        """The first directory of every group that has one."""
        return {name: group.paths[0] for name, group in self._groups.items() if group.paths}

    def is_whole(self, name: str) -> bool:
        """Whether a wanted group holds all threads of all its parts, as last looked at."""
        group = self._groups.get(name)
        return group is not None and bool(group.paths) and group.is_whole

    def _touch(self, group: PlannedGroup) -> None:
        self._changed.update(group.by_unit)
        if group.paths:
            self._checks.put(group)
