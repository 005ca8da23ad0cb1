"""Names of pods and containers from the assignments that every worker holds. PURE.

Rows of names are stored once a day, so the last minute of the spool seldom has one.
"""

from agent.model.errors import FormatError
from agent.model.rule import Unit, decode_assignment
from agent.model.rule_state import RuleState
from workers.export.names import ContainerName, PodName

# The keys of the assignments among the rules that every worker holds.
_PODS = "pod/"


class AssignedNames:
    """A `workers.export.series.identity.NameSource`; `refresh` brings it up to the rules and assignments of now."""

    def __init__(self) -> None:
        self.version = 0
        self._digest = b""
        self._units: dict[str, Unit] = {}
        self._containers: dict[str, ContainerName] = {}

    def refresh(self, rules: RuleState | None) -> None:
        """Know the names of now. *Absent:* None before the first rules."""
        if rules is None or rules.digest == self._digest:
            return
        self._digest = rules.digest
        units = {}
        for _, content in rules.items(_PODS):
            try:
                unit = decode_assignment(content).unit
            except FormatError:
                # The holder of the rules counts it and tells it.
                continue
            units[unit.uid] = unit
        if units != self._units:
            self._units = units
            self._containers = {
                container: ContainerName(name, unit.uid)
                for unit in units.values()
                for container, name in unit.container_names.items()
            }
            self.version += 1

    def pod(self, uid: str) -> PodName | None:
        """See NameSource."""
        unit = self._units.get(uid)
        # Services and scopes have no name beside their path.
        return None if unit is None or unit.name is None else PodName(unit.namespace, unit.name, str(unit.kind))

    def container(self, container_id: str) -> ContainerName | None:
        """See NameSource."""
        return self._containers.get(container_id)
