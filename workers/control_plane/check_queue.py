"""The order in which groups are looked at: the longest wait first, then by rank. PURE.

With thousands of groups most turns look at none or one of them, so the first is found without asking all.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from workers.control_plane.planned_group import PlannedGroup

# Entries that are out of date stay until they come first; beyond this share of the groups they are cleared away.
_STALE_FACTOR = 4
_STALE_LEAST = 256


class CheckQueue:
    """Groups with a directory by their `check_at_ns`; a group that is put again replaces its older entry."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, tuple[int, int], str]] = []

    def __len__(self) -> int:
        """How many entries there are, with those that are out of date."""
        return len(self._entries)

    def put(self, group: PlannedGroup) -> None:
        """The group is to be looked at when its `check_at_ns` comes."""
        if group.queued_at_ns != group.check_at_ns:
            group.queued_at_ns = group.check_at_ns
            heappush(self._entries, _entry(group))

    def first(self, groups: Mapping[str, PlannedGroup]) -> PlannedGroup | None:
        """The one of these groups whose turn is next; None: none has a directory."""
        if len(self._entries) > _STALE_FACTOR * len(groups) + _STALE_LEAST:
            self._entries = [_entry(group) for group in groups.values() if group.queued_at_ns >= 0]
            heapify(self._entries)
        while self._entries:
            due_ns, (_priority, number), name = self._entries[0]
            group = groups.get(name)
            if group is not None and group.number == number and group.queued_at_ns == due_ns:
                if group.paths and group.check_at_ns == due_ns:
                    return group
                group.queued_at_ns = -1
            heappop(self._entries)
        return None


def _entry(group: PlannedGroup) -> tuple[int, tuple[int, int], str]:
    return group.queued_at_ns, group.rank, group.wanted.group
