"""Reports on the monitoring groups: lasting conditions and events. It decides nothing about groups."""

from agent.model.message import Note
from agent.model.timebase import S
from agent.ports import Bus, Clock
from workers.control_plane.desired_groups import unmeasured_sentence
from workers.control_plane.group_plan import GroupPlan
from workers.framework.condition import Conditions
from workers.resctrl.problem import ProblemKind
from workers.resctrl.report import CleanupReport

# A sentence about who goes without is not repeated more often than this, however fast pods come and go.
SUMMARY_INTERVAL_NS = 1 * S

# An id is in limbo for a second or two, and other tools hold the lock for milliseconds. On an idle host limbo can last for
# hours, and a tool that hangs holds the lock for ever.
PATIENCE_NS = 10 * S
_MOMENTARY = frozenset({ProblemKind.BUSY, ProblemKind.LOCKED})
_Fields = dict[str, str | int | float | bool | None]


class GroupReport:
    """Reports on one host's plan."""

    def __init__(self, plan: GroupPlan, clock: Clock, bus: Bus) -> None:
        self._plan = plan
        self._clock = clock
        self._bus = bus
        self.conditions = Conditions(bus)
        self._summary_at_ns = 0
        # The last time that nobody waited for the lock or for ids in limbo.
        self._delayed_since_ns = 0
        self._vanished_told = 0

    def on_start(self, now_ns: int) -> None:
        """No unit waits yet."""
        self._delayed_since_ns = now_ns

    def tell_cleanup(self, report: CleanupReport) -> None:
        """What became of the groups that an earlier agent has left."""
        fields: _Fields = {
            "removed": report.removed,
            "removal_failures": report.removal_failures,
            "removal_races": report.removal_races,
            "non_prefix_groups": report.non_prefix_groups,
        }
        self._bus.note(Note("resctrl_cleanup", "warning" if report.removal_failures else "info", fields))

    def tell_state(self, now_ns: int, *, is_mounted: bool) -> None:
        """Which units have no group now; without resctrl its own condition says so."""
        if now_ns >= self._summary_at_ns:
            self._summary_at_ns = now_ns + SUMMARY_INTERVAL_NS
            self.conditions.tell("pods_unmeasured", self._unmeasured_sentence() if is_mounted else "")

    def _unmeasured_sentence(self) -> str:
        """Which units have no group, as a sentence. Ids in limbo and a lock are no problem at first."""
        found = self._plan.unmeasured().values()
        now_ns = self._clock.now_ns()
        if not any(kind in _MOMENTARY for kind, _detail in found):
            self._delayed_since_ns = now_ns
        ignored = _MOMENTARY if now_ns - self._delayed_since_ns < PATIENCE_NS else frozenset()
        return unmeasured_sentence([each for each in found if each[0] and each[0] not in ignored])

    def tell_health(self, vanished_total: int) -> None:
        """Once an interval: groups that others removed, units without a group, groups that are not whole."""
        vanished, self._vanished_told = vanished_total - self._vanished_told, vanished_total
        if vanished:
            sentence = "another program removes our groups, which are made again: let only one tool remove mon_groups/pod_*"
            self._bus.note(Note("resctrl_groups_removed", "warning", {"groups": vanished, "sentence": sentence}))
        failed, unreconciled = len(self._plan.unmeasured()), len(self._plan.unreconciled())
        if failed or unreconciled:
            line = f"resctrl health: pods_failed={failed}, pods_unreconciled={unreconciled}"
            fields: _Fields = {"line": line, "pods_failed": failed, "pods_unreconciled": unreconciled}
            self._bus.note(Note("resctrl_health", "warning", fields))
