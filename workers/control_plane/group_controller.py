"""Carries the plan of monitoring groups out, through the resctrl library, a few milliseconds at a time.

`group_plan` decides what is to be done; here it is done, and its end is reported to the plan. What lasts and a person should know
(no resctrl, nobody may write, ids all in use) is a condition with its remedy.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from agent.config import RESCTRL_AUTO_MOUNT, RESCTRL_CHECK_INTERVAL, RESCTRL_HEALTH_INTERVAL, RESCTRL_RETRY_INTERVAL, Config
from agent.model.heartbeat import Heartbeat, beating
from agent.model.rule import Assignment, Monitoring
from agent.model.timebase import MS, S
from agent.ports import Bus, Clock
from workers.control_plane.container_runtime.link import StartedContainer
from workers.control_plane.desired_groups import GroupMembers, desired_group
from workers.control_plane.group_plan import GroupPlan
from workers.control_plane.group_report import GroupReport
from workers.control_plane.group_step import Check, Create, Delete, DesiredGroup, PartState
from workers.control_plane.planned_group import PASSES_MAX
from workers.control_plane.pods import Places
from workers.control_plane.stale_groups import StaleGroups
from workers.control_plane.step_runner import MakeThreads, StepRunner
from workers.resctrl.cleanup import Cleanup
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.problem import ProblemKind, ResctrlError

# The loop has other things to do, and a heartbeat every 250 ms; single steps take a millisecond or two.
TURN_NS = 20 * MS
# Where a container runtime waits for the thread that answers it, turns are short: reports are taken in between them.
TURN_BESIDE_RUNTIME_NS = 5 * MS
# One stat(2): whether resctrl is still, or again, mounted.
MOUNT_INTERVAL_NS = 1 * S
# Removing 448 groups takes a quarter of a second; the agent's end has little more.
FAREWELL_NS = 500 * MS


class RuntimeView(Protocol):
    """What a runtime has reported and the plan may not know yet."""

    @property
    def has_news(self) -> bool:
        """Whether there are reports that were not taken in."""
        ...

    def groups(self) -> frozenset[str]:
        """The groups, by the rules, of all pods that there are now."""
        ...

    def begin_removal(self) -> bool:
        """Keep containers from being placed until `end_removal`. False: one may be in the group that is to be removed."""
        ...

    def end_removal(self) -> None:
        """Containers may be placed again."""
        ...


class GroupController:
    """The monitoring groups of this host, as the assignments want them."""

    def __init__(
        self,
        groups: MonitoringGroups,
        make_threads: MakeThreads,
        clock: Clock,
        bus: Bus,
        config: Config,
        heartbeat: Callable[[], None] | None = None,
        runtime: RuntimeView | None = None,
    ) -> None:
        """`runtime` is asked before a directory is removed, where containers are given their groups as they start."""
        self._heartbeat = heartbeat or Heartbeat()
        self._runtime = runtime
        self._turn_ns = TURN_NS if runtime is None else TURN_BESIDE_RUNTIME_NS
        groups.heartbeat = self._heartbeat
        self._groups = groups
        self._clock = clock
        self._is_auto_mounted = config.of(RESCTRL_AUTO_MOUNT)
        self._retry_interval_ns = config.of(RESCTRL_RETRY_INTERVAL)
        self._health_interval_ns = config.of(RESCTRL_HEALTH_INTERVAL)
        self._plan = GroupPlan(check_interval_ns=config.of(RESCTRL_CHECK_INTERVAL), retry_interval_ns=self._retry_interval_ns)
        self._report = GroupReport(self._plan, clock, bus)
        self._members = GroupMembers()
        self._mount_id: int | None = None
        # Why there is none, once that is known.
        self._lost: tuple[ProblemKind, str] | None = None
        self._is_first_start = False
        self._cleanup: Cleanup | None = None
        self._has_looked = False
        self._ends_adoption = False
        # Look inside control groups of others for groups of ours that no unit needs any more.
        self._sweeps_inside = False
        self._stale = StaleGroups(groups, self._plan)
        self._mount_at_ns = self._retry_at_ns = self._health_at_ns = 0
        self._runner = StepRunner(groups, self._plan, make_threads, clock, self._lose)
        if runtime is not None:
            self._runner.begin_removal, self._runner.end_removal = runtime.begin_removal, runtime.end_removal

    # ---- beginning and end -------------------------------------------------------------------------

    def on_start(self, adopted: Mapping[str, Assignment], now_ns: int) -> None:
        """Go on with what the adopted assignments name; without any this is the first start of the agent.

        The mount is looked at here already: a runtime may start containers before the first turn, and a successor has nothing to
        clean up that would keep it from placing them.
        """
        prefix = f"{self._groups.filesystem.root}/"
        for assignment in beating(adopted.values(), self._heartbeat):
            if assignment.group is not None and assignment.monitoring is not None and assignment.monitoring.paths:
                paths = tuple(path.removeprefix(prefix) for path in assignment.monitoring.paths)
                self._plan.adopt(assignment.group, paths)
        self._is_first_start = not adopted
        self._report.on_start(now_ns)
        self._retry_at_ns = now_ns + self._retry_interval_ns
        self._health_at_ns = now_ns + self._health_interval_ns
        self._mount_at_ns = now_ns
        self._look_at_mount(now_ns)

    def on_stop(self) -> None:
        """The agent ends: give every id back, as far as there is time; the next start removes what is left."""
        end_ns = self._clock.now_ns() + FAREWELL_NS
        self._plan.want((), self._clock.now_ns())
        self._plan.end_adoption(self._clock.now_ns())
        while self._mount_id is not None and (now_ns := self._clock.now_ns()) < end_ns:
            self._heartbeat()
            # Every try waits for the lock by itself; a pause after it would be the end.
            self._plan.on_found(now_ns)
            step = self._plan.next_step(now_ns)
            if not isinstance(step, Delete):
                break
            self._runner.carry_out(step)

    # ---- what is wanted ----------------------------------------------------------------------------

    def want(self, assignments: Mapping[str, Assignment], places: Mapping[str, Places], now_ns: int) -> None:
        """The assignments after a look or a change of rules, and where the threads of their units are."""
        self._runner.places = places
        self._members.replace(beating(assignments.values(), self._heartbeat))
        wanted = [self._desired(group, held) for group, held in beating(self._members.by_group.items(), self._heartbeat)]
        self._plan.want(wanted, now_ns)
        self._runner.keep(self._members.by_group)
        self._after_wish()
        if not self._has_looked:
            self._has_looked = self._ends_adoption = True

    def change(self, uids: Iterable[str], assignments: Mapping[str, Assignment], places: Mapping[str, Places], now_ns: int) -> None:
        """As `want`, where only these units are others than before: it costs what they cost."""
        self._runner.places = places
        changes: dict[str, DesiredGroup | None] = {}
        for group in self._members.change(uids, assignments):
            held = self._members.by_group.get(group)
            changes[group] = None if held is None else self._desired(group, held)
            if held is None:
                self._runner.forget(group)
        self._plan.change(changes, now_ns)
        self._after_wish()

    def on_assigned(self, started: StartedContainer, now_ns: int) -> None:
        """What was done for a container before its first instruction. What could not be done then is tried here."""
        outcome = started.outcome
        self._runner.done["start"] += 1
        if outcome.group is not None and outcome.path:
            part = (started.uid, started.container_id)
            self._plan.on_assigned(outcome.group, outcome.path, part, now_ns, is_whole=outcome.is_whole)
        elif outcome.problem is not None:
            self._runner.failures[f"start_{outcome.problem.value}"] += 1

    def _desired(self, group: str, held: Mapping[str, Assignment]) -> DesiredGroup:
        return desired_group(group, list(held.values()), self._runner.places)

    def _after_wish(self) -> None:
        if self._lost is not None:
            self._plan.on_lost(*self._lost)

    def share(self, names: frozenset[str]) -> None:
        """The names of shared groups by the rules: groups of these names are ours wherever they are."""
        self._stale.shared_groups = names

    @property
    def is_open(self) -> bool:
        """Whether a container that starts can be given its group: resctrl is there, and what an earlier agent left is gone."""
        return self._mount_id is not None and self._cleanup is None

    def path_by_group(self) -> dict[str, str]:
        """The directory of every group that has one, below the mount."""
        return self._plan.path_by_group()

    @property
    def is_settled(self) -> bool:
        """Whether for every group that is wanted something was tried, so that its state is known."""
        return self._has_looked and self._plan.is_settled

    def monitoring(self, uid: str, before: Monitoring | None = None) -> Monitoring | None:
        """How a unit's group stands, with absolute paths; None: none is wanted. What a predecessor published, `before`, holds
        until its group was looked at."""
        if not self._plan.is_checked(uid):
            return before
        found = self._plan.monitoring(uid)
        if found is None or not found.paths:
            return found
        absolute = tuple(map(self._groups.absolute, found.paths))
        return Monitoring(absolute, found.problem, found.detail, found.total_containers, found.reconciled_containers)

    def take_changed(self) -> set[str]:
        """The units whose `monitoring` may have changed."""
        return self._plan.take_changed()

    # ---- retries -----------------------------------------------------------------------------------

    def retry_group_creation(self, uid: str) -> Monitoring | None:
        """Try once, now, to make the group of a unit that has none; one that is there stays as it is. Gives how it stands.

        *Absent:* None where no group is wanted for this uid. *Raises:* ResctrlError, CAPACITY or BUSY among others, as the kernel
        refuses; nothing is published then.
        """
        group = self._plan.group_of(uid)
        if group is None:
            return None
        if not group.paths and (problem := self._runner.carry_out(Create(group.wanted.group))) is not None:
            raise problem
        return self.monitoring(uid)

    def retry_container_reconcile(self, uid: str, container_id: str) -> tuple[PartState, int] | None:
        """Look now at the threads of a container that is not whole, and move those that are outside. Gives how it stands and how
        many are outside.

        Nothing is done where the pod has no group, or the container is whole. *Absent:* None where this container is not known.
        """
        part = (uid, container_id)
        group = self._plan.group_of(uid)
        if group is None or part not in group.wanted.parts:
            return None
        for _pass in range(PASSES_MAX):
            if not group.paths or group.state(part)[0] is PartState.RECONCILED:
                break
            passes = group.passes
            self._runner.carry_out(Check(group.wanted.group, group.paths, group.wanted.parts))
            if group.passes <= passes:
                break
        return group.state(part)

    def retry_all_once(self) -> None:
        """Have every failed group tried until the first refusal for want of ids, and every container that is not whole."""
        self._plan.retry_all_once(self._clock.now_ns())

    # ---- time --------------------------------------------------------------------------------------

    def next_deadline_ns(self) -> int:
        """When `on_timer` wants to be called."""
        deadlines = [self._mount_at_ns, self._retry_at_ns, self._health_at_ns]
        if self._mount_id is not None and self._cleanup is not None:
            # Due at once; an instant taken here would be later than the one that it is compared with.
            return 0
        if self._mount_id is not None and (step_ns := self._plan.next_deadline_ns()) is not None:
            deadlines.append(step_ns)
        return min(deadlines)

    def on_timer(self, now_ns: int) -> None:
        """Do the work that is due, until the turn's time is over."""
        if now_ns >= self._mount_at_ns:
            self._mount_at_ns = now_ns + MOUNT_INTERVAL_NS
            self._look_at_mount(now_ns)
        if now_ns >= self._retry_at_ns:
            self._retry_at_ns = now_ns + self._retry_interval_ns
            self._plan.retry_all_once(now_ns)
            self._sweeps_inside = self._has_looked
        if self._mount_id is not None:
            self._work(now_ns + self._turn_ns)
        if now_ns >= self._health_at_ns:
            self._health_at_ns = now_ns + self._health_interval_ns
            self._report.tell_health(self._runner.failures["vanished"])
        self._report.tell_state(now_ns, is_mounted=self._mount_id is not None)

    def stats(self) -> dict[str, Any]:
        """Counts for `status` and /metrics."""
        return {
            "groups": sum(1 for _path in self._plan.paths()),
            "unmeasured": len(self._plan.unmeasured()),
            "unreconciled": len(self._plan.unreconciled()),
            "steps": dict(self._runner.done),
            "failures": dict(self._runner.failures),
        }

    # ---- the mount ---------------------------------------------------------------------------------

    def _look_at_mount(self, now_ns: int) -> None:
        try:
            self._groups.ensure_mounted(self._is_auto_mounted)
            if (mount_id := self._groups.filesystem.mount_id()) == self._mount_id:
                return
            self._groups.check_writable()
            # Before it is called found: what only the first group would show would come and go once a second.
            self._groups.check_monitored()
            # Listed before any group is made: what is made from now on is not an earlier agent's.
            self._cleanup = Cleanup(self._groups, is_ours_inside=self._stale.is_ours_inside) if self._is_first_start else None
        except (ResctrlError, OSError) as problem:
            self._lose(problem)
            return
        if self._mount_id is not None:
            self._plan.on_lost(ProblemKind.NOT_MOUNTED, "another resctrl is mounted here now; groups are made again")
        self._mount_id, self._lost = mount_id, None
        self._plan.on_found(now_ns)
        # It may be the same resctrl, with groups that nobody wants by now: it was covered, or could not be looked at for a while.
        self._ends_adoption = self._has_looked
        self._report.conditions.tell("resctrl", "", blocks_ready=True)

    def _lose(self, problem: ResctrlError | OSError) -> None:
        kind = problem.kind if isinstance(problem, ResctrlError) else ProblemKind.IO
        sentence = problem.sentence if isinstance(problem, ResctrlError) else f"{self._groups.filesystem.root}: {problem}"
        self._mount_id, self._lost = None, (kind, sentence)
        self._runner.failures[kind.value] += 1
        self._plan.on_lost(kind, sentence)
        self._report.conditions.tell("resctrl", sentence, blocks_ready=True)

    def _clean_up(self, until_ns: int) -> None:
        """What an earlier agent has left behind; only once, and never what runs on behind a restarted control plane.

        A few at a time: with another tool at the lock, hundreds take longer than a worker may be silent.
        """
        while self._cleanup is not None and self._clock.now_ns() < until_ns:
            self._heartbeat()
            is_over = True
            try:
                is_over = self._cleanup.step()
            except ResctrlError as problem:
                if self._runner.count_failure(problem):
                    return
                # What is left is tried at the next turn; any other failure would only come again.
                is_over = problem.kind is not ProblemKind.LOCKED
                self._report.conditions.tell("resctrl", problem.sentence, blocks_ready=True)
            if is_over:
                self._report.tell_cleanup(self._cleanup.report)
                self._cleanup, self._is_first_start = None, False
                self._report.conditions.tell("resctrl", "", blocks_ready=True)

    def _remove_stale(self, *, also_outside: bool) -> None:
        """Have groups of ours that nobody wants removed; those outside control groups of others after the first look, and when
        resctrl is found again. *Raises:* ResctrlError."""
        now_ns = self._clock.now_ns()
        if also_outside:
            self._plan.end_adoption(now_ns)
            needed = frozenset() if self._runtime is None else self._runtime.groups()
            for path in self._stale.outside_control_groups(needed):
                self._plan.remove(path, now_ns)
        for path in self._stale.inside_control_groups():
            self._plan.remove(path, now_ns)

    # ---- the plan's steps --------------------------------------------------------------------------

    def _work(self, until_ns: int) -> None:
        self._clean_up(until_ns)
        if self._cleanup is not None:
            return
        if self._ends_adoption or self._sweeps_inside:
            is_whole_sweep, self._ends_adoption, self._sweeps_inside = self._ends_adoption, False, False
            try:
                self._remove_stale(also_outside=is_whole_sweep)
            except ResctrlError as problem:
                self._runner.failures[problem.kind.value] += 1
                self._ends_adoption = is_whole_sweep and problem.kind is ProblemKind.LOCKED
        while self._mount_id is not None and (now_ns := self._clock.now_ns()) < until_ns:
            self._heartbeat()
            step = self._plan.next_step(now_ns)
            if step is None:
                return
            if not isinstance(step, Delete) or self._runtime is None:
                self._runner.carry_out(step)
            elif self._runtime.has_news:
                # A container that has started meanwhile may be in the very group that is to be removed.
                return
            elif self._runtime.begin_removal():
                try:
                    self._runner.carry_out(step)
                finally:
                    self._runtime.end_removal()
            else:
                # As where another program holds the lock: a start that hangs costs a try now and then, and checks go on.
                self._plan.on_delete_failed(step.path, ProblemKind.LOCKED, self._clock.now_ns())
