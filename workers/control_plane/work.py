"""The control plane's work: look at the cgroup tree, bind what is found, publish what changed.

It keeps nothing of its own: a successor adopts the assignments from the rule snapshot, so that intervals and groups go
on through its death. Only a clean stop ends them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from agent.config import CONTROL_PLANE_INTERVAL, Config
from agent.failpoint import failpoint
from agent.model.errors import EvergaugeError
from agent.model.heartbeat import Heartbeat, beating
from agent.model.limit import strides
from agent.model.rule import Assignment, Unit, canonical, pod_key, rule_key
from agent.model.rule_state import Change, RuleState
from agent.model.table import Row, Table
from agent.model.tables import CONTAINER_NAME, POD_GROUP
from agent.ports import Bus, Clock, Interest, KernelTree, Outbox
from workers.control_plane.assignment_update import (
    POD_PREFIX,
    AssignmentUpdate,
    adopt,
    closing_row,
    opening_row,
    repairs,
    update_assignments,
    update_changed,
)
from workers.control_plane.binding import Binder
from workers.control_plane.cgroups import CgroupScan, CgroupTree
from workers.control_plane.container_runtime.cgroup_place import container_places
from workers.control_plane.container_runtime.link import OUTCOMES_MAX, StartedContainer
from workers.control_plane.group_controller import GroupController
from workers.control_plane.group_step import Part
from workers.control_plane.look_sentence import sentence_of_failure, truncated_sentence, unreadable_sentence
from workers.control_plane.merged_units import MergedUnits
from workers.control_plane.name_rows import NameRows, RepeatedRows
from workers.control_plane.operator_rules import read_rules
from workers.control_plane.pods import Places, observe, with_unseen
from workers.control_plane.runtime_follower import RuntimeFollower
from workers.control_plane.unit_threads import UnitThreads
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork
from workers.resctrl.groups import MonitoringGroups

# A message or a batch of this many is below 1 MiB, and the supervisor takes it in within a millisecond or two.
CHUNK = 1_000


class ControlPlaneWork(BaseWork):
    """`agent.ports.Work` of the worker `control-plane`."""

    def __init__(
        self,
        clock: Clock,
        tree: KernelTree,
        outbox: Outbox,
        bus: Bus,
        config: Config,
        *,
        run: str,
        groups: MonitoringGroups | None = None,
        heartbeat: Heartbeat | None = None,
        runtime: RuntimeFollower | None = None,
    ) -> None:
        """`groups` is the resctrl of this host; None where nothing is to be measured by groups. `runtime`: the container runtime's
        reports; None where none is asked for.

        `heartbeat` is given all along: with the most units and rules that there may be, a look or a binding takes seconds.
        """
        super().__init__()
        beat = heartbeat or Heartbeat()
        self.heartbeat = beat if runtime is None else runtime.yielding(beat)
        self._clock = clock
        self._run = run
        self._outbox = outbox
        self._bus = bus
        self._interval_ns = self._wanted_interval_ns = config.of(CONTROL_PLANE_INTERVAL)
        self._cgroups = CgroupTree(tree, self.heartbeat)
        self._tree = tree
        self._runtime = runtime
        self._merged = MergedUnits(container_places)
        # What was done for containers before a first look could say which groups are wanted.
        self._started_early: list[StartedContainer] = []
        self._snapshot_due = False
        self._was_open = False
        self._controller = None
        if groups is not None:
            view = None if runtime is None else self
            self._controller = GroupController(groups, self._threads_of, clock, bus, config, beat, view)
        self._places: dict[str, Places] = {}
        self._started = False
        # The next look at the cgroup tree.
        self._look_at_ns: int | None = None
        # The last turn was a look.
        self._was_look = False
        # A whole look is taken in; and all groups it asks for have been tried, so that what is published is the whole picture.
        self._complete = False
        self._told_complete = False
        self._rules = RuleState()
        self._rule_entries: list[Change] = []
        self._binder = Binder([])
        # The rules changed while nothing could be bound yet.
        self._rebind_due = True
        # The supervisor told what it holds after we last published: worth comparing.
        self._heard = False
        self._units: dict[str, Unit] = {}
        self._assignments: dict[str, Assignment] = {}
        self._conditions = Conditions(bus)
        self._name_rows = NameRows()
        self._look: CgroupScan | None = None
        self._left_out = 0
        self._looks = 0
        self._look_ns = 0

    def on_start(self, now_ns: int) -> None:
        """Adopt what a predecessor assigned; the first look comes at once, but only after the worker counts as ready.

        The rows of what is adopted are written once more: the predecessor may have published an assignment and died before
        its row was acknowledged. A reader takes the last row of an interval, and they say the same.
        """
        self._assignments = adopt(self._rules.items(POD_PREFIX), self.heartbeat)
        wall_ns = self._clock.wall_ns()
        self._write([opening_row(assignment, wall_ns) for assignment in beating(self._assignments.values(), self.heartbeat)])
        self._units = {uid: assignment.unit for uid, assignment in self._assignments.items()}
        self._merged.adopt(beating(self._assignments.values(), self.heartbeat))
        self._started = True
        self._look_at_ns = now_ns
        if self._controller is not None:
            self._controller.on_start(self._assignments, now_ns)
        if self._runtime is not None:
            self._update_snapshot()
            self._runtime.start()

    def on_rules(self, rules: RuleState) -> None:
        """Bind again at once when operator rules changed; entries of pods are compared at the next look."""
        self._rules = rules
        self._heard = True
        entries: list[Change] = list(rules.items(rule_key("")))
        if entries == self._rule_entries:
            return
        self._rule_entries = entries
        operator_rules = read_rules(entries, self._bus, self.heartbeat)
        self._binder = Binder(operator_rules, self.heartbeat)
        self._snapshot_due = True
        if self._controller is not None:
            self._controller.share(frozenset(rule.action.group for rule in operator_rules if rule.action.kind == "shared"))
        self._rebind_due = True
        if self._started and not self.is_stopped:
            update = self._updated()
            self._carry_out(update, update.changes)
        self._update_snapshot()

    def next_deadline_ns(self) -> int | None:
        """The next look at the tree, or what is due at the groups or of the runtime's reports before."""
        if self._look_at_ns is None:
            return None
        reports_ns = None if self._runtime is None else self._runtime.due_ns
        groups_ns = None if self._controller is None else self._controller.next_deadline_ns()
        return min(due_ns for due_ns in (self._look_at_ns, reports_ns, groups_ns) if due_ns is not None)

    def on_timer(self, now_ns: int) -> None:
        """A look when it is due, else a turn of work on the groups; where a look is always due they have every second turn."""
        assert self._look_at_ns is not None
        if self._runtime is not None and self._runtime.due_ns is not None:
            # Before any work on groups: it may concern the very pods that the reports are about.
            # The turn goes on, for reports that never cease would put off looks and groups for ever.
            self._take_reports(now_ns)
        groups_wait = self._controller is not None and self._was_look and self._controller.next_deadline_ns() <= now_ns
        self._was_look = now_ns >= self._look_at_ns and not groups_wait
        if self._was_look:
            self._look_now(now_ns)
        elif self._controller is not None:
            self._controller.on_timer(now_ns)
            self._follow_groups()
        self._update_snapshot()

    def interests(self) -> tuple[Interest, ...]:
        """The container runtime's reports."""
        return () if self._runtime is None or self.is_stopped else self._runtime.interests

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """The runtime reports: what follows within a moment is bound together with it."""
        if self._runtime is not None and not self._runtime.gathers(now_ns):
            self._take_reports(now_ns)

    def _take_reports(self, now_ns: int) -> None:
        """Bind what the runtime has reported; all that waits is one change."""
        touched = self._follow_runtime(now_ns)
        if not self._complete or self.is_stopped:
            # The first look is due, and binds everything.
            return
        found = {uid: self._merged.unit(uid) for uid in beating(sorted(touched), self.heartbeat)}
        for uid, placed in found.items():
            if placed is None:
                self._units.pop(uid, None)
                self._places.pop(uid, None)
            else:
                self._units[uid], self._places[uid] = placed
        units = {uid: placed and placed[0] for uid, placed in found.items()}
        update = update_changed(self._assignments, units, self._binder, self._clock.wall_ns())
        if self._controller is not None:
            self._controller.change(found, self._assignments, self._places, now_ns)
        names = self._name_rows.due_of(found, self._assignments, self._clock.wall_ns())
        self._finish(update.rows, names, update.changes)
        self._update_snapshot()

    def _follow_runtime(self, now_ns: int) -> set[str]:
        """Take the runtime's news in. Gives the uids of the units that may be others now."""
        if self._runtime is None:
            return set()
        news = self._runtime.take(now_ns)
        if self._controller is not None:
            self._started_early = [*self._started_early, *news.outcomes][-OUTCOMES_MAX:]
        return self._merged.follow(news.changed) | self._merged.set_disconnected(self._runtime.is_disconnected)

    def _update_snapshot(self) -> None:
        """Let the fast path know rules and groups as they are now."""
        if self._runtime is None:
            return
        is_open = self._controller is not None and self._controller.is_open
        if self._snapshot_due or is_open != self._was_open:
            self._snapshot_due, self._was_open = False, is_open
            self._runtime.update_snapshot(
                self._binder, {} if self._controller is None else self._controller.path_by_group(), is_open=is_open
            )

    # ---- what the groups ask of the runtime's reports ----------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether the runtime has reported what is not taken in yet."""
        return self._runtime is not None and self._runtime.has_news

    def begin_removal(self) -> bool:
        """Keep containers from being placed until `end_removal`. False: one may be in the group that is to be removed."""
        return self._runtime is None or self._runtime.begin_removal()

    def end_removal(self) -> None:
        """Containers may be placed again."""
        if self._runtime is not None:
            self._runtime.end_removal()

    def groups(self) -> frozenset[str]:
        """The groups, by the rules, of all pods that the runtime has at this moment."""
        found = [] if self._runtime is None else self._runtime.named_units()
        bound = (self._binder.bind(unit)[0] for unit in found)
        return frozenset(unit.uid for unit in found) | frozenset(group for group in bound if group is not None)

    def _look_now(self, now_ns: int) -> None:
        """Look, bind, publish. What cannot be looked at is a condition, and all assignments stay as they are."""
        self._look_at_ns = now_ns + self._interval_ns
        # What the runtime reported before a look must be seen by it; what it reports during the look is taken in after it.
        self._follow_runtime(now_ns)
        began_ns = self._clock.now_ns()
        try:
            look = self._cgroups.look()
        except (OSError, EvergaugeError) as problem:
            self._conditions.tell("cgroup_tree", f"the cgroup tree cannot be looked at: {sentence_of_failure(problem)}")
            return
        self._take_in(look)
        self._looks += 1
        self._look_ns = self._clock.now_ns() - began_ns

    def _take_in(self, look: CgroupScan) -> None:
        observation = observe(look.found, self.heartbeat)
        self._look = look
        self._left_out = observation.left_out
        seen = with_unseen(observation.units, self._assignments, look.unreadable)
        places = {uid: observation.places.get(uid) or self._places.get(uid, {}) for uid in seen}
        merged = self._merged.look(seen, places, self.heartbeat)
        self._units = {uid: unit for uid, (unit, _places) in merged.items()}
        self._places = {uid: places for uid, (_unit, places) in merged.items()}
        self._conditions.tell("cgroup_tree", unreadable_sentence(look.unreadable))
        self._conditions.tell("units_truncated", truncated_sentence(look, observation.left_out))
        update = self._updated()
        changes = update.changes
        if self._heard:
            changes = repairs(update.assignments, self._rules.items(POD_PREFIX), self.heartbeat)
        self._complete = True
        self._carry_out(update, changes)

    def _updated(self) -> AssignmentUpdate:
        rebind, self._rebind_due = self._rebind_due, False
        return update_assignments(
            self._assignments, self._units, self._binder, self._clock.wall_ns(), rebind=rebind, heartbeat=self.heartbeat
        )

    def _threads_of(self, places: Mapping[Part, tuple[str, ...]]) -> UnitThreads:
        roots = self._look.roots if self._look is not None and self._look.roots else (".",)
        return UnitThreads(self._tree, roots, places, self.heartbeat)

    def _follow_groups(self) -> None:
        """Publish how the groups stand, as far as it changed."""
        changes = self._with_monitoring([])
        if changes:
            failpoint("resctrl.before_publish")
        self._publish_what_is_new(changes)

    def _with_monitoring(self, changes: list[Change]) -> list[Change]:
        """The changes, with how the groups stand now where that changed too: one message for each unit."""
        if self._controller is None or not self._complete:
            return changes
        by_key = dict(changes)
        for uid in beating(sorted(self._controller.take_changed()), self.heartbeat):
            self._snapshot_due = True
            held = self._assignments.get(uid)
            if held is not None and held.monitoring != (monitoring := self._controller.monitoring(uid, held.monitoring)):
                self._assignments[uid] = new = replace(held, monitoring=monitoring)
                by_key[pod_key(uid)] = canonical(new)
        return list(by_key.items())

    def _carry_out(self, update: AssignmentUpdate, changes: list[Change]) -> None:
        self._assignments = update.assignments
        if self._controller is not None and self._complete:
            self._controller.want(self._assignments, self._places, self._clock.now_ns())
        names = self._name_rows.due(self._assignments, self._clock.wall_ns(), self.heartbeat)
        self._finish(update.rows, names, changes)

    def _finish(self, rows: list[Row], names: RepeatedRows, changes: list[Change]) -> None:
        """Write and publish what was bound, together with what the fast path has done for it."""
        if self._controller is not None and self._complete:
            started, self._started_early = self._started_early, []
            for each in started:
                self._controller.on_assigned(each, self._clock.now_ns())
        self._write([*rows, *names.pods])
        self._write(names.containers, CONTAINER_NAME)
        self._publish_what_is_new(self._with_monitoring(changes))

    def _publish_what_is_new(self, changes: list[Change]) -> None:
        if changes or (self._is_whole and not self._told_complete):
            self._publish(changes)

    @property
    def _is_whole(self) -> bool:
        return self._complete and (self._controller is None or self._controller.is_settled)

    def _publish(self, changes: list[Change]) -> None:
        self._heard = False
        self._told_complete = self._is_whole
        for start in range(0, max(len(changes), 1), CHUNK):
            self.heartbeat()
            is_last = start + CHUNK >= len(changes)
            self._bus.publish(changes[start : start + CHUNK], complete=self._is_whole and is_last)

    def _write(self, rows: list[Row], table: Table = POD_GROUP) -> None:
        # A refused batch is counted by the outbox and becomes a row of table `gap`.
        for start in range(0, len(rows), CHUNK):
            self.heartbeat()
            stamped = [(*row, self._run) for row in rows[start : start + CHUNK]]
            self._outbox.offer(table, stamped, self._clock.wall_ns())

    def stats(self) -> dict[str, Any]:
        """What the last scan of the cgroup tree found and what it cost."""
        look = self._look
        return {
            "units": len(self._assignments),
            "scans": self._looks,
            "scan_ns_last": self._look_ns,
            "hierarchy": None if look is None else look.hierarchy,
            "directories": 0 if look is None else look.directories,
            "unreadable": 0 if look is None else len(look.unreadable),
            "truncated": self._left_out > 0 or (look is not None and look.truncated),
            **({} if self._controller is None else {"resctrl": self._controller.stats()}),
            **({} if self._runtime is None else {"runtime": self._runtime.stats()}),
        }

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """The cgroup tree is looked at less often; what the container runtime reports is followed as before."""
        self._interval_ns = self._wanted_interval_ns * strides(steps)

    def on_taken_over(self, now_ns: int) -> None:
        """Look at once, and publish whatever the new supervisor does not hold."""
        if self._look_at_ns is not None:
            self._look_at_ns = now_ns
        self._complete = self._told_complete = False
        self._heard, self._rules = True, RuleState()

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """End every interval in the table and take the assignments back, when no successor is to go on with them.

        Both or neither: a successor that adopted an assignment whose interval is closed would leave its pods without
        an open one. The look is no longer complete until a successor has had its own.
        """
        self._look_at_ns, self.is_stopped = None, True
        if self._runtime is not None:
            self._runtime.stop()
        if not for_good:
            return
        if self._controller is not None:
            self._controller.on_stop()
        wall_ns = self._clock.wall_ns()
        self._write([closing_row(assignment, wall_ns) for assignment in beating(self._assignments.values(), self.heartbeat)])
        self._complete = False
        if self._assignments:
            self._publish([(pod_key(uid), None) for uid in self._assignments])
        self._units, self._assignments = {}, {}
