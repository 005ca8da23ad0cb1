"""What units are called on screens: pods by namespace and name, others by the name that their cgroup has. PURE."""

from collections.abc import Mapping

from agent.cli.known_names import KnownNames
from agent.cli.name_filter import FilterTarget
from agent.cli.neighbour_unit import JudgedUnit
from agent.cli.render import text_of
from agent.model.cgroup_path import name_of, unit_of


class UnitNames:
    """Names of units by uid. *Absent:* what nobody named keeps its uid."""

    def __init__(self, known: KnownNames, units: Mapping[str, JudgedUnit] | None = None) -> None:
        self._known = known
        self._units = units or {}

    def name(self, uid: str) -> str:
        """What a unit is called; safe to print."""
        unit = self._units.get(uid)
        return text_of(self.plain_name(uid, "" if unit is None else unit.cgroup))

    def plain_name(self, uid: str, cgroup: str) -> str:
        """What a unit is called, as it is."""
        found = self._known.pods.get(uid)
        if found is not None:
            return found
        identity = unit_of(cgroup or uid)
        return (name_of(identity) if identity is not None else None) or uid

    def all_of(self, unit: JudgedUnit) -> set[str]:
        """Everything by which a unit may be asked for."""
        return {unit.uid, unit.cgroup, self.plain_name(unit.uid, unit.cgroup)}

    def target_of(self, unit: JudgedUnit) -> FilterTarget:
        """What a filter looks for words in."""
        pod = self._known.pods.get(unit.uid, "")
        words = (unit.uid, unit.cgroup, self.plain_name(unit.uid, unit.cgroup))
        labels = self._known.labels.get(unit.uid, {})
        return FilterTarget(words, pod=pod, containers=self._known.containers_in(unit.uid), labels=labels, kind=unit.kind)
