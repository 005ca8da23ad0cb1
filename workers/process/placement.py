"""Where a process belongs, made of its `/proc/PID/cgroup`. PURE.

Most processes share that text with others, and it stays the same: each text is parsed once.
"""

from typing import NamedTuple

from agent.model.cgroup_path import parse_proc_cgroup, unit_of

# Some 600 bytes each on a host with hierarchies of version 1, 60 with version 2 alone.
TEXTS_MAX, TEXT_BYTES_MAX = 256, 2048


class Placement(NamedTuple):
    """*Absent:* `cgroup` where the text has no line of one; the others where the path lies in no unit or container."""

    cgroup: str | None
    pod_uid: str | None
    container: str | None
    unit_kind: str | None


class Placements:
    """Remembers the texts that were parsed."""

    def __init__(self) -> None:
        self._known: dict[bytes, Placement] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, text: bytes) -> Placement:
        """What this text says."""
        known = self._known.get(text)
        if known is None:
            known = placement_of(text)
            if len(text) <= TEXT_BYTES_MAX:
                if len(self._known) >= TEXTS_MAX:
                    self._known.clear()
                self._known[text] = known
        return known


def placement_of(text: bytes) -> Placement:
    """Parse one text. *Source:* cgroups(7), /proc/PID/cgroup."""
    cgroup = parse_proc_cgroup(text)
    unit = None if cgroup is None else unit_of(cgroup)
    if unit is None:
        return Placement(cgroup, None, None, None)
    return Placement(cgroup, unit.uid, unit.container, unit.kind.value)
