"""What the assignments ask to be read: which group directories, and whose rows their values become. PURE."""

from collections.abc import Callable

from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.heartbeat import beating
from agent.model.rule import Assignment, decode_assignment
from agent.model.rule_state import RuleState

_PODS = "pod/"


class MonitoredGroup(Struct, eq=False):
    """One monitoring group: its directories (absolute, its own first), and the pods in it, in the order of their uids."""

    path: str
    paths: tuple[str, ...]
    pods: tuple[Assignment, ...]


class Plan:
    """The groups to read, by their first path. Only an entry whose bytes changed is decoded."""

    def __init__(self, heartbeat: Callable[[], None] | None = None) -> None:
        self._heartbeat = heartbeat
        self._contents: dict[str, bytes] = {}
        self._assignments: dict[str, Assignment] = {}
        self.groups: dict[str, MonitoredGroup] = {}
        self.decoded = 0
        self.unreadable = 0

    def take(self, rules: RuleState) -> bool:
        """Follow the rules; whether anything about the groups or their pods is another now. Entries that cannot be read are counted
        and left out."""
        contents = dict(rules.items(_PODS))
        changed = [key for key, content in contents.items() if self._contents.get(key) != content]
        gone = self._contents.keys() - contents.keys()
        if not changed and not gone:
            return False
        for key in beating(changed, self._heartbeat):
            try:
                self._assignments[key] = decode_assignment(contents[key])
            except FormatError:
                # Of a newer version, most likely; the control plane repairs it. The other pods are read meanwhile.
                self._assignments.pop(key, None)
                self.unreadable += 1
        for key in gone:
            self._assignments.pop(key, None)
        self.decoded += len(changed)
        self._contents = contents
        self._gather()
        return True

    def _gather(self) -> None:
        # By the order of the keys, so that a group keeps its place and so its interval whenever another one comes or goes.
        found: dict[str, tuple[dict[str, None], list[Assignment]]] = {}
        for key in self._contents:
            assignment = self._assignments.get(key)
            if assignment is not None and assignment.monitoring is not None and assignment.monitoring.paths:
                paths, pods = found.setdefault(assignment.monitoring.paths[0], ({}, []))
                paths.update(dict.fromkeys(assignment.monitoring.paths))
                pods.append(assignment)
        self.groups = {path: MonitoredGroup(path, tuple(paths), tuple(pods)) for path, (paths, pods) in found.items()}
