"""The control plane's work: look at the cgroup tree, bind what is found, publish what changed.

It keeps nothing of its own: a successor adopts the assignments from the rule snapshot, so that intervals and groups go
on through its death. Only a clean stop ends them.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from agent.config import CONTROL_PLANE_INTERVAL, Config
from agent.failpoint import failpoint
from agent.model.errors import EvergaugeError, FormatError
from agent.model.foreign import readable
from agent.model.heartbeat import Heartbeat, beating
from agent.model.message import Note
from agent.model.rule import Assignment, GroupRule, Unit, canonical, decode_rule, in_order, pod_key, rule_key
from agent.model.rule_state import Change, RuleState
from agent.model.table import Row, Table
from agent.model.tables import CONTAINER_NAME, POD_GROUP
from agent.ports import Bus, Clock, KernelTree, Outbox
from workers.control_plane.assignment_update import (
    POD_PREFIX,
    AssignmentUpdate,
    adopt,
    closing_row,
    opening_row,
    repairs,
    update_assignments,
)
from workers.control_plane.binding import Binder
from workers.control_plane.cgroups import DEPTH_MAX, DIRECTORIES_MAX, CgroupScan, CgroupTree
from workers.control_plane.container_rows import NameRows
from workers.control_plane.group_controller import GroupController
from workers.control_plane.group_step import Part
from workers.control_plane.pods import Places, observe, with_unseen
from workers.control_plane.unit_threads import UnitThreads
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork
from workers.resctrl.groups import MonitoringGroups

RULE_PREFIX = rule_key("")
# A message or a batch of this many is below 1 MiB, and the supervisor takes it in within a millisecond or two.
CHUNK = 1_000
# The largest number of places with left out groups that are named.
_PARENTS_SHOWN = 3


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
    ) -> None:
        """`groups` is the resctrl of this host; None where nothing is to be measured by groups.

        `heartbeat` is given all along: with the most units and rules that there may be, a look or a binding takes seconds.
        """
        super().__init__()
        self.heartbeat = heartbeat or Heartbeat()
        self._clock = clock
        self._run = run
        self._outbox = outbox
        self._bus = bus
        self._interval_ns = config.of(CONTROL_PLANE_INTERVAL)
        self._cgroups = CgroupTree(tree, self.heartbeat)
        self._tree = tree
        self._controller = None if groups is None else GroupController(groups, self._threads_of, clock, bus, config, self.heartbeat)
        self._places: dict[str, Places] = {}
        self._started = False
        # The next look at the cgroup tree.
        self._look_at_ns: int | None = None
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
        self._started = True
        self._look_at_ns = now_ns
        if self._controller is not None:
            self._controller.on_start(self._assignments, now_ns)

    def on_rules(self, rules: RuleState) -> None:
        """Bind again at once when operator rules changed; entries of pods are compared at the next look."""
        self._rules = rules
        self._heard = True
        entries: list[Change] = list(rules.items(RULE_PREFIX))
        if entries == self._rule_entries:
            return
        self._rule_entries = entries
        operator_rules = self._operator_rules(entries)
        self._binder = Binder(operator_rules, self.heartbeat)
        if self._controller is not None:
            self._controller.share(frozenset(rule.action.group for rule in operator_rules if rule.action.kind == "shared"))
        self._rebind_due = True
        if self._started and not self.is_stopped:
            update = self._updated()
            self._carry_out(update, update.changes)

    def _operator_rules(self, entries: list[Change]) -> list[GroupRule]:
        rules: list[GroupRule] = []
        for key, content in beating(entries, self.heartbeat):
            try:
                rules.append(decode_rule(content or b""))
            except FormatError as problem:
                # The supervisor checked it before it was durable: a rule of a newer version, most likely.
                self._bus.note(Note("rule_unreadable", "error", {"key": key, "problem": problem.sentence}))
        return in_order(rules)

    def next_deadline_ns(self) -> int | None:
        """The next look at the tree, or what is due at the groups before."""
        if self._look_at_ns is None or self._controller is None:
            return self._look_at_ns
        return min(self._look_at_ns, self._controller.next_deadline_ns())

    def on_timer(self, now_ns: int) -> None:
        """A look when it is due, else a turn of work on the groups: the one can take as long as the other may."""
        assert self._look_at_ns is not None
        if now_ns >= self._look_at_ns:
            self._look_now(now_ns)
        elif self._controller is not None:
            self._controller.on_timer(now_ns)
            self._follow_groups()

    def _look_now(self, now_ns: int) -> None:
        """Look, bind, publish. What cannot be looked at is a condition, and all assignments stay as they are."""
        self._look_at_ns = now_ns + self._interval_ns
        began_ns = self._clock.now_ns()
        try:
            look = self._cgroups.look()
        except (OSError, EvergaugeError) as problem:
            self._conditions.tell("cgroup_tree", f"the cgroup tree cannot be looked at: {_sentence(problem)}")
            return
        self._take_in(look)
        self._looks += 1
        self._look_ns = self._clock.now_ns() - began_ns

    def _take_in(self, look: CgroupScan) -> None:
        observation = observe(look.found, self.heartbeat)
        self._look = look
        self._left_out = observation.left_out
        self._units = with_unseen(observation.units, self._assignments, look.unreadable)
        self._places = {uid: observation.places.get(uid) or self._places.get(uid, {}) for uid in self._units}
        self._conditions.tell("cgroup_tree", _unreadable_sentence(look.unreadable))
        self._conditions.tell("units_truncated", _truncated_sentence(look, observation.left_out))
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
        assert self._controller is not None
        changes: list[Change] = []
        for uid in beating(sorted(self._controller.take_changed()), self.heartbeat):
            held = self._assignments.get(uid)
            if held is not None and held.monitoring != (monitoring := self._controller.monitoring(uid)):
                self._assignments[uid] = new = replace(held, monitoring=monitoring)
                changes.append((pod_key(uid), canonical(new)))
        if changes:
            failpoint("resctrl.before_publish")
        self._publish_what_is_new(changes)

    def _carry_out(self, update: AssignmentUpdate, changes: list[Change]) -> None:
        self._assignments = update.assignments
        if self._controller is not None and self._complete:
            self._controller.want(self._assignments, self._places, self._clock.now_ns())
        due = self._name_rows.due(self._assignments, self._clock.wall_ns(), self.heartbeat)
        self._write([*update.rows, *due.pods])
        self._write(due.containers, CONTAINER_NAME)
        self._publish_what_is_new(changes)

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
        }

    def on_taken_over(self, now_ns: int) -> None:
        """Look at once, and publish whatever the new supervisor does not hold."""
        if self._look_at_ns is not None:
            self._look_at_ns = now_ns
        self._complete = self._told_complete = False
        self._heard = True
        self._rules = RuleState()

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """End every interval in the table and take the assignments back, when no successor is to go on with them.

        Both or neither: a successor that adopted an assignment whose interval is closed would leave its pods without
        an open one. The look is no longer complete until a successor has had its own.
        """
        self._look_at_ns = None
        self.is_stopped = True
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


def _sentence(problem: OSError | EvergaugeError) -> str:
    if isinstance(problem, EvergaugeError):
        return problem.sentence
    where = readable(str(problem.filename or "cgroup root"))
    return f"{problem.strerror or problem} ({where}); mount it, or set kernel.cgroup_root"


def _unreadable_sentence(unreadable: tuple[str, ...]) -> str:
    if not unreadable:
        return ""
    return f"{len(unreadable)} cgroups cannot be listed, first {readable(unreadable[0])}; units below them are kept as last seen"


def _truncated_sentence(look: CgroupScan, left_out: int) -> str:
    parts = []
    if left_out:
        parts.append(
            f"there are more units than can be held, {_about(left_out)} are left out: pods come first, "
            "then containers, services, scopes and slices, and neighbours take turns"
        )
    if look.left_out:
        worst = sorted(look.left_out.items(), key=lambda item: (-item[1], item[0]))[:_PARENTS_SHOWN]
        named = ", ".join(f"{_about(count)} in {readable(path or '/')}" for path, count in worst)
        rest = "" if len(look.left_out) <= len(worst) else f" and some in {_about(len(look.left_out) - len(worst))} others"
        parts.append(
            f"the cgroup tree has more than {DIRECTORIES_MAX} directories; pods come first, left out are {named}{rest}: "
            "remove groups that nobody uses there"
        )
    if look.too_deep:
        parts.append(f"the cgroup tree has more than {DEPTH_MAX} levels; the deepest are left out")
    return "; ".join(parts)


def _about(count: int) -> str:
    """A count by its first digit, so that a sentence stays the same while groups come and go."""
    unit = 10 ** (len(str(count)) - 1)
    return str(count) if count < 10 else f"{count // unit * unit} or more"
