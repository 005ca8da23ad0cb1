"""Removes the groups that an earlier run has left behind, a few at a time. PURE."""

from collections.abc import Callable

from agent.model.heartbeat import beating
from workers.resctrl.place import GroupPlace, name_of
from workers.resctrl.problem import ProblemKind, ResctrlError
from workers.resctrl.report import CleanupReport
from workers.resctrl.tree import GroupTree

# For each the kernel looks at every thread of the host, about a millisecond on a busy one, and others wait 100 ms for the lock.
REMOVALS_PER_STEP = 16


class Cleanup:
    """One cleanup in progress. Only what has our prefix goes; inside a control group only what `is_ours_inside` says of the
    directory's name is ours, unless all is asked for.

    *Raises:* ResctrlError when the tree cannot be listed.
    """

    def __init__(
        self, tree: GroupTree, *, also_in_control_groups: bool = False, is_ours_inside: Callable[[str], bool] | None = None
    ) -> None:
        self._tree = tree
        groups = [
            group
            for group in tree.survey()
            if also_in_control_groups
            or group.place is not GroupPlace.CONTROL_GROUP
            or (group.is_ours and is_ours_inside is not None and is_ours_inside(name_of(group.path)))
        ]
        self._left = [group.path for group in groups if group.is_ours]
        # From the inside out: a control group takes its monitoring groups with it, which would look like a race.
        self._left.sort(key=lambda path: path.count("/"), reverse=True)
        self._removed = self._failures = self._races = 0
        self._foreign = sum(not group.is_ours for group in groups)

    @property
    def report(self) -> CleanupReport:
        """What was done until now."""
        return CleanupReport(self._removed, self._failures, self._races, self._foreign)

    def step(self) -> bool:
        """Remove the next few under the lock; True when all is done. *Raises:* ResctrlError LOCKED, NOT_MOUNTED: go on later."""
        batch, rest = self._left[:REMOVALS_PER_STEP], self._left[REMOVALS_PER_STEP:]
        if batch:
            with self._tree.changing():
                for path in beating(batch, self._tree.heartbeat, 1):
                    self._remove(path)
        self._left = rest
        return not rest

    def _remove(self, path: str) -> None:
        try:
            was_there = self._tree.delete_group(path)
        except ResctrlError as problem:
            if problem.kind is ProblemKind.NOT_MOUNTED:
                raise
            self._failures += 1
        else:
            self._removed += was_there
            self._races += not was_there
