"""From assignments to the groups that they ask for, and the sentence about units without a group. PURE."""

from collections import Counter
from collections.abc import Mapping, Sequence

from agent.model.rule import Assignment, UnitKind
from workers.control_plane.group_step import DesiredGroup
from workers.control_plane.pods import Places
from workers.resctrl.problem import ProblemKind

_CAPACITY = ProblemKind.CAPACITY.value
_SAVE_IDS = "every id is in use: rules with a higher priority are measured first, rules with the action ignore or shared save ids"


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
