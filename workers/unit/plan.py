"""Which units the assignments name. PURE."""

from collections.abc import Callable

from agent.model.errors import FormatError
from agent.model.heartbeat import beating
from agent.model.rule import Unit, decode_assignment
from agent.model.rule_state import RuleState

_PREFIX = "pod/"


class UnitPlan:
    """The units by uid. Only an entry whose bytes changed is decoded; entries that cannot be read are counted and left out."""

    def __init__(self, heartbeat: Callable[[], None] | None = None) -> None:
        self._heartbeat = heartbeat
        self._contents: dict[str, bytes] = {}
        self._uids: dict[str, str] = {}
        self.units: dict[str, Unit] = {}
        self.unreadable = 0

    def take(self, rules: RuleState) -> bool:
        """Follow the rules; whether there may be other units now, or at another place."""
        contents = dict(rules.items(_PREFIX))
        changed = [key for key, content in contents.items() if self._contents.get(key) != content]
        gone = [key for key in self._contents if key not in contents]
        self._contents = contents
        for key in gone:
            self._drop(key)
        for key in beating(changed, self._heartbeat):
            self._drop(key)
            try:
                unit = decode_assignment(contents[key]).unit
            except FormatError:
                # Of a newer version, most likely; the control plane repairs it. The others are measured meanwhile.
                self.unreadable += 1
                continue
            self._uids[key] = unit.uid
            self.units[unit.uid] = unit
        return bool(changed or gone)

    def _drop(self, key: str) -> None:
        uid = self._uids.pop(key, None)
        if uid is not None:
            self.units.pop(uid, None)
