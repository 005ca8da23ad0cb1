"""Finds directories of our groups that no unit needs any more: leftovers of an earlier control plane or agent."""

from collections.abc import Iterator

from workers.control_plane.group_plan import GroupPlan
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.name import group_name, is_unmistakable
from workers.resctrl.place import GroupPlace, name_of, under


class StaleGroups:
    """Finds them. Groups that are wanted and there stay, with their counters."""

    def __init__(self, groups: MonitoringGroups, plan: GroupPlan) -> None:
        self._groups = groups
        self._plan = plan
        # Names of shared groups by the rules: they may be anybody's, unless a rule says that they are ours.
        self.shared_groups: frozenset[str] = frozenset()

    def is_ours_inside(self, name: str) -> bool:
        """Whether a directory of this name inside a control group of others is surely ours."""
        prefix = self._groups.prefix
        return is_unmistakable(name, prefix) or name in {group_name(each, prefix) for each in self.shared_groups}

    def outside_control_groups(self, needed: frozenset[str] = frozenset()) -> Iterator[str]:
        """Paths of groups that nobody wants, such as one made just before a predecessor died; `needed` are groups that the plan
        does not know yet. *Raises:* ResctrlError."""
        names = (*self._plan.names(), *needed)
        known = {*self._plan.paths(), *(under("", group_name(name, self._groups.prefix)) for name in names)}
        for group in self._groups.list_groups():
            if group.place is not GroupPlace.CONTROL_GROUP and group.path not in known:
                yield group.path

    def inside_control_groups(self) -> Iterator[str]:
        """Paths of groups inside control groups of others that serve nobody: their pod ended while no agent ran, or its threads
        live elsewhere by now. What is not surely ours stays, and so does what a unit may still need. *Raises:* ResctrlError."""
        held = set(self._plan.paths())
        wanted = {group_name(name, self._groups.prefix): name for name in self._plan.names()}
        for group in self._groups.list_groups():
            if group.place is not GroupPlace.CONTROL_GROUP or group.path in held:
                continue
            name = name_of(group.path)
            if self._plan.is_whole(wanted[name]) if name in wanted else self.is_ours_inside(name):
                yield group.path
