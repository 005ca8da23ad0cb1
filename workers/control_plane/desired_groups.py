"""From assignments to the groups that they ask for, and the sentence about units without a group. PURE."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from agent.model.rule import Assignment, UnitKind
from workers.control_plane.group_step import DesiredGroup
from workers.control_plane.pods import Places
from workers.resctrl.problem import ProblemKind

_CAPACITY = ProblemKind.CAPACITY.value
_SAVE_IDS = "every id is in use: rules with a higher priority are measured first, rules with the action ignore or shared save ids"


class GroupMembers:
    """Which units are in which group, kept from change to change."""

    def __init__(self) -> None:
        self.by_group: dict[str, dict[str, Assignment]] = {}
        self._group_of: dict[str, str] = {}

    def replace(self, assignments: Iterable[Assignment]) -> None:
        """These are all."""
        self.by_group, self._group_of = {}, {}
        for assignment in assignments:
            self._put(assignment)

    def change(self, uids: Iterable[str], assignments: Mapping[str, Assignment]) -> set[str]:
        """Of these units the assignments are others now. Gives the groups that are concerned."""
        concerned: set[str] = set()
        for uid in uids:
            if (group := self._group_of.pop(uid, None)) is not None:
                concerned.add(group)
                del self.by_group[group][uid]
                if not self.by_group[group]:
                    del self.by_group[group]
            if (assignment := assignments.get(uid)) is not None and assignment.group is not None:
                concerned.add(assignment.group)
                self._put(assignment)
        return concerned

    def _put(self, assignment: Assignment) -> None:
        if assignment.group is not None:
            self.by_group.setdefault(assignment.group, {})[assignment.unit.uid] = assignment
            self._group_of[assignment.unit.uid] = assignment.group


def desired_group(group: str, members: Sequence[Assignment], places: Mapping[str, Places]) -> DesiredGroup:
    """The group that these units share. Pods come before services and slices of the same priority."""
    weight = max(2 * each.priority + (each.unit.kind is UnitKind.POD) for each in members)
    # A unit whose directories are not known (they could not be listed this time) still belongs to its group.
    parts = tuple((each.unit.uid, part) for each in members for part in sorted(places.get(each.unit.uid) or {"": ()}))
    return DesiredGroup(group, weight, parts)


def unmeasured_sentence(unmeasured: Sequence[tuple[str, str]]) -> str:
    """The sentence about units without a group, each given by kind and detail of its reason; empty when there are none."""
    if not unmeasured:
        return ""
    by_kind = Counter(kind for kind, _detail in unmeasured)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(by_kind.items()))
    # Rules help against too few ids alone; every other failure has its remedy in its own sentence.
    told = [_SAVE_IDS if each == _CAPACITY else next(detail for kind, detail in unmeasured if kind == each) for each in by_kind]
    return "; ".join((f"units without a monitoring group: {len(unmeasured)} ({counts}); see `agentctl list-pods`", *told))
